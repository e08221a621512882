"""Against the strided convolutions of Flax, with the same kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from consilience.nn.convolutions import (
    Downsample,
    Upsample,
    check_channels,
    flat_size,
    from_blocks,
    to_blocks,
)

SPACES = [(8,), (7,), (1,), (6, 4), (5, 8), (7, 1), (2, 3, 4)]
CHANNELS, OUT = 3, 5


def inputs(rng_key, space, channels=CHANNELS, batch=(2,)):
    return jax.random.normal(rng_key, (*batch, *space, channels))


def kernel_of_four(kernel, dims, channels):
    """[2, …, 2, 2ᵈ C, O] → [4, …, 4, C, O]: position 2 a + i is block a, place i."""
    split = kernel.reshape(*(2,) * 2 * dims, channels, -1)
    order = [i + place * dims for i in range(dims) for place in (0, 1)]
    return split.transpose(*order, -2, -1).reshape(*(4,) * dims, channels, -1)


@pytest.mark.parametrize("space", SPACES)
def test_downsample_is_a_convolution_of_kernel_four_and_stride_two(space, rng_key):
    dims = len(space)
    ours = Downsample(dims, CHANNELS, OUT, rngs=nnx.Rngs(rng_key))
    flax = nnx.Conv(CHANNELS, OUT, (4,) * dims, strides=2, rngs=nnx.Rngs(0))
    flax.kernel[...] = kernel_of_four(ours.linear.kernel[...], dims, CHANNELS)
    ours.linear.bias[...] = flax.bias[...] = jnp.arange(5.0)
    x = inputs(rng_key, space)
    if 1 in space:  # Flax pads such an axis otherwise: compare with an even one
        x_even = jnp.pad(x, [(0, 0), *((0, n % 2) for n in space), (0, 0)])
        np.testing.assert_allclose(ours(x), flax(x_even), atol=1e-5)
    else:
        np.testing.assert_allclose(ours(x), flax(x), atol=1e-5)
    assert ours(x).shape == (2, *(-(-n // 2) for n in space), OUT)


@pytest.mark.parametrize("space", SPACES)
def test_upsample_is_its_transpose(space, rng_key):
    dims = len(space)
    ours = Upsample(dims, CHANNELS, OUT, rngs=nnx.Rngs(rng_key))
    flax = nnx.ConvTranspose(CHANNELS, OUT, (4,) * dims, strides=2, rngs=nnx.Rngs(0))
    kernel = ours.linear.kernel[...].reshape(*(2,) * dims, CHANNELS, *(2,) * dims, OUT)
    kernel = jnp.moveaxis(kernel, dims, -2)  # window, place, C, O
    kernel = jnp.flip(kernel, tuple(range(dims, 2 * dims)))  # Flax reads from the right
    order = [i + place * dims for i in range(dims) for place in (0, 1)]
    kernel = kernel.transpose(*order, -2, -1).reshape(*(4,) * dims, CHANNELS, OUT)
    flax.kernel[...] = kernel
    assert ours.bias.shape == flax.bias.shape
    ours.bias[...] = flax.bias[...] = jnp.arange(5.0)
    x = inputs(rng_key, space)
    np.testing.assert_allclose(ours(x), flax(x), atol=1e-5)
    assert ours(x).shape == (2, *(2 * n for n in space), OUT)


@pytest.mark.parametrize("space", [(8,), (6, 4), (2, 4, 6)])
def test_blocks_and_back(space, rng_key):
    x = inputs(rng_key, space, batch=(2, 3))
    blocks = to_blocks(x, len(space))
    half = [n // 2 for n in space]
    assert blocks.shape == (2, 3, *half, 2 ** len(space) * CHANNELS)
    np.testing.assert_array_equal(from_blocks(blocks, len(space)), x)
    np.testing.assert_array_equal(
        blocks[:, :, *[0] * len(space), :3], x[:, :, *[0] * len(space)]
    )


@pytest.mark.parametrize("make", [Downsample, Upsample])
def test_any_batch_axes(make, rng_key):
    layer = make(2, CHANNELS, OUT, rngs=nnx.Rngs(rng_key))
    x = inputs(rng_key, (6, 4), batch=(2, 3))
    flat = layer(x.reshape(6, 6, 4, CHANNELS))
    np.testing.assert_allclose(layer(x).reshape(flat.shape), flat, atol=1e-6)
    np.testing.assert_allclose(jax.vmap(layer)(x), layer(x), atol=1e-5)


def test_flat_size():
    assert flat_size((28, 28), 4, 128) == 2 * 2 * 128
    assert flat_size((32, 32), 4, 128) == 2 * 2 * 128
    assert flat_size((5, 1), 2, 3) == 2 * 1 * 3


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ((), r"^channels: expected at least one positive number, got \(\)$"),
        ((8, -1), r"^channels\[1\]: expected a positive integer, got -1$"),
    ],
)
def test_layers_without_channels_are_refused(channels, said):
    with pytest.raises(ValueError, match=said):
        check_channels(channels)
