"""Cells of CSV files: how missing values, numbers and words are written."""

import numpy as np

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import MISSING, holds, tables, text, write


def with_cell(rng, cell: str, quoted: bool = False) -> tuple[dict, dict, str, str]:
    """Tables of which one cell of the genes holds this text; sample and column."""
    frames = tables(rng)
    cells = (
        frames["genes"].astype(object).where(frames["genes"].notna(), "").astype(str)
    )
    row, column = int(rng.integers(len(cells))), int(rng.integers(1, cells.shape[1]))
    cells.iloc[row, column] = cell
    contents = {n: text(frame) for n, frame in frames.items()}
    contents["genes"] = text(cells)
    where = str(cells.index[row]), str(cells.columns[column])
    return frames, {f"{n}.csv": t for n, t in contents.items()}, *where


def refused(rng, cell: str, about: str) -> Case:
    """A cell that is neither number nor nothing is named."""
    _, contents, sample, column = with_cell(rng, cell)
    words = (r"genes\.csv", rf"{sample}|line \d", f"{column}|column|cells|CSV|quotes")
    return Case(
        f"{about} {cell!r} for {sample}, {column}",
        lambda folder: cs.read(write(folder, contents)),
        None,
        words,
    )


def read_as(rng, cell: str, value: float, about: str, good: bool = True) -> Case:
    """A cell that has a value."""
    frames, contents, sample, column = with_cell(rng, cell)
    frames["genes"] = frames["genes"].astype(float)
    frames["genes"].loc[sample, column] = value
    words = None if good else (r"genes\.csv", sample, column)
    return Case(
        f"{about} {cell!r} for {sample}, {column}",
        lambda folder: cs.read(write(folder, contents)),
        holds(frames),
        words,
    )


SPELLINGS = sorted(MISSING)
NOT_MISSING = (
    "-",
    "?",
    ".",
    "missing",
    "na.",
    "unknown",
    "#DIV/0!",
    "#REF!",
    "*",
    "--",
)
NOT_MISSING += ("NA NA", "None given", "below LOD", "<0.5", ">100", "N.A.")


@mechanism("cells: ways to say missing", len(SPELLINGS), quick=2)
def missing(rng, seed):
    return read_as(rng, SPELLINGS[seed % len(SPELLINGS)], np.nan, "missing as")


@mechanism("cells: words that say missing to people only", len(NOT_MISSING), quick=2)
def not_missing(rng, seed):
    return refused(rng, NOT_MISSING[seed % len(NOT_MISSING)], "the cell")


INFINITE = ("inf", "-inf", "Infinity", "-Infinity", "1e999", "-1e400", "INF", "+inf")


@mechanism("cells: infinities", len(INFINITE))
def infinite(rng, seed):
    return refused(rng, INFINITE[seed % len(INFINITE)], "the cell")


NUMBERS = (
    "1e3",
    "1E3",
    "1e+3",
    "+1000",
    "1000.",
    "0001000",
    "1000.000",
    "1.0e03",
    ".1e4",
)


@mechanism("cells: ways to write a number", len(NUMBERS))
def numbers(rng, seed):
    return read_as(rng, NUMBERS[seed % len(NUMBERS)], 1000.0, "a thousand as")


STRANGE = ("1,5", "1.234,5", "1 234", "1'234", "1\u202f234", "45%", "$3", "3 kg", "1D5")
STRANGE += ("0x1F", "1/2", "1:30", "2024-01-01", "01.02.2024", "yes", "1_000", "3-4")
STRANGE += ("1e", "e5", "--1", "1..2", "1 2", "five", "１２", "½", "²", "=1+1")


@mechanism("cells: numbers as people write them", len(STRANGE), quick=3)
def strange(rng, seed):
    return refused(rng, STRANGE[seed % len(STRANGE)], "the cell")


@mechanism("cells: minus that is none", 3)
def minus(rng, seed):
    return read_as(rng, "\u2212–—"[seed % 3] + "3.5", -3.5, "minus as", good=False)


@mechanism("cells: very long", 4)
def long(rng, seed):
    digits = int(pick(rng, [50, 500, 5000]))
    if seed % 2:
        return read_as(rng, "0.3" + "0" * digits, 0.3, "zeros behind")
    return refused(rng, "9" * (2 * digits + 400), "a number of many digits")


@mechanism("cells: blanks around numbers", 4)
def blanks(rng, seed):
    cell = (" 2.5", "2.5 ", "\t2.5", "  2.5  ")[seed % 4]
    return read_as(rng, cell, 2.5, "blanks", good=False)


@mechanism("cells: truth values", 4)
def truths(rng, seed):
    """A column of true and false is one of ones and zeros; one such cell is no number."""
    if seed % 2 == 0:
        return refused(rng, pick(rng, ["True", "FALSE", "true"]), "the cell")
    frames = tables(rng)
    on = rng.random(len(frames["genes"])) < 0.5
    shown = frames["genes"].assign(on=np.where(on, "True", "False"))
    frames["genes"] = frames["genes"].assign(on=on.astype(float))
    contents = {"genes.csv": text(shown), "proteins.csv": text(frames["proteins"])}
    return Case(
        "a column of True and False",
        lambda folder: cs.read(write(folder, contents)),
        holds(frames),
        (r"genes\.csv", "on"),
    )


@mechanism("cells: whole numbers beyond 2^24", 6, quick=2)
def beyond(rng, seed):
    """Of whole numbers, every digit counts, also where one cell is missing."""
    low, high = ((1 << 24, 1 << 25), (1 << 30, (1 << 31) - 1), (1 << 53, 1 << 54))[
        seed % 3
    ]
    frames = tables(rng, whole=True)
    x = rng.integers(low, high, frames["genes"].shape)
    frames["genes"].iloc[:, :] = x
    cells = frames["genes"].astype(object)
    if seed >= 3:
        cells.iloc[0, 1] = ""
    contents = {"genes.csv": text(cells), "proteins.csv": text(frames["proteins"])}

    def right(data):
        row = list(data.row_names)
        for i, sample in enumerate(frames["genes"].index):
            got = np.asarray(data.values["genes"])[row.index(sample)]
            for j, value in enumerate(got):
                if cells.iloc[i, j] != "":
                    assert int(value) == int(x[i, j]), f"{int(value)} for {x[i, j]}"

    return Case(
        f"whole numbers from {low} to {high}, {'one cell missing' * (seed >= 3)}",
        lambda folder: cs.read(write(folder, contents)),
        right,
        ("genes", "fit"),
    )


@mechanism("cells: decimals beyond float32", 6, quick=2)
def decimals(rng, seed):
    """Values that float32 merges are told apart, or how many were merged is said."""
    frames = tables(rng)
    base = (1e8, 16777216.0, 1e12)[seed % 3]
    x = base + np.arange(len(frames["genes"])) + (0.5 if seed < 3 else 0.0)
    if seed < 3:
        x = x + rng.normal(size=len(x)).round(2) / 10
    frames["genes"]["g0"] = x
    contents = {f"{n}.csv": text(frame) for n, frame in frames.items()}

    def right(data):
        got = np.asarray(data.values["genes"])[np.asarray(data.present)[:, 0], 0]
        count = len(np.unique(got))
        assert count == len(x), f"{count} of {len(x)} different values are left"

    return Case(
        f"{len(x)} values around {base:g}: {x[:4].tolist()}, …",
        lambda folder: cs.read(write(folder, contents)),
        right,
        ("genes",),
        warned=r"genes",
    )
