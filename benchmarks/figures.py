"""A measured figure, and all of them as one table: ratios first, then the rest."""

from collections.abc import Iterable
from typing import NamedTuple

from rich.table import Table

COLUMNS = ("", "ratio", "aim", "ours", "against", "unit")


class Figure(NamedTuple):
    """What was measured, and what it is held against in the same run.

    Attributes:
        name: of the figure, unique in its section.
        value: in `unit`; without a unit a ratio itself.
        unit: such as "ms".
        against: of the same unit, or None.
        aim: what the ratio should be, for readers.
    """

    name: str
    value: float
    unit: str = ""
    against: float | None = None
    aim: str = ""

    @property
    def ratio(self) -> float | None:
        """Value over what it is held against; None for an absolute figure."""
        if self.against is not None:
            return self.value / self.against
        return None if self.unit else self.value


def as_json(sections: dict[str, Iterable[Figure]]) -> dict[str, list[dict]]:
    """Records of two lists: figures with a ratio, figures without."""
    every = [(s, f) for s, figures in sections.items() for f in figures]
    records = [{"section": s} | f._asdict() | {"ratio": f.ratio} for s, f in every]
    return {
        "ratios": [r for r in records if r["ratio"] is not None],
        "absolute": [r for r in records if r["ratio"] is None],
    }


def cells(record: dict) -> list[str]:
    """A record as a row of the table."""
    own = record["value"] if record["unit"] else None
    numbers = [short(x) for x in (own, record["against"])]
    first = [record["name"], short(record["ratio"], 3), record["aim"]]
    return [*first, *numbers, record["unit"]]


def short(x: float | None, digits: int = 4) -> str:
    """A number in about four digits; thousands in full."""
    if x is None:
        return ""
    return f"{x:.0f}" if abs(x) >= 1000 else f"{x:#.{digits}g}".rstrip(".")


def rows(report: dict) -> list[tuple[str, list[list[str]]]]:
    """The table's groups, those with ratios first: a section and its rows."""
    found = []
    for kind in ("ratios", "absolute"):
        records = report[kind]
        for section in dict.fromkeys(r["section"] for r in records):
            inside = [cells(r) for r in records if r["section"] == section]
            found.append((section, inside))
    return found


def sentence(report: dict) -> str:
    """The machine in a sentence."""
    return "; ".join(f"{k}: {v}" for k, v in report["machine"].items())


def table(report: dict) -> Table:
    """For a terminal."""
    found = Table(*COLUMNS)
    for column in found.columns[1:]:
        column.justify = "right"
    for title, group in rows(report):
        found.add_row(f"[bold]{title}")
        for row in group:
            found.add_row(*row)
        found.add_section()
    return found


def markdown(report: dict) -> str:
    """For a page."""
    lines = [sentence(report), "", "| " + " | ".join(COLUMNS) + " |"]
    lines += ["|---|--:|--:|--:|--:|---|"]
    for title, group in rows(report):
        lines += [f"| **{title}** | | | | | |"]
        lines += ["| " + " | ".join(row) + " |" for row in group]
    return "\n".join(lines)
