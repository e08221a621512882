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


# Published objectives of one row, in nats, from the draws that were made. `log_x[s]` is
# log p(x_s | z) at such a draw; experts are (loc [D], scale [D]) of present modalities.


def normal_kl(q, p) -> float:
    """KL of Normals with independent dimensions, each (loc, scale)."""
    (a, u), (b, v) = q, p
    return float(np.sum(np.log(v / u) + (u**2 + (a - b) ** 2) / (2 * v**2) - 0.5))


def elbo(log_x, members, q, prior) -> float:
    """L_S: reconstruction of S less the rate."""
    return sum(log_x[s] for s in members) - normal_kl(q, prior)


def masked_objective(log_x_S, log_x_O, S, O, q_S, q_O, prior) -> float:  # noqa: E741
    """Hirt et al. 2024, equations 3 and 4."""
    rest = [s for s in O if s not in S]
    cross = sum(log_x_O[s] for s in rest) - normal_kl(q_O, q_S) if rest else 0.0
    return elbo(log_x_S, S, q_S, prior) + cross


def mvae_objective(views, prior) -> float:
    """Wu & Goodman 2018, equation 5; each view is (log_x at its draw, members, q)."""
    return sum(elbo(log_x, members, q, prior) for log_x, members, q in views)


def mopoe_objective(views, O, prior) -> float:  # noqa: E741
    """Sutter et al. 2021, lemma 2; views as above, one for each non-empty subset of O."""
    values = [sum(log_x[s] for s in O) - normal_kl(q, prior) for log_x, _, q in views]
    return float(np.mean(values))


def mmvae_objective(log_weights) -> float:
    """Shi et al. 2019, equation 3: 1/M Σ_m log 1/K Σ_k w; `[M, K]`."""
    return float(np.mean([log_mean_exp(row) for row in np.asarray(log_weights)]))


def mmvae_log_weight(log_x, log_prior, log_experts) -> float:
    """log p(z) Π p(x_s|z) / (1/M Σ_m q_m(z))."""
    return sum(log_x) + log_prior - log_mean_exp(np.array(log_experts))


def mmvae_plus_log_weight(log_x, log_prior, log_experts, own_w) -> float:
    """Palumbo et al. 2023, equation 5; `own_w` is (log p(w_s), log q(w_s | x_s))."""
    shared = mmvae_log_weight(log_x, log_prior, log_experts)
    return shared + own_w[0] - own_w[1]


def mmjsd_objective(log_x_of_experts, experts, prior) -> float:
    """Sutter et al. 2020, equation 7, with f the weighted geometric mean of all."""
    parts = [*experts, prior]
    share = 1 / len(parts)
    precision = sum(share / v**2 for _, v in parts)
    loc = sum(share * m / v**2 for m, v in parts) / precision
    f = (loc, precision**-0.5)
    reconstruction = np.mean([sum(log_x) for log_x in log_x_of_experts])
    return float(reconstruction - sum(share * normal_kl(q, f) for q in parts))


def mvtcae_objective(log_x, alpha, q, experts, prior) -> float:
    """Hwang et al. 2021, equation 8."""
    M = len(experts)
    rate = (1 - alpha) * normal_kl(q, prior)
    conditional = sum(normal_kl(q, expert) for expert in experts)
    return (M - alpha) / M * sum(log_x) - rate - alpha / M * conditional


def semitied_log_likelihood(W, covariances, weights) -> float:
    """Mean log-density of points of N(0, S_c) under N(0, W⁻¹ diag(W S_c Wᵀ) W⁻ᵀ)."""
    total = 0.0
    for weight, S in zip(weights, covariances, strict=True):
        inverse = np.linalg.inv(W)
        model = inverse @ np.diag(np.diag(W @ S @ W.T)) @ inverse.T
        _, log_det = np.linalg.slogdet(2 * np.pi * model)
        total -= weight * (log_det + np.trace(np.linalg.inv(model) @ S)) / 2
    return total
