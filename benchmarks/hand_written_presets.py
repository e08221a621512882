"""Floors of published methods: one loss each in plain JAX, on the networks of one size.

Encoders 25-256-128, decoders 25-256-25, linear experts, M = 5, N = 128. Each does what
its objective asks for, once: features once, all subsets in one axis, all draws decoded in
one call.
"""

import math

import jax
import jax.numpy as jnp
from hand_written import Sizes, apply, log_normal, mlp
from jax import lax
from jax.nn import logsumexp

SIZES = Sizes(5, 25, (256,), 128, 20, 128)
MODALITIES, WIDTH, _, FEATURES, LATENT, ROWS = SIZES
PRIVATE, SAMPLES = 5, 3
MIN_PRECISION, MIN_VARIANCE = 1e-6, 1e-6


def initial_params(rng_key: jax.Array, private: int = 0) -> dict:
    """Weights and biases of all layers."""
    keys, hidden = jax.random.split(rng_key, 2 * MODALITIES + 2), SIZES.hidden
    found = {
        "encoders": [mlp(k, (WIDTH, *hidden, FEATURES)) for k in keys[:MODALITIES]],
        "decoders": [
            mlp(k, (LATENT + private, *hidden, WIDTH)) for k in keys[MODALITIES:-2]
        ],
        "expert": mlp(keys[-2], (FEATURES, 2 * LATENT)),
    }
    if private:
        found["own"] = mlp(keys[-1], (FEATURES, 2 * private))
        found["auxiliary"] = jnp.zeros((MODALITIES, private))
    return found


def features(params: dict, x: jax.Array, present: jax.Array) -> jax.Array:
    """`[N, M, F]`."""
    filled = [jnp.where(present[:, [i]], x[i], 0) for i in range(MODALITIES)]
    nets = zip(params["encoders"], filled, strict=True)
    return jnp.stack([apply(net, v) for net, v in nets], 1)


def log_x(params: dict, latents: list, x: jax.Array) -> jax.Array:
    """`[..., N, M]`; each modality's latent is `[..., N, D]`."""
    decoded = [apply(n, z) for n, z in zip(params["decoders"], latents, strict=True)]
    return jnp.stack(
        [log_normal(v, d, 1.0) for v, d in zip(x, decoded, strict=True)], -1
    )


def normal(params: dict, net: str, h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Means and scales of a linear layer."""
    loc, log_scale = jnp.split(apply(params[net], h), 2, -1)
    return loc, 1e-3 + jnp.exp(log_scale)


def experts(params: dict, h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """η_s and Λ_s of Normal experts, bounded as the library's are."""
    mean, raw = jnp.split(apply(params["expert"], h), 2, -1)
    precision = jax.nn.softplus(raw) + MIN_PRECISION
    precision = precision / (1 + MIN_VARIANCE * precision)
    return jnp.sqrt(1 + precision) * mean, precision


def product(eta, precision, subset, prior: float):
    """Of the experts of each subset `[..., N, M]`: means and scales `[..., N, D]`."""
    pull, total = (
        jnp.where(subset[..., None], each, 0).sum(-2) for each in (eta, precision)
    )
    return pull / (prior + total), lax.rsqrt(prior + total)


def ordinary(params, key, x, present, views, score, weight):
    """Σ_v weight (Σ score log p − log q + log p) for products of experts, STL."""
    loc, scale = product(*experts(params, features(params, x, present)), views, 1.0)
    z = loc + scale * jax.random.normal(key, loc.shape)
    log_q = log_normal(z, lax.stop_gradient(loc), lax.stop_gradient(scale))
    likelihood = jnp.where(score, log_x(params, [z] * MODALITIES, x), 0).sum(-1)
    value = likelihood + log_normal(z, 0.0, 1.0) - log_q
    return -jnp.where(weight > 0, weight * value, 0).sum()


def mopoe(params, key, x, present):
    """All 31 subsets in one axis (Sutter et al. 2021)."""
    codes = jnp.arange(1, 2**MODALITIES)[:, None] >> jnp.arange(MODALITIES)
    views = (codes % 2 == 1)[:, None] & jnp.ones_like(present)
    inside = ~(views & ~present).any(-1)
    weight = inside / inside.sum(0)
    score = jnp.broadcast_to(present, views.shape)
    return ordinary(params, key, x, present, views & present, score, weight)


def mvae(params, key, x, present):
    """O, single modalities and one random subset (Wu & Goodman 2018)."""
    key, key_subset = jax.random.split(key)
    random = present & jax.random.bernoulli(key_subset, 0.5, present.shape)
    single = jnp.eye(MODALITIES, dtype=bool)[:, None] & present
    views = jnp.concatenate([present[None], single, random[None]])
    return ordinary(params, key, x, present, views, views, views.any(-1) * 1.0)


def mvtcae(params, key, x, present, alpha: float = 0.9):
    """Total correlation (Hwang et al. 2021)."""
    eta, precision = experts(params, features(params, x, present))
    loc, scale = product(eta, precision, present, 0.0)
    z = loc + scale * jax.random.normal(key, loc.shape)
    log_q = log_normal(z, lax.stop_gradient(loc), lax.stop_gradient(scale))
    each = log_normal(z[:, None], eta / precision, lax.rsqrt(precision))
    count = present.sum(-1)
    likelihood = jnp.where(present, log_x(params, [z] * MODALITIES, x), 0).sum(-1)
    cross = jnp.where(present, log_q[:, None] - each, 0).sum(-1)
    rate = (1 - alpha) * (log_q - log_normal(z, 0.0, 1.0)) + alpha / count * cross
    return -((count - alpha) / count * likelihood - rate).sum()


def mmjsd(params, key, x, present):
    """M · M decoded values, divergences in closed form (Sutter et al. 2020)."""
    loc, scale = normal(params, "expert", features(params, x, present))
    noise = jax.random.normal(key, (MODALITIES, ROWS, LATENT))
    z = loc.swapaxes(0, 1) + scale.swapaxes(0, 1) * noise
    likelihood = jnp.where(present, log_x(params, [z] * MODALITIES, x), 0).sum(-1)
    count = present.sum(-1)
    share = 1 / (count[:, None] + 1)
    precision = jnp.where(present[..., None], scale**-2, 0)
    total = share * (precision.sum(1) + 1)
    f = share * (precision * loc).sum(1) / total, total**-0.5
    each = kl_normal(loc, scale, *(p[:, None] for p in f))
    kl = jnp.where(present, each, 0).sum(-1) + kl_normal(0.0, 1.0, *f)
    mean = jnp.where(present.T, likelihood, 0).sum(0) / count
    return -(mean - share[:, 0] * kl).sum()


def mmvae(params, key, x, present):
    """M · M · K decoded values in one call (Shi et al. 2019)."""
    loc, scale = normal(params, "expert", features(params, x, present))
    noise = jax.random.laplace(key, (SAMPLES, MODALITIES, ROWS, LATENT))
    z = loc.swapaxes(0, 1) + scale.swapaxes(0, 1) * noise
    fixed = (params, x, present, loc, scale, z, [z] * MODALITIES, 0.0)
    return experts_bound(*fixed, log_laplace)


def mmvae_plus(params, key, x, present):
    """With private latents (Palumbo et al. 2023)."""
    h = features(params, x, present)
    loc, scale = normal(params, "expert", h)
    own, own_scale = normal(params, "own", h)
    keys = jax.random.split(key, 3)
    z = loc.swapaxes(0, 1) + scale.swapaxes(0, 1) * jax.random.normal(
        keys[0], (SAMPLES, MODALITIES, ROWS, LATENT)
    )
    shape = (SAMPLES, MODALITIES, ROWS, MODALITIES, PRIVATE)
    noise = jax.random.normal(keys[1], shape)
    mine = own + own_scale * noise
    others = jnp.exp(params["auxiliary"]) * jax.random.normal(keys[2], shape)
    same = jnp.eye(MODALITIES, dtype=bool)[:, None, :, None]
    w = jnp.where(same, mine, others)
    held, held_scale = lax.stop_gradient((own, own_scale))
    ratio = log_normal(w, 0.0, 1.0) - log_normal(w, held, held_scale)
    ratio = jnp.where(same[..., 0], ratio, 0).sum(-1)
    latents = [jnp.concatenate([z, w[..., s, :]], -1) for s in range(MODALITIES)]
    return experts_bound(params, x, present, loc, scale, z, latents, ratio)


def experts_bound(
    params, x, present, loc, scale, z, latents, ratio, log_density=log_normal
):
    """MMVAE's objective at draws z `[K, M, N, D]`."""
    likelihood = jnp.where(present, log_x(params, latents, x), 0).sum(-1)
    held = lax.stop_gradient((loc, scale))
    each = jnp.where(present, log_density(z[..., None, :], *held), -jnp.inf)
    log_q = logsumexp(each, -1) - jnp.log(present.sum(-1))
    log_w = likelihood + log_density(z, 0.0, 1.0) - log_q + ratio
    value = logsumexp(log_w, 0) - math.log(SAMPLES)
    return -(jnp.where(present.T, value, 0).sum(0) / present.sum(-1)).sum()


def log_laplace(x, loc, scale):
    """Σ over the last axis of log Laplace(x; loc, scale)."""
    return (-jnp.abs(x - loc) / scale - jnp.log(2 * scale)).sum(-1)


def kl_normal(loc, scale, other_loc, other_scale):
    """Σ over the last axis of KL(N(loc, scale²) ‖ N(other_loc, other_scale²))."""
    square = (scale / other_scale) ** 2 + ((loc - other_loc) / other_scale) ** 2
    return (0.5 * (square - 1) - jnp.log(scale / other_scale)).sum(-1)


LOSSES = {f.__name__: f for f in (mvae, mmvae, mopoe, mmjsd, mvtcae, mmvae_plus)}
