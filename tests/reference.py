"""Slow, obvious, independent truths in numpy and scipy; nothing of ours is used here."""

import itertools

import numpy as np
from scipy import stats
from scipy.special import logsumexp


def subsets(num_modalities: int) -> np.ndarray:
    """All 2^M subsets as booleans `[2^M, M]`, the empty one first, the full one last."""
    return np.array(list(itertools.product([False, True], repeat=num_modalities)))


def log_mean_exp(x: np.ndarray, axis: int = 0) -> np.ndarray:
    return logsumexp(x, axis=axis) - np.log(np.shape(x)[axis])


def product_of_normals(locs, scales) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale of Π_k N(x; loc_k, scale_k²), normalised, one factor at a time."""
    loc, variance = np.asarray(locs[0], float), np.asarray(scales[0], float) ** 2
    for other, scale in zip(locs[1:], scales[1:], strict=True):
        total = variance + np.asarray(scale, float) ** 2
        loc = (loc * np.asarray(scale, float) ** 2 + other * variance) / total
        variance = variance * np.asarray(scale, float) ** 2 / total
    return loc, np.sqrt(variance)


def gaussian_log_density(x, observed, mean, covariance) -> np.ndarray:
    """Log N of each row's observed entries, from the dense covariance; 0 for no entry."""
    rows = []
    for row, keep in zip(np.asarray(x, float), np.asarray(observed), strict=True):
        marginal = covariance[np.ix_(keep, keep)]
        density = (
            stats.multivariate_normal(mean[keep], marginal) if keep.any() else None
        )
        rows.append(density.logpdf(row[keep]) if keep.any() else 0.0)
    return np.array(rows)


def linear_gaussian_joint(W, b, scale) -> tuple[np.ndarray, np.ndarray]:
    """Mean and dense covariance of (z, x), x = W z + b + scale · noise."""
    W, b = np.asarray(W, float), np.asarray(b, float)
    features, latent = W.shape
    identity = np.eye(latent)
    x_covariance = W @ W.T + float(scale) ** 2 * np.eye(features)
    covariance = np.block([[identity, W.T], [W, x_covariance]])
    return np.concatenate([np.zeros(latent), b]), covariance


def linear_gaussian_log_likelihood(x, observed, W, b, scale) -> np.ndarray:
    mean, covariance = linear_gaussian_joint(W, b, scale)
    latent = np.shape(W)[1]
    return gaussian_log_density(
        x, observed, mean[latent:], covariance[latent:, latent:]
    )


def linear_gaussian_posterior(
    x, observed, W, b, scale
) -> tuple[np.ndarray, np.ndarray]:
    """Means `[N, D]` and covariances `[N, D, D]` of z given each row's observed entries."""
    mean, covariance = linear_gaussian_joint(W, b, scale)
    latent = np.shape(W)[1]
    means, covariances = [], []
    for row, keep in zip(np.asarray(x, float), np.asarray(observed), strict=True):
        given = latent + np.flatnonzero(keep)
        cross = covariance[:latent, given]
        gain = cross @ np.linalg.inv(covariance[np.ix_(given, given)])
        means.append(gain @ (row[keep] - mean[given]))
        covariances.append(covariance[:latent, :latent] - gain @ cross.T)
    return np.array(means), np.array(covariances)


def gaussian_kl(mean, covariance) -> float:
    """KL(N(mean, covariance) ‖ N(0, I)) of one vector."""
    log_det = np.linalg.slogdet(covariance)[1]
    return 0.5 * (np.trace(covariance) + mean @ mean - len(mean) - log_det)


def standard_error(draws: np.ndarray) -> float:
    """Standard error of the mean of independent draws."""
    return float(np.std(draws, ddof=1) / np.sqrt(len(draws)))


def mixture_log_density(z, logits, loc, scale, family) -> np.ndarray:
    """Log Σ_k π_k Π_d f(z_d; loc_kd, scale_kd) of each row of `z [N, D]`."""
    each = family.logpdf(np.asarray(z)[:, None], loc, scale).sum(-1)
    return logsumexp(logits - logsumexp(logits) + each, axis=-1)


def mixture_moment(powers, logits, loc, scale, family) -> float:
    """E Π_d z_d^powers_d: within a component the dimensions are independent."""
    weights = np.exp(logits - logsumexp(logits))
    each = [
        np.prod(
            [family(m, s).moment(n) for m, s, n in zip(ms, ss, powers, strict=True)]
        )
        for ms, ss in zip(loc, scale, strict=True)
    ]
    return float(weights @ each)


def mixture_expectation(f, logits, loc, scale, family) -> float:
    """E f(z) in one dimension: a sum over a grid for each component.

    The grid lies in units of the component, so that a kink of the density at its
    location is always a grid point.
    """
    weights = np.exp(logits - logsumexp(logits))
    grid, step = np.linspace(-40, 40, 40_001, retstep=True)
    points = loc[:, :1] + scale[:, :1] * grid
    return float(weights @ (f(points) * family.pdf(grid)).sum(-1)) * step


def mixture_conditional_cdfs(z, logits, loc, scale, family) -> np.ndarray:
    """F(z_d | z_1..z_{d−1}) of one vector, the Rosenblatt transform."""
    weights = np.exp(logits - logsumexp(logits))
    out = []
    for value, m, s in zip(z, loc.T, scale.T, strict=True):
        out.append(weights @ family.cdf(value, m, s))
        weights = weights * family.pdf(value, m, s)
        weights = weights / weights.sum()
    return np.array(out)


def central_difference(f, x, step: float = 1e-4) -> np.ndarray:
    """∂f/∂x of a function of one array: `[*x.shape, *f.shape]`."""
    x = np.asarray(x, float)
    shifts = step * np.eye(x.size).reshape(x.size, *x.shape)
    rows = [(f(x + h) - f(x - h)) / (2 * step) for h in shifts]
    return np.array(rows).reshape(*x.shape, *np.shape(rows[0]))
