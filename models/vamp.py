"""VampPrior: a mixture of the guide's own posteriors at learned pseudo-inputs."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro import handlers

from consilience.datasets.data import MultimodalData

Guide = Callable[..., None]


@dataclasses.dataclass(frozen=True, eq=False)
class VampPrior:
    """What `vamp_prior` makes.

    Attributes:
        guide: q(z | x_S).
        start: K rows that the pseudo-inputs start from.
        site: name of the latent.
    """

    guide: Guide
    start: MultimodalData
    site: str = "z"

    def __call__(self) -> dist.Distribution:
        """p(z)."""
        values = {
            name: numpyro.param(parameter, self.start.values[name])
            for name, parameter in self.parameters.items()
        }
        logits = jnp.zeros(self.start.size)
        q = posterior_of(self.guide, self.with_values(values), self.site)
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), q)

    @property
    def parameters(self) -> dict[str, str]:
        """Names of the learned pseudo-inputs by modality: those of floating numbers."""
        return {
            name: f"prior.pseudo.{name}"
            for name, value in self.start.values.items()
            if jnp.issubdtype(value.dtype, jnp.floating)
        }

    def with_values(self, values: dict[str, jax.Array]) -> MultimodalData:
        """The pseudo-inputs, those named in `values` moved."""
        return dataclasses.replace(self.start, values=self.start.values | values)


def vamp_prior(
    guide: Guide, pseudo_inputs: MultimodalData, site: str = "z"
) -> VampPrior:
    """p(z) = 1/K Σ_k q(z | u^k) (Tomczak & Welling 2018; Hirt et al. 2024, equation 5).

    The pseudo-inputs u^1..u^K are learned, and the guide's parameters are its own: model
    and guide share them by name. Choose rows of the training data to begin with, as in

        prior = cs.vamp_prior(guide, train.take(rows))

    Means and scales of the components move with the encoder; under sticking the landing
    the density of the prior keeps its full gradient. `MaskedELBO(conditional_prior=prior)`
    lets them stand in for what a subset lacks, too.

    Args:
        guide: q(z | x_S), as given to SVI.
        pseudo_inputs: K rows to start from. What is missing in them stays missing;
            integers (indices, counts) stay what they are.
        site: name of the latent.

    Raises:
        TypeError: `pseudo_inputs` is no `MultimodalData`.
    """
    if not isinstance(pseudo_inputs, MultimodalData):
        raise TypeError(
            "pseudo_inputs: expected MultimodalData, such as data.take(rows), got "
            f"{type(pseudo_inputs).__name__}"
        )
    return VampPrior(guide, pseudo_inputs.bare(), site)


def posterior_of(guide: Guide, rows: MultimodalData, site: str) -> dist.Distribution:
    """q(site | all of each row); of the guide's sites only parameters are seen outside."""
    seeded = handlers.seed(guide, jax.random.key(0))  # its draw is not used
    with handlers.block(hide_fn=lambda site: site["type"] != "param"):
        return handlers.trace(seeded).get_trace(rows)[site]["fn"]
