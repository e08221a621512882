"""Reproduce a table of the paper, and set its figures beside ours."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import jax

from consilience.experiments.options import whole_number
from consilience.experiments.paper import page, table1, table2
from consilience.experiments.paper.study import Budget, Cell, run_study

TABLES = {"table1": table1, "table2": table2}
PAGE = "paper.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("table", choices=(*TABLES, "page"), help="page: write it anew")
    parser.add_argument("--out", type=Path, default=Path("paper"), help="folder")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--fast", action="store_true", help="the trends, in a minute")
    size.add_argument("--full", action="store_true", help="the paper's budget")
    parser.add_argument("--seeds", type=whole_number(1), help="replaces the budget's")
    parser.add_argument("--steps", type=whole_number(1), help="replaces the budget's")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="WORD",
        help="rows whose settings have all of these",
    )
    there = parser.add_mutually_exclusive_group()
    there.add_argument(
        "--resume", action="store_true", help="go on where a study stopped"
    )
    there.add_argument("--overwrite", action="store_true", help="begin anew")
    parser.add_argument(
        "--side-by-side",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="all seeds in one program; default: on accelerators",
    )


def run(options: argparse.Namespace) -> None:
    """Train every row of a table, keep all figures as JSON, and write the page."""
    if options.out.exists() and not options.out.is_dir():
        raise ValueError(f"--out: expected a folder, but {options.out} is a file")
    if options.table != "page":
        _study(options)
    text = page.written(options.out, TABLES)
    (options.out / PAGE).write_text(text)
    print(f"{options.out / PAGE} has the tables")


def _study(options: argparse.Namespace) -> None:
    table, budget = TABLES[options.table], budget_of(options)
    path = options.out / f"{options.table}.json"
    if path.exists() and options.overwrite:
        path.unlink()
    if path.exists() and not options.resume:
        raise ValueError(
            f"--out: {path} has results of an earlier study; add --resume to go on with "
            "it, or --overwrite"
        )
    cells = _chosen(table.cells(budget), options.only or ())
    options.out.mkdir(parents=True, exist_ok=True)
    together = options.side_by_side
    if together is None:
        together = jax.default_backend() != "cpu"
    run_study(path, cells, budget.seeds, together)


def _chosen(cells: list[Cell], words: Sequence[str]) -> list[Cell]:
    """Those that have every word among their settings."""
    found = [c for c in cells if set(words) <= {str(v) for v in c.settings.values()}]
    if not found:
        known = {str(v): None for cell in cells for v in cell.settings.values()}
        raise ValueError(
            f"--only: expected words that a row has, of {', '.join(known)}, got "
            f"{' '.join(words)}"
        )
    return found


def budget_of(options: argparse.Namespace) -> Budget:
    """The table's own, with what was asked for in its place."""
    size = "fast" if options.fast else "full" if options.full else "default"
    given = {"seeds": options.seeds, "steps": options.steps}
    asked = {name: value for name, value in given.items() if value is not None}
    return TABLES[options.table].BUDGETS[size]._replace(**asked)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
