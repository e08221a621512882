"""Data that a likelihood does not know: named with modality, row and what it knows."""

import functools

import jax
import numpy as np
import optax
from numpyro.infer import SVI

import consilience as cs
from attack.case import Case, mechanism

LAWS = {
    "bernoulli": (
        cs.BernoulliLikelihood(),
        lambda r: r.integers(0, 2, (8, 2)),
        (2, 0.5, -1),
    ),
    "poisson": (
        cs.PoissonLikelihood(),
        lambda r: r.poisson(3, (8, 2)),
        (-1, 2.5, -0.001),
    ),
    "negative binomial": (
        cs.NegativeBinomialLikelihood(),
        lambda r: r.poisson(3, (8, 2)),
        (-2, 0.25, -1),
    ),
    "zero-inflated": (
        cs.ZeroInflatedNegativeBinomialLikelihood(),
        lambda r: r.poisson(3, (8, 2)),
        (-2, 0.25, 7.5),
    ),
    "categorical": (
        cs.CategoricalLikelihood(3),
        lambda r: r.integers(0, 3, (8, 2)),
        (3, -1, 1.5),
    ),
    "one-hot": (
        cs.OneHotLikelihood(),
        lambda r: np.eye(2, dtype=int)[r.integers(0, 2, 8)],
        (2, -1, 0.5),
    ),
}


def svi(likelihood):
    """A small model of it."""
    return SVI(
        cs.multimodal_model(
            cs.standard_normal(1),
            {"x": likelihood, "y": cs.NormalLikelihood()},
            cs.LinearDecoder,
        ),
        cs.amortized_guide(1, num_features=2),
        optax.adam(1e-2),
        cs.MaskedELBO(),
    )


def fit(likelihood, x, **settings):
    """One epoch of x beside a harmless modality."""
    values = {"x": x, "y": np.linspace(-1, 1, len(x))[:, None]}
    data = cs.MultimodalData.from_arrays(
        values, row_names=[f"s{i}" for i in range(len(x))]
    )
    return cs.fit(
        jax.random.key(0),
        svi(likelihood),
        data,
        num_epochs=1,
        batch_size=4,
        progress=False,
        **settings,
    )


@mechanism("laws: one value outside", 12, quick=0, seconds=300)
def outside(rng, seed):
    name = list(LAWS)[seed % 6]
    likelihood, make, wrong = LAWS[name]
    value = wrong[(seed // 6 + seed) % 3]
    x = make(rng)
    x = x.astype(float) if isinstance(value, float) else x
    row = int(rng.integers(8))
    x[row, 1] = value
    return Case(
        f"{name}: {value} in row {row}",
        lambda folder: fit(likelihood, x),
        None,
        ("'x'", f"row {row}|s{row}|float|whole"),
    )


@mechanism("laws: values as floats and as whole numbers", 3, quick=0, seconds=300)
def floats(rng, seed):
    """1.0 is 1: both are trained with, or the type is refused with what to do."""
    name = ("bernoulli", "poisson", "categorical")[seed % 3]
    likelihood, make, _ = LAWS[name]
    x = make(rng)

    def run(folder):
        return [fit(likelihood, v).history.bound for v in (x, x.astype(float))]

    def right(found):
        assert np.isfinite(found).all(), f"{found}"

    return Case(name, run, right, ("'x'", "whole|integer|int"))


@mechanism("laws: missing labels and counts", 4, quick=0, seconds=300)
def missing(rng, seed):
    """Floats with NaN, as every table has them."""
    name = ("bernoulli", "negative binomial", "categorical", "one-hot")[seed % 4]
    likelihood, make, _ = LAWS[name]
    x = make(rng).astype(float)
    x[2] = np.nan
    return Case(
        name,
        lambda folder: fit(likelihood, x).history.bound,
        lambda b: np.testing.assert_array_equal(np.isfinite(b), True),
        ("'x'", "whole|integer|int"),
    )


@mechanism("laws: extreme values", 7, quick=0, seconds=300)
def extreme(rng, seed):
    """Trained with finite numbers, refused, or warned of by the modality's name."""
    likelihood, value = (
        (cs.PoissonLikelihood(), 2_000_000_000),
        (cs.NegativeBinomialLikelihood(), 2_000_000_000),
        (cs.NormalLikelihood(), 1e18),
        (cs.StudentTLikelihood(), 1e30),
        (cs.LearnedNormalLikelihood(), 1e19),
        (cs.PoissonLikelihood(), 3_000_000),
        (cs.LaplaceLikelihood(), 1e37),
    )[seed % 7]
    x = rng.poisson(3, (8, 2)) if isinstance(value, int) else rng.normal(size=(8, 2))
    x[3, 1] = value

    def right(fitted):
        bound = float(fitted.history.bound[-1])
        assert np.isfinite(bound), f"a bound of {bound}"
        assert abs(bound) < 1e7, f"a bound of {bound} without a word"

    return Case(
        f"{type(likelihood).__name__}: {value:g}",
        lambda folder: fit(likelihood, x),
        right,
        ("'x'",),
        warned="'x'",
    )


@mechanism("laws: a modality that nobody has", 4, quick=0, seconds=300)
def unmeasured(rng, seed):
    """Nothing can be learned of it: said, or refused."""
    a, b = rng.normal(size=(8, 2)), rng.normal(size=(8, 2))
    if seed % 2:
        b[:, 1] = np.nan
    else:
        b[:] = np.nan
    data = cs.MultimodalData.from_arrays({"x": a, "y": b})
    made = functools.partial(
        cs.fit, jax.random.key(0), num_epochs=1, batch_size=4, progress=False
    )
    about = ("no row", "one column")[seed % 2]
    return Case(
        f"{about} has y",
        lambda folder: made(svi=svi(cs.NormalLikelihood()), data=data),
        None,
        ("y",),
        warned="'y'",
    )
