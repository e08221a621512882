"""Arrays in memory: types, shapes, layouts, names, frames."""

import warnings

import jax.numpy as jnp
import numpy as np
import pandas as pd

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import equal, measured

from_arrays = cs.MultimodalData.from_arrays


def two(rng, rows: int = 6) -> dict[str, np.ndarray]:
    """Two modalities of the same rows."""
    return {"a": rng.normal(size=(rows, 3)), "b": rng.normal(size=(rows, 2))}


def as_given(values: dict):
    """Values as they came, in 32 bits."""

    def check(data):
        assert list(data.names) == list(values), f"modalities {data.names}"
        for name, x in values.items():
            equal(measured(data, name), np.asarray(x).astype(np.float32), name)

    return check


LAYOUTS = {
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x.astype(np.float32),
    "long double": lambda x: x.astype(np.longdouble),
    "big-endian": lambda x: x.astype(">f8"),
    "Fortran order": np.asfortranarray,
    "every second row": lambda x: np.repeat(x, 2, 0)[::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "read only": lambda x: np.broadcast_to(x, x.shape),
    "a list of lists": lambda x: x.tolist(),
    "a tuple of arrays": lambda x: tuple(x),
    "an array of JAX": jnp.asarray,
    "bfloat16 of JAX": lambda x: jnp.asarray(x, jnp.bfloat16),
    "a matrix": np.asmatrix,
    "masked, with no mask": np.ma.asarray,
    "one column": lambda x: x[:, :1],
    "no axis of columns": lambda x: x[:, 0],
    "four axes": lambda x: x.reshape(6, 3, 1, 1),
}


@mechanism("arrays: layouts", len(LAYOUTS), quick=3)
def layouts(rng, seed):
    values, kind = two(rng), list(LAYOUTS)[seed % len(LAYOUTS)]

    def changed():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return values | {"a": LAYOUTS[kind](values["a"])}

    def right(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            truth = np.array(np.asarray(changed()["a"], np.float64))
        equal(measured(data, "a").reshape(truth.shape), truth.astype(np.float32))

    strange = kind in ("bfloat16 of JAX", "a matrix")
    words = ("'a'", "expected") if strange else None
    return Case(kind, lambda folder: from_arrays(changed()), right, words)


REFUSED = {
    "complex": lambda x: x + 1j,
    "objects": lambda x: x.astype(object),
    "objects with None": lambda x: np.where(x > 0, x, None),
    "text": lambda x: x.astype(str),
    "bytes": lambda x: x.astype("S"),
    "dates": lambda x: np.full(x.shape, np.datetime64("2024-01-01")),
    "records": lambda x: np.rec.fromarrays(x.T),
    "ragged lists": lambda x: [[1.0], [1.0, 2.0]] * 3,
    "no rows": lambda x: x[:0],
    "no columns": lambda x: x[:, :0],
    "a number": lambda x: 3.0,
    "None": lambda x: None,
    "a text": lambda x: "abc",
    "a dict": lambda x: {"x": x},
    "a generator": lambda x: (row for row in x),
    "more rows": lambda x: np.repeat(x, 2, 0),
    "a transposed one": lambda x: x.T,
    "an inf": lambda x: np.where(x == x.max(), np.inf, x),
    "1e39": lambda x: np.where(x == x.max(), 1e39, x),
    "uint64 beyond": lambda x: np.full(x.shape, 2**63, np.uint64),
    "int64 beyond": lambda x: np.full(x.shape, 2**40),
    "a set": lambda x: {1.0, 2.0},
    "a function": lambda x: np.mean,
}


@mechanism("arrays: what is none", len(REFUSED), quick=4)
def refused(rng, seed):
    values, kind = two(rng), list(REFUSED)[seed % len(REFUSED)]
    return Case(
        kind,
        lambda folder: from_arrays(values | {"a": REFUSED[kind](values["a"])}),
        None,
        ("'a'|'b'", "expected"),
    )


@mechanism("arrays: whole numbers", 8, quick=2)
def whole(rng, seed):
    """Every digit of what fits; nothing of what does not."""
    kind, low, high = (
        ("i1", -128, 127),
        ("u1", 0, 255),
        ("i2", -(2**15), 2**15 - 1),
        ("u4", 0, 2**31 - 1),
        ("u4", 2**31, 2**32 - 1),
        ("i8", -(2**31), 2**31 - 1),
        ("i8", 2**31, 2**40),
        ("u8", 0, 2**24 + 7),
    )[seed % 8]
    x = rng.integers(low, high, (6, 2), endpoint=True).astype(kind)
    fits = seed % 8 not in (4, 6)

    def right(data):
        equal(np.asarray(data.values["a"], np.int64), x.astype(np.int64))

    return Case(
        f"{kind} from {low} to {high}",
        lambda folder: from_arrays({"a": x}),
        right if fits else None,
        None if fits else ("'a'", "fit"),
    )


@mechanism("arrays: frames of other orders", 6, quick=2)
def frames(rng, seed):
    """Matched by name as `read` does, or refused; never by place."""
    values = two(rng)
    ids = [f"s{i}" for i in range(6)]
    a = pd.DataFrame(values["a"], ids, ["x", "y", "w"])
    b = pd.DataFrame(values["b"], ids, ["u", "v"])
    b = (b.iloc[::-1], b.sample(frac=1, random_state=1), b.iloc[1:], b)[seed % 4]

    def right(data):
        row = {name: i for i, name in enumerate(data.row_names)}
        assert row, "names of rows are lost"
        for name, frame in (("a", a), ("b", b)):
            got = measured(data, name)[[row[s] for s in frame.index]]
            np.testing.assert_allclose(got, frame.to_numpy().astype(np.float32))

    call = (from_arrays, cs.read)[seed // 4 % 2]
    good = call is cs.read
    return Case(
        f"{call.__name__} of frames",
        lambda folder: call({"a": a, "b": b}),
        right,
        None if good else ("frame|DataFrame|index|row|'b'",),
    )


@mechanism("arrays: names of rows", 10, quick=2)
def row_names(rng, seed):
    values = two(rng)
    given, good = (
        (list("abcdef"), True),
        (range(6), True),
        (iter("abcdef"), True),
        (np.array(list("abcdef")), True),
        (list("abcde"), False),
        (list("abcdea"), False),
        ("abcdef", None),
        (3, False),
        ([1, "1", 2, 3, 4, 5], False),
        (pd.Index(list("abcdef")), True),
    )[seed % 10]
    shown = list("abcdef") if not isinstance(given, range) else list("012345")

    def right(data):
        assert list(data.row_names) == shown, f"{data.row_names}"

    return Case(
        f"row_names={given!r:.50}",
        lambda folder: from_arrays(values, row_names=given),
        right if good is not False else None,
        None if good else ("row_names",),
    )


@mechanism("arrays: names of columns", 8)
def feature_names(rng, seed):
    values = two(rng)
    given, good = (
        ({"a": list("xyz")}, True),
        ({"a": list("xyz"), "b": list("uv")}, True),
        ({"a": list("xy")}, False),
        ({"a": list("xyx")}, False),
        ({"c": list("xyz")}, False),
        (list("xyz"), False),
        ({"a": "xyz"}, None),
        ({"a": 3}, False),
    )[seed % 8]

    def right(data):
        assert tuple(data.feature_names[0]) == tuple("xyz"), f"{data.feature_names}"

    return Case(
        f"feature_names={given!r}",
        lambda folder: from_arrays(values, feature_names=given),
        right if good is not False else None,
        None if good else ("feature_names",),
    )


MODALITIES = ("", "z", "data", "features", "prior", 3, None, "w", ("a", 1), b"a")


@mechanism("arrays: names of modalities", len(MODALITIES) + 2)
def modality_names(rng, seed):
    x = rng.normal(size=(6, 2))
    if seed % 12 >= len(MODALITIES):
        pairs = ([("a", x), ("a", x)], [("a", x, x)])[seed % 12 - len(MODALITIES)]
        return Case(
            "pairs", lambda folder: from_arrays(pairs), None, ("values", "twice|pairs")
        )
    name = MODALITIES[seed % len(MODALITIES)]
    return Case(
        f"{name!r}",
        lambda folder: from_arrays({name: x}),
        None,
        ("values|name", "expected"),
    )


@mechanism("arrays: covariates", 12, quick=2)
def covariates(rng, seed):
    values = two(rng)
    c = np.arange(6)
    about, given, good = (
        ("ints", {"c": c}, True),
        ("floats", {"c": c / 2}, True),
        ("two axes", {"c": np.ones((6, 2))}, True),
        ("bools", {"c": c > 2}, True),
        ("NaN", {"c": np.where(c == 2, np.nan, c)}, False),
        ("inf", {"c": np.where(c == 2, np.inf, c)}, False),
        ("short", {"c": c[:5]}, False),
        ("text", {"c": np.array(list("abcdef"))}, False),
        ("a number", {"c": 3.0}, False),
        ("as a modality", {"a": c}, False),
        ("masked", {"c": np.ma.masked_equal(c, 2)}, False),
        ("objects", {"c": np.array([1, None, 2, 3, 4, 5])}, False),
    )[seed % 12]

    def right(data):
        np.testing.assert_allclose(
            np.asarray(data.covariates["c"], float), np.asarray(given["c"], float)
        )

    return Case(
        about,
        lambda folder: from_arrays(values, covariates=given),
        right if good else None,
        None if good else ("covariates",),
    )


@mechanism("arrays: a table of its own kind", 5)
def own_kind(rng, seed):
    """Series, frames with text, sparse frames: taken rightly or refused by name."""
    x = pd.DataFrame(rng.normal(size=(6, 2)), [f"s{i}" for i in range(6)], ["x", "y"])
    hole = pd.DataFrame({"x": False, "y": x["y"] > 0.5})
    given, about = (
        (x["x"], "a Series"),
        (x.assign(t="u"), "a frame with text"),
        (x.assign(t=pd.Timestamp("2024-01-01")), "a frame with dates"),
        (x.astype(pd.SparseDtype(float, 0.0)), "a sparse frame"),
        (x.astype("Float64").mask(hole), "nullable floats"),
    )[seed % 5]

    def right(data):
        if seed % 5 in (1, 2):
            raise AssertionError("text or dates became numbers")
        truth = np.asarray(
            x["x"] if seed % 5 == 0 else x.mask(hole) if seed % 5 == 4 else x, float
        )
        np.testing.assert_allclose(
            measured(data, "a").reshape(truth.shape), truth.astype(np.float32)
        )

    call = pick(rng, [from_arrays, cs.read])
    return Case(
        f"{call.__name__}: {about}",
        lambda folder: call({"a": given}),
        right,
        ("'a'", "expected"),
    )
