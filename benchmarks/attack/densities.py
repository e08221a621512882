"""Log-densities at extreme parameters, against SciPy in float64.

Tolerances: rounding of the answer, 4 ε |log p|, and of η by as much as the density's slope
there makes of it, 4 ε |η| |slope|; ε is that of float32.
"""

import jax.numpy as jnp
import numpy as np
from numpyro import handlers
from scipy import special, stats

import consilience as cs
from attack.case import Case, mechanism

EPS = float(np.finfo(np.float32).eps)


def near(truth, tolerance):
    """Finite where the truth is, and near it."""

    def check(got):
        got = np.asarray(got, np.float64)
        assert got.shape == truth.shape, f"shape {got.shape} for {truth.shape}"
        worst = np.abs(got - truth) - tolerance
        i = np.unravel_index(np.nanargmax(worst), worst.shape)
        bad = ~(np.abs(got - truth) <= tolerance)
        assert not bad.any(), (
            f"{got[bad][:4]} for {truth[bad][:4]}, expected within "
            f"{np.broadcast_to(tolerance, got.shape)[i]:.2g}"
        )

    return check


def log_prob(likelihood, eta, x, params=None, covariates=None):
    """Of float32 arrays, as a model would ask for it."""
    with handlers.seed(rng_seed=0), handlers.substitute(data=params or {}):
        law = likelihood(jnp.asarray(eta, jnp.float32), covariates or {})
        return law.log_prob(jnp.asarray(x))


def rounded(*arrays):
    """As float32 has them, in float64."""
    return [np.asarray(a, np.float32).astype(np.float64) for a in arrays]


def tolerance(truth, slope, eta, extra=0.0):
    """See the module."""
    return 8 * EPS * (np.abs(truth) + np.abs(slope) * (np.abs(eta) + 1) + 1) + extra


@mechanism("density: Normal", 8, quick=1)
def normal(rng, seed):
    scale = float(np.float32(10.0 ** (-3, -2, -1, 0, 1, 2, 6, 20)[seed % 8]))
    eta, noise = rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    eta, x = rounded(eta * scale, eta * scale + noise * scale)
    truth = stats.norm(eta, scale).logpdf(x)
    slope = (x - eta) / scale**2
    return Case(
        f"scale {scale:g}",
        lambda folder: log_prob(cs.NormalLikelihood(scale), eta, x.astype(np.float32)),
        near(truth, tolerance(truth, slope, eta)),
        None,
    )


@mechanism("density: Laplace", 4, quick=0)
def laplace(rng, seed):
    scale = float(np.float32(10.0 ** (-4, 0, 3, 15)[seed % 4]))
    eta, x = rounded(
        rng.normal(size=(20, 2)) * scale, rng.standard_cauchy((20, 2)) * scale
    )
    truth = stats.laplace(eta, scale).logpdf(x)
    return Case(
        f"scale {scale:g}",
        lambda folder: log_prob(cs.LaplaceLikelihood(scale), eta, x.astype(np.float32)),
        near(truth, tolerance(truth, 1 / scale, eta)),
        None,
    )


@mechanism("density: Student's t", 10, quick=1)
def student(rng, seed):
    df = float(
        np.float32((0.5, 1.0, 2.0, 4.0, 30.0, 300.0, 1e4, 1e6, 1e8, 1e15)[seed % 10])
    )
    eta, x = rounded(rng.normal(size=(20, 2)), rng.standard_cauchy((20, 2)) * 3)
    truth = stats.t(df, eta, 1.0).logpdf(x)
    if df > 1e10:
        truth = stats.norm(eta, 1.0).logpdf(x)
    slope = (df + 1) * (x - eta) / (df + (x - eta) ** 2)
    return Case(
        f"df {df:g}",
        lambda folder: log_prob(cs.StudentTLikelihood(df), eta, x.astype(np.float32)),
        near(truth, 1e-4 + tolerance(truth, slope, np.abs(eta) + np.abs(x))),
        ("df",),
    )


@mechanism("density: Bernoulli", 3, quick=0)
def bernoulli(rng, seed):
    eta, x = rounded(
        rng.normal(size=(20, 2)) * (1, 30, 1e4)[seed % 3], rng.integers(0, 2, (20, 2))
    )
    truth = np.where(x == 1, -np.logaddexp(0, -eta), -np.logaddexp(0, eta))
    slope = special.expit(np.where(x == 1, -eta, eta))
    return Case(
        f"logits up to {np.abs(eta).max():.0f}",
        lambda folder: log_prob(cs.BernoulliLikelihood(), eta, x.astype(np.int32)),
        near(truth, tolerance(truth, slope, eta)),
        None,
    )


def poisson_truth(k, eta):
    """By SciPy where it has its digits: k log μ − μ − log k!."""
    return stats.poisson.logpmf(k, np.exp(eta))


@mechanism("density: Poisson", 8, quick=1)
def poisson(rng, seed):
    size = (0.01, 1.0, 100.0, 1e4, 1e6, 1e8, 1e9, 1e9)[seed % 8]
    eta = np.log(size) + rng.normal(size=(20, 2)) * (0.1 if seed % 8 < 7 else 0)
    (eta,) = rounded(eta)
    k = rng.poisson(np.minimum(np.exp(eta), 1.9e9)).astype(np.float64)
    k32 = k.astype(np.int32)
    truth = poisson_truth(k, eta)
    slope = k - np.exp(eta)
    # log k! of SciPy itself has 1e-16 k log k; k as float32 has a rounding of its own
    whole = np.abs(np.float32(k).astype(float) - k) * np.abs(
        eta - np.log(np.maximum(k, 1))
    )
    extra = 1e-15 * k * np.log(k + 2) + whole + 8 * EPS * np.abs(slope) * np.abs(eta)
    extra = (
        extra + 40 * EPS**2 * np.exp(eta) * eta**2
    )  # second order: rounding of η squared
    return Case(
        f"means around {size:g}",
        lambda folder: log_prob(cs.PoissonLikelihood(), eta, k32),
        near(truth, tolerance(truth, slope, eta, extra)),
        None,
    )


@mechanism("density: negative binomial", 12, quick=1)
def negative_binomial(rng, seed):
    r = float(np.float32((1e-3, 0.1, 1.0, 10.0, 1e3, 1e6)[seed % 6]))
    size = (3.0, 1e5)[seed // 6 % 2]
    (eta,) = rounded(np.log(size) + 0.3 * rng.normal(size=(20, 2)))
    mu = np.exp(eta)
    k = rng.poisson(np.minimum(rng.gamma(r, mu / r), 1e9)).astype(np.float64)
    truth = stats.nbinom.logpmf(k, r, r / (r + mu))
    slope = (k - mu) * r / (r + mu)
    extra = 1e-14 * (k + r) * np.log(k + r + 2) + 8 * EPS * (
        np.abs(slope) * 15 + r * np.log1p(mu / r) * EPS + np.abs(np.log(r)) + 1
    )
    params = {"concentration": jnp.full(2, r)}
    return Case(
        f"r {r:g}, means around {size:g}",
        lambda folder: log_prob(
            cs.NegativeBinomialLikelihood(), eta, k.astype(np.int32), params
        ),
        near(truth, tolerance(truth, slope, eta, extra)),
        None,
    )


@mechanism("density: negative binomial with many zeros", 6, quick=0)
def zero_inflated(rng, seed):
    r, gate = 2.0, (-30.0, -3.0, 0.0, 3.0, 30.0, 80.0)[seed % 6]
    (eta,) = rounded(np.log(5.0) + 0.3 * rng.normal(size=(20, 2)))
    both = np.stack([eta, np.full_like(eta, gate)], -1)
    k = np.where(rng.random((20, 2)) < 0.5, 0, rng.poisson(np.exp(eta))).astype(float)
    counts = stats.nbinom.logpmf(k, r, r / (r + np.exp(eta)))
    off, on = -np.logaddexp(0, -gate), -np.logaddexp(0, gate)
    truth = np.where(k == 0, np.logaddexp(off, on + counts), on + counts)
    params = {"concentration": jnp.full(2, r)}
    return Case(
        f"gate {gate}",
        lambda folder: log_prob(
            cs.ZeroInflatedNegativeBinomialLikelihood(),
            both,
            k.astype(np.int32),
            params,
        ),
        near(truth, tolerance(truth, 10, 3)),
        None,
    )


@mechanism("density: counts with a library", 6, quick=0)
def library(rng, seed):
    """μ = library · softmax(η), or exp(log_library + η)."""
    log_library = rng.normal(8, 1, 20)
    eta, log_library = rounded(rng.normal(size=(20, 3)), log_library)
    shares = seed % 2 == 0
    mu = np.exp(log_library)[:, None] * (
        special.softmax(eta, 1) if shares else np.exp(eta - 4)
    )
    if not shares:
        eta = eta - 4
    k = rng.poisson(mu).astype(float)
    truth = stats.poisson.logpmf(k, mu)
    made = cs.PoissonLikelihood(log_library="log_library", proportions=shares)
    covariates = {"log_library": jnp.asarray(log_library, jnp.float32)}
    extra = 8 * EPS * np.abs(k - mu) * 12 + 40 * EPS**2 * mu * 100
    return Case(
        f"proportions={shares}",
        lambda folder: log_prob(made, eta, k.astype(np.int32), covariates=covariates),
        near(truth, tolerance(truth, k - mu, 10, extra)),
        None,
    )


@mechanism("density: categories", 6, quick=0)
def categories(rng, seed):
    scale, count = (1.0, 50.0, 1e4)[seed % 3], 4
    (eta,) = rounded(rng.normal(size=(20, count)) * scale)
    k = rng.integers(0, count, 20)
    truth = special.log_softmax(eta, 1)[np.arange(20), k]
    if seed < 3:
        return Case(
            f"logits {scale:g}",
            lambda folder: log_prob(
                cs.CategoricalLikelihood(count), eta, k.astype(np.int32)
            ),
            near(truth, tolerance(truth, 1, eta.max(1) - eta.min(1))),
            None,
        )
    one_hot = np.eye(count)[k].astype(np.int32)
    return Case(
        f"one-hot, logits {scale:g}",
        lambda folder: log_prob(cs.OneHotLikelihood(), eta, one_hot),
        near(truth, tolerance(truth, 1, eta.max(1) - eta.min(1))),
        None,
    )


@mechanism("density: heteroscedastic Normal", 4, quick=0)
def heteroscedastic(rng, seed):
    raw = (-40.0, -3.0, 3.0, 60.0)[seed % 4]
    scale = 1e-3 + np.logaddexp(0, raw)
    eta, x = rounded(rng.normal(size=(20, 2)), rng.normal(size=(20, 2)))
    both = np.stack([eta, np.full_like(eta, raw)], -1)
    truth = stats.norm(eta, scale).logpdf(x)
    slope = (x - eta) / scale**2
    return Case(
        f"raw scale {raw}",
        lambda folder: log_prob(
            cs.HeteroscedasticNormalLikelihood(), both, x.astype(np.float32)
        ),
        near(truth, tolerance(truth, slope, np.abs(eta) + np.abs(x - eta))),
        None,
    )
