"""Rows taken, split and joined, by NumPy on the side."""

import jax
import numpy as np

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import equal, measured


def numbered(rng, rows: int = 9) -> cs.MultimodalData:
    """Rows that say who they are."""
    a = rng.normal(size=(rows, 2))
    a[:, 0] = np.arange(rows)
    a[2, 1] = np.nan
    b = rng.normal(size=(rows, 3))
    b[4] = np.nan
    return cs.MultimodalData.from_arrays(
        {"a": a, "b": b},
        covariates={"c": np.arange(rows)},
        row_names=[f"s{i}" for i in range(rows)],
        feature_names={"a": ["n", "x"]},
    )


def are_rows(data: cs.MultimodalData, rows) -> None:
    """Everything of these rows, in this order."""

    def check(got):
        assert got.size == len(rows), f"{got.size} rows for {len(rows)}"
        for name in data.names:
            equal(measured(got, name), measured(data, name)[rows], name)
        equal(got.present, np.asarray(data.present)[rows], "present")
        equal(got.covariates["c"], np.asarray(data.covariates["c"])[rows], "c")
        assert list(got.row_names) == [data.row_names[i] for i in rows], got.row_names
        assert got.feature_names == data.feature_names

    return check


INDEXES = (
    [0, 3, 3],
    [-1, -9],
    slice(2, 7, 2),
    slice(None, None, -1),
    np.arange(9) % 2 == 0,
    4,
    np.int64(5),
    np.array([8, 1], np.uint8),
    range(3),
    (1, 2),
    [True] * 9,
    np.array([], int),
    slice(5, 5),
    [9],
    [-10],
    [1.5],
    "s1",
    None,
    np.ones(8, bool),
    [[0, 1], [2, 3]],
    ["s1"],
    np.nan,
    np.ones((9, 2), bool),
)
TAKEN = 11


@mechanism("rows: take", len(INDEXES), quick=3)
def take(rng, seed):
    data, index = numbered(rng), INDEXES[seed % len(INDEXES)]
    good = seed % len(INDEXES) < TAKEN
    shown = f"take({index!r})"
    if good:
        rows = np.atleast_1d(
            np.arange(9)[list(index) if isinstance(index, tuple) else index]
        )
        return Case(
            shown,
            lambda folder: data.take(index),
            are_rows(data, rows),
            None if not isinstance(index, tuple) else ("index",),
            errors=(IndexError,),
        )
    empty = seed % len(INDEXES) in (11, 12)
    right = (lambda got: equal(got.size, 0)) if empty else None
    return Case(
        shown,
        lambda folder: data.take(index),
        right,
        (r"ind(ex|ices)",),
        errors=(IndexError,),
    )


@mechanism("rows: split", 12, quick=2)
def split(rng, seed):
    data = numbered(rng)
    fraction = (0.5, 0.2, 0.9, 1 / 3, 0.01, 0, 1, 1.5, -0.5, np.nan, "0.5", None)[
        seed % 12
    ]

    def right(parts):
        first, second = parts
        assert first.size == round(fraction * 9)
        ours = np.r_[
            np.asarray(first.covariates["c"]), np.asarray(second.covariates["c"])
        ]
        equal(np.sort(ours), np.arange(9))
        for part in parts:
            are_rows(data, np.asarray(part.covariates["c"]))(part)

    good = seed % 12 < 4
    return Case(
        f"split by {fraction!r}",
        lambda folder: data.split(jax.random.key(seed), fraction),
        right if good else None,
        None if good else ("fraction",),
    )


@mechanism("rows: concatenate", 10, quick=2)
def concatenate(rng, seed):
    data = numbered(rng)
    scaled = data.standardize()
    parts = [data.take(slice(0, 4)), data.take([8, 7]), data.take([5])]
    other = cs.MultimodalData.from_arrays({"a": np.ones((2, 2)), "c": np.ones((2, 3))})
    bare = cs.MultimodalData.from_arrays(
        {"a": np.ones((2, 2)), "b": np.ones((2, 3))},
        covariates={"c": np.ones(2, int)},
        feature_names={"a": ["n", "x"]},
    )
    swapped = cs.MultimodalData.from_arrays(
        {"a": np.ones((2, 2)), "b": np.ones((2, 3))},
        covariates={"c": np.ones(2, int)},
        feature_names={"a": ["x", "n"]},
    )
    given, rows = (
        (parts, [0, 1, 2, 3, 8, 7, 5]),
        (parts[:1], [0, 1, 2, 3]),
        ([data.take([4]), data.take([2])], [4, 2]),
        ([], None),
        ([data, data], None),
        ([data, other], None),
        ([data, scaled], None),
        ([data.take([0]), scaled.take([1])], None),
        ([data, swapped], None),
        ([data, bare], 0),
    )[seed % 10]
    if rows == 0:
        return Case(
            "with rows without names",
            lambda folder: cs.MultimodalData.concatenate(given),
            lambda got: equal(len(got.row_names), 0),
            None,
        )
    return Case(
        f"{len(given)} parts, {seed % 10}",
        lambda folder: cs.MultimodalData.concatenate(given),
        None if rows is None else are_rows(data, rows),
        None if rows is not None else ("parts|row_names", "expected"),
    )


@mechanism("rows: batches stand for all", 6)
def batches(rng, seed):
    data = numbered(rng)
    rows = rng.choice(9, int(rng.integers(1, 9)), replace=False)

    def right(batch):
        assert batch.total == 9, batch.total
        equal(measured(batch, "a"), measured(data, "a")[rows])
        with (
            __import__("numpyro").handlers.seed(rng_seed=0),
            __import__("numpyro").handlers.trace() as trace,
            batch.plate(),
        ):
            __import__("numpyro").sample(
                "x", __import__("numpyro").distributions.Normal()
            )
        np.testing.assert_allclose(trace["x"]["scale"] or 1.0, 9 / len(rows), rtol=1e-6)

    return Case(f"rows {rows}", lambda folder: data.batch(rows), right, None)


@mechanism("rows: completed tables keep what was measured", 8, quick=2)
def complete(rng, seed):
    """Bit for bit, in the precision of the file too; what is filled in is the means."""
    data = numbered(rng)
    values = {n: rng.normal(size=(9, w)) for n, w in (("a", 2), ("b", 3))}
    means = {n: x.copy() for n, x in values.items()}
    precise = {
        n: np.where(np.isnan(measured(data, n)), np.nan, rng.normal(size=x.shape))
        for n, x in values.items()
    }
    about, call, source = (
        ("of the data", lambda: cs.complete(data, means), "data"),
        ("of the file", lambda: cs.complete(data, means, precise), "file"),
        ("one modality", lambda: cs.complete(data, {"b": means["b"]}), "data"),
        (
            "NaN in means",
            lambda: cs.complete(
                data,
                means | {"b": np.where(np.arange(9)[:, None] == 4, np.nan, means["b"])},
            ),
            None,
        ),
        (
            "draws in place of means",
            lambda: cs.complete(data, {"b": means["b"][None]}),
            None,
        ),
        ("standardised", lambda: cs.complete(data.standardize(), means), None),
        ("an unknown modality", lambda: cs.complete(data, {"z": means["b"]}), None),
        (
            "measured of another shape",
            lambda: cs.complete(
                data, means, {"a": precise["a"][:3], "b": precise["b"]}
            ),
            None,
        ),
    )[seed % 8]

    def right(got):
        for name, table in got.items():
            seen = ~np.isnan(measured(data, name))
            own = np.asarray(data.values[name]) if source == "data" else precise[name]
            equal(table[seen], own[seen], name)
            np.testing.assert_allclose(table[~seen], means[name][~seen], rtol=1e-6)

    return Case(
        about,
        lambda folder: call(),
        right if source else None,
        None if source else ("data|means|measured|modalit", "expected"),
    )
