"""Student's t: digits at few and at very many degrees of freedom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.handlers import seed
from scipy.special import gammaln

import consilience as cs
from consilience.models.student_t import StudentT

POINTS = jnp.array([0.0, 0.1, 1.0, 3.0, 10.0, 1e3])


def log_density(x, df):
    """Log Γ in double precision; beyond 10⁴ degrees of freedom its difference in 1/df."""
    constant = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df / 2)
    constant = constant if df < 1e4 else -1 / (4 * df)  # and terms of 1/df³
    return constant - 0.5 * np.log(2 * np.pi) - (df + 1) / 2 * np.log1p(x**2 / df)


@pytest.mark.parametrize("df", [1e-2, 1.0, 2.5, 30.0, 1e4, 1e7, 1e12, 1e30])
def test_density_keeps_its_digits_in_single_precision(df):
    fn = StudentT(jnp.float32(df), 0.5, 2.0)
    found = fn.log_prob(0.5 + 2 * POINTS)
    assert found.dtype == jnp.float32
    x = np.asarray(POINTS, float)
    exact = log_density(x, float(np.float32(df))) - np.log(2.0)
    np.testing.assert_allclose(found, exact, rtol=2e-6, atol=2e-6)
    slope = jax.grad(lambda x: fn.log_prob(0.5 + 2 * x).sum())(POINTS)
    np.testing.assert_allclose(slope, -(df + 1) * x / (df + x**2), rtol=1e-5)


def test_the_likelihood_of_many_degrees_is_the_normal_one():
    """Up to (x⁴ − 2 x² − 1) / 4 df."""
    eta, x = jnp.zeros((1, 3)), np.array([[0.0, 1.0, 3.0]])
    fn = cs.StudentTLikelihood(df=1e7)
    with seed(rng_seed=0):
        found = fn(eta, {}).log_prob(x)
    normal = -0.5 * (x**2 + np.log(2 * np.pi))
    np.testing.assert_allclose(found, normal, atol=4e-6)
