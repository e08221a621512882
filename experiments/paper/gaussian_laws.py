"""Expected log-likelihoods and rates of Gaussian posteriors under linear decoders, exact.

In double precision, from means and covariances: no draws over z. Of mixtures of Gaussians
only the entropy is estimated, by draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float
from scipy import stats

from consilience.datasets import MultimodalData
from consilience.inference import programs
from consilience.models import LinearGaussian, maximum_likelihood

DRAWS = 200


class Law(NamedTuple):
    """One Gaussian a row.

    Attributes:
        mean: `[N, D]`.
        covariance: `[N, D, D]`.
    """

    mean: Float[np.ndarray, "rows latent"]
    covariance: Float[np.ndarray, "rows latent latent"]

    def log_prob(
        self, z: Float[np.ndarray, "rows latent"]
    ) -> Float[np.ndarray, " rows"]:
        """log N(z; mean, covariance)."""
        difference = z - self.mean
        solved = np.linalg.solve(self.covariance, difference[..., None])[..., 0]
        log_det = np.linalg.slogdet(2 * np.pi * self.covariance)[1]
        return -0.5 * ((difference * solved).sum(-1) + log_det)


Mixture = Sequence[Law]  # of equal weights


def prior_of(rows: int, latent_dim: int) -> Law:
    """N(0, I) for every row."""
    shape = (rows, latent_dim, latent_dim)
    return Law(np.zeros((rows, latent_dim)), np.broadcast_to(np.eye(latent_dim), shape))


def expected_log(
    model: LinearGaussian, data: MultimodalData, name: str, law: Mixture
) -> Float[np.ndarray, " rows"]:
    """E_q log N(x_s; W_s z + b_s, σ²) of each row: −½ Σ (r² + W Σ Wᵀ)/σ² − log σ√2π."""
    W, b = (np.asarray(a[name], float) for a in (model.loadings, model.biases))
    scale = float(model.scale)
    total = np.zeros(data.size)
    for mean, covariance in law:
        residual = np.asarray(data.values[name], float) - mean @ W.T - b
        spread = np.einsum("pd,nde,pe->np", W, covariance, W)
        density = -0.5 * (residual**2 + spread) / scale**2
        total += (density - np.log(scale * np.sqrt(2 * np.pi))).sum(-1)
    return total / len(law)


def kl(law: Mixture, other: Mixture) -> Float[np.ndarray, " rows"]:
    """KL(law ‖ other) of each row; exact between Gaussians, else from draws."""
    if len(law) == len(other) == 1:
        return _kl(law[0], other[0])
    return _estimated_kl(law, other)


def _kl(law: Law, other: Law) -> Float[np.ndarray, " rows"]:
    difference = other.mean - law.mean
    solved = np.linalg.solve(
        other.covariance,
        np.concatenate([law.covariance, difference[..., None]], -1),
    )
    trace = np.trace(solved[..., :-1], axis1=-2, axis2=-1)
    square = (difference * solved[..., -1]).sum(-1)
    log_dets = [np.linalg.slogdet(each.covariance)[1] for each in (law, other)]
    return 0.5 * (trace + square - law.mean.shape[-1] + log_dets[1] - log_dets[0])


def _estimated_kl(law: Mixture, other: Mixture) -> Float[np.ndarray, " rows"]:
    generator, total = np.random.default_rng(0), np.zeros(len(law[0].mean))
    for mean, covariance in law:
        tril = np.linalg.cholesky(covariance)
        for _ in range(DRAWS):
            noise = generator.normal(size=mean.shape)
            z = mean + np.einsum("nde,ne->nd", tril, noise)
            total += _log_prob(law, z) - _log_prob(other, z)
    return total / (DRAWS * len(law))


def _log_prob(law: Mixture, z) -> Float[np.ndarray, " rows"]:
    each = np.stack([part.log_prob(z) for part in law])
    return np.logaddexp.reduce(each, axis=0) - np.log(len(law))


def learned(guide, params: dict, data: MultimodalData, *names: str) -> Mixture:
    """q(z | x_S): Normal, or a mixture of experts of S, which weigh the same."""
    subset = data.subset_of(*names)
    fn = programs.run(guide, params, jax.random.key(0), {}, data, subset)["z"]["fn"]
    parts = programs.base_of(getattr(fn, "component_distribution", fn))
    mean = np.asarray(parts.mean, float)
    variance = np.broadcast_to(np.asarray(parts.variance, float), mean.shape)
    if mean.ndim == 2:
        return [_diagonal(mean, variance)]
    members = [data.index(name) for name in names]
    return [_diagonal(mean[:, s], variance[:, s]) for s in members]


def _diagonal(mean, variance) -> Law:
    return Law(mean, variance[..., None] * np.eye(mean.shape[-1]))


def exact(model: LinearGaussian, data: MultimodalData, *names: str) -> Mixture:
    """p(z | x_S) of complete rows."""
    W, b = (
        np.concatenate([np.asarray(a[n], float) for n in names])
        for a in (model.loadings, model.biases)
    )
    x = np.concatenate([np.asarray(data.values[n], float) for n in names], -1)
    variance = float(model.scale) ** 2
    covariance = variance * np.linalg.inv(W.T @ W + variance * np.eye(W.shape[1]))
    mean = (x - b) @ W @ covariance / variance
    return [Law(mean, np.broadcast_to(covariance, (len(x), *covariance.shape)))]


def gap(model: LinearGaussian, data: MultimodalData) -> float:
    """Relative LLH gap: (log p_MLE − log p)/|log p_MLE| of complete rows, σ given."""
    reached = maximum_likelihood(data, model.latent_dim, float(model.scale))
    best, found = (log_likelihood(each, data) for each in (reached, model))
    return float((best - found) / abs(best))


def log_likelihood(model: LinearGaussian, data: MultimodalData) -> float:
    """log N(x; b, W Wᵀ + σ² I) a row."""
    W, b = (
        np.concatenate([np.asarray(a[n], float) for n in data.names])
        for a in (model.loadings, model.biases)
    )
    x = np.concatenate([np.asarray(data.values[n], float) for n in data.names], -1)
    covariance = W @ W.T + float(model.scale) ** 2 * np.eye(len(W))
    return float(stats.multivariate_normal(b, covariance).logpdf(x).mean())
