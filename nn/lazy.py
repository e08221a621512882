"""Flax NNX modules as lazily initialised NumPyro parameters."""

from collections.abc import Callable, Hashable

import jax
import jax.numpy as jnp
import numpyro
from flax import nnx

from consilience.nn.executables import tracing


def module(name: str, make: Callable[..., nnx.Module], *sizes: Hashable) -> nnx.Module:
    """Register the parameters of an NNX module as one param site and return the module.

    Values are drawn from the key of `svi.init`, so that seeds matter and
    `jax.vmap(svi.init)` starts many runs at once. The module itself comes back, with
    every method reachable. Floating parameters take JAX's default precision (float64
    under `jax_enable_x64`).

    Args:
        name: the site is called `f"{name}$params"`; two calls with one name share it.
        make: builds the module, `make(*sizes, rngs=nnx.Rngs(key))`: a class, a
            `functools.partial` of one, or a function.
        sizes: what only the data tell, such as widths.

    Raises:
        TypeError: the module holds mutable state (batch statistics, dropout streams),
            which an ELBO with several views cannot carry.
    """
    values = numpyro.param(
        f"{name}$params", lambda key: _initial_values(name, make, sizes, key)
    )
    with tracing() as seen:  # programs are traced many times
        if (make, sizes) not in seen:
            seen[make, sizes] = _abstract(make, sizes)
    graph, state = seen[make, sizes]
    _refuse_mutable_state(name, state)
    state = jax.tree.map(lambda leaf: leaf, state)  # a copy: the abstract one is kept
    nnx.replace_by_pure_dict(state, values)
    return nnx.merge(graph, state)


def _abstract(make: Callable[..., nnx.Module], sizes: tuple):
    """Structure of a module without its numbers."""
    return nnx.split(nnx.eval_shape(lambda: make(*sizes, rngs=nnx.Rngs(0))))


def _initial_values(
    name: str, make: Callable[..., nnx.Module], sizes: tuple, key: jax.Array
) -> dict:
    try:
        built = make(*sizes, rngs=nnx.Rngs(key))
    except TypeError as error:
        given = ", ".join(map(repr, sizes))
        raise TypeError(
            f"{name}: expected a constructor that is called with ({given}, rngs=...) here, "
            f"got {make!r}, which says: {error}"
        ) from error
    if not isinstance(built, nnx.Module):
        raise TypeError(
            f"make: expected a constructor of flax.nnx modules, got {make!r}, which makes "
            f"a {type(built).__module__}.{type(built).__name__}"
        )
    values = nnx.to_pure_dict(nnx.state(built, nnx.Param))
    return jax.tree.map(_to_default_precision, values)


def _to_default_precision(x: jax.Array) -> jax.Array:
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return x.astype(jnp.result_type(float)) if floating else x


def _refuse_mutable_state(name: str, state) -> None:
    for path, variable in nnx.to_flat_state(state):
        if not issubclass(variable.type, nnx.Param):
            where = ".".join(map(str, path))
            raise TypeError(
                f"module {name!r}: expected parameters only, but {where} is a "
                f"{variable.type.__name__}; use LayerNorm in place of BatchNorm, and "
                "no dropout"
            )
