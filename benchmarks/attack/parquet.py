"""Parquet files: stale indexes, types of columns, damaged bytes."""

import datetime
import io

import numpy as np
import pandas as pd

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import accept, holds, tables, text, write


def parquet(frame: pd.DataFrame, **settings) -> bytes:
    """A table as bytes, with checksums of its pages."""
    box = io.BytesIO()
    frame.to_parquet(box, write_page_checksum=True, **settings)
    return box.getvalue()


def reading(about: str, frames: dict, right, words, **contents) -> Case:
    """Read these bytes beside what is left of the tables as CSV."""
    files = {f"{n}.csv": text(f) for n, f in frames.items() if n not in contents}
    files |= {f"{n}.parquet": raw for n, raw in contents.items()}
    return Case(about, lambda folder: cs.read(write(folder, files)), right, words)


STALE = (
    "shuffled",
    "filtered",
    "sorted",
    "doubled and dropped",
    "sampled",
    "set to dates",
)


@mechanism("Parquet: a stale index of numbers", 12, quick=3)
def stale(rng, seed):
    """What pandas leaves behind when rows are moved is no id; ids are numbers or text."""
    frames, how = tables(rng), STALE[seed % len(STALE)]
    if seed >= 6:
        frames = {
            n: f.rename(index=lambda s: int(s[1:]) + 100) for n, f in frames.items()
        }
    moved = {}
    for name, frame in frames.items():
        cells = frame.reset_index()
        if how in ("shuffled", "sampled"):
            cells = cells.sample(frac=1, random_state=int(rng.integers(1000)))
        if how == "filtered":
            cells = cells[cells.index != int(rng.integers(len(cells)))]
        if how == "sorted":
            cells = cells.sort_values(cells.columns[1])
        if how == "doubled and dropped":
            cells = pd.concat([cells[3:], cells[:3]]).drop_duplicates("patient")
        if how == "set to dates":
            cells.index = pd.date_range("2024-01-01", periods=len(cells))
        moved[name] = cells
    truth = {n: c.set_index("patient") for n, c in moved.items()}
    truth = {n: f.rename(index=str) for n, f in truth.items()}
    return reading(
        f"{how}: {moved['genes'].head(3).to_dict()}",
        frames,
        holds(truth),
        ("genes|proteins", "index|id|sample"),
        **{n: parquet(c) for n, c in moved.items()},
    )


@mechanism("Parquet: ids in an index or in a column", 4)
def placed(rng, seed):
    frames = tables(rng)
    cells = frames["genes"]
    if seed % 4 == 1:
        cells = cells.reset_index()
    if seed % 4 == 2:
        cells = cells.rename_axis(None)
    if seed % 4 == 3:
        cells = cells.reset_index().astype({"patient": "category"})
    return reading("ids", frames, holds(frames), None, genes=parquet(cells))


@mechanism("Parquet: large whole numbers as ids", 4)
def large_ids(rng, seed):
    """Ids of 64 bits keep every digit."""
    frames, base = tables(rng), (1 << 53) + 1
    frames = {n: f.rename(index=lambda s: base + int(s[1:])) for n, f in frames.items()}
    genes = frames["genes"] if seed % 2 else frames["genes"].reset_index()
    truth = {n: f.rename(index=str) for n, f in frames.items()}
    words = ("genes|proteins", "id|index")
    return reading(
        "ids from 2^53 on", frames, holds(truth), words, genes=parquet(genes)
    )


KINDS = (
    *(
        "float32",
        "float16",
        "int8",
        "uint8",
        "uint64",
        "int64",
        "bool",
        "Int64",
        "Float64",
    ),
    *("boolean", "category of numbers", "decimal", "text of numbers", "dates", "lists"),
    *("bytes", "durations", "complex text", "mixed"),
)


@mechanism("Parquet: types of columns", len(KINDS), quick=3)
def kinds(rng, seed):
    """Numbers are read as such; what is no number is named."""
    frames, kind = tables(rng, whole=True), KINDS[seed % len(KINDS)]
    column = frames["genes"]["g1"].clip(0, 1)
    made = {
        "category of numbers": lambda x: x.astype("category"),
        "decimal": lambda x: x.map(lambda v: __import__("decimal").Decimal(int(v))),
        "text of numbers": lambda x: x.astype(str),
        "dates": lambda x: pd.Series(pd.Timestamp("2024-01-01"), x.index),
        "lists": lambda x: pd.Series([[1.0, 2.0]] * len(x), x.index),
        "bytes": lambda x: pd.Series([b"1"] * len(x), x.index),
        "durations": lambda x: pd.Series(pd.Timedelta(1, "s"), x.index),
        "complex text": lambda x: pd.Series(["1+2j"] * len(x), x.index),
        "mixed": lambda x: pd.Series([datetime.date(2024, 1, 1)] * len(x), x.index),
    }.get(kind, lambda x: x.astype(kind))
    genes = frames["genes"].assign(g1=made(column))
    frames["genes"] = frames["genes"].assign(g1=column)
    plain = seed % len(KINDS) < 10
    return reading(
        kind,
        frames,
        holds(frames),
        None if plain else ("genes", "g1"),
        genes=parquet(genes),
    )


@mechanism("Parquet: missing whole numbers and truth values", 4)
def nullable(rng, seed):
    frames = tables(rng, whole=True)
    genes = frames["genes"].astype("Int64")
    genes.iloc[1, 1] = pd.NA
    if seed % 2:
        genes["g1"] = (genes["g1"] > 4).astype("boolean")
    frames["genes"] = genes.astype("Float64").astype(float)
    return reading("nullable", frames, holds(frames), None, genes=parquet(genes))


@mechanism("Parquet: indexes and columns of several levels", 4)
def levels(rng, seed):
    frames = tables(rng)
    changed = {
        0: lambda f: f.set_index(pd.MultiIndex.from_product([["a"], f.index])),
        1: lambda f: f.set_axis(pd.MultiIndex.from_product([["a"], f.columns]), axis=1),
        2: lambda f: f.rename_axis("patient").assign(patient=np.arange(len(f))),
        3: lambda f: f.set_axis(range(f.shape[1]), axis=1),
    }[seed % 4]
    frames = {n: changed(f) for n, f in frames.items()}
    about = ("rows", "columns", "an index called as a column", "columns of numbers")[
        seed % 4
    ]
    raw = {n: parquet(f) for n, f in frames.items()}
    truth = holds(frames) if seed % 4 == 2 else None
    return reading(about, frames, truth, ("genes|proteins", "index|column|name"), **raw)


@mechanism("Parquet: pages damaged at random", 24, quick=3)
def pages(rng, seed):
    """Pages have checksums: what is accepted is what was written."""
    frames = tables(rng)
    raw = parquet(
        frames["genes"], compression=pick(rng, [None, "snappy", "gzip", "zstd"])
    )
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    where = int(rng.integers(4, footer))
    raw = (
        raw[:where]
        + bytes([raw[where] ^ (1 << int(rng.integers(8)))])
        + raw[where + 1 :]
    )
    return reading(
        f"bit flipped in byte {where} of {len(raw)}",
        frames,
        holds(frames),
        ("genes",),
        genes=raw,
    )


@mechanism("Parquet: metadata damaged at random", 40, quick=4)
def footer(rng, seed):
    """The footer has no checksum: names may change, but nothing may fall over."""
    frames = tables(rng)
    raw = parquet(frames["genes"])
    start = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    for _ in range(int(rng.integers(1, 4))):
        where = int(rng.integers(start, len(raw)))
        raw = raw[:where] + bytes([int(rng.integers(256))]) + raw[where + 1 :]
    return reading(
        f"byte {where} of {len(raw)}", frames, accept, (r"genes|row \d+",), genes=raw
    )


@mechanism("Parquet: truncated and padded", 8)
def cut(rng, seed):
    frames = tables(rng)
    raw = parquet(frames["genes"])
    where = int(rng.integers(len(raw)))
    raw = (raw[:where], raw + b"rest", b"rest" + raw, raw[:where] + raw[where + 3 :])[
        seed % 4
    ]
    return reading(f"at {where}", frames, holds(frames), ("genes",), genes=raw)


@mechanism("Parquet: values beyond float32", 4)
def extremes(rng, seed):
    frames = tables(rng)
    value = (1e39, -1e300, 2.0**63, 1e-46)[seed % 4]
    frames["genes"].iloc[0, 0] = value

    def right(data):
        row = list(data.row_names).index(frames["genes"].index[0])
        got = float(np.asarray(data.values["genes"])[row, 0])
        assert got != 0, f"{value} became {got}"
        assert abs(got / value - 1) < 1e-5, f"{value} became {got}"

    return reading(
        f"{value}",
        frames,
        right,
        ("genes", "float32|fit"),
        genes=parquet(frames["genes"]),
    )._replace(warned="genes")
