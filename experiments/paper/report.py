"""The generated page: the paper's figures and ours, table by table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from consilience.experiments.paper.page import (
    Results,
    budget_of,
    figures,
    grouped_by,
    markdown,
    spread,
)
from consilience.experiments.paper.study import read

HEAD = """\
# The paper's tables

Hirt, Campolo, Leong, Ortega: Learning multi-modal generative models with
permutation-invariant encoders and tighter variational bounds, TMLR 2024. Written by
`consilience paper`; every figure of ours is a mean over seeds ± their standard deviation.
Published figures stand beside ours where they were at hand.
"""
LARGE = 0.01  # what is smaller has an exponent
BUDGET = ("rows", "steps", "size")
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
    "labelled",
    "anywhere",
    "clusters",
    "truth",
    "stratified",
    "implicit",
    "PoE",
    "PoE+",
    "MoE",
    "MoE+",
    "CorrectedPoE",
    "SumPooling",
    "SelfAttention",
    "SumPoolingMixture",
    "SelfAttentionMixture",
)


def written(folder: Path, tables: Mapping[str, ModuleType]) -> str:
    """The page of all tables whose results stand in a folder.

    Raises:
        ValueError: there are none.
    """
    sections = []
    for name, table in tables.items():
        path = folder / f"{name}.json"
        if path.exists():
            sections.append(_section(folder, table, list(read(path).values())))
    if not sections:
        raise ValueError(f"--out: expected results in {folder}, found none")
    return "\n".join([HEAD, *sections])


def _section(folder: Path, table: ModuleType, every: Results) -> str:
    """Of the budget that most trainings had; how others came out stands below."""
    every = in_order(every)
    whole, shown = finite(every), of_usual_budget(every)
    usual = {budget_of(each) for each in shown}
    others = [each for each in whole if budget_of(each) not in usual]
    parts = [f"## {table.TITLE}", about(every, shown, others), table.TRAINED]
    if shown:
        parts.append(table.section(shown))
    if hasattr(table, "of_other_budgets"):
        parts.append(table.of_other_budgets(others, shown))
    for file, words in getattr(table, "PICTURES", {}).items():
        if (folder / file).exists():
            parts.append(f"![{words}]({file})\n")
    parts += [settling(whole, figure) for figure in table.SETTLING]
    return "\n\n".join(part for part in parts if part)


def in_order(results: Results) -> list[Mapping]:
    """As a table has them, however they were run."""

    def place(result: Mapping) -> list[tuple]:
        found = [result["settings"].get(key, 0) for key in KEYS]
        return [(WORDS.index(v), "") if v in WORDS else (-1, v) for v in found]

    return sorted(results, key=place)


def finite(results: Results) -> list[Mapping]:
    """Those that did not diverge."""
    return [each for each in results if "failed" not in each]


def of_usual_budget(results: Results) -> list[Mapping]:
    """The finite ones with the rows, steps and networks that most were run with."""
    whole = finite(results)
    budgets = Counter(budget_of(each) for each in whole)
    usual = max(budgets, key=lambda budget: (budgets[budget], budget), default=None)
    return [each for each in whole if budget_of(each) == usual]


def settling(results: Results, name: str) -> str:
    """How a figure depends on the steps, of the rows that were run with several.

    Of each row the seeds that all of its numbers of steps had.
    """
    columns = sorted({budget_of(each)[1] for each in results})
    lines = []
    for row, every in grouped_by(results, _row).items():
        runs = _of_shared_seeds(every)
        found = {steps: _mean(runs, steps, name) for steps in columns}
        if sum(text != "" for text in found.values()) > 1:
            lines.append((row, *found.values()))
    if not lines:
        return ""
    words = name.replace("_", " ")
    header = (f"{words} by steps", *map(str, columns))
    title = f"How many steps it takes, {words}, with the same seeds in a line:"
    return f"{title}\n\n{markdown(header, lines)}"


def _row(result: Mapping) -> str:
    """Settings but steps and seed, in words."""
    settings = result["settings"]
    return ", ".join(str(v) for k, v in settings.items() if k not in ("steps", "seed"))


def _of_shared_seeds(runs: Results) -> list[Mapping]:
    """Those of seeds that every number of steps had."""
    seeds = [
        {each["settings"]["seed"] for each in some}
        for some in grouped_by(runs, lambda each: budget_of(each)[1]).values()
    ]
    shared = set.intersection(*seeds)
    return [each for each in runs if each["settings"]["seed"] in shared]


def _mean(runs: Results, steps: int, name: str) -> str:
    mine = [
        run for run in runs if budget_of(run)[1] == steps and name in run["figures"]
    ]
    if not mine:
        return ""
    values = figures(mine, name)
    return spread(values, 3 if abs(values.mean()) >= LARGE else -1)


def about(every: Results, shown: Results, others: Results) -> str:
    """Of what budget, how many, how long, on what; what is not shown."""
    lines = []
    if shown:
        rows, steps, size = budget_of(shown[0])
        networks = f", networks of size *{size}*" if size else ""
        lines.append(f"{rows} rows, {steps} steps{networks}: {_effort(shown)}.")
        lines += _held_fixed(shown)
    if others:
        lines.append(f"With other budgets, not in the first table: {_effort(others)}.")
    failed = [each["settings"] for each in every if "failed" in each]
    if failed:
        named = "; ".join(", ".join(map(str, x.values())) for x in failed)
        lines.append(f"**Diverged**: {len(failed)} ({named}).")
    versions = {
        f"{n} {v}" for each in every for n, v in each["ran"]["versions"].items()
    }
    last = max(each["ran"]["finished"] for each in every)
    lines.append(f"{', '.join(sorted(versions))}; last run {last} UTC.")
    return "\n".join(lines)


def _held_fixed(results: Results) -> list[str]:
    """What was kept with the results beside their settings, all values of each."""
    values: dict[str, list[str]] = {}
    for each in results:
        for name, value in each.get("fixed", {}).items():
            known = values.setdefault(name, [])
            if str(value) not in known:
                known.append(str(value))
    if not values:
        return []
    found = [f"{name} {_or(known)}" for name, known in values.items()]
    silent = sum("fixed" not in each for each in results)
    less = f" ({silent} of {len(results)} results do not say)" if silent else ""
    return [f"Settings beside those of the rows: {'; '.join(found)}{less}."]


def _or(known: Sequence[str]) -> str:
    return known[0] if len(known) == 1 else " or ".join(f"*{each}*" for each in known)


def _effort(results: Results) -> str:
    hours = sum(each["seconds"] for each in results) / 3600
    seeds = {each["settings"]["seed"] for each in results}
    devices = {
        f"{each['ran']['device']} ({each['ran']['cores']} cores)" for each in results
    }
    return (
        f"{len(results)} trainings, seeds {min(seeds)} to {max(seeds)}, {hours:.1f} hours "
        f"on {', '.join(sorted(devices))}"
    )
