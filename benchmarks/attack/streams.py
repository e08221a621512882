"""Rows on disk: those of memory, and files that are damaged or others'."""

import numpy as np

import consilience as cs
from attack.case import Case, mechanism
from attack.shapes_in_archives import HEADERS, SHAPES, with_header
from attack.tables import equal, measured


def arrays(rng, rows: int = 30) -> dict[str, np.ndarray]:
    """Values of two modalities, one with holes."""
    a, b = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 2, 2))
    a[rng.random(a.shape) < 0.2] = np.nan
    b[rng.random(rows) < 0.3] = np.nan
    a[:, 0] = np.arange(rows)
    return {"a": a, "b": b}


def folder_of(folder, values, **more):
    """One `.npy` a modality."""
    for name, x in {**values, **more}.items():
        np.save(folder / f"{name}.npy", x)
    return folder


def same_rows(values, rows=None):
    """By NumPy."""

    def check(data):
        for name, x in values.items():
            want = x if rows is None else x[rows]
            equal(measured(data, name), want.astype(np.float32), name)

    return check


@mechanism("stream: rows of memory", 10, quick=2)
def rows(rng, seed):
    values = arrays(rng)
    picked = (
        rng.permutation(30)[:9],
        np.arange(30),
        np.array([29, 0]),
        np.array([3, 3]),
        slice(5, 9),
    )[seed % 5]

    def run(folder):
        if seed < 5:
            return cs.StreamedData.from_arrays(values).take(picked)
        return cs.stream(folder_of(folder, values)).take(picked)

    return Case(f"take({picked!r:.60})", run, same_rows(values, picked), None)


@mechanism("stream: saved and streamed again", 4)
def saved(rng, seed):
    values = arrays(rng)

    def run(folder):
        data = cs.StreamedData.from_arrays(
            values, row_names=[f"s{i}" for i in range(30)]
        )
        data.save(folder / "there")
        again = cs.stream(folder / "there")
        assert list(again.row_names) == list(data.row_names), "names of rows are others"
        return again.take(np.arange(30))

    return Case("saved", run, same_rows(values), None)


@mechanism("stream: damaged files", 24, quick=3, megabytes=900)
def damaged(rng, seed):
    """Lengths and headers are looked at; `.npy` has no checksums of values."""
    values = arrays(rng)

    def run(folder):
        if seed % 2:
            cs.StreamedData.from_arrays(values).save(folder / "there")
            path = next((folder / "there").glob("*.npy"))
        else:
            path = folder_of(folder, values) / "a.npy"
        raw = bytearray(path.read_bytes())
        if seed % 4 < 2:
            raw[int(rng.integers(128))] = int(rng.integers(256))
        else:
            raw = raw[: int(rng.integers(len(raw)))]
        path.write_bytes(raw)
        data = cs.stream(path.parent)
        return data.take(np.arange(data.size))

    def right(data):
        assert data.size <= 30
        if seed % 4 > 1:
            raise AssertionError("a truncated file was read")

    return Case(
        "cut" if seed % 4 > 1 else "header",
        run,
        right,
        ("npy|there|a", "expected|present"),
    )


@mechanism("stream: headers that lie", 16, quick=2, megabytes=700)
def lying(rng, seed):
    values = arrays(rng)
    shape = seed < 8
    text = SHAPES[seed % len(SHAPES)] if shape else HEADERS[seed % len(HEADERS)]
    if shape:
        text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {text}, }}"

    def run(folder):
        folder_of(folder, values)
        (folder / "a.npy").write_bytes(with_header(text, values["a"].tobytes()))
        data = cs.stream(folder)
        return data.take(np.arange(data.size))

    return Case(f"{text[:70]!r}", run, None, ("a.npy|'a'|'b'|expected",))


@mechanism("stream: what else stands in the folder", 8)
def others(rng, seed):
    values = arrays(rng)
    extra, good = (
        ({"present": np.ones((30, 2), bool)}, None),
        ({"c": np.ones(30)}, True),
        ({"c": np.ones(29)}, False),
        ({"c": np.array(["x"] * 30)}, False),
        ({"z": np.ones((30, 1))}, False),
        ({"c": np.ones((30, 1), complex)}, False),
        ({"mask_c": np.ones((30, 1), bool)}, False),
        ({"c": np.full((30, 1), np.inf)}, False),
    )[seed % 8]

    name, added = next(iter(extra.items()))

    def run(folder):
        data = cs.stream(folder_of(folder, values, **extra))
        return data.take(np.arange(30))

    return Case(
        f"{name}: {added.dtype}{added.shape}",
        run,
        None if good is False else same_rows(values),
        None if good else (f"{name}|present",),
    )


@mechanism("stream: indexes", 8)
def indexes(rng, seed):
    values = arrays(rng)
    index = (
        [30],
        [-31],
        [1.5],
        "a",
        None,
        np.ones(29, bool),
        [[1, 2], [3, 4]],
        np.nan,
    )[seed % 8]
    call = lambda folder: cs.StreamedData.from_arrays(values).take(index)  # noqa: E731
    return Case(
        f"take({index!r:.40})", call, None, ("ind(ex|ices)|rows",), errors=(IndexError,)
    )
