"""The base of all bounds: views, particles, estimators, plate scale, global sites."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key
from numpyro.infer.elbo import ELBO

from consilience.datasets.data import MultimodalData
from consilience.inference.contract import inspect
from consilience.inference.estimators import STL, Estimator, is_stratified
from consilience.inference.subsets import Hierarchical, SubsetLaw
from consilience.inference.terms import Terms, Views, evaluate
from consilience.nn.sizes import check_positive


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
        weights = self._weights(data)

        def particle(key):
            terms, kl_shared = evaluate(
                key, self.estimator, model, guide, param_map, data, views, sites
            )
            terms = terms._replace(log_x=terms.log_x * weights)
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
        return is_stratified(self.estimator)

    def _weights(self, data: MultimodalData) -> Float[Array, " modalities"]:
        for name in self.weights:
            data.index(name)
        return jnp.array([float(self.weights.get(name, 1.0)) for name in data.names])


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
