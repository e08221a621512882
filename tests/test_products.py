"""Products of dense layers: those of everybody, at any order of differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from consilience.nn.products import product

SHAPES = [(64, 256, 256), (4, 32, 192, 256), (16, 20, 24)]
LAST = (((1,), (0,)), ((), ()))


def plain(x, w):
    return jnp.tensordot(x, w, 1)


def ours(x, w):
    return product(x, w, (((x.ndim - 1,), (0,)), ((), ())))


def arrays(rng_key, shape):
    keys = jax.random.split(rng_key, 3)
    *rows, width, out = shape
    shapes = (*rows, width), (width, out), (*rows, out)
    return [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]


def both(function, *arguments):
    for f in (ours, plain):
        yield jax.tree.leaves(jax.jit(function(f))(*arguments))


def agree(function, *arguments):
    for mine, theirs in zip(*both(function, *arguments), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_derivatives_are_those_of_any_product(rng_key, shape, x64):
    """Backwards, forwards, and forwards over backwards."""
    x, w, g = arrays(rng_key, shape)

    def backwards(f):
        return jax.grad(lambda x, w: (jnp.tanh(f(x, w)) * g).sum(), (0, 1))

    agree(lambda f: f, x, w)
    agree(backwards, x, w)
    agree(lambda f: lambda *t: jax.jvp(f, t, t), x, w)
    agree(lambda f: lambda *t: jax.jvp(backwards(f), t, t), x, w)


def test_many_at_once(rng_key, x64):
    """Under vmap over rows, over weights, over both."""
    x, w, _ = arrays(rng_key, (64, 256, 256))
    x, w = jnp.stack([x, 2 * x]), jnp.stack([w, w + 1])

    def loss(f):
        return jax.grad(lambda x, w: jnp.tanh(f(x, w)).sum(), (0, 1))

    agree(lambda f: jax.vmap(loss(f)), x, w)
    agree(lambda f: jax.vmap(loss(f), (0, None)), x, w[0])
    agree(lambda f: jax.vmap(loss(f), (None, 0)), x[0], w)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of the CPU's compiler")
@pytest.mark.parametrize(("width", "copied"), [(256, True), (250, False)])
def test_the_slow_kernel_is_not_called(rng_key, width, copied):
    """No product contracts the rows of x where that is slow; it does elsewhere."""
    x, w, g = arrays(rng_key, (256, width, 128))

    def gradient(x, w, g):
        return jax.vjp(lambda w: product(x, w, LAST), w)[1](g)

    text = jax.jit(gradient).lower(x, w, g).compile().as_text()
    assert ("lhs_contracting_dims={0}" not in text) == copied


def test_precision_is_passed_on(rng_key):
    x, w, _ = arrays(rng_key, (64, 256, 256))
    for width in (256, 255):
        jaxpr = jax.make_jaxpr(
            lambda x, w: product(x, w, LAST, precision=lax.Precision.HIGHEST)
        )(x[:, :width], w[:width])
        assert "HIGHEST" in str(jaxpr)
