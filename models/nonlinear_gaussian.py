"""The true model of non-linear simulations, as a program."""

import dataclasses

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float

from consilience.datasets.data import MultimodalData
from consilience.datasets.nonlinear_simulators import apply_layers
from consilience.datasets.pytree import pytree_dataclass
from consilience.models.multimodal import observe


@pytree_dataclass(static=("slope", "scale", "label"))
@dataclasses.dataclass(frozen=True, eq=False)
class NonlinearGaussian:
    """z ~ Σ_u N(μ_u, diag L_u²)/K, x_s | z ~ N(f_s(z), σ² I), the label ~ p(u | z).

    A `model(data, subset=None)` for `log_likelihood`, `NUTS` and every bound; the label is
    summed out of the prior. Made of a simulation's truth: `NonlinearGaussian(*truth)`.

    Attributes: those of `datasets.simulated.NonlinearTruth`.
    """

    layers: dict[str, tuple[Float[Array, "_ _"], ...]]
    slope: float
    scale: float
    loc: Float[Array, "labels latent"]
    spread: Float[Array, "labels latent"]
    label: str | None = None

    def __call__(
        self, data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> None:
        """Run the model as a NumPyro program."""
        with data.plate():
            z = numpyro.sample("z", self.prior())
            for name in data.names:
                observe(data, name, self.likelihood(name, z), subset)

    def prior(self) -> dist.MixtureSameFamily:
        """p(z)."""
        uniform = dist.Categorical(logits=jnp.zeros(len(self.loc)))
        sources = dist.Normal(self.loc, self.spread).to_event(1)
        return dist.MixtureSameFamily(uniform, sources)

    def likelihood(
        self, name: str, z: Float[Array, "*batch latent"]
    ) -> dist.Distribution:
        """p(x_s | z), entry by entry; of the label p(u | z)."""
        if name == self.label:
            return dist.Categorical(logits=self.prior().component_log_probs(z))
        if name not in self.layers:
            known = ", ".join([*self.layers, *([self.label] if self.label else [])])
            raise ValueError(f"expected one of the modalities {known}, got {name!r}")
        mean = apply_layers(self.layers[name], self.slope, z)
        return dist.Normal(mean, self.scale)
