"""One case for each registered likelihood; the properties hold for all of them."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats
from scipy.special import expit, log_expit, log_softmax

from consilience import LIKELIHOODS, MultimodalData, observe
from consilience.models.likelihoods import num_outputs

ROWS, CLASSES = 7, 5


class Case(NamedTuple):
    """Keywords, shape of a measurement, draw of measurements, entry-wise log-density."""

    kwargs: dict
    event_shape: tuple
    draw: object
    log_prob: object


def real(rng, shape):
    return rng.normal(size=shape).astype(np.float32)


def binary(rng, shape):
    return rng.integers(0, 2, shape)


def index(rng, shape):
    return rng.integers(0, CLASSES, shape)


def count(rng, shape):
    return rng.poisson(rng.choice([0.2, 3.0, 40.0], shape))


def one_hot(rng, shape):
    return np.eye(shape[-1], dtype=int)[rng.integers(0, shape[-1], shape[:-1])]


def categorical(x, eta):
    return np.take_along_axis(log_softmax(eta, -1), x[..., None], -1)[..., 0]


def negative_binomial(x, eta, concentration):
    mean = np.exp(eta.astype(float))
    return stats.nbinom(concentration, concentration / (concentration + mean)).logpmf(x)


def zero_inflated(x, eta):
    taken = negative_binomial(x, eta[..., 0], 2.0) + log_expit(-eta[..., 1])
    return np.where(x == 0, np.logaddexp(log_expit(eta[..., 1]), taken), taken)


CASES = {
    "normal": Case(
        {"scale": ((0.5, 1.0, 2.0), (1.5, 0.2, 3.0))},
        (2, 3),
        real,
        lambda x, e: stats.norm(e, [[0.5, 1.0, 2.0], [1.5, 0.2, 3.0]]).logpdf(x),
    ),
    "learned_normal": Case(
        {"initial_scale": 0.7},
        (2, 3),
        real,
        lambda x, e: stats.norm(e, 0.7).logpdf(x),
    ),
    "heteroscedastic_normal": Case(
        {"min_scale": 0.1},
        (3,),
        real,
        lambda x, e: stats.norm(
            e[..., 0], 0.1 + np.logaddexp(0, e[..., 1].astype(float))
        ).logpdf(x),
    ),
    "laplace": Case(
        {"scale": (0.5, 1.0, 2.0)},
        (2, 3),
        real,
        lambda x, e: stats.laplace(e, [0.5, 1.0, 2.0]).logpdf(x),
    ),
    "learned_laplace": Case(
        {"initial_scale": 0.7},
        (2, 3),
        real,
        lambda x, e: stats.laplace(e, 0.7).logpdf(x),
    ),
    "student_t": Case(
        {"df": 2.5, "initial_scale": 0.7},
        (2, 3),
        real,
        lambda x, e: stats.t(2.5, e, 0.7).logpdf(x),
    ),
    "bernoulli": Case(
        {}, (3,), binary, lambda x, e: stats.bernoulli(expit(e)).logpmf(x)
    ),
    "categorical": Case({"num_classes": CLASSES}, (3,), index, categorical),
    "one_hot": Case(
        {}, (3, CLASSES), one_hot, lambda x, e: (x * log_softmax(e, -1)).sum(-1)
    ),
    "poisson": Case(
        {}, (2, 3), count, lambda x, e: stats.poisson(np.exp(e.astype(float))).logpmf(x)
    ),
    "negative_binomial": Case(
        {"initial_concentration": 0.5},
        (2, 3),
        count,
        lambda x, e: negative_binomial(x, e, 0.5),
    ),
    "zero_inflated_negative_binomial": Case(
        {"initial_concentration": 2.0}, (2, 3), count, zero_inflated
    ),
}
parametrize = pytest.mark.parametrize("name", LIKELIHOODS)


def test_every_likelihood_has_a_case():
    assert CASES.keys() == LIKELIHOODS.keys()


def set_up(name, size=1.0, seed=0):
    """A likelihood, measurements and the decoder's output for them."""
    rng, case = np.random.default_rng(seed), CASES[name]
    likelihood = LIKELIHOODS[name](**case.kwargs)
    outputs = num_outputs(likelihood, case.event_shape)
    shape = case.event_shape if outputs is None else (*case.event_shape, outputs)
    x = case.draw(rng, (ROWS, *case.event_shape))
    eta = (size * rng.normal(size=(ROWS, *shape))).astype(np.float32)
    return likelihood, x, eta


def trace(likelihood, eta):
    with handlers.seed(rng_seed=0), handlers.trace() as sites:
        return likelihood(jnp.asarray(eta), {}), sites


# Densities


@parametrize
def test_log_prob_is_that_of_scipy(name):
    likelihood, x, eta = set_up(name)
    found = trace(likelihood, eta)[0].log_prob(x)
    expected = CASES[name].log_prob(x, eta)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@parametrize
def test_log_prob_is_that_of_scipy_in_double_precision(name, x64):
    likelihood, x, eta = set_up(name)
    eta = eta.astype(np.float64)
    found = trace(likelihood, eta)[0].log_prob(jnp.asarray(x))
    assert found.dtype == jnp.float64
    expected = CASES[name].log_prob(x, eta)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@parametrize
def test_shape_is_that_of_the_measurement(name):
    likelihood, x, eta = set_up(name)
    distribution, _ = trace(likelihood, eta)
    assert distribution.batch_shape + distribution.event_shape == x.shape


@parametrize
def test_draws_look_like_measurements(name):
    likelihood, x, eta = set_up(name)
    distribution, _ = trace(likelihood, eta)
    draws = distribution.sample(jax.random.key(0), (2,))
    assert draws.shape == (2, *x.shape)
    assert distribution.support(draws).all()


@parametrize
@pytest.mark.parametrize("size", [0.0, 30.0])
def test_log_prob_and_gradient_are_finite(name, size):
    likelihood, x, eta = set_up(name, size)
    value = lambda e: trace(likelihood, e)[0].log_prob(x).sum()  # noqa: E731
    found, gradient = jax.jit(jax.value_and_grad(value))(eta)
    assert np.isfinite(found)
    assert np.isfinite(gradient).all()
    assert gradient.any()


# Missing entries


def missing_entries(name, x, filler=0):
    """Data that miss some entries of x, and what must count of its log-densities."""
    entries = np.ones(x.shape, bool)
    entries[0] = entries[1].flat[1] = entries[2].flat[-1] = False
    # a character goes with any one of its letters
    counted = entries.all(-1) if name == "one_hot" else entries
    other = np.ones((ROWS, 1), np.float32)
    data = MultimodalData.from_arrays({"y": other, "x": x}, entries={"x": entries})
    values = np.where(entries, x, np.asarray(filler).astype(x.dtype))
    return dataclasses.replace(data, values={"x": jnp.asarray(values)}), counted


def log_likelihood(likelihood, data, eta):
    def program():
        with data.plate():
            observe(data, "x", likelihood(eta, {}))

    return log_density(program, (), {}, {})[0]


value_and_grad = jax.jit(
    jax.value_and_grad(log_likelihood, argnums=2), static_argnums=0
)


@parametrize
def test_only_observed_entries_count(name):
    likelihood, x, eta = set_up(name)
    data, counted = missing_entries(name, x)
    expected = np.where(counted, CASES[name].log_prob(x, eta), 0).sum()
    found = log_likelihood(likelihood, data, jnp.asarray(eta))
    assert 0 < (~counted[1:]).sum() < counted.size
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("filler", [1e6, -1.0, np.nan, np.inf])
@parametrize
def test_what_stands_in_a_missing_entry_changes_no_bit(name, filler):
    likelihood, x, eta = set_up(name)
    if not np.isfinite(filler) and x.dtype.kind != "f":
        filler = np.iinfo(np.int32).min
    zero, _ = missing_entries(name, x)
    spoiled, _ = missing_entries(name, x, filler)
    assert (np.asarray(zero.values["x"]) != np.asarray(spoiled.values["x"])).any()
    expected = value_and_grad(likelihood, zero, eta)
    found = value_and_grad(likelihood, spoiled, eta)
    assert np.isfinite(expected[1]).all()
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@parametrize
def test_gradient_stops_at_missing_entries(name):
    likelihood, x, eta = set_up(name)
    data, counted = missing_entries(name, x)
    _, gradient = value_and_grad(likelihood, data, eta)
    gradient = np.asarray(gradient).reshape(*counted.shape, -1)
    np.testing.assert_array_equal(gradient.any(-1), counted)


# Each on its own

FAMILIES = {
    "learned_normal": stats.norm,
    "learned_laplace": stats.laplace,
    "student_t": partial(stats.t, 2.5),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_learned_scale_is_one_parameter_per_feature(name):
    likelihood = LIKELIHOODS[name](initial_scale=0.7)
    _, _, eta = set_up(name)
    site = trace(likelihood, eta)[1]["scale"]
    np.testing.assert_allclose(site["value"], np.full((2, 3), 0.7), rtol=1e-6)
    assert not site["kwargs"]["constraint"](1e-3)
    assert site["kwargs"]["constraint"](2e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_learned_scale_is_what_the_density_uses(name):
    likelihood, x, eta = set_up(name)
    scale = np.arange(1.0, 7.0).reshape(2, 3).astype(np.float32)
    with handlers.substitute(data={"scale": jnp.asarray(scale)}):
        found = likelihood(jnp.asarray(eta), {}).log_prob(x)
    expected = FAMILIES[name](eta, scale).logpdf(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_heteroscedastic_scale_has_a_floor():
    likelihood = LIKELIHOODS["heteroscedastic_normal"](min_scale=0.2)
    eta = jnp.stack([jnp.zeros((7, 3)), jnp.full((7, 3), -200.0)], -1)
    np.testing.assert_allclose(likelihood(eta, {}).scale, np.full((7, 3), 0.2))


def test_a_function_gets_one_number_an_entry():
    assert num_outputs(lambda eta, covariates: dist.Normal(eta, 1.0), (3,)) is None


@parametrize
def test_may_be_made_inside_jit(name):
    def run(eta, x):
        return trace(LIKELIHOODS[name](**CASES[name].kwargs), eta)[0].log_prob(x)

    likelihood, x, eta = set_up(name)
    expected = trace(likelihood, eta)[0].log_prob(x)
    np.testing.assert_allclose(jax.jit(run)(eta, x), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("normal", {"scale": 0.0}, r"scale: expected numbers above 0, got 0\.0"),
        ("normal", {"scale": float("nan")}, "scale: expected numbers above 0, got nan"),
        ("normal", {"scale": (1.0, -2.0)}, r"scale: .* got \(1\.0, -2\.0\)"),
        ("learned_normal", {"min_scale": 0.0}, "min_scale: expected a number above 0"),
        ("learned_normal", {"initial_scale": 1e-4}, r"initial_scale=0\.0001"),
        ("heteroscedastic_normal", {"min_scale": 0.0}, "min_scale: .* got 0.0"),
        ("laplace", {"scale": -1.0}, r"scale: expected numbers above 0, got -1\.0"),
        (
            "learned_laplace",
            {"min_scale": -1.0},
            "min_scale: expected a number above 0",
        ),
        ("student_t", {"min_scale": 2.0}, "0 < min_scale < initial_scale"),
        ("student_t", {"df": 0.0}, r"df: expected a number above 0, got 0\.0"),
        ("student_t", {"df": float("inf")}, "df: .* got inf"),
        (
            "negative_binomial",
            {"initial_concentration": 0.0},
            r"initial_concentration: expected a number above 0, got 0\.0",
        ),
        (
            "zero_inflated_negative_binomial",
            {"initial_concentration": float("nan")},
            "initial_concentration: .* got nan",
        ),
        ("categorical", {"num_classes": 1}, "num_classes: expected 2 .* got 1"),
    ],
)
def test_refusals(name, kwargs, message):
    with pytest.raises(ValueError, match=message):
        LIKELIHOODS[name](**kwargs)
