"""Non-linear identifiable data (Hirt et al. 2024, section 5.2 and appendix K).

A label u, uniform on K values, moves the sources: z | u ~ N(μ_u, diag L_u²) with
μ ~ U(−5, 5) and L ~ U(0.5, 3). Each modality sees them through an injective network of its
own and noise. After Khemakhem et al. 2020, Variational Autoencoders and Nonlinear ICA.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from consilience.datasets.data import MultimodalData
from consilience.datasets.linear_simulators import check_scale
from consilience.datasets.simulated import NonlinearTruth, Simulated
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive, check_within

CANDIDATES, LABEL = 1000, "label"


@checked_kinds
def simulate_with_label(
    rng_key: Key[Array, ""],
    num_rows: int = 4000,
    *,
    latent_dim: int = 2,
    num_labels: int = 5,
    scale: float = 0.1,
    slope: float = 0.1,
) -> Simulated:
    """Two modalities: x = f(z) + σ ε of the sources' own width, and the label u itself.

    The data of Table 3 of Hirt et al. 2024: f(z) = a(z A) A, A orthogonal, a a LeakyReLU.
    The label is an index, for `CategoricalLikelihood(num_labels)` and
    `partial(MLPEncoder, num_classes=num_labels)`. `NonlinearGaussian(*simulated.truth)` is
    the model as a program.

    Args:
        rng_key: random key of parameters and rows.
        num_rows: N.
        latent_dim: D, the width of z and of x.
        num_labels: K.
        scale: σ.
        slope: of the LeakyReLU below zero, in (0, 1].

    Raises:
        ValueError: a setting out of its range.
    """
    _check(scale, slope, num_rows=num_rows, latent_dim=latent_dim)
    check_positive(num_labels=num_labels)
    key_mixing, key_sources, key_rows = jax.random.split(rng_key, 3)
    shape = (latent_dim, latent_dim)
    uniform = jax.random.uniform(key_mixing, shape, minval=-1.0, maxval=1.0)
    A = jnp.linalg.qr(uniform)[0]
    sources = _sources(key_sources, num_labels, latent_dim)
    truth = NonlinearTruth({"x": (A, A)}, slope, scale, *sources, LABEL)
    return _rows(key_rows, truth, num_rows)


@checked_kinds
def simulate_nonlinear(
    rng_key: Key[Array, ""],
    num_rows: int = 10_000,
    *,
    num_modalities: int = 5,
    latent_dim: int = 10,
    width: int = 25,
    num_layers: int = 2,
    num_labels: int = 5,
    scale: float = 0.5,
    slope: float = 0.1,
) -> Simulated:
    """M modalities x1 .. xM of one width, each through a network of its own; u is hidden.

    The data of Table 4 of Hirt et al. 2024: entries U(−1, 1), columns of unit length,
    condition numbers in the lowest quarter of that law. Rows are in random order; split
    them with `data.take`, hide modalities with `missing_completely_at_random`.

    Args:
        rng_key: random key of parameters and rows.
        num_rows: N, training and test rows together.
        num_modalities: M.
        latent_dim: D.
        width: D_s of every modality, at least D.
        num_layers: matrices of each network, the first `[D, D_s]`, the others square.
        num_labels: K.
        scale: σ.
        slope: of the LeakyReLU below zero, in (0, 1].

    Raises:
        ValueError: a setting out of its range.
    """
    _check(scale, slope, num_rows=num_rows, latent_dim=latent_dim, width=width)
    check_positive(
        num_modalities=num_modalities, num_labels=num_labels, num_layers=num_layers
    )
    if width < latent_dim:
        raise ValueError(
            f"width: expected at least latent_dim={latent_dim}, for the map to be "
            f"injective, got {width}"
        )
    key_mixing, key_sources, key_rows = jax.random.split(rng_key, 3)
    layers = {}
    for s, key in enumerate(jax.random.split(key_mixing, num_modalities)):
        first, *others = jax.random.split(key, num_layers)
        rest = [_well_conditioned(k, width, width) for k in others]
        layers[f"x{s + 1}"] = (_well_conditioned(first, latent_dim, width), *rest)
    sources = _sources(key_sources, num_labels, latent_dim)
    truth = NonlinearTruth(layers, slope, scale, *sources, None)
    return _rows(key_rows, truth, num_rows)


def apply_layers(
    layers: tuple[Float[Array, "_ _"], ...],
    slope: float,
    z: Float[Array, "*batch latent"],
) -> Float[Array, "*batch features"]:
    """f(z) = a(.. a(z A₁) A₂ ..) A_n."""
    *hidden, last = layers
    for A in hidden:
        z = jax.nn.leaky_relu(z @ A, slope)
    return z @ last


def _sources(rng_key, num_labels: int, latent_dim: int) -> tuple[Array, Array]:
    """μ and L."""
    key_loc, key_spread = jax.random.split(rng_key)
    shape = (num_labels, latent_dim)
    loc = jax.random.uniform(key_loc, shape, minval=-5.0, maxval=5.0)
    return loc, jax.random.uniform(key_spread, shape, minval=0.5, maxval=3.0)


def _well_conditioned(
    rng_key, inputs: int, outputs: int
) -> Float[Array, "inputs outputs"]:
    """The first of many draws whose condition number is in their lowest quarter."""
    shape = (CANDIDATES, inputs, outputs)
    drawn = jax.random.uniform(rng_key, shape, minval=-1.0, maxval=1.0)
    drawn = drawn / jnp.linalg.norm(drawn, axis=1, keepdims=True)
    condition = jnp.linalg.cond(drawn)
    return drawn[jnp.argmax(condition <= jnp.percentile(condition, 25.0))]


def _rows(rng_key, truth: NonlinearTruth, num_rows: int) -> Simulated:
    key_u, key_z, *keys = jax.random.split(rng_key, 2 + len(truth.layers))
    u: Int[Array, " rows"] = jax.random.randint(key_u, (num_rows,), 0, len(truth.loc))
    noise = jax.random.normal(key_z, (num_rows, truth.loc.shape[1]))
    z = truth.loc[u] + truth.spread[u] * noise
    values: dict[str, Array] = {}
    for key, (name, layers) in zip(keys, truth.layers.items(), strict=True):
        mean = apply_layers(layers, truth.slope, z)
        values[name] = mean + truth.scale * jax.random.normal(key, mean.shape)
    if truth.label is not None:
        values[truth.label] = u
    return Simulated(MultimodalData.from_arrays(values), z, truth)


def _check(scale: float, slope: float, **sizes: int) -> None:
    check_positive(**sizes)
    check_scale(scale)
    check_within("slope", slope, 0, 1, "(]")
