"""β by epoch, as keys have it."""

from collections.abc import Callable, Mapping

import consilience as cs
from consilience.cli.choices import Choice
from consilience.cli.kinds import NON_NEGATIVE, UP_TO_ONE, Kind


def warm_up(epochs: int, start: float = 0.0, end: float = 1.0) -> dict:
    """From `start` to `end` in the first epochs."""
    return {"steps": epochs, "start": start, "beta": end}


def cyclical(epochs: int, rise: float = 0.5, end: float = 1.0) -> dict:
    """From 0 to `end` over a share of each period of some epochs, again and again."""
    return {"steps": epochs, "rise": rise, "beta": end}


COURSES = {"warm_up": warm_up, "cyclical": cyclical}
RANGES = {"start": NON_NEGATIVE, "end": NON_NEGATIVE, "rise": UP_TO_ONE}


class Beta(Kind):
    """A number, or the course that β takes."""

    expects = f"{NON_NEGATIVE.expects}, or one of {', '.join(COURSES)} with `epochs`"
    course = Choice(COURSES)

    def read(self, where: str, value: object) -> float | dict:
        if isinstance(value, str | Mapping):
            return self._course(where, value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.refuse(where, value)
        return NON_NEGATIVE.read(where, value)

    def _course(self, where: str, value: str | Mapping) -> dict:
        found = self.course.read(where, value)
        for name in (name for name in found if name in RANGES):
            RANGES[name].read(f"{where}.{name}", found[name])
        return found


def of_bound(beta: float | dict) -> float:
    """What bounds are compared by: the constant, or where the course leads to."""
    return beta.get("end", 1.0) if isinstance(beta, dict) else beta


def by_step(beta: float | dict, steps_per_epoch: int) -> Callable | None:
    """What `fit` takes; None for a constant, which the bound has."""
    if not isinstance(beta, dict):
        return None
    settings = {k: x for k, x in beta.items() if k != "name"}
    found = COURSES[beta["name"]](**settings)
    steps = found.pop("steps") * steps_per_epoch
    make = {"warm_up": cs.warm_up, "cyclical": cs.cyclical}[beta["name"]]
    return make(steps, **found)


def rising(beta: float | dict) -> int:
    """Epochs whose bounds are not to be compared with later ones."""
    warming = isinstance(beta, dict) and beta["name"] == "warm_up"
    return beta["epochs"] if warming else 0
