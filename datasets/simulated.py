"""What simulators return: rows, the latents that caused them, and the true parameters."""

from typing import NamedTuple

from jaxtyping import Array, Float

from consilience.datasets.data import MultimodalData


class LinearTruth(NamedTuple):
    """x_s = W_s z + b_s + σ ε, z ~ N(0, I): `LinearGaussian(*truth)` knows all about it.

    Attributes:
        loadings: W_s by modality, each `[D_s, D]`.
        biases: b_s by modality, each `[D_s]`.
        scale: σ, the standard deviation of the noise.
    """

    loadings: dict[str, Float[Array, "features latent"]]
    biases: dict[str, Float[Array, " features"]]
    scale: float


class NonlinearTruth(NamedTuple):
    """x_s = f_s(z) + σ ε, z | u ~ N(μ_u, diag L_u²), u uniform: `NonlinearGaussian(*truth)`.

    f_s(z) = a(.. a(z A₁) A₂ ..) A_n with LeakyReLU a: injective and piecewise linear.

    Attributes:
        layers: A₁ .. A_n by modality.
        slope: of the LeakyReLU below zero.
        scale: σ, the standard deviation of the noise.
        loc: μ_u, `[K, D]`.
        spread: L_u, standard deviations, `[K, D]`.
        label: the modality that is u itself; None where u is not measured.
    """

    layers: dict[str, tuple[Float[Array, "_ _"], ...]]
    slope: float
    scale: float
    loc: Float[Array, "labels latent"]
    spread: Float[Array, "labels latent"]
    label: str | None


class Simulated(NamedTuple):
    """A data set whose truth is known.

    Attributes:
        data: complete rows.
        latents: z of each row, `[N, D]`.
        truth: the parameters that the rows were drawn from.
    """

    data: MultimodalData
    latents: Float[Array, "rows latent"]
    truth: LinearTruth | NonlinearTruth
