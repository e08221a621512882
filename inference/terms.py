"""What a bound is combined of: densities and KL estimates of every view, at one draw."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, Shaped

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.estimators import Estimator, is_stratified


class Views(NamedTuple):
    """What a bound looks at. V views are drawn from; U more only lend their density.

    Attributes:
        subsets: `[V + U, N, M]`, subsets that the guide is evaluated on.
        score: `[V, N, M]`, coefficient of log p(x_s | z_v).
        weight: `[V, N]`, weight of each view in a row's bound.
        cross: pairs (v, u): KL(q(· | subsets[v]) ‖ q(· | subsets[u])) is wanted.
    """

    subsets: Bool[Array, "all_views rows modalities"]
    score: Shaped[Array, "views rows modalities"]
    weight: Shaped[Array, "views rows"]
    cross: tuple[tuple[int, int], ...] = ()


class Terms(NamedTuple):
    """What a bound is combined of.

    Attributes:
        log_x: `[V, N, M]`, log p(x_s | z_v), zero where x_s is absent; times the
            modality's weight when it reaches `combine`.
        kl_prior: `[V, N]`, estimate of KL(q(· | subsets[v]) ‖ p).
        kl_cross: `[C, N]`, estimates for the pairs of `Views.cross`.
    """

    log_x: Float[Array, "views rows modalities"]
    kl_prior: Float[Array, "views rows"]
    kl_cross: Float[Array, "pairs rows"]


def evaluate(
    rng_key, estimator: Estimator, model, guide, params, data, views: Views, sites
) -> tuple[Terms, Float[Array, ""]]:
    """Draw every view, decode each draw once, estimate its KL terms.

    Returns:
        the terms, and the KL of the global latents.
    """
    stratified = is_stratified(estimator)
    draw = programs.draw(rng_key, guide, params, data, views.subsets, sites, stratified)
    particle = _Particle(rng_key, estimator, model, guide, params, data, sites, draw)
    return particle.terms(views)


@dataclasses.dataclass(frozen=True)
class _Particle:
    """One draw of the guide for all views, and what is needed to evaluate it."""

    rng_key: Array
    estimator: Estimator
    model: Callable
    guide: Callable
    params: dict
    data: MultimodalData
    sites: programs.Sites
    draw: programs.Draw

    def terms(self, views: Views) -> tuple[Terms, Float[Array, ""]]:
        drawn = slice(0, views.score.shape[0])
        given = (
            views.subsets,
            self.draw.root,
            self.draw.latents,
            self.draw.log_weights,
        )
        (log_x, kl_prior), fns, shared = jax.vmap(self._view)(
            *programs.at(given, drawn)
        )
        kl_cross = jnp.zeros((0, self.data.size))
        if views.cross:
            v, u = (jnp.array(index) for index in zip(*views.cross, strict=True))
            own = (self.draw.root, fns, self.draw.latents, self.draw.log_weights)
            other = (views.subsets, self.draw.root)
            kl_cross = jax.vmap(self._cross)(programs.at(own, v), programs.at(other, u))
        fns = self.draw.shared_fns
        kl_shared = self._kl(
            fns, programs.stop(fns), programs.at(shared, 0), self.draw.shared
        )
        return Terms(log_x, kl_prior, kl_cross), kl_shared

    def _view(self, subset, root, latents, log_weights):
        """(log p(x_s | z), KL to the prior), means over strata; later sites' fns."""

        def stratum(latents):
            log_x, prior, shared = self._model(latents)
            fns = self._later(subset, latents)
            return (log_x, self._kl_root(root, fns, prior, latents)), fns, shared

        terms, fns, shared = jax.vmap(stratum)(latents)
        return average(terms, log_weights), fns, programs.at(shared, 0)

    def _cross(self, own, other):
        """KL(q(· | subsets[v]) ‖ q(· | subsets[u])) at the draws of v."""
        (root, fns, latents, log_weights), (subset, other_root) = own, other

        def stratum(latents, fns):
            later, _ = self._later(subset, latents)
            others = {self.sites.root: other_root} | later
            return self._kl_root(root, fns, others, latents)

        return average(jax.vmap(stratum)(latents, fns), log_weights)

    def _model(self, latents: dict):
        """log p(x_s | z) `[N, M]`, and p of the row sites and of the global ones."""
        given = {**latents, **self.draw.shared}
        trace = programs.run(self.model, self.params, self.rng_key, given, self.data)
        names = self.data.names
        log_x = [trace[n]["fn"].log_prob(trace[n]["value"]) for n in names]
        local, shared = (
            {n: trace[n]["fn"] for n in names}
            for names in (self.sites.local, self.sites.shared)
        )
        return jnp.stack(log_x, -1), local, shared

    def _later(self, subset, latents: dict) -> tuple[dict, dict]:
        """The guide's later sites, as they are and with parameters stopped."""
        live = (self.params, self.draw.features)
        held = (
            programs.stop_variational(self.params),
            programs.stop(self.draw.features),
        )
        fixed = (self.data, subset, latents, self.draw.shared, self.sites)
        return tuple(
            programs.later_fns(self.guide, *given, *fixed) for given in (live, held)
        )

    def _kl_root(self, root, fns, others, latents):
        """KL of all row sites: the first one's distribution is `root`."""
        live, held = ({self.sites.root: fn} for fn in (root, programs.stop(root)))
        return self._kl(live | fns[0], held | fns[1], others, latents)

    def _kl(self, live: dict, stopped: dict, other: dict, values: dict):
        """Σ over sites of the estimator's KL(live ‖ other)."""
        terms = [
            self.estimator.kl(name, fn, stopped[name], other[name], values[name])
            for name, fn in live.items()
        ]
        return sum(terms, start=jnp.zeros(()))


def average(
    terms: PyTree[Float[Array, "strata rows ..."]],
    log_weights: Float[Array, "strata rows"],
) -> PyTree[Float[Array, "rows ..."]]:
    """Σ_k π_k · terms_k by row; a stratum of weight 0 is not read."""
    if len(log_weights) == 1:
        return programs.at(terms, 0)

    def mean(x):
        weights = jnp.exp(log_weights).reshape(*log_weights.shape, *[1] * (x.ndim - 2))
        return (weights * jnp.where(weights > 0, x, 0.0)).sum(0)

    return jax.tree.map(mean, terms)
