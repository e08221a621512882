"""Flax NNX modules as lazily initialised NumPyro parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro
from flax import nnx


def module(name: str, make: Callable[[nnx.Rngs], nnx.Module]) -> nnx.Module:
    """Register the parameters of an NNX module as one param site and return the module.

    Values are drawn from the key of `svi.init`, so that seeds matter and
    `jax.vmap(svi.init)` starts many runs at once. The module itself comes back, with
    every method reachable. Floating parameters take JAX's default precision (float64
    under `jax_enable_x64`).

    Args:
        name: the site is called `f"{name}$params"`; two calls with one name share it.
        make: builds the module from random streams, `make(nnx.Rngs(key))`.

    Raises:
        TypeError: the module holds mutable state (batch statistics, dropout streams),
            which an ELBO with several views cannot carry.
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))
    _refuse_mutable_state(name, state)
    values = numpyro.param(f"{name}$params", lambda key: _initial_values(make, key))
    nnx.replace_by_pure_dict(state, values)
    return nnx.merge(graph, state)


def _initial_values(make: Callable[[nnx.Rngs], nnx.Module], key: jax.Array) -> dict:
    values = nnx.to_pure_dict(nnx.state(make(nnx.Rngs(key)), nnx.Param))
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
