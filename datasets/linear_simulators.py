"""Linear Gaussian data with or without private latents, drawn from a random model."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.datasets.simulated import LinearTruth, Simulated
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_numbers, check_positive

WIDTHS = (30, 60)


@checked_kinds
def simulate_linear(
    rng_key: Key[Array, ""],
    num_rows: int = 5000,
    *,
    latent_dim: int = 30,
    private_dim: int = 0,
    num_modalities: int = 5,
    widths: Sequence[int] | None = None,
    scale: float = 1.0,
) -> Simulated:
    """x_s = W_s z + b_s + σ ε, z ~ N(0, I), of random W_s with orthonormal columns.

    The data of Table 2 of Hirt et al. 2024 (section 5.1, appendix J): W_s from the QR
    decomposition of a matrix of U(−1, 1), b_s ~ N(0, I). With private latents the vector z
    is (z', w_1 .. w_M) and modality s sees z' and w_s only; then it is the columns of
    [W_shared, W_private] that are orthonormal. `LinearGaussian(*simulated.truth)` is the
    model with its exact answers.

    Args:
        rng_key: random key of parameters and rows.
        num_rows: N.
        latent_dim: width of what all modalities share (the paper: 30, or 5 beside
            private latents).
        private_dim: width of each private latent (the paper: 0 or 5).
        num_modalities: M, named x1 .. xM.
        widths: features of each modality; None draws them from 30..59.
        scale: σ.

    Raises:
        ValueError: a size or σ is not positive; a modality has fewer features than
            latents; there is not one width for each modality.
    """
    check_positive(
        num_rows=num_rows, latent_dim=latent_dim, num_modalities=num_modalities
    )
    if private_dim:
        check_positive(private_dim=private_dim)
    check_scale(scale)
    key_widths, key_model, key_rows = jax.random.split(rng_key, 3)
    widths = random_widths(key_widths, num_modalities) if widths is None else widths
    _check_widths(widths, num_modalities, latent_dim + private_dim)
    loadings, biases = {}, {}
    for s, (key, width) in enumerate(
        zip(jax.random.split(key_model, num_modalities), widths, strict=True)
    ):
        key_W, key_b = jax.random.split(key)
        W = _orthonormal(key_W, width, latent_dim + private_dim)
        own = jnp.zeros((width, num_modalities, private_dim))
        own = own.at[:, s].set(W[:, latent_dim:]).reshape(width, -1)
        loadings[f"x{s + 1}"] = jnp.concatenate([W[:, :latent_dim], own], 1)
        biases[f"x{s + 1}"] = jax.random.normal(key_b, (width,))
    truth = LinearTruth(loadings, biases, scale)
    return Simulated(*_rows(key_rows, truth, num_rows), truth)


def random_widths(rng_key: Key[Array, ""], num_modalities: int) -> list[int]:
    """Features of each modality, uniform on 30..59."""
    return jax.random.randint(rng_key, (num_modalities,), *WIDTHS).tolist()


def _orthonormal(rng_key, rows: int, columns: int) -> Float[Array, "rows columns"]:
    uniform = jax.random.uniform(rng_key, (rows, columns), minval=-1.0, maxval=1.0)
    return jnp.asarray(np.linalg.qr(np.asarray(uniform))[0])


def _rows(
    rng_key, truth: LinearTruth, num_rows: int
) -> tuple[MultimodalData, Float[Array, "rows latent"]]:
    key_z, *keys = jax.random.split(rng_key, 1 + len(truth.loadings))
    latent_dim = next(iter(truth.loadings.values())).shape[1]
    z = jax.random.normal(key_z, (num_rows, latent_dim))
    values = {}
    for key, (name, W) in zip(keys, truth.loadings.items(), strict=True):
        noise = truth.scale * jax.random.normal(key, (num_rows, len(W)))
        values[name] = z @ W.T + truth.biases[name] + noise
    return MultimodalData.from_arrays(values), z


def _check_widths(widths, num_modalities: int, least: int) -> None:
    good = len(widths) == num_modalities and all(
        isinstance(width, int | np.integer) and width >= least for width in widths
    )
    if not good:
        raise ValueError(
            f"widths: expected {num_modalities} whole numbers of {least} or more (the "
            f"latents of a modality), got {widths!r}"
        )


def check_scale(scale: float) -> None:
    """Refuse noise without a positive standard deviation.

    Raises:
        ValueError: naming the argument.
    """
    check_numbers(scale=scale)
