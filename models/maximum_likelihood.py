"""Maximum likelihood of the linear Gaussian model (probabilistic PCA)."""

import jax
import jax.numpy as jnp
import numpy as np

from consilience.datasets.data import MultimodalData
from consilience.models.linear_gaussian import LinearGaussian, counted
from consilience.nn.sizes import check_numbers, check_positive

ROUNDING = 64 * np.finfo(float).eps  # of a mean of log-likelihoods
START = 1e-3  # EM's least noise to begin with, beside the largest standard deviation


def maximum_likelihood(
    data: MultimodalData,
    latent_dim: int,
    scale: float | None = None,
    *,
    tolerance: float = 1e-7,
    max_steps: int = 10_000,
) -> LinearGaussian:
    """Fit a `LinearGaussian`: in closed form if nothing is missing, else by EM.

    Complete data: W = U (Λ − σ² I)₊^½ over the leading eigenpairs of the covariance and
    σ² the mean of the discarded eigenvalues (Tipping & Bishop 1999; Hirt et al. 2024,
    appendix J). W is determined up to a rotation. EM runs over the rows' observed
    entries and stops when a step gains less than `tolerance` nats a row, or nothing but
    rounding. Both are computed in double precision, whatever JAX is set to.

    Args:
        data: rows of modalities with one-dimensional events.
        latent_dim: D.
        scale: σ if it is known; needed where D is not below the number of features.
        tolerance: EM's stopping rule, in nats a row and step.
        max_steps: EM's limit.

    Raises:
        ValueError: `latent_dim` is too large to learn σ too; `scale` is not positive; a
            modality is no vector; a feature was never measured; the data have no noise;
            EM has not settled after `max_steps`.
    """
    for name, shape in zip(data.names, data.event_shapes, strict=True):
        if len(shape) != 1:
            raise ValueError(
                f"modality {name!r}: expected vectors, got events of {shape}"
            )
        measured = np.asarray(data.observed(name)).any(0)
        if not measured.all():
            raise ValueError(
                f"modality {name!r}, column {measured.argmin()}: expected measurements, "
                "got none in any row"
            )
    x = np.concatenate([np.asarray(data.filled(n), float) for n in data.names], -1)
    m = np.asarray(counted(data))
    check_positive(latent_dim=latent_dim)
    if scale is None and latent_dim >= x.shape[1]:
        raise ValueError(
            f"latent_dim: expected 1 to {x.shape[1] - 1} (fewer than the features) where "
            f"scale is learned, got {latent_dim}"
        )
    check_numbers(zero=True, tolerance=tolerance)
    if scale is not None:
        check_numbers(scale=scale)
    if m.all():
        return _model(data, *_closed_form(x, latent_dim, scale))
    with jax.enable_x64(True):
        state = _expectation_maximization(
            data, x, m, latent_dim, scale, tolerance, max_steps
        )
    return _model(data, *map(np.asarray, state))


def _closed_form(x: np.ndarray, latent_dim: int, scale: float | None):
    values, vectors = _principal_components(x)
    variance = values[latent_dim:].mean() if scale is None else scale**2
    if scale is None and variance <= 1e-12 * values[0]:
        raise ValueError(
            f"scale: the data vary in {latent_dim} dimensions only; with no noise around "
            "them the likelihood has no maximum; expected more rows, fewer latents or a "
            "known scale"
        )
    W = _loadings(np.maximum(values - variance, 0.0), vectors, latent_dim)
    return W, x.mean(0), np.sqrt(variance)


def _principal_components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the covariance, the largest first, and eigenvectors as columns."""
    values, vectors = np.linalg.eigh(np.cov(x.T, bias=True).reshape(2 * x.shape[1:]))
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _loadings(
    variances: np.ndarray, vectors: np.ndarray, latent_dim: int
) -> np.ndarray:
    W = (vectors * np.sqrt(variances))[:, :latent_dim]
    return np.pad(W, [(0, 0), (0, latent_dim - W.shape[1])])


def _expectation_maximization(data, x, m, latent_dim, scale, tolerance, max_steps):
    mean = (x * m).sum(0) / m.sum(0)
    values, vectors = _principal_components(np.where(m, x, mean))
    # No column is shrunk to zero as in the closed form: EM would never leave that point.
    W = _loadings(values, vectors, latent_dim)
    least = START * np.sqrt(values[0])
    start = scale or max(np.sqrt(values[latent_dim:].mean()), least)
    state = tuple(map(jnp.asarray, (W, mean, start)))
    step = jax.jit(_em_step, static_argnames="fixed")
    likelihood = jax.jit(lambda *s: _model(data, *s).log_likelihood(data).mean())
    before = likelihood(*state)
    for n in range(1, max_steps + 1):
        state = step(jnp.asarray(x), jnp.asarray(m), state, fixed=scale is not None)
        if n % 10 == 0:
            after = likelihood(*state)
            if after - before < max(10 * tolerance, ROUNDING * abs(after)):
                return state
            before = after
    raise ValueError(
        f"max_steps: EM still gains more than {tolerance} nats a row after {max_steps} "
        "steps; expected it to settle. Give more steps or a larger tolerance"
    )


def _em_step(x, m, state, *, fixed: bool):
    """One step of EM with missing entries: a weighted regression for each feature.

    The latents' own mean and covariance are free for the step and then put into W and b
    (Liu, Rubin & Wu 1998, PX-EM): little noise pins latents to where W has them, so that
    without it W would keep its size for thousands of steps.
    """
    W, b, scale = state
    m = m.astype(W.dtype)
    # E: z | x ~ N(mean, covariance), over each row's observed features
    K = jnp.einsum("np,pd,pe->nde", m, W, W) + scale**2 * jnp.eye(W.shape[1])
    mean = jnp.linalg.solve(K, ((m * (x - b)) @ W)[..., None])[..., 0]
    covariance = scale**2 * jnp.linalg.inv(K)
    # M: regress every feature on [z, 1] over the rows that have it
    one = jnp.ones((len(x), 1))
    design = jnp.concatenate([mean, one], -1)
    second = design[:, :, None] * design[:, None, :]
    second = second.at[:, :-1, :-1].add(covariance)
    gram = jnp.einsum("np,nde->pde", m, second)
    cross = jnp.einsum("np,np,nd->pd", m, x, design)
    weights = jnp.linalg.solve(gram, cross[..., None])[..., 0]
    W, b = weights[:, :-1], weights[:, -1]
    residual = x - mean @ W.T - b
    spread = jnp.einsum("pd,nde,pe->np", W, covariance, W)
    variance = (m * (residual**2 + spread)).sum() / m.sum()
    center = mean.mean(0)
    moment = covariance.mean(0) + (mean - center).T @ (mean - center) / len(x)
    W, b = W @ jnp.linalg.cholesky(moment), b + W @ center
    return W, b, scale if fixed else jnp.sqrt(variance)


def _model(data: MultimodalData, W, b, scale) -> LinearGaussian:
    cuts = np.cumsum([shape[0] for shape in data.event_shapes])[:-1]
    loadings = dict(zip(data.names, jnp.split(jnp.asarray(W), cuts), strict=True))
    biases = dict(zip(data.names, jnp.split(jnp.asarray(b), cuts), strict=True))
    return LinearGaussian(loadings, biases, jnp.asarray(scale))
