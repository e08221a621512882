"""From a vector of numbers to a distribution over the latent.

A head says how many numbers it needs for D dimensions and turns `[N, num_parameters]`
into a distribution with batch `[N]` and event `[D]`.
"""

import dataclasses
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from jax.nn import softplus
from jaxtyping import Array, Float

from consilience.guides.mixture import ReparameterizedMixture
from consilience.nn.sizes import check_numbers, check_positive, check_within

CALM = 0.1  # initial weights of a head's numbers: small scales, no far-off means
MIN_PRECISION = 1e-6
Parameters = Float[Array, "rows parameters"]


@runtime_checkable
class Head(Protocol):
    """The role of a head."""

    def num_parameters(self, latent_dim: int) -> int:
        """Numbers that the aggregation must give for D dimensions."""
        ...

    def __call__(self, parameters: Parameters) -> dist.Distribution:
        """The distribution, batch `[N]`, event `[D]`."""
        ...


def final_scale(head: Head) -> float:
    """Of the initial weights of the layer before a head: small, unless it says otherwise."""
    return getattr(head, "final_scale", CALM)


def check_head(head: object, kind: type = object) -> None:
    """Refuse what is no built head, or a head of another kind.

    Raises:
        TypeError: naming the argument.
    """
    built = isinstance(head, Head) and not isinstance(head, type)
    if not built or not isinstance(head, kind):
        wanted = (
            "NormalHead() or LaplaceHead()" if kind is not object else "NormalHead()"
        )
        raise TypeError(
            f"head: expected an instance such as {wanted}, got {head!r}; HEADS holds "
            "their constructors"
        )


@dataclasses.dataclass(frozen=True)
class _ScaleHead:
    """What heads with a floor of their scale have in common.

    Attributes:
        min_scale: floor of the scale (1e-3 in the paper); it keeps densities finite.
    """

    min_scale: float = 1e-3

    def __post_init__(self):
        check_numbers(min_scale=self.min_scale)

    def scale(self, raw: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """min_scale + exp(raw)."""
        return self.min_scale + jnp.exp(raw)


class LocationScaleHead(_ScaleHead):
    """Independent dimensions of one family: ϑ → (μ, σ), σ = min_scale + exp(log σ)."""

    family: type[dist.Distribution]

    def num_parameters(self, latent_dim: int) -> int:
        """Mean and log-scale."""
        return 2 * latent_dim

    def loc_scale(self, parameters: Float[Array, "*batch p"]) -> tuple[Array, Array]:
        """(μ, σ), `[*batch, D]` each."""
        loc, log_scale = jnp.split(parameters, 2, -1)
        return loc, self.scale(log_scale)

    def __call__(self, parameters: Parameters) -> dist.Distribution:
        return self.family(*self.loc_scale(parameters)).to_event(1)


class NormalHead(LocationScaleHead):
    """Normal with independent dimensions, N(μ, diag σ²).

    Attributes:
        min_scale: floor of the standard deviation (1e-3 in the paper); it keeps
            densities finite.
    """

    family = dist.Normal


class NaturalHead(LocationScaleHead):
    """Normal by natural parameters: a precision Λ beside that of a unit prior.

        σ = (1 + Λ)^(-1/2),    μ = σ m,    Λ = softplus(·), smoothly bounded by 1/min_scale²

    With one modality and an affine map before it, this is an expert of `ProductOfExperts`
    times the prior. No step moves log σ by much where σ is small, so that training bears
    first weights of the usual size and high learning rates, and starts with latents that
    say something. σ is below 1 and starts around 0.77, for the empty subset, too. (Not in
    the paper.)

    Attributes:
        min_scale: σ is above min_scale / √(1 + min_scale²).

    Raises:
        ValueError: `min_scale` is not in (0, 1).
    """

    family = dist.Normal
    final_scale = 1.0

    def __post_init__(self):
        check_min_scale(self.min_scale)

    def loc_scale(self, parameters: Float[Array, "*batch p"]) -> tuple[Array, Array]:
        """(μ, σ), `[*batch, D]` each."""
        mean, raw = jnp.split(parameters, 2, -1)
        scale = lax.rsqrt(1 + bounded_precision(raw, self.min_scale))
        return scale * mean, scale


def check_min_scale(min_scale: float) -> None:
    """Refuse floors of a posterior's σ that a unit prior's is not well above."""
    check_within("min_scale", min_scale, 0, 1)


def bounded_precision(
    raw: Float[Array, "*batch"], min_scale: float
) -> Float[Array, "*batch"]:
    """Λ > 0, softplus(raw) smoothly bounded by 1/min_scale²."""
    precision = softplus(raw) + MIN_PRECISION
    return precision / (1 + min_scale**2 * precision)


class LaplaceHead(LocationScaleHead):
    """Laplace with independent dimensions; the standard deviation is √2 σ.

    Attributes:
        min_scale: floor of the scale σ.
    """

    family = dist.Laplace


class CholeskyHead(_ScaleHead):
    """Normal with full covariance L Lᵀ: L_ii = σ_i, L_ij = σ_i ϑ_ij for j < i.

    The paper has only independent dimensions; the exact posterior of a linear Gaussian
    model has not.

    Attributes:
        min_scale: floor of the diagonal σ of L.
    """

    def num_parameters(self, latent_dim: int) -> int:
        """Mean, log σ, and the entries below the diagonal."""
        return 2 * latent_dim + latent_dim * (latent_dim - 1) // 2

    def __call__(self, parameters: Parameters) -> dist.Distribution:
        count = parameters.shape[-1]  # = D (D + 3) / 2
        dim = (round((9 + 8 * count) ** 0.5) - 3) // 2
        loc, log_scale, below = jnp.split(parameters, [dim, 2 * dim], -1)
        unit = jnp.zeros((*loc.shape, dim), loc.dtype) + jnp.eye(dim, dtype=loc.dtype)
        unit = unit.at[(..., *jnp.tril_indices(dim, -1))].set(below)
        tril = self.scale(log_scale)[..., None] * unit
        return dist.MultivariateNormal(loc, scale_tril=tril)


@dataclasses.dataclass(frozen=True)
class MixtureHead:
    """A mixture of K Normals or Laplaces, each with independent dimensions.

    With `SumPooling` and `SelfAttention` these are the paper's SumPoolingMixture and
    SelfAttentionMixture (Hirt et al. 2024, section 5).

    Attributes:
        num_components: K.
        component: head of each component, `NormalHead`, `NaturalHead` or `LaplaceHead`;
            whichever it is, first weights are small.
    """

    num_components: int = 5
    component: Head = NormalHead()  # noqa: RUF009 (frozen)

    def __post_init__(self):
        check_positive(num_components=self.num_components)
        if not isinstance(self.component, LocationScaleHead):
            raise TypeError(
                "component: expected NormalHead() or LaplaceHead(), got "
                f"{self.component!r}"
            )

    def num_parameters(self, latent_dim: int) -> int:
        """A logit, a mean and a log-scale for each component."""
        return self.num_components * (1 + self.component.num_parameters(latent_dim))

    def __call__(self, parameters: Parameters) -> dist.Distribution:
        logits, rest = jnp.split(parameters, [self.num_components], -1)
        rest = rest.reshape(*rest.shape[:-1], self.num_components, -1)
        return mixture(self.component, logits, *self.component.loc_scale(rest))


def mixture(
    component: LocationScaleHead,
    logits: Float[Array, "rows components"],
    loc: Float[Array, "rows components latent"],
    scale: Float[Array, "rows components latent"],
) -> ReparameterizedMixture:
    """Σ_k softmax(logits)_k family(loc_k, scale_k), batch `[N]`, event `[D]`."""
    return ReparameterizedMixture(
        dist.Categorical(logits=logits), component.family(loc, scale).to_event(1)
    )


HEADS = {
    "normal": NormalHead,
    "natural": NaturalHead,
    "laplace": LaplaceHead,
    "cholesky": CholeskyHead,
    "mixture": MixtureHead,
}
