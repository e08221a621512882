"""The base of all bounds: views, draws, estimators, plate scale, global sites."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from copyreg import pickle
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key
from numpyro.infer.elbo import ELBO

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.contract import inspect
from consilience.inference.estimators import STL, Estimator
from consilience.inference.reductions import Draws, average
from consilience.inference.terms import Evaluation, Terms, Views
from consilience.nn.sizes import check_numbers, check_positive


def read_only(weights: Mapping[str, float]) -> Mapping[str, float]:
    """A view of weights that nobody changes."""
    return MappingProxyType(dict(weights))


# Python copies and pickles no such view by itself.
pickle(MappingProxyType, lambda view: (read_only, (dict(view),)))


class Values(NamedTuple):
    """What `combine` gave for every draw: J samples of K strata.

    Attributes:
        value: `[J, K, V, N]`.
        log_weights: of the strata; they sum to one over K.
        tag: of the draws, for DReG, or None.
    """

    value: Draws
    log_weights: Draws
    tag: Draws | None


class Objective(NamedTuple):
    """What a training step looks at, in nats, summed over the data plate with its scale.

    Attributes:
        loss: the negative bound.
        reconstruction: Σ score · log p(x_s | z), weighted as in the bound; what the bound
            takes off it is the rate, reconstruction + loss.
    """

    loss: Float[Array, ""]
    reconstruction: Float[Array, ""]


class MultimodalELBO(ELBO):
    """A bound made of views on subsets; use it as `SVI(model, guide, optimizer, elbo)`.

    Subclasses are one small method, `views`, and `combine` and `reduce` where the
    defaults are not theirs. The loss is the negative bound, summed over the data plate
    with its scale. Rows without any modality count 0.

    Args:
        beta: weight of every KL term, β ≥ 0; `svi.update(state, data, beta=...)`
            overrides it, for schedules.
        weights: factor of log p(x_s | z) by modality, in training only; 1 if not named.
        estimator: of the KL terms, as in `ESTIMATORS`.
        num_particles: estimates of the bound to average over.

    Raises:
        TypeError: no estimator.
        ValueError: a setting out of its range; an estimator that is wrong for this bound.
    """

    num_samples = 1
    weighted = False

    def __init__(
        self,
        *,
        beta: float = 1.0,
        weights: Mapping[str, float] | None = None,
        estimator: Estimator = STL(),  # noqa: B008 (frozen)
        num_particles: int = 1,
    ):
        _check_settings(beta, weights, num_particles)
        check_estimator(estimator, type(self).__name__, self.weighted)
        super().__init__(num_particles=num_particles)
        self.beta, self.estimator = beta, estimator
        self.weights = read_only(weights or {})
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

    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        """Each view's part of each row's bound: reconstruction less the rate."""
        return self.reconstruction(terms, views) - beta * terms.kl_prior

    def reduce(
        self, values: Values, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        """From draws to views: the mean."""
        return average(values.value, values.log_weights)

    def replace(self, rng_key: Key[Array, ""], params: dict, latents: dict) -> dict:
        """Latents `[V, K, N, ...]` as they are decoded: as they were drawn."""
        return latents

    def lend(
        self, rng_key, params: dict, features, data: MultimodalData, subset, own
    ) -> object:
        """The density that a view on `subset` lends to cross terms: q's own."""
        return own

    def check(
        self, sites: programs.Sites, guide_trace: dict, data: MultimodalData
    ) -> None:
        """Refuse guides that the bound is not made for; values are abstract."""

    def inspect(self, model, guide, params, data: MultimodalData) -> programs.Sites:
        """Check the contract, and what the bound asks beyond, before anything compiles."""
        settings = {"stratified": self.stratified, "also": self.check}
        return inspect(model, guide, params, data, **settings)

    def loss_with_mutable_state(
        self, rng_key, param_map, model, guide, data, *, beta=None
    ) -> dict:
        """Negative bound, as NumPyro's SVI asks for it."""
        programs_ = (param_map, model, guide, data)
        found = self.objective(rng_key, *programs_, beta=beta)
        return {"loss": found.loss, "mutable_state": None}

    def objective(
        self, rng_key, param_map, model, guide, data, *, beta=None
    ) -> Objective:
        """The loss, summed over the data plate with its scale, and its reconstruction."""
        beta = self.beta if beta is None else beta
        _check_beta(beta)
        programs_ = (param_map, model, guide, data)
        rows, reconstruction, kl_shared = self._rows(rng_key, *programs_, beta)
        scale = (data.total or data.size) / data.size
        loss = beta * kl_shared - scale * rows.sum()
        return Objective(loss, scale * reconstruction.sum())

    def rows(
        self, rng_key, param_map, model, guide, data, *, beta=None
    ) -> tuple[Float[Array, " rows"], Float[Array, ""]]:
        """The bound of each row in nats, unscaled, and the KL of the global latents."""
        beta = self.beta if beta is None else beta
        rows, _, kl_shared = self._rows(rng_key, param_map, model, guide, data, beta)
        return rows, kl_shared

    def _rows(self, rng_key, params, model, guide, data, beta):
        """Bound and reconstruction of each row, and the KL of the global latents."""

        def particle(views, evaluate, keys):
            values, reconstruction, kl_shared = over(
                lambda key: self._sample(evaluate(key, views), views, beta, data), keys
            )
            reconstructed = average(reconstruction, values.log_weights)
            counts = (views.weight != 0) & data.present.any(-1)
            rows = [
                jnp.where(counts, views.weight * value, 0.0).sum(0)
                for value in (self.reduce(values, views, beta), reconstructed)
            ]
            return *rows, kl_shared[0]

        particles = self.particles(particle, rng_key, params, model, guide, data)
        return jax.tree.map(lambda a: a.mean(0), particles)

    def particles(self, function: Callable, rng_key, params, model, guide, data):
        """`function(views, evaluate, keys)` of every particle, stacked.

        `evaluate(key, views)` draws all views once; there is a key for each sample.
        """
        sites = self.inspect(model, guide, params, data)

        def particle(key):
            key_views, key_shared, key_samples = jax.random.split(key, 3)
            views = self.views(key_views, data.present)
            shared = programs.draw_shared(key_shared, guide, params, data, sites)
            programs_ = (self.estimator, model, guide, params, data, sites, shared)
            evaluate = Evaluation(*programs_, self.replace, self.lend)
            keys = jax.random.split(key_samples, self.num_samples)
            return function(views, evaluate, keys)

        return over(particle, jax.random.split(rng_key, self.num_particles))

    def _sample(self, found, views: Views, beta, data) -> tuple[Values, Array, Array]:
        """`combine` and reconstruction of each stratum of one draw; the global KL."""
        log_x, kl_prior, kl_cross, *laws = found.terms
        log_x = log_x * self._weights(data)

        def stratum(*terms):
            terms = Terms(*terms, *laws)
            return self.combine(terms, views, beta), self.reconstruction(terms, views)

        value, reconstruction = jax.vmap(stratum)(log_x, kl_prior, kl_cross)
        values = Values(value, found.log_weights, found.tag)
        return values, reconstruction, found.kl_shared

    def reconstruction(self, terms: Terms, views: Views) -> Float[Array, "views rows"]:
        """Σ_s score · log p(x_s | z); a term that does not count is not read."""
        return jnp.where(views.score != 0, terms.log_x * views.score, 0.0).sum(-1)

    def cross_rate(self, terms: Terms, views: Views) -> Float[Array, " rows"]:
        """Σ_c weight · KL of the pair; one that does not count is not read."""
        weight = views.cross_weight
        return jnp.where(weight != 0, weight * terms.kl_cross, 0.0).sum(0)

    @property
    def stratified(self) -> bool:
        """Whether a root site that is a mixture is drawn once from each component."""
        return self.estimator.stratified

    def _weights(self, data: MultimodalData) -> Float[Array, " modalities"]:
        for name in self.weights:
            data.index(name)
        return jnp.array([float(self.weights.get(name, 1.0)) for name in data.names])


def over(function: Callable, keys: Key[Array, " count"]):
    """The function at every key, stacked; at a single one without a vmap."""
    if len(keys) == 1:
        return jax.tree.map(lambda a: a[None], function(keys[0]))
    return jax.vmap(function)(keys)


def check_estimator(estimator: Estimator, bound: str, weighted: bool) -> None:
    """Refuse what is none, and what is wrong or biased for the bound.

    Raises:
        TypeError: no estimator.
        ValueError: an estimator for another kind of bound, naming those for this one.
    """
    if not isinstance(estimator, Estimator):
        raise TypeError(f"estimator: expected one such as STL(), got {estimator!r}")
    name = type(estimator).__name__
    if weighted and not estimator.weighted:
        raise ValueError(
            f"estimator: expected DReG() or Pathwise() for {bound}, got {name}(), which "
            "is biased, or not defined, inside the logarithm of a mean over draws"
        )
    if not weighted and not estimator.plain:
        raise ValueError(
            f"estimator: expected STL(), AnalyticKL() or Pathwise() for {bound}, got "
            f"{name}(), which is for importance-weighted bounds; with one draw it is STL()"
        )


def _check_beta(beta: float | Array) -> None:
    """Refuse what is seen to be out of range; a traced value is not seen."""
    if isinstance(beta, jax.core.Tracer):
        return
    check_numbers(zero=True, beta=beta)


def _check_settings(beta, weights, num_particles) -> None:
    if not isinstance(beta, int | float):
        raise ValueError(f"beta: expected a number of 0 or more, got {beta!r}")
    _check_beta(beta)
    check_positive(num_particles=num_particles)
    if not isinstance(weights, Mapping | None):
        raise TypeError(
            f"weights: expected a number for each modality, {{'a': 2.0}}, got {weights!r}"
        )
    for name, weight in (weights or {}).items():
        check_numbers(zero=True, **{f"weights[{name!r}]": weight})
