"""The base of all bounds: views, particles, estimators, plate scale, global sites."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree, Shaped
from numpyro.infer.elbo import ELBO

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.contract import inspect
from consilience.inference.estimators import STL, Estimator
from consilience.inference.subsets import Hierarchical, SubsetLaw
from consilience.nn.sizes import check_positive


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
        log_x: `[V, N, M]`, log p(x_s | z_v) times the modality's weight; zero where x_s
            is absent.
        kl_prior: `[V, N]`, estimate of KL(q(· | subsets[v]) ‖ p).
        kl_cross: `[C, N]`, estimates for the pairs of `Views.cross`.
    """

    log_x: Float[Array, "views rows modalities"]
    kl_prior: Float[Array, "views rows"]
    kl_cross: Float[Array, "pairs rows"]


class MultimodalELBO(ELBO):
    """A bound made of views on subsets; use it as `SVI(model, guide, optimizer, elbo)`.

    Subclasses are two small methods, `views` and `combine`. The loss is the negative
    bound, summed over the data plate with its scale. Rows without any modality count 0.

    Args:
        subsets: the law ρ of the random subset, as in `SUBSETS`.
        beta: weight of every KL term, β ≥ 0; `svi.update(state, data, beta=...)`
            overrides it, for schedules.
        weights: factor of log p(x_s | z) by modality, in training only; 1 if not named.
        estimator: of the KL terms, as in `ESTIMATORS`.
        num_particles: draws of the guide to average over.
    """

    def __init__(
        self,
        *,
        subsets: SubsetLaw = Hierarchical(),  # noqa: B008 (frozen)
        beta: float = 1.0,
        weights: Mapping[str, float] | None = None,
        estimator: Estimator = STL(),  # noqa: B008 (frozen)
        num_particles: int = 1,
    ):
        _check_settings(subsets, beta, weights, estimator, num_particles)
        super().__init__(num_particles=num_particles)
        self.subsets, self.beta, self.estimator = subsets, beta, estimator
        self.weights = MappingProxyType(dict(weights or {}))
        self._frozen = True

    def __setattr__(self, name: str, value: object) -> None:
        """Settings are fixed: a compiled step would go on with the old ones."""
        if getattr(self, "_frozen", False):
            raise AttributeError(
                f"{type(self).__name__}.{name}: settings are fixed, for compiled steps "
                "hold them; make a new bound, or pass beta to svi.update"
            )
        super().__setattr__(name, value)

    @abstractmethod
    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        """Which subsets, likelihood terms and cross densities the bound needs."""

    @abstractmethod
    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        """Each view's part of each row's bound."""

    def loss_with_mutable_state(
        self, rng_key, param_map, model, guide, data, *, beta=None
    ) -> dict:
        """Negative bound, as NumPyro's SVI asks for it."""
        beta = self.beta if beta is None else beta
        rows, kl_shared = self.rows(rng_key, param_map, model, guide, data, beta=beta)
        scale = (data.total or data.size) / data.size
        return {"loss": beta * kl_shared - scale * rows.sum(), "mutable_state": None}

    def rows(
        self, rng_key, param_map, model, guide, data, *, beta=None
    ) -> tuple[Float[Array, " rows"], Float[Array, ""]]:
        """The bound of each row in nats, unscaled, and the KL of the global latents."""
        sites = inspect(model, guide, param_map, data, stratified=self.stratified)
        key_views, key_draws = jax.random.split(rng_key)
        views = self.views(key_views, data.present)
        beta = self.beta if beta is None else beta

        def particle(key):
            terms, kl_shared = self._terms(
                key, param_map, model, guide, data, views, sites
            )
            value = self.combine(terms, views, beta)
            counts = (views.weight != 0) & data.present.any(-1)
            return jnp.where(counts, views.weight * value, 0.0).sum(0), kl_shared

        if self.num_particles == 1:
            return particle(key_draws)
        keys = jax.random.split(key_draws, self.num_particles)
        return jax.tree.map(lambda a: a.mean(0), jax.vmap(particle)(keys))

    def draw_subset(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        """S ~ ρ, as far as present."""
        return present & self.subsets(rng_key, present)

    def reconstruction(self, terms: Terms, views: Views) -> Float[Array, "views rows"]:
        """Σ_s score · log p(x_s | z); a term that does not count is not read."""
        return jnp.where(views.score != 0, terms.log_x * views.score, 0.0).sum(-1)

    @property
    def stratified(self) -> bool:
        """Whether a root site that is a mixture is drawn once from each component."""
        return getattr(self.estimator, "stratified", True)

    def _terms(self, rng_key, params, model, guide, data, views, sites):
        """One particle: draw every view, decode it once, estimate its KL terms."""
        drawn = slice(0, views.score.shape[0])
        draw = programs.draw(
            rng_key, guide, params, data, views.subsets, sites, self.stratified
        )
        latents, log_weights = programs.at((draw.latents, draw.log_weights), drawn)
        stopped = programs.stop((params, draw.features))

        def later(subset, latents):
            """Distributions of later sites, as they are and with parameters stopped."""
            return tuple(
                programs.later_fns(
                    guide, p, f, data, subset, latents, draw.shared, sites
                )
                for p, f in ((params, draw.features), stopped)
            )

        def kl(root, fns, others, latents):
            live, held = ({sites.root: r} for r in (root, programs.stop(root)))
            return self._kl(live | fns[0], held | fns[1], others, latents)

        def view(subset, root, latents, log_weights):
            def stratum(latents):
                given = {**latents, **draw.shared}
                trace = programs.run(model, params, rng_key, given, data)
                log_x = [trace[n]["fn"].log_prob(trace[n]["value"]) for n in data.names]
                prior, shared = (
                    {n: trace[n]["fn"] for n in names}
                    for names in (sites.local, sites.shared)
                )
                fns = later(subset, latents)
                rate = kl(root, fns, prior, latents)
                log_x = jnp.stack(log_x, -1) * self._weights(data)
                return (log_x, rate), fns, shared

            terms, fns, shared = jax.vmap(stratum)(latents)
            return average(terms, log_weights), fns, programs.at(shared, 0)

        (log_x, kl_prior), fns, shared = jax.vmap(view)(
            *programs.at((views.subsets, draw.root), drawn), latents, log_weights
        )

        def pair(v, u):
            root, other, subset = (
                programs.at(draw.root, v),
                programs.at(draw.root, u),
                views.subsets[u],
            )

            def stratum(latents, fns):
                others = {sites.root: other} | later(subset, latents)[0]
                return kl(root, fns, others, latents)

            rates = jax.vmap(stratum)(*programs.at((latents, fns), v))
            return average(rates, log_weights[v])

        kl_cross = jnp.zeros((0, data.size))
        if views.cross:
            v, u = (jnp.array(index) for index in zip(*views.cross, strict=True))
            kl_cross = jax.vmap(pair)(v, u)
        kl_shared = self._kl(
            draw.shared_fns,
            programs.stop(draw.shared_fns),
            programs.at(shared, 0),
            draw.shared,
        )
        return Terms(log_x, kl_prior, kl_cross), kl_shared

    def _kl(self, live: dict, stopped: dict, other: dict, values: dict):
        """Σ over sites of the estimator's KL(live ‖ other)."""
        terms = [
            self.estimator.kl(
                name, live[name], stopped[name], other[name], values[name]
            )
            for name in live
        ]
        return sum(terms, start=jnp.zeros(()))

    def _weights(self, data: MultimodalData) -> Float[Array, " modalities"]:
        for name in self.weights:
            data.index(name)
        return jnp.array([float(self.weights.get(name, 1.0)) for name in data.names])


def average(
    terms: PyTree[Float[Array, "strata rows ..."]],
    log_weights: Float[Array, "strata rows"],
) -> PyTree[Float[Array, "rows ..."]]:
    """Σ_k π_k · terms_k by row; a stratum of weight 0 is not read."""
    if len(log_weights) == 1:
        return programs.at(terms, 0)

    def mean(x):
        weights = jnp.exp(log_weights).reshape(*log_weights.shape, *[1] * (x.ndim - 2))
        return jnp.where(weights > 0, weights * x, 0.0).sum(0)

    return jax.tree.map(mean, terms)


def _check_settings(subsets, beta, weights, estimator, num_particles) -> None:
    if not callable(subsets) or isinstance(subsets, type):
        raise TypeError(
            f"subsets: expected a law such as Hierarchical(), got {subsets!r}"
        )
    if not callable(getattr(estimator, "kl", None)) or isinstance(estimator, type):
        raise TypeError(f"estimator: expected one such as STL(), got {estimator!r}")
    if not isinstance(beta, int | float) or not 0 <= beta < math.inf:
        raise ValueError(f"beta: expected a number of 0 or more, got {beta!r}")
    check_positive(num_particles=num_particles)
    for name, weight in (weights or {}).items():
        if not weight >= 0:
            raise ValueError(
                f"weights[{name!r}]: expected a number of 0 or more, got {weight!r}"
            )
