import math
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from consilience import DECODERS, ConvDecoder, MLPDecoder, TextDecoder

ROWS, LATENT = 7, 3
ANY = [(), (5,), (2, 11)]
SHAPES = {
    "mlp": ANY,
    "linear": ANY,
    "conv": [(28, 28), (1, 1), (5, 3, 1, 2)],
    "text": [(8, 71), (1,), (5, 3, 2)],
}
parametrize = pytest.mark.parametrize("name", DECODERS)


def test_every_decoder_has_its_shapes():
    assert SHAPES.keys() == DECODERS.keys()


@pytest.mark.parametrize(
    ("name", "event_shape"), [(n, shape) for n in DECODERS for shape in SHAPES[n]]
)
def test_shape(name, event_shape):
    def run(z):
        return DECODERS[name](LATENT, event_shape, rngs=nnx.Rngs(0))(z)

    z = jax.random.normal(jax.random.key(0), (2, ROWS, LATENT))
    x = jax.jit(run)(z[0])
    assert (x.shape, x.dtype) == ((ROWS, *event_shape), jnp.float32)
    np.testing.assert_allclose(jax.jit(jax.vmap(run))(z)[0], x, atol=1e-5)


@parametrize
def test_every_output_depends_on_every_latent(name):
    decoder = DECODERS[name](LATENT, (2, 11), rngs=nnx.Rngs(0))
    jacobian = jax.jacobian(decoder)(jnp.ones((1, LATENT)))
    assert jacobian.shape == (1, 2, 11, 1, LATENT)
    assert jnp.isfinite(jacobian).all()
    assert (jacobian != 0).all()


@parametrize
def test_rows_are_decoded_one_by_one(name):
    decoder = DECODERS[name](LATENT, (2, 11), rngs=nnx.Rngs(0))
    z = jax.random.normal(jax.random.key(0), (ROWS, LATENT))
    alone = jnp.concatenate([decoder(z[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_allclose(decoder(z), alone, atol=1e-6)


@parametrize
def test_parameters_depend_on_the_streams(name):
    z, shape = jnp.ones((1, LATENT)), (2, 11)
    first, other = (DECODERS[name](LATENT, shape, rngs=nnx.Rngs(s))(z) for s in (0, 1))
    assert (first != other).all()


def test_linear_is_affine():
    decoder = DECODERS["linear"](LATENT, (2, 11), rngs=nnx.Rngs(0))
    decoder.linear.bias[...] = jnp.arange(22.0)
    z = jax.random.normal(jax.random.key(0), (ROWS, LATENT))
    expected = z @ decoder.linear.kernel[...] + jnp.arange(22.0)
    np.testing.assert_allclose(decoder(z).reshape(ROWS, 22), expected, atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (13,), (13, 17)])
def test_hidden_layers_through_partial(hidden):
    make = partial(MLPDecoder, hidden=hidden)
    decoder = make(LATENT, (2, 11), rngs=nnx.Rngs(0))
    sizes = [math.prod(p.shape) for p in jax.tree.leaves(nnx.state(decoder, nnx.Param))]
    widths = [LATENT, *hidden, 22]
    expected = sum((i + 1) * o for i, o in pairwise(widths))
    assert sum(sizes) == expected


def test_paper_sizes():
    decoder = ConvDecoder(LATENT, (32, 32, 3), rngs=nnx.Rngs(0))
    assert decoder.start == (4, 4, 64)
    assert [layer.linear.out_features // 4 for layer in decoder.layers] == [64, 32, 3]
    decoder = TextDecoder(LATENT, (8, 71), rngs=nnx.Rngs(0))
    assert decoder.start == (4, 128)
    assert decoder.last.kernel.shape == (128, 71)


def test_what_is_cut_off_is_the_rim():
    """5 × 3 is the middle of 8 × 8."""
    whole = ConvDecoder(LATENT, (8, 8), rngs=nnx.Rngs(0))
    small = ConvDecoder(LATENT, (5, 3), rngs=nnx.Rngs(0))
    z = jnp.ones((1, LATENT))
    np.testing.assert_allclose(small(z), whole(z)[:, 1:6, 2:5], atol=1e-6)


@pytest.mark.parametrize(
    ("make", "event_shape", "said"),
    [
        (ConvDecoder, (), r"event_shape: expected that of an image, .* got \(\)"),
        (ConvDecoder, (784,), r"event_shape: .* got \(784,\); reshape"),
        (ConvDecoder, (4, 4, 3, 2, 2), r"event_shape: .* got \(4, 4, 3, 2, 2\)"),
        (partial(ConvDecoder, channels=(8, 0)), (4, 4), r"channels\[1\]: .* got 0"),
        (partial(ConvDecoder, channels=()), (4, 4), r"channels: .* got \(\)"),
        (TextDecoder, (), r"event_shape: expected that of a text, \(L, V\), got \(\)"),
        (partial(TextDecoder, channels=()), (8, 3), r"channels: .* got \(\)"),
        (partial(TextDecoder, channels=(0,)), (8, 3), r"channels\[0\]: .* got 0"),
    ],
)
def test_refusals(make, event_shape, said):
    with pytest.raises(ValueError, match=said):
        make(LATENT, event_shape, rngs=nnx.Rngs(0))
