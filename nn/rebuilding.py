"""Objects from their recipes (`nn/recipes.py`)."""

import functools
from collections.abc import Iterator, Mapping

import jax.numpy as jnp
import numpy as np


class OwnError(LookupError):
    """A recipe names something that is the user's own."""


class Reader:
    """Rebuilds what a `Writer` described.

    Args:
        recipes: all descriptions that the writer made, which refer to one another.
        arrays: the writer's.
        table: public constructors and functions by name.
    """

    def __init__(self, recipes: object, arrays: Mapping, table: Mapping[str, object]):
        self._arrays, self._table = arrays, table
        self._recipes = {node["number"]: node for node in _numbered(recipes)}
        self._made: dict[int, object] = {}

    def give(self, recipe: object, value: object) -> None:
        """Take this object for the one that a recipe describes."""
        if isinstance(recipe, dict) and "number" in recipe:
            self._made[recipe["number"]] = value

    def rebuild(self, recipe: object) -> object:
        """The object.

        Raises:
            OwnError: it is made with something of the user's own, by name.
            ValueError: it names a constructor that there is not.
        """
        if isinstance(recipe, list):
            return [self.rebuild(part) for part in recipe]
        if not isinstance(recipe, dict):
            return recipe
        if "tuple" in recipe:
            return tuple(self.rebuild(recipe["tuple"]))
        if "mapping" in recipe:
            return {self.rebuild(k): self.rebuild(v) for k, v in recipe["mapping"]}
        if "array" in recipe:
            kinds = {"jax": jnp.asarray, "numpy": np.asarray, "scalar": lambda x: x[()]}
            return kinds[recipe["kind"]](self._arrays[recipe["array"]])
        if "name" in recipe:
            return self._look_up(recipe["name"])
        return self._object(recipe)

    def _object(self, recipe: dict) -> object:
        number = recipe.get("again", recipe.get("number"))
        if number not in self._made:
            self._made[number] = self._make(self._recipes[number])
        return self._made[number]

    def _make(self, recipe: dict) -> object:
        if "own" in recipe:
            raise OwnError(recipe["own"])
        if "partial" in recipe:
            function, args, keywords = map(self.rebuild, recipe["partial"])
            return functools.partial(function, *args, **keywords)
        make = self._look_up(recipe["make"])
        if not isinstance(make, type) and not hasattr(make, "recorded"):
            raise ValueError(f"recipe: expected a constructor, got {recipe['make']!r}")
        return make(**{name: self.rebuild(r) for name, r in recipe["with"].items()})

    def _look_up(self, name: str) -> object:
        if name not in self._table:
            raise ValueError(
                f"recipe: expected a public name of consilience, got {name!r}, which this "
                "version has not"
            )
        return self._table[name]


def _numbered(recipe: object) -> Iterator[dict]:
    if isinstance(recipe, dict):
        if "number" in recipe:
            yield recipe
        recipe = list(recipe.values())
    if isinstance(recipe, list):
        for part in recipe:
            yield from _numbered(part)
