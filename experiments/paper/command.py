"""Reproduce a table of the paper, and set its figures beside ours."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax

from consilience.datasets.writing import write_text
from consilience.experiments.options import a_path, whole_number
from consilience.experiments.paper import mst, report, table1, table2, table3, table4
from consilience.experiments.paper.study import Budget, Cell, read, run_study

TABLES = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
    "mst": mst,
}
PAGE = "paper.md"
USAGE = "consilience paper TABLE [--out FOLDER] [options]"
EXAMPLES = """examples:
  consilience paper table1
  consilience paper table1 --resume --seeds 5
  consilience paper mst --data FOLDER --colour photographs.npz
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "table",
        choices=(*TABLES, "page"),
        metavar="TABLE",
        help=f"{', '.join(TABLES)} (MNIST-SVHN-Text), or page: write it anew",
    )
    parser.add_argument(
        "--out",
        type=a_path,
        default=Path("paper"),
        metavar="FOLDER",
        help="results as .json, the page as paper.md, pictures as .png",
    )
    there = parser.add_mutually_exclusive_group()
    there.add_argument(
        "--resume", action="store_true", help="go on where a study stopped"
    )
    there.add_argument("--overwrite", action="store_true", help="train the rows anew")
    _add_budget(parser)
    mst.add_options(parser)


def _add_budget(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("budget")
    size = group.add_mutually_exclusive_group()
    size.add_argument("--fast", action="store_true", help="the trends, in a minute")
    size.add_argument(
        "--full", action="store_true", help="as many steps as the paper's, for days"
    )
    replaced = {"type": whole_number(1), "metavar": "N"}
    group.add_argument(
        "--seeds", help="data sets; replaces the table's own", **replaced
    )
    group.add_argument("--steps", help="of each training; likewise", **replaced)
    group.add_argument(
        "--only",
        nargs="+",
        metavar="WORD",
        help="rows whose settings have all of these, as masked or bound=masked",
    )
    group.add_argument(
        "--side-by-side",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="all seeds in one program; by default on accelerators",
    )


def run(options: argparse.Namespace) -> None:
    """Train every row of a table, keep all figures as JSON, and write the page."""
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out: expected a folder, but {options.out} is a file")
    _check_options(options)
    if options.table != "page":
        _study(options)
    text = report.written(options.out, TABLES)
    write_text(options.out / PAGE, text)
    print(f"{options.out / PAGE} has the tables")


def _study(options: argparse.Namespace) -> None:
    table, budget = TABLES[options.table], budget_of(options)
    path = options.out / f"{options.table}.json"
    if path.exists() and not options.resume and not options.overwrite:
        raise ValueError(
            f"--out: {path} has results of an earlier study; add --resume to go on with "
            "it, or --overwrite"
        )
    cells = _chosen(table.cells(budget, options), options.only or ())
    options.out.mkdir(parents=True, exist_ok=True)
    together = options.side_by_side
    if together is None:
        together = jax.default_backend() != "cpu" and table.SIDE_BY_SIDE
    run_study(path, cells, budget.seeds, together, anew=options.overwrite)
    shown = report.of_usual_budget(report.in_order(list(read(path).values())))
    if shown and hasattr(table, "draw"):
        table.draw(shown, options.out)


def _chosen(cells: list[Cell], words: Sequence[str]) -> list[Cell]:
    """Those that have every word, or `name=word`, among their settings."""
    found = [c for c in cells if set(words) <= _words(c)]
    if not found:
        known = {f"{k}={v}": None for c in cells for k, v in c.settings.items()}
        raise ValueError(
            f"--only: expected words that a row has, of {', '.join(known)}, got "
            f"{' '.join(words)}"
        )
    return found


def _words(cell: Cell) -> set[str]:
    pairs = cell.settings.items()
    return {str(v) for _, v in pairs} | {f"{k}={v}" for k, v in pairs}


def _check_options(options: argparse.Namespace) -> None:
    """Refuse what would say nothing."""
    given = [name for name in ("data", "colour", "speech") if getattr(options, name)]
    if given and options.table != "mst":
        raise ValueError(f"--{given[0]}: expected with mst only, got {options.table}")
    budget = ("fast", "full", "seeds", "steps", "only", "resume", "overwrite")
    given = [name for name in budget if getattr(options, name)]
    if given and options.table == "page":
        raise ValueError(f"--{given[0]}: expected with a table, got page")


def budget_of(options: argparse.Namespace) -> Budget:
    """The table's own, with what was asked for in its place."""
    size = "fast" if options.fast else "full" if options.full else "default"
    given = {"seeds": options.seeds, "steps": options.steps}
    asked = {name: value for name, value in given.items() if value is not None}
    return TABLES[options.table].BUDGETS[size]._replace(**asked)
