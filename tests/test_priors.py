"""One case for each registered prior; the properties hold for all of them."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy import stats
from scipy.special import log_softmax, logsumexp

from consilience import PRIORS, gaussian_mixture, standard_normal

LATENT, COMPONENTS = 3, 5


class Case(NamedTuple):
    """Keywords, shapes of the declared parameters, log-density given their values."""

    kwargs: dict
    params: dict
    log_prob: object


def mixture_log_prob(z, params):
    loc, scale = params["prior.loc"], params["prior.scale"]
    each = stats.norm(loc, scale).logpdf(z[:, None]).sum(-1)
    return logsumexp(log_softmax(params["prior.logits"]) + each, -1)


def semitied_log_prob(z, params):
    W = np.asarray(params["prior.unmixing"], float)
    own = {n.replace("source_", ""): value for n, value in params.items()}
    return mixture_log_prob(z @ W.T, own) + np.log(abs(np.linalg.det(W)))


CASES = {
    "standard_normal": Case(
        {"latent_dim": LATENT},
        {},
        lambda z, params: stats.multivariate_normal(np.zeros(LATENT)).logpdf(z),
    ),
    "standard_laplace": Case(
        {"latent_dim": LATENT},
        {},
        lambda z, params: stats.laplace.logpdf(z).sum(-1),
    ),
    "gaussian_mixture": Case(
        {"latent_dim": LATENT, "num_components": COMPONENTS},
        {
            "prior.logits": (COMPONENTS,),
            "prior.loc": (COMPONENTS, LATENT),
            "prior.scale": (COMPONENTS, LATENT),
        },
        mixture_log_prob,
    ),
    "semitied_mixture": Case(
        {"latent_dim": LATENT, "num_components": COMPONENTS},
        {
            "prior.logits": (COMPONENTS,),
            "prior.source_loc": (COMPONENTS, LATENT),
            "prior.source_scale": (COMPONENTS, LATENT),
            "prior.unmixing": (LATENT, LATENT),
        },
        semitied_log_prob,
    ),
}
parametrize = pytest.mark.parametrize("name", PRIORS)


def test_every_prior_has_a_case():
    assert CASES.keys() == PRIORS.keys()


def run(name, params=None, seed=0):
    """The distribution, and the parameters that the prior declared."""
    prior = PRIORS[name](**CASES[name].kwargs)
    program = handlers.substitute(prior, data=params or {})
    with handlers.seed(rng_seed=seed), handlers.trace() as sites:
        distribution = program()
    return distribution, {n: s["value"] for n, s in sites.items()}


@partial(jax.jit, static_argnums=0)
def log_prob(name, params, z):
    return run(name, params)[0].log_prob(z)


def some_params(name):
    rng = np.random.default_rng(0)
    shapes = CASES[name].params
    return {n: np.exp(rng.normal(size=shape)) for n, shape in shapes.items()}


def draws(num_rows=7):
    return np.random.default_rng(1).normal(size=(num_rows, LATENT))


@parametrize
def test_declared_parameters(name):
    _, params = run(name)
    assert {n: p.shape for n, p in params.items()} == CASES[name].params


@parametrize
def test_log_prob_is_that_of_scipy(name, x64):
    params = some_params(name)
    found = log_prob(name, params, draws())
    expected = CASES[name].log_prob(draws(), params)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@parametrize
def test_log_prob_of_the_initial_parameters(name):
    _, params = run(name)
    found = log_prob(name, params, draws().astype(np.float32))
    expected = CASES[name].log_prob(draws(), params)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@parametrize
def test_is_over_vectors(name):
    distribution, _ = run(name)
    assert (distribution.batch_shape, distribution.event_shape) == ((), (LATENT,))
    assert distribution.sample(jax.random.key(0), (2, 11)).shape == (2, 11, LATENT)


@parametrize
def test_gradient_is_finite_far_away(name):
    total = lambda params, z: log_prob(name, params, z).sum()  # noqa: E731
    far = jnp.full((7, LATENT), 1e3)
    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(some_params(name), far)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))
    assert gradients[1].any()


def test_mixture_starts_with_different_means():
    first, other = (run("gaussian_mixture", seed=s)[1]["prior.loc"] for s in (0, 1))
    assert len(np.unique(first)) == first.size
    assert (first != other).all()


def test_mixture_means_start_as_standard_normal_draws():
    with handlers.seed(rng_seed=0), handlers.trace() as sites:
        gaussian_mixture(101, 103)()
    start = np.asarray(sites["prior.loc"]["value"]).ravel()
    assert stats.kstest(start, "norm").pvalue > 1e-3


@pytest.mark.parametrize(
    ("make", "sizes", "argument"),
    [
        (standard_normal, (0,), "latent_dim"),
        (gaussian_mixture, (-1, 3), "latent_dim"),
        (gaussian_mixture, (3, 0), "num_components"),
    ],
)
def test_bad_sizes(make, sizes, argument):
    message = rf"{argument}: expected a positive integer, got (0|-1)"
    with pytest.raises(ValueError, match=message):
        make(*sizes)
