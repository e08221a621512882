"""What arguments of public functions must be, told by their names.

A name means one thing in all of them. Mistaken kinds, such as a class for an instance, or
a seed for a key, can be called or broadcast: they would fail late and elsewhere.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from flax import nnx
from numpyro.infer import SVI


def checked_kinds[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Check the arguments whose names are in `KINDS` at each call, before all else.

    A legacy key of numbers becomes a key of the same draws.

    Raises, when the function is called:
        TypeError: an argument is of another kind; it says which, and what to write.
    """
    signature = inspect.signature(function)
    ours = {name: KINDS[name] for name in signature.parameters if name in KINDS}

    @functools.wraps(function)
    def checking(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:  # Python's own words are as good
            return function(*args, **kwargs)
        for name, kind in ours.items():
            if name in bound.arguments:
                bound.arguments[name] = kind(name, bound.arguments[name])
        return function(*bound.args, **bound.kwargs)

    return checking


def key(argument: str, given: object) -> jax.Array:
    """One random key; numbers of a legacy one are taken."""
    if isinstance(given, jax.Array | np.ndarray):
        if given.dtype == np.uint32 and given.shape in ((2,), (4,)):
            given = jax.random.wrap_key_data(jnp.asarray(given))
        if jnp.issubdtype(given.dtype, jax.dtypes.prng_key):
            if given.shape == ():
                return given
            raise TypeError(
                f"{argument}: expected one random key, got an array of keys of shape "
                f"{given.shape}; take one of them"
            )
    seed = given if isinstance(given, int) else 0
    raise TypeError(
        f"{argument}: expected a random key, such as jax.random.key({seed}), got "
        f"{_described(given)}"
    )


def svi(argument: str, given: object) -> SVI:
    """NumPyro's SVI, with a bound that is made."""
    if not isinstance(given, SVI):
        raise TypeError(
            f"{argument}: expected numpyro.infer.SVI(model, guide, optimizer, bound), got "
            f"{_described(given)}"
        )
    program(f"{argument}.model", given.model)
    program(f"{argument}.guide", given.guide)
    instance(f"{argument}.loss", given.loss)
    return given


def program(argument: str, given: object) -> Callable:
    """A model or a guide."""
    if not callable(given) or isinstance(given, type | dist.Distribution):
        raise TypeError(
            f"{argument}: expected a function (data, subset=None), got {_described(given)}"
        )
    return given


def prior(argument: str, given: object) -> Callable:
    """A function that returns a distribution: neither one itself, nor what makes it."""
    advice = ""
    if isinstance(given, dist.Distribution):
        advice = "; write a function that returns it, `def prior(): return ...`"
    elif getattr(given, "recorded", False):
        advice = f"; call it with its sizes, {given.__name__}(latent_dim, ...)"
    elif callable(given) and not isinstance(given, type):
        return given
    raise TypeError(
        f"{argument}: expected a function that returns p(z), such as "
        f"standard_normal(latent_dim), got {_described(given)}{advice}"
    )


def instance(argument: str, given: object) -> object:
    """An object that is made, not its class."""
    made = _unwrapped(given)
    if isinstance(made, type):
        inside = "..." if isinstance(given, functools.partial) else ""
        raise TypeError(
            f"{argument}: expected an instance, got {_described(given)}; write "
            f"{made.__name__}({inside})"
        )
    if isinstance(given, dist.Distribution):
        raise TypeError(
            f"{argument}: expected a function that returns a distribution, got "
            f"{_described(given)} itself"
        )
    return given


def constructor(argument: str, given: object) -> object:
    """What builds an NNX module, which is not built yet."""
    if _is_linen(given):
        raise TypeError(
            f"{argument}: expected a constructor of flax.nnx modules, got "
            f"{_described(given)}, which is of flax.linen; write it with nnx"
        )
    if isinstance(given, nnx.Module):
        name = type(given).__name__
        raise TypeError(
            f"{argument}: expected a constructor, which learns its sizes from the data, "
            f"got a built {name}; pass {name} itself, or functools.partial({name}, ...)"
        )
    if isinstance(given, dist.Distribution):
        raise TypeError(f"{argument}: expected a constructor, got {_described(given)}")
    return given


def by_modality(kind: Callable) -> Callable:
    """One for all modalities, or by name."""

    def each(argument: str, given: object) -> object:
        if isinstance(given, Mapping):
            for one in given.values():
                kind(argument, one)
            return given
        return given if given is None else kind(argument, given)

    return each


def _is_linen(given: object) -> bool:
    linen, made = sys.modules.get("flax.linen"), _unwrapped(given)
    if linen is None:
        return False
    return issubclass(made if isinstance(made, type) else type(made), linen.Module)


def _unwrapped(given: object) -> object:
    while isinstance(given, functools.partial):
        given = given.func
    return given


def _described(given: object) -> str:
    made = _unwrapped(given)
    if isinstance(made, type):
        return f"the class {made.__name__}"
    if inspect.isfunction(inspect.unwrap(made)):
        return f"the function {made.__name__}"
    if isinstance(given, dist.Distribution):
        return f"the distribution {type(given).__name__}"
    if isinstance(given, jax.Array | np.ndarray):
        return f"{given.dtype} of shape {given.shape}"
    text = repr(given)
    return text if len(text) < 60 else f"a {type(given).__name__}"


KINDS: Mapping[str, Callable[[str, object], object]] = {
    "rng_key": key,
    "svi": svi,
    "model": program,
    "guide": program,
    "prior": prior,
    "likelihoods": by_modality(instance),
    "decoders": by_modality(constructor),
    "encoders": by_modality(constructor),
    "aggregation": constructor,
    "networks": instance,
}
