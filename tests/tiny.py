"""A small model and a small guide: a training that compiles in no time.

z ~ N(0, 1), x_s = z w_s + b_s + noise, q(z | x_S) = N(Σ_{s∈S} x_s v_s, scale²).
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from jax import lax
from numpyro.distributions import constraints
from numpyro.infer import SVI

import consilience as cs
from consilience.training.order import epoch_order

KEY = jax.random.key(3)
ROWS, BATCH = 10, 5  # two steps an epoch
WIDTHS = {"a": 2, "b": 3}


def model(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", dist.Normal(0, 1).expand([1]).to_event(1))
        for name, width in WIDTHS.items():
            w = numpyro.param(f"w.{name}", jnp.full((1, width), 0.1))
            b = numpyro.param(f"b.{name}", jnp.zeros(width))
            cs.observe(data, name, dist.Normal(z @ w + b, 1.0), subset)


def guide(data, subset=None):
    S = data.subset(subset)
    v = {n: numpyro.param(f"v.{n}", jnp.full((w, 1), 0.1)) for n, w in WIDTHS.items()}
    positive = {"constraint": constraints.positive}
    scale = numpyro.param("scale", jnp.full(1, 0.5), **positive)
    said = [data.values[n] @ v[n] * S[:, [i]] for i, n in enumerate(data.names)]
    with data.plate():
        numpyro.sample("z", dist.Normal(sum(said), scale).to_event(1))


@cache
def data(shift=0.0):
    """Rows of which one lacks a modality."""
    rng = np.random.default_rng(7)
    values = {n: rng.normal(size=(ROWS, w)) + 1 + shift for n, w in WIDTHS.items()}
    present = np.ones((ROWS, 2), bool)
    present[3, 1] = False
    return cs.MultimodalData.from_arrays(values, present)


def svi(optimizer, elbo=None):
    return SVI(model, guide, optimizer, elbo or cs.MaskedELBO())


@cache
def sgd():
    """One program for all tests that do not care."""
    return svi(optax.sgd(1e-3))


def fit(svi_=None, data_=None, **settings):
    settings = {"num_epochs": 3, "batch_size": BATCH, "progress": False} | settings
    return cs.fit(KEY, svi_ or sgd(), data() if data_ is None else data_, **settings)


def free(fitted):
    """Parameters as the optimiser has them, without constraints."""
    return fitted.svi.optim.get_params(fitted.state.optim_state)


@cache
def free_start():
    """The same before the first step: constants, whatever the key."""
    state = jax.jit(sgd().init)(KEY, data())
    return sgd().optim.get_params(state.optim_state)


def walk(svi_, num_epochs, beta=None):
    """The state and the bounds of each step, by `svi.update` as NumPyro has it."""
    keys = jax.random.split(KEY, 4)
    rows, state = (
        data().bare(),
        jax.jit(svi_.init)(keys[0], data().batch(np.arange(BATCH))),
    )

    def step(state, item):
        index, number = item
        more = {} if beta is None else {"beta": beta(number)}
        state, loss = svi_.update(state, rows.batch(index), **more)
        return state, -loss / ROWS

    order = [epoch_order(keys[1], e, ROWS, BATCH) for e in range(num_epochs)]
    order = jnp.concatenate(order)
    return jax.jit(partial(lax.scan, step))(state, (order, jnp.arange(len(order))))
