"""Every bound with a model and a guide that it is made for."""

from functools import cache, partial

import jax
import numpy as np
import optax
from numpyro.infer import SVI

import consilience as cs

NETWORKS = cs.Networks(partial(cs.MLPEncoder, hidden=()), cs.LinearDecoder, 5)
LATENT, ROWS = 2, 7
TRUTH_SCALE = 0.7


def method_for(bound, **settings):
    """Model and guide that a bound is made for, and the bound; plain ones are shared."""
    return plain(bound) if not settings else made(bound, **settings)


@cache
def plain(bound):
    return made(bound)


def made(bound, **settings):
    likelihood = cs.NormalLikelihood(TRUTH_SCALE)
    if bound == "auxiliary_mixture_of_experts":
        return cs.mmvae_plus(LATENT, 2, likelihood, NETWORKS, **settings)
    aggregation = cs.MixtureOfExperts if "experts" in bound else cs.SumPooling
    if bound == "jensen_shannon":
        aggregation = cs.MixtureOfExperts
    model, guide, _ = cs.masked(LATENT, likelihood, NETWORKS, aggregation)
    return cs.Method(model, guide, cs.BOUNDS[bound](**settings))


def started(method, data, rng_key):
    """Parameters as they start."""
    return _started(method, data, rng_key)


@partial(jax.jit, static_argnames="method")
def _started(method, data, rng_key):
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
    return svi.get_params(svi.init(rng_key, data))


def rows_of(method, params, data, rng_key, **kwargs):
    """The bound of each row."""
    return np.asarray(_rows(method, params, data, rng_key, **kwargs))


@partial(jax.jit, static_argnames="method")
def _rows(method, params, data, rng_key, **kwargs):
    programs = (method.model, method.guide)
    return method.elbo.rows(rng_key, params, *programs, data, **kwargs)[0]
