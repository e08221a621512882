"""Settings of a constructor that a file can hold: numbers, words, and lists of them."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Literal, NamedTuple, Union, get_args, get_origin

from consilience.cli import kinds
from consilience.cli.kinds import Kind, OneOf, OrNone
from consilience.cli.nested import ByModality, Either, ListOf

SIZES = (  # what data and other keys say
    "self",
    "rngs",
    "event_shape",
    "latent_dim",
    "likelihoods",
    "networks",
    "num_features",
)
MAY_BE_ZERO = ("num_subsets",)  # of whole numbers; all others are sizes


class Setting(NamedTuple):
    """One keyword of a constructor.

    Attributes:
        kind: of its values.
        required: whether it has no default.
    """

    kind: Kind
    required: bool


def settings_of(
    constructor: Callable, without: Sequence[str] = ()
) -> dict[str, Setting]:
    """The keywords of a class, function or `partial` whose values a file can hold."""
    found, fixed = {}, {*SIZES, *without}
    fixed |= {*getattr(constructor, "keywords", {})}
    for parameter in keywords(unwrapped(constructor)):
        kind = _kind(parameter.annotation, 0 if parameter.name in MAY_BE_ZERO else 1)
        if parameter.name not in fixed and kind is not None:
            required = parameter.default is parameter.empty
            found.setdefault(parameter.name, Setting(kind, required))
    return found


def takes(constructor: Callable, name: str) -> bool:
    """Whether a constructor has a keyword that is still to be set."""
    set_already = getattr(constructor, "keywords", {})
    known = [parameter.name for parameter in keywords(unwrapped(constructor))]
    return name in known and name not in set_already


def unwrapped(constructor: Callable) -> Callable:
    """What a `partial` calls."""
    while isinstance(constructor, functools.partial):
        constructor = constructor.func
    return constructor


def keywords(constructor: Callable) -> list[inspect.Parameter]:
    """Parameters by name; those that `**settings` hand on to a base class too."""
    made = constructor.__mro__ if isinstance(constructor, type) else [constructor]
    found: list[inspect.Parameter] = []
    for place in made:
        signed = vars(place).get("__init__") if isinstance(place, type) else place
        if signed is None:
            continue
        parameters = list(inspect.signature(signed).parameters.values())
        handed_on = [p for p in parameters if p.kind is p.VAR_KEYWORD]
        found += [
            p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        if not handed_on:
            break
    return found


def _kind(annotation: object, at_least: int) -> Kind | None:
    """Of values that an annotation allows, as far as a file can hold them."""
    plain = {
        int: kinds.whole_number(at_least),
        float: kinds.FINITE,
        bool: kinds.TRUTH,
        str: kinds.TEXT,
    }
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return OneOf(inside)
    if origin in (Sequence, tuple):
        return ListOf(plain[inside[0]]) if inside[0] in plain else None
    if origin in (UnionType, Union):
        return _union(inside, plain)
    return plain.get(annotation) if isinstance(annotation, type) else None


def _union(inside: tuple, plain: Mapping) -> Kind | None:
    first = plain.get(inside[0])
    if first is None:
        return None
    if inside[1:] == (NoneType,):
        return OrNone(first)
    if inside[1:] == (tuple,):
        return Either(first, ListOf(first))
    if get_origin(inside[1]) is Mapping:
        return Either(first, ByModality(first))
    return None
