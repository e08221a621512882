"""The generated page: the paper's figures and ours, point by point."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np

from consilience.experiments.paper.study import read

HEAD = """\
# The paper's tables

Hirt, Campolo, Leong, Ortega: Learning multi-modal generative models with
permutation-invariant encoders and tighter variational bounds, TMLR 2024. Written by
`consilience paper`; every figure of ours is a mean over seeds ± their standard deviation.
"""


# Rows stand in the order of these settings, and words in the order of these words.
KEYS = (
    "modalities",
    "missing",
    "latents",
    "beta",
    "law",
    "start",
    "bound",
    "estimator",
    "prior",
    "aggregation",
    "seed",
)
WORDS = (
    "hierarchical",
    "independent",
    "shared",
    "private",
    "masked",
    "standard",
    "mixture",
    "anywhere",
    "truth",
    "stratified",
    "implicit",
    "PoE",
    "PoE+",
    "MoE",
    "MoE+",
    "SumPooling",
    "SelfAttention",
    "SumPoolingMixture",
    "SelfAttentionMixture",
)


class Point(NamedTuple):
    """One figure of the paper beside ours.

    Attributes:
        what: in words.
        paper: the paper's figure, or what was aimed at, in words.
        ours: in words.
        holds: whether ours is as good or better; None where they measure different things.
        reason: why they differ, where they do.
    """

    what: str
    paper: str
    ours: str
    holds: bool | None
    reason: str = ""


def written(folder: Path, tables: Mapping[str, ModuleType]) -> str:
    """The page of all tables whose results stand in a folder.

    Raises:
        ValueError: there are none.
    """
    sections = []
    for name, table in tables.items():
        path = folder / f"{name}.json"
        if path.exists():
            every = in_order(list(read(path).values()))
            shown = of_most_steps(every)
            parts = [f"## {table.TITLE}", about(every), table.section(shown)]
            sections.append("\n\n".join(parts) + settling(every))
    if not sections:
        raise ValueError(f"--out: expected results in {folder}, found none")
    return "\n".join([HEAD, *sections])


def in_order(results: Sequence[Mapping]) -> list[Mapping]:
    """As a table has them, however they were run."""

    def place(result: Mapping) -> list[tuple]:
        found = [result["settings"].get(key, 0) for key in KEYS]
        return [(WORDS.index(v), "") if v in WORDS else (-1, v) for v in found]

    return sorted(results, key=place)


def of_most_steps(results: Sequence[Mapping]) -> list[Mapping]:
    """Those of the budget that most were run with: one number of steps and of rows."""
    budgets = Counter(_budget(each) for each in results)
    usual = max(budgets, key=lambda budget: (budgets[budget], budget))
    return [each for each in results if _budget(each) == usual]


def _budget(result: Mapping) -> tuple[int, int]:
    return tuple(result["settings"].get(key, 0) for key in ("rows", "steps"))


def settling(results: Sequence[Mapping], name: str = "gap") -> str:
    """How a figure depends on the steps, of the rows that were run with several."""
    columns = sorted({_budget(each)[1] for each in results})
    lines = []
    for row, runs in _rows(results).items():
        found = {steps: _mean(runs, steps, name) for steps in columns}
        if sum(text != "" for text in found.values()) > 1:
            lines.append((row, *found.values()))
    if not lines:
        return ""
    header = (f"{name} by steps", *map(str, columns))
    return f"\nHow many steps it takes:\n\n{markdown(header, lines)}"


def _rows(results: Sequence[Mapping]) -> dict[str, list[Mapping]]:
    """Results that differ in steps and seed only, by their other settings in words."""
    found: dict[str, list[Mapping]] = {}
    for each in results:
        rest = {k: v for k, v in each["settings"].items() if k not in ("steps", "seed")}
        found.setdefault(", ".join(map(str, rest.values())), []).append(each)
    return found


def _mean(runs: Sequence[Mapping], steps: int, name: str) -> str:
    mine = [run for run in runs if _budget(run)[1] == steps and name in run["figures"]]
    return spread(figures(mine, name), -1) if mine else ""


def about(results: Sequence[Mapping]) -> str:
    """How many, how long, on what."""
    hours = sum(each["seconds"] for each in results) / 3600
    devices = {
        f"{each['ran']['device']} ({each['ran']['cores']} cores)" for each in results
    }
    versions = results[-1]["ran"]["versions"]
    packages = ", ".join(f"{n} {v}" for n, v in versions.items())
    seeds = {each["settings"]["seed"] for each in results}
    return (
        f"{len(results)} trainings, seeds {min(seeds)} to {max(seeds)}, {hours:.1f} hours "
        f"on {', '.join(sorted(devices))}; {packages}; last run "
        f"{max(each['ran']['finished'] for each in results)} UTC."
    )


def grouped(results: Sequence[Mapping], *keys: str) -> dict[tuple, list[Mapping]]:
    """Results by the values of some settings, in order of appearance."""
    found: dict[tuple, list[Mapping]] = {}
    for each in results:
        found.setdefault(tuple(each["settings"][key] for key in keys), []).append(each)
    return found


def figures(results: Sequence[Mapping], name: str) -> np.ndarray:
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


def points(found: Sequence[Point]) -> str:
    """The comparison, point by point."""
    words = {True: "yes", False: "**no**", None: "–"}
    rows = [(p.what, p.paper, p.ours, words[p.holds], p.reason) for p in found]
    return markdown(("point", "paper or aim", "ours", "reached", "reason"), rows)
