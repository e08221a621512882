"""What tables are written with: points, means, differences paired by seed, Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Results = Sequence[Mapping]
ERRORS = 2  # standard errors of a mean difference that settle its sign


class Point(NamedTuple):
    """One figure of the paper beside ours.

    Attributes:
        what: in words.
        paper: the paper's figure, or what was aimed at, in words.
        ours: in words.
        holds: whether ours is as good or better; None where that cannot be said.
        reason: why they differ, where they do.
    """

    what: str
    paper: str
    ours: str
    holds: bool | None
    reason: str = ""


def grouped(results: Results, *keys: str) -> dict[tuple, list[Mapping]]:
    """Results by the values of some settings, in order of appearance."""
    return grouped_by(
        results, lambda each: tuple(each["settings"][key] for key in keys)
    )


def grouped_by[K](
    results: Results, key: Callable[[Mapping], K]
) -> dict[K, list[Mapping]]:
    """Results by what a function says of each, in order of appearance."""
    found: dict[K, list[Mapping]] = {}
    for each in results:
        found.setdefault(key(each), []).append(each)
    return found


def budget_of(result: Mapping) -> tuple[int, int, str]:
    """Rows, steps and size of the networks."""
    settings = result["settings"]
    return (settings.get("rows", 0), settings.get("steps", 0), settings.get("size", ""))


def figures(results: Results, name: str) -> np.ndarray:
    """One figure of several results; what was not finite is NaN."""
    values = [each["figures"][name] for each in results]
    return np.array([np.nan if v is None else v for v in values], float)


def spread(values: np.ndarray, digits: int = 3) -> str:
    """Mean ± standard deviation."""
    form = f"{{:.{digits}f}}" if digits >= 0 else f"{{:.{-digits}e}}"
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(values.mean())} ± {form.format(values.std(ddof=1))}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def paired(better: Results, worse: Results, figure: str) -> np.ndarray:
    """Differences of a figure between runs on the same data, which are in both.

    Runs are paired by their seed.
    """
    sides = [
        {each["settings"]["seed"]: each["figures"][figure] for each in side}
        for side in (better, worse)
    ]
    shared = sorted(sides[0].keys() & sides[1].keys())
    return np.array([sides[0][seed] - sides[1][seed] for seed in shared], float)


def higher(
    what: str,
    better: Results,
    worse: Results,
    figure: str,
    digits: int = 3,
    unit: str = " nats a row",
) -> Iterator[Point]:
    """Whether one side has the higher figure on the data sets of both.

    It has, or has not, where all seeds agree or the mean is two standard errors away from
    zero; else, and of one seed, nothing is said. Without a common seed there is no point.
    """
    found = paired(better, worse, figure)
    if not len(found):
        return
    mean, ahead = found.mean(), int((found > 0).sum())
    settled, reason = False, "one seed says nothing"
    if len(found) > 1:
        error = found.std(ddof=1) / np.sqrt(len(found))
        settled = ahead in (0, len(found)) or abs(mean) > ERRORS * error
        reason = "" if settled else "seeds disagree, within two standard errors"
    yield Point(
        what,
        "higher",
        f"{ahead} of {len(found)} seeds, {spread(found, digits)}{unit}",
        bool(mean > 0) if settled else None,
        reason,
    )


def points(found: Sequence[Point]) -> str:
    """The comparison, point by point."""
    words = {True: "yes", False: "**no**", None: "–"}
    rows = [(p.what, p.paper, p.ours, words[p.holds], p.reason) for p in found]
    return markdown(("point", "paper or aim", "ours", "reached", "reason"), rows)
