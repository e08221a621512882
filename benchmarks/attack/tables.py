"""Small tables by seed, and what stands in a text table by the standard library alone."""

import csv
import io
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

import consilience as cs

# what pandas and `read` document as missing
MISSING = frozenset(
    [
        "",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
    ]
)
TRUTHS = {"True": 1.0, "TRUE": 1.0, "true": 1.0}
TRUTHS |= {"False": 0.0, "FALSE": 0.0, "false": 0.0}


def tables(rng: np.random.Generator, whole: bool = False) -> dict[str, pd.DataFrame]:
    """Two tables of the same patients, in other orders, neither with all of them."""
    count = int(rng.integers(6, 12))
    ids = [f"s{i:02d}" for i in range(count)]
    found = {}
    for name in ("genes", "proteins"):
        mine = rng.permutation(ids)[: count - int(rng.integers(0, 3))]
        shape = (len(mine), int(rng.integers(2, 5)))
        x = rng.poisson(5.0, shape) if whole else rng.normal(size=shape).round(4)
        if not whole:
            x[:, 1:][rng.random((shape[0], shape[1] - 1)) < 0.15] = np.nan
        columns = [f"{name[0]}{j}" for j in range(shape[1])]
        found[name] = pd.DataFrame(x, pd.Index(mine, name="patient"), columns)
    return found


def text(frame: pd.DataFrame, **settings) -> str:
    """A table as CSV."""
    return frame.to_csv(**settings)


def write(folder: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Files of these contents."""
    for name, content in contents.items():
        raw = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(raw)
    return folder


def parsed(raw: bytes, separator: str = ",") -> pd.DataFrame | None:
    """The table in these bytes; None if they are none and must be refused."""
    try:
        lines = raw.decode("utf-8-sig")
        found = csv.reader(
            io.StringIO(lines, newline=""), delimiter=separator, strict=True
        )
        rows = [row for row in found if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    ids, columns = [row[0] for row in rows[1:]], rows[0][1:]
    for names in (ids, columns):
        if len(set(names)) < len(names) or not all(name.strip() for name in names):
            return None
    values = [_column([row[j + 1] for row in rows[1:]]) for j in range(len(columns))]
    if not values or any(column is None for column in values):
        return None
    return pd.DataFrame(dict(zip(columns, values, strict=True)), index=ids)


def _column(cells: list[str]) -> list[float] | None:
    kept = [cell for cell in cells if cell not in MISSING]
    words = TRUTHS if kept and all(cell in TRUTHS for cell in kept) else None
    try:
        read = [
            np.nan if c in MISSING else words[c] if words else float(c) for c in cells
        ]
    except ValueError:
        return None
    return None if np.isinf(read).any() else read


def canonical(name: str) -> str:
    """Ids and columns without what may be mended of them."""
    return unicodedata.normalize("NFC", str(name)).strip()


def measured(data: cs.MultimodalData, name: str) -> np.ndarray:
    """Values of a modality with NaN where they are missing, by NumPy."""
    i = data.names.index(name)
    values = np.asarray(data.values[name], np.float64)
    seen = np.asarray(data.present)[:, i].reshape((-1,) + (1,) * (values.ndim - 1))
    seen = seen & np.asarray(data.entries.get(name, True))
    return np.where(np.broadcast_to(seen, values.shape), values, np.nan)


def frame_of(data: cs.MultimodalData, name: str) -> pd.DataFrame:
    """A modality as a table of NaN and numbers."""
    columns = data.feature_names[data.names.index(name)]
    index = [canonical(row) for row in data.row_names]
    return pd.DataFrame(measured(data, name), index, [canonical(c) for c in columns])


def holds(
    frames: Mapping[str, pd.DataFrame], rtol: float = 1e-6, rows: list | None = None
) -> Callable[[cs.MultimodalData], None]:
    """By name of sample and column, whatever the order, as float32 has numbers."""

    def check(data: cs.MultimodalData) -> None:
        expected = {n: _renamed(frame) for n, frame in frames.items()}
        union = {row for frame in expected.values() for row in frame.index}
        names = set(map(canonical, data.row_names))
        assert names == (union if rows is None else set(rows)), f"rows {sorted(names)}"
        assert set(data.names) == set(frames), f"modalities {data.names}"
        for name, frame in expected.items():
            got = frame_of(data, name)
            assert set(got.columns) == set(frame.columns), f"columns {list(got)}"
            want = frame.reindex(got.index)[list(got.columns)].to_numpy(np.float64)
            np.testing.assert_allclose(
                got.to_numpy(), want.astype(np.float32), rtol=rtol, err_msg=name
            )

    return check


def _renamed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(index=canonical, columns=canonical)


def equal(a: object, b: object, about: str = "") -> None:
    """Bit for bit, NaN where NaN is."""
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=about)


def accept(result: object) -> None:
    """Whatever came of it: of inputs whose only fault can be a traceback or a hang."""
