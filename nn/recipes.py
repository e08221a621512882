"""Recipes: how an object was made of our constructors, as JSON and arrays, and back.

A constructor is looked up by name in a table of public ones; no path of an import and no
code stands in a recipe. What is not in the table is a user's own: a recipe holds its name
alone, and whoever rebuilds must have it.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from numpyro.infer.elbo import ELBO

_PLAIN = (bool, int, float, str, type(None))


class Made:
    """A function that a recorded one returned, and how: it can be pickled.

    Attributes:
        make: the recorded function.
        arguments: that it was given, by name.
    """

    def __init__(self, function: Callable, make: Callable, arguments: Mapping):
        functools.update_wrapper(self, function)
        self.make, self.arguments = make, dict(arguments)

    def __call__(self, *args, **kwargs):
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<{self.__qualname__}>"

    def __reduce__(self) -> tuple:
        return _make_again, (self.make, self.arguments)

    def __copy__(self) -> "Made":
        return self  # as functions have it

    def __deepcopy__(self, memo: dict) -> "Made":
        return self


def _make_again(make: Callable, arguments: Mapping) -> Made:
    return make(**arguments)


def recorded[**P, T](make: Callable[P, T]) -> Callable[P, T]:
    """Remember the arguments of a function that returns a function, for recipes of it."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def recording(*args: P.args, **kwargs: P.kwargs) -> T:
        function = make(*args, **kwargs)
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return Made(function, recording, bound.arguments)

    recording.recorded = True
    return recording


class Writer:
    """Describes objects; one that is met twice is described once.

    Args:
        table: public constructors and functions by name.

    Attributes:
        arrays: what the descriptions refer to, by name.
    """

    def __init__(self, table: Mapping[str, object]):
        self.arrays: dict[str, np.ndarray | jax.Array] = {}
        self._names = {id(entry): name for name, entry in table.items()}
        self._seen: dict[int, tuple[int, object]] = {}

    def describe(self, value: object) -> object:
        """What JSON can say of it; arrays are put aside."""
        if type(value) in _PLAIN:
            return value
        if type(value) is list:
            return [self.describe(part) for part in value]
        if type(value) is tuple:
            return {"tuple": [self.describe(part) for part in value]}
        if isinstance(value, Mapping):
            pairs = [[self.describe(k), self.describe(v)] for k, v in value.items()]
            return {"mapping": pairs}
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return self._array(value)
        if id(value) in self._names:
            return {"name": self._names[id(value)]}
        return self._object(value)

    def _array(self, value: np.ndarray | np.generic | jax.Array) -> dict:
        kinds = {"jax": jax.Array, "numpy": np.ndarray, "scalar": np.generic}
        name = f"recipe.{len(self.arrays)}"
        self.arrays[name] = value
        kind = next(kind for kind, made in kinds.items() if isinstance(value, made))
        return {"array": name, "kind": kind}

    def _object(self, value: object) -> dict:
        if id(value) in self._seen:
            return {"again": self._seen[id(value)][0]}
        number = len(self._seen)
        self._seen[id(value)] = (number, value)  # kept alive: its id stays its own
        return {"number": number} | self._made(value)

    def _made(self, value: object) -> dict:
        if type(value) is functools.partial:
            parts = (value.func, list(value.args), dict(value.keywords))
            return {"partial": [self.describe(part) for part in parts]}
        make, arguments = _making(value)
        if id(make) not in self._names or arguments is None:
            return {"own": name_of(value)}
        given = {name: self.describe(part) for name, part in arguments.items()}
        return {"make": self._names[id(make)], "with": given}


def name_of(value: object) -> str:
    """The qualified name of a function or class, or of an object's class."""
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def _making(value: object) -> tuple[object, Mapping | None]:
    """The constructor or function that an object came from, and its arguments."""
    if isinstance(value, Made):
        return value.make, value.arguments
    made = type(value)
    if dataclasses.is_dataclass(made):
        names = [field.name for field in dataclasses.fields(made) if field.init]
    elif isinstance(value, ELBO):
        names = _settings(made)
    else:
        names = getattr(made, "_fields", None)  # of a NamedTuple
    return made, None if names is None else _attributes(value, names)


def _attributes(value: object, names: Sequence[str]) -> Mapping | None:
    has = all(hasattr(value, name) for name in names)
    return {name: getattr(value, name) for name in names} if has else None


def _settings(made: type[ELBO]) -> list[str]:
    """Arguments of a bound, its bases' too as far as it hands on what it does not name."""
    names: dict[str, None] = {}
    for base in made.__mro__:
        if "__init__" in vars(base):
            _, *given = inspect.signature(base.__init__).parameters.values()
            names |= {p.name: None for p in given if p.kind is not p.VAR_KEYWORD}
            if all(p.kind is not p.VAR_KEYWORD for p in given):
                break
    return list(names)
