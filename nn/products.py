"""The product of a dense layer whose weights' gradient is quick on CPUs."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

LINE, LARGE = 64, 2**22  # floats of 256 bytes; multiplications of a product


def product(
    x: Float[Array, "*rows in"],
    kernel: Float[Array, "in out"],
    dimension_numbers: tuple,
    *,
    precision: lax.PrecisionLike = None,
    out_sharding=None,
) -> Float[Array, "*rows out"]:
    """x W, as `nnx.Linear(dot_general=product)` asks for it.

    XLA folds the transposition into xᵀ g, for which CPUs have the slow kernel: where a row
    of x is a multiple of 256 bytes, the columns that it gathers fall into a few sets of the
    cache, and it runs at 55 to 80 % of the rate. Copied first, xᵀ g is a product like any
    other. Small products, and other widths, do not gain; other devices see no copy.
    """
    if x.shape[-1] % LINE or x.size * kernel.shape[-1] < LARGE:
        settings = {"precision": precision, "out_sharding": out_sharding}
        return lax.dot_general(x, kernel, dimension_numbers, **settings)
    return _product(x, kernel, precision)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _product(x, kernel, precision):
    return jnp.matmul(x, kernel, precision=precision)


@_product.defjvp
def _product_jvp(precision, primals, tangents):
    """The tangent reads the copied xᵀ, so that its transposition is (xᵀ) g."""
    (x, kernel), (dx, dkernel) = primals, tangents
    times = partial(jnp.matmul, precision=precision)
    xt = x.reshape(-1, x.shape[-1]).T
    xt = lax.platform_dependent(xt, cpu=lax.optimization_barrier, default=lambda t: t)
    change = lax.dot_general(xt, dkernel, (((0,), (0,)), ((), ())), precision)
    return times(x, kernel), times(dx, kernel) + change.reshape(*x.shape[:-1], -1)
