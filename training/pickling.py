"""Fits for other processes and for copies: what a file would hold, in a pickle."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from consilience.training.archive import packed
from consilience.training.saving import KIND, PROGRAMS, described

if TYPE_CHECKING:
    from consilience.training.fitted import Fitted


def reduced(fitted: "Fitted") -> tuple[Callable, tuple]:
    """For `__reduce__`: the bytes that `save` writes, and programs that it could not.

    Raises:
        TypeError: model, guide or bound has a part that pickle does not find by its name.
    """
    header, arrays = described(fitted)
    svi, own = fitted.svi, {}
    if _has_own([header["programs"][name] for name in PROGRAMS]):
        own = {"guide": svi.guide, "model": svi.model, "elbo": svi.loss}
    for name, program in own.items():
        _check_pickles(name, program)
    return unpickled, (packed(KIND, header, arrays), own)


def unpickled(contents: bytes, own: dict) -> "Fitted":
    """What `load` reads of such a file."""
    from consilience.training.saved import load

    with TemporaryDirectory() as folder:
        path = Path(folder) / "pickled.npz"
        path.write_bytes(contents)
        return load(path, **own)


def copied(fitted: "Fitted", memo: dict) -> "Fitted":
    """For `__deepcopy__`: programs and device arrays cannot change; the rest is copied."""
    kept = (fitted.svi, fitted.state)
    history, schema = copy.deepcopy((fitted.history, fitted.schema), memo)
    return type(fitted)(*kept, history, schema, fitted.best_state)


def _has_own(recipe: object) -> bool:
    """Whether something of a user's own is in it."""
    if isinstance(recipe, dict):
        return "own" in recipe or _has_own([*recipe.values()])
    return isinstance(recipe, list) and any(map(_has_own, recipe))


def _check_pickles(name: str, program: object) -> None:
    try:
        pickle.dumps(program)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{name}: expected functions and classes at the top of a module, where pickle "
            f"finds them ({error}); fitted.save(path) and load(path, {name}=...) need none"
        ) from error
