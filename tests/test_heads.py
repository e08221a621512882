"""Heads: from numbers to distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import consilience as cs

ROWS, LATENT = 7, 3
parametrize = pytest.mark.parametrize("name", cs.HEADS)


def numbers(head, key, scale=1.0):
    return scale * jax.random.normal(key, (ROWS, head.num_parameters(LATENT)))


@parametrize
def test_shapes_and_moments_by_sampling(name, rng_key):
    """Mean and variance of 4000 draws within 5 standard errors of what is said."""
    head = cs.HEADS[name]()
    q = head(numbers(head, rng_key))
    assert (q.batch_shape, q.event_shape) == ((ROWS,), (LATENT,))
    draws = np.asarray(jax.jit(lambda k: q.sample(k, (4000,)))(rng_key))
    error = draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - q.mean) <= 5 * error)
    of_variance = ((draws - draws.mean(0)) ** 2).std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.var(0) - q.variance) <= 5 * of_variance)
    assert np.isfinite(q.log_prob(draws[0])).all()


@parametrize
def test_every_number_matters(name, rng_key):
    head = cs.HEADS[name]()

    def density(parameters):
        return head(parameters).log_prob(jnp.full((ROWS, LATENT), 0.3)).sum()

    gradient = jax.grad(density)(numbers(head, rng_key))
    assert np.abs(gradient).max(0).min() > 0


@parametrize
def test_scales_have_a_floor(name):
    """Log-scales of −10⁶, precisions of 10⁶, and densities are finite still."""
    head = cs.HEADS[name]()
    extreme = 1e6 if name == "natural" else -1e6
    parameters = jnp.full((ROWS, head.num_parameters(LATENT)), extreme)
    variance = np.asarray(head(parameters).variance)
    assert variance.min() >= 0.99e-6 or name == "mixture"
    assert variance.min() < 1e-3 or name == "mixture"
    assert np.isfinite(head(parameters).log_prob(jnp.full((ROWS, LATENT), -1e6))).all()


def test_normal_head(rng_key):
    head = cs.NormalHead(min_scale=0.05)
    loc, log_scale = jnp.array([[1.0, 2.0, 3.0]]), jnp.array([[-1e6, 0.0, 1.0]])
    q = head(jnp.concatenate([loc, log_scale], -1))
    np.testing.assert_array_equal(q.mean, loc)
    scale = [[0.05, 1.05, 0.05 + np.e]]
    np.testing.assert_allclose(np.sqrt(q.variance), scale, rtol=1e-6)


def test_natural_head_is_evidence_beside_a_unit_prior():
    head = cs.NaturalHead(min_scale=0.05)
    m, raw = jnp.array([[1.0, -2.0, 3.0]]), jnp.array([[-1e6, 1.0, 1e6]])
    q = head(jnp.concatenate([m, raw], -1))
    evidence = np.array([1e-6, np.log1p(np.e), 1e6])
    variance = 1 / (1 + evidence / (1 + 0.05**2 * evidence))
    np.testing.assert_allclose(q.variance, variance[None], rtol=2e-6)
    np.testing.assert_allclose(q.mean, np.sqrt(variance) * m, rtol=2e-6)


def test_natural_head_is_an_expert_beside_the_prior(rng_key):
    poe = cs.ProductOfExperts(4, LATENT, rngs=nnx.Rngs(0))
    h = jax.random.normal(rng_key, (ROWS, 1, 4))
    product = poe.distribution(poe.pool(poe.embed(h), jnp.ones((ROWS, 1), bool)))
    q = cs.NaturalHead()(poe.experts.linear(h[:, 0]))
    np.testing.assert_allclose(q.mean, product.mean, rtol=1e-5)
    np.testing.assert_allclose(q.variance, product.variance, rtol=1e-5)


def test_laplace_head_is_a_laplace():
    parameters = jnp.array([[1.0, 2.0, 0.5, 0.0, -1.0, 1.0]])
    q, scale = cs.LaplaceHead()(parameters), 1e-3 + np.exp([0.0, -1.0, 1.0])
    z = np.array([0.3, -2.0, 4.0])
    expected = (-np.abs(z - [1.0, 2.0, 0.5]) / scale - np.log(2 * scale)).sum()
    np.testing.assert_allclose(q.log_prob(z[None])[0], expected, rtol=1e-5)


def test_cholesky_head_reaches_every_covariance(rng_key, x64):
    """The numbers that give a chosen mean and covariance are its own inverse map."""
    A = jax.random.normal(rng_key, (LATENT, LATENT))
    L = np.linalg.cholesky(np.asarray(A @ A.T) + np.eye(LATENT))
    scale = np.diag(L)
    below = (L / scale[:, None])[np.tril_indices(LATENT, -1)]
    loc = np.array([1.0, -2.0, 0.5])
    parameters = np.concatenate([loc, np.log(scale - 1e-3), below])
    q = cs.CholeskyHead()(jnp.asarray(parameters)[None])
    np.testing.assert_allclose(q.covariance_matrix[0], L @ L.T, rtol=1e-8)
    np.testing.assert_array_equal(q.mean[0], loc)


@pytest.mark.parametrize("latent_dim", range(1, 9))
def test_cholesky_head_knows_its_dimension(latent_dim):
    head = cs.CholeskyHead()
    q = head(jnp.zeros((2, head.num_parameters(latent_dim))))
    assert q.event_shape == (latent_dim,)


@pytest.mark.parametrize(
    "component", [cs.NormalHead(), cs.NaturalHead(), cs.LaplaceHead()]
)
def test_mixture_head_adds_its_components(component, rng_key):
    head = cs.MixtureHead(3, component)
    parameters = numbers(head, rng_key)
    z = jax.random.normal(rng_key, (ROWS, LATENT))
    logits = parameters[:, :3]
    parts = parameters[:, 3:].reshape(ROWS, 3, 2 * LATENT)
    each = [component(parts[:, k]).log_prob(z) for k in range(3)]
    expected = (np.asarray(jax.nn.softmax(logits)) * np.exp(each).T).sum(-1)
    np.testing.assert_allclose(
        np.exp(head(parameters).log_prob(z)), expected, rtol=1e-4
    )


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
@pytest.mark.parametrize(
    "name", ["NormalHead", "NaturalHead", "LaplaceHead", "CholeskyHead"]
)
def test_a_floor_that_is_none_is_refused(name, scale):
    with pytest.raises(ValueError, match=r"min_scale: expected a (positive )?number"):
        getattr(cs, name)(min_scale=scale)


def test_mixture_head_refuses_what_it_cannot_mix():
    with pytest.raises(
        TypeError, match=r"component: expected NormalHead\(\) or Laplace"
    ):
        cs.MixtureHead(3, cs.CholeskyHead())
    with pytest.raises(ValueError, match="num_components: expected a positive integer"):
        cs.MixtureHead(0)
