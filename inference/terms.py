"""What a bound is combined of: densities and KL estimates of every view, draw by draw."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jaxtyping import Array, Bool, Float, Shaped

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.estimators import Estimator
from consilience.inference.reductions import tagged


class Views(NamedTuple):
    """What a bound looks at. V views are drawn from; U more only lend their density.

    Attributes:
        subsets: `[V + U, N, M]`, subsets that the guide is evaluated on.
        score: `[V, N, M]`, coefficient of log p(x_s | z_v).
        weight: `[V, N]`, weight of each view in a row's bound.
        cross: pairs (v, u): KL(q(· | subsets[v]) ‖ q(· | subsets[u])) is wanted.
        cross_weight: `[C, N]`, weight of each of them in a row's bound.
        inner: `[V, K, N, M]`, what sites after the first condition on in each of the K
            strata, or None: on the view's subset.
        rate: whether the KL to the prior is wanted; if not it is zero.
    """

    subsets: Bool[Array, "all_views rows modalities"]
    score: Shaped[Array, "views rows modalities"]
    weight: Shaped[Array, "views rows"]
    cross: tuple[tuple[int, int], ...] = ()
    cross_weight: Shaped[Array, "pairs rows"] | None = None
    inner: Bool[Array, "views strata rows modalities"] | None = None
    rate: bool = True


def everything(present: Bool[Array, "rows modalities"]) -> Views:
    """One view: q(z | x_O), everything decoded."""
    return Views(present[None], present[None], jnp.ones((1, len(present))))


class Terms(NamedTuple):
    """What a bound is combined of, at one draw of every view.

    Attributes:
        log_x: `[V, N, M]`, log p(x_s | z_v), zero where x_s is absent; times the
            modality's weight when it reaches `combine`.
        kl_prior: `[V, N]`, estimate of KL(q(· | subsets[v]) ‖ p).
        kl_cross: `[C, N]`, estimates for the pairs of `Views.cross`.
        root: q of the first site, a batch of V + U.
        prior: the model's distribution of that site.
    """

    log_x: Float[Array, "views rows modalities"]
    kl_prior: Float[Array, "views rows"]
    kl_cross: Float[Array, "pairs rows"]
    root: dist.Distribution
    prior: dist.Distribution


class Evaluated(NamedTuple):
    """One draw of each stratum of each view.

    Attributes:
        terms: those of `Terms`, the first three with a leading axis of K strata.
        log_weights: `[K, V, N]`, of the strata.
        tag: `[K, V, N]`, of the draws, for DReG, or None.
        kl_shared: estimate of the KL of the global latents.
        latents: `[V, K, N, ...]` by site of rows, as they were decoded.
        features: what the guide registered as "features", or None.
    """

    terms: Terms
    log_weights: Float[Array, "strata views rows"]
    tag: Float[Array, "strata views rows"] | None
    kl_shared: Float[Array, ""]
    latents: dict[str, Array]
    features: object


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Draws every view, decodes each draw once, estimates its KL terms.

    Attributes:
        estimator: of the KL terms.
        model: p(x, z).
        guide: q(z | x_S).
        params: parameters of both.
        data: rows.
        sites: latent sites.
        shared: values and distributions of the global ones, from `draw_shared`.
        replace: changes drawn latents before they are decoded: key, parameters, latents.
        lend: the first site's density in cross terms: random key, parameters, features,
            data, subset of the view, its own.
    """

    estimator: Estimator
    model: Callable
    guide: Callable
    params: dict
    data: MultimodalData
    sites: programs.Sites
    shared: tuple[dict, dict]
    replace: Callable[[Array, dict, dict], dict]
    lend: Callable[..., object]

    def __call__(self, rng_key, views: Views) -> Evaluated:
        """The terms of one draw."""
        key_draw, key_replace, key_model = jax.random.split(rng_key, 3)
        fixed = (self.guide, self.params, self.data, views.subsets, self.sites)
        stratified = self.estimator.stratified
        draw = programs.draw(key_draw, *fixed, self.shared, stratified, views.inner)
        drawn = len(views.score)
        latents, log_weights = programs.at(
            (draw.latents, draw.log_weights), slice(drawn)
        )
        tag = None
        if self.estimator.doubly:
            latents, tag = tagged(latents, log_weights)
            tag = jnp.swapaxes(tag, 0, 1)
        latents = self.replace(key_replace, self.params, latents)
        held = _Held(self, draw, key_model)
        terms, kl_shared = held.terms(views, latents, log_weights.shape[1])
        log_weights = jnp.swapaxes(log_weights, 0, 1)
        return Evaluated(terms, log_weights, tag, kl_shared, latents, draw.features)


@dataclasses.dataclass(frozen=True)
class _Held:
    """An evaluation with its draw."""

    of: Evaluation
    draw: programs.Draw
    rng_key: Array

    def terms(self, views: Views, latents: dict, strata: int) -> tuple[Terms, Array]:
        drawn = len(views.score)
        inner = views.inner
        if inner is None:
            inner = views.subsets[:drawn, None]
        inner = jnp.broadcast_to(inner, (drawn, strata, *self.of.data.present.shape))
        root = programs.at(self.draw.root, slice(drawn))
        keys = self.draw.keys[:drawn]
        view = partial(self._view, views.rate)
        (log_x, kl_prior), fns, (prior, shared) = jax.vmap(view, out_axes=(1, 0, 0))(
            inner, root, latents, keys
        )
        kl_cross = jnp.zeros((strata, 0, self.of.data.size))
        if views.cross:
            v, u = (jnp.array(index) for index in zip(*views.cross, strict=True))
            own, other = (root, fns, latents, keys), (views.subsets, self.draw.root)
            kl_cross = jax.vmap(self._cross, out_axes=1)(
                programs.at(own, v), programs.at(other, u)
            )
        first = programs.at(programs.at((prior, shared), 0), 0)
        fns = self.of.shared[1]
        kl_shared = self._kl(fns, programs.stop(fns), first[1], self.of.shared[0])
        return Terms(log_x, kl_prior, kl_cross, self.draw.root, first[0]), kl_shared

    def _view(self, rate: bool, inner, root, latents, keys):
        """(log p(x_s | z), KL to the prior) of each stratum; later sites' fns; priors."""

        def stratum(index, subset, latents, key):
            log_x, prior, shared = self._model(latents)
            fns = self._later(key, subset, latents)
            kl = jnp.zeros(len(log_x))
            if rate:
                kl = self._kl_rows(root, fns, prior, latents, index)
            return (log_x, kl), fns, (prior[self.of.sites.root], shared)

        return jax.vmap(stratum)(jnp.arange(len(inner)), inner, latents, keys)

    def _cross(self, own, other):
        """KL(q(· | subsets[v]) ‖ q(· | subsets[u])) at each stratum's draw of v."""
        (root, fns, latents, keys), (subset, other_root) = own, other
        of, key = self.of, jax.random.fold_in(self.rng_key, 1)
        lent = of.lend(key, of.params, self.draw.features, of.data, subset, other_root)

        def stratum(index, latents, fns, key):
            later, _ = self._later(key, subset, latents)
            others = {of.sites.root: lent} | later
            return self._kl_rows(root, fns, others, latents, index)

        strata = jnp.arange(len(latents[self.of.sites.root]))
        return jax.vmap(stratum)(strata, latents, fns, keys)

    def _model(self, latents: dict):
        """log p(x_s | z) `[N, M]`, and p of the row sites and of the global ones."""
        of, given = self.of, {**latents, **self.of.shared[0]}
        trace = programs.run(of.model, of.params, self.rng_key, given, of.data)
        log_x = [trace[n]["fn"].log_prob(trace[n]["value"]) for n in of.data.names]
        local, shared = (
            {n: trace[n]["fn"] for n in names}
            for names in (of.sites.local, of.sites.shared)
        )
        return jnp.stack(log_x, -1), local, shared

    def _later(self, key, subset, latents: dict) -> tuple[dict, dict]:
        """The guide's later sites, as they are and with parameters stopped."""
        of, features = self.of, self.draw.features
        live = (of.params, features)
        held = (programs.stop_variational(of.params), programs.stop(features))
        fixed = (of.data, subset, latents, of.shared[0], of.sites)
        return tuple(
            programs.later_fns(key, of.guide, *given, *fixed) for given in (live, held)
        )

    def _kl_rows(self, root, fns, others, latents, index):
        """KL of all row sites: the first one's distribution is `root`."""
        site = self.of.sites.root
        live, held = ({site: fn} for fn in (root, programs.stop(root)))
        kl = self._kl(live | fns[0], held | fns[1], others, latents)
        by_component = self.of.estimator.stratified and programs.is_mixture(root)
        if self.of.estimator.component_score and by_component:
            kl = kl - component_score(root, latents[site], index)
        return kl

    def _kl(self, live: dict, stopped: dict, other: dict, values: dict):
        """Σ over sites of the estimator's KL(live ‖ other)."""
        terms = [
            self.of.estimator.kl(name, fn, stopped[name], other[name], values[name])
            for name, fn in live.items()
        ]
        return sum(terms, start=jnp.zeros(()))


def component_score(
    mixture: dist.MixtureSameFamily, value: Float[Array, "rows ..."], index: Array
) -> Float[Array, " rows"]:
    """Zero, with the gradient ∂_φ (log q_k − log q)(z), z held fixed and k = `index`."""
    value = lax.stop_gradient(value)
    each = mixture.component_distribution.log_prob(
        jnp.expand_dims(value, -1 - len(mixture.event_shape))
    )
    gap = jnp.take(each, index, axis=-1) - mixture.log_prob(value)
    return gap - lax.stop_gradient(gap)
