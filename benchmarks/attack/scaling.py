"""Standardisation at every scale, against float64 by NumPy."""

import numpy as np

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import equal, measured

SMALLEST = np.finfo(np.float32).tiny
from_arrays = cs.MultimodalData.from_arrays


def standardised(x: np.ndarray, log: bool = False) -> np.ndarray:
    """The truth, in float64 of the values that float32 can hold."""
    g = np.log1p(x) if log else x
    scale = np.nanstd(g, 0)
    return (g - np.nanmean(g, 0)) / np.where(scale == 0, 1, scale)


def near(x: np.ndarray, tolerance: float = 1e-4, **settings):
    """Standardised values, whose size is about one."""
    truth = standardised(x, **settings)
    tolerance = tolerance + SMALLEST / np.nanstd(x)  # smaller ones are 0 on a device

    def check(data):
        np.testing.assert_allclose(measured(data, "a"), truth, atol=tolerance)

    return check


POWERS = (-36, -30, -26, -22, -20, -15, -8, -3, 3, 8, 15, 19, 20, 25, 30, 36)


@mechanism("scaling: units from 1e-36 to 1e37", 16, quick=2)
def units(rng, seed):
    power = POWERS[seed % 16]
    x = rng.normal(size=(40, 3)) * 10.0**power
    x[:, 1:][rng.random((40, 2)) < 0.1] = np.nan
    return Case(
        f"1e{power}",
        lambda folder: from_arrays({"a": x}).standardize(),
        near(x),
        ("a", "scale|float32|fit|finite"),
    )


@mechanism("scaling: there and back", 16, quick=1)
def back(rng, seed):
    """`unstandardize` of the standardised values is the values."""
    power = POWERS[seed % 16]
    x = rng.normal(size=(20, 3)) * 10.0**power

    def run(folder):
        data = from_arrays({"a": x}).standardize()
        return np.asarray(data.unstandardize(data.values)["a"], np.float64)

    def right(got):
        np.testing.assert_allclose(got, x, atol=1e-5 * np.abs(x).max() + 2 * SMALLEST)

    return Case(f"1e{power}", run, right, ("a", "scale|float32|fit|finite"))


@mechanism("scaling: one outlier", 6)
def outlier(rng, seed):
    x = rng.normal(size=(30, 2))
    size = (1e6, 1e12, 1e18, 1e20, 1e30, 3e38)[seed % 6]
    x[4, 1] = size
    return Case(
        f"an outlier of {size:g}",
        lambda folder: from_arrays({"a": x}).standardize(),
        near(x),
        ("a", "scale|float32|fit|finite"),
    )


@mechanism("scaling: large offsets", 8, quick=2)
def offsets(rng, seed):
    """What float32 cannot tell apart is told apart before, or said.

    Values that differ by less than 2⁻⁴⁴ of their size are one to us, as documented.
    """
    offset = (1e3, 1e5, 1e6, 1e7, 1e8, -1e8, 1e10, 1e13)[seed % 8]
    x = offset + rng.normal(size=(60, 2))
    tolerance = 1e-4 + 4 * abs(offset) * np.finfo(np.float32).eps * (abs(offset) < 2e5)
    return Case(
        f"{offset:g} + normal",
        lambda folder: from_arrays({"a": x}).standardize(),
        near(x, tolerance),
        ("a",),
        warned="'a'",
    )


@mechanism("scaling: columns that never vary", 8, quick=2)
def constant(rng, seed):
    """They become 0, and come back as they were."""
    value = (0.0, 1.0, -3.7, 1e-30, 1e30, 1 / 3, 16777217.0, 0.1)[seed % 8]
    x = rng.normal(size=(25, 2))
    x[:, 1] = value

    def run(folder):
        data = from_arrays({"a": x}).standardize()
        return np.asarray(data.values["a"]), np.asarray(
            data.unstandardize(data.values)["a"]
        )

    def right(found):
        scaled, back = found
        np.testing.assert_allclose(scaled[:, 1], 0, atol=1e-3)
        np.testing.assert_allclose(back[:, 1], value, rtol=1e-6)

    return Case(f"all {value}", run, right, ("a",))


@mechanism("scaling: logarithms", 8, quick=1)
def logs(rng, seed):
    if seed % 8 < 5:
        x = rng.lognormal(0, 3, (40, 2)) * 10.0 ** (-6, 0, 3, 6, 20)[seed % 8]
        if seed % 8 == 2:
            x = np.round(x).astype(np.int32)
        return Case(
            f"up to {x.max():g}",
            lambda folder: from_arrays({"a": x}).standardize(log=["a"]),
            near(x, log=True),
            None,
        )
    value = (-1.0, -2.0, -1e-8)[seed % 8 - 5]
    x = rng.lognormal(size=(10, 2))
    x[3, 1] = value
    return Case(
        f"log of 1 + {value}",
        lambda folder: from_arrays({"a": x}).standardize(log=["a"]),
        near(x, log=True) if value > -1 else None,
        ("'a'", "row 3"),
    )


@mechanism("scaling: of memory and of files", 8, quick=1)
def streamed(rng, seed):
    """The same bits, whatever the units."""
    power = (-26, -18, -3, 0, 3, 12, 18, 25)[seed % 8]
    x = rng.normal(3.0, 1.0, size=(50, 3)) * 10.0**power
    x[:, 1:][rng.random((50, 2)) < 0.1] = np.nan

    def run(folder):
        streamed = cs.StreamedData.from_arrays({"a": x}).standardize()
        memory = from_arrays({"a": x}).standardize()
        return streamed.take(np.arange(50)), memory

    def right(found):
        streamed, memory = found
        np.testing.assert_allclose(measured(streamed, "a"), standardised(x), atol=1e-4)
        equal(measured(streamed, "a"), measured(memory, "a"), "memory and stream")

    return Case(f"1e{power}", run, right, ("a", "scale|float32|fit|finite"))


@mechanism("scaling: like other rows, by name", 10, quick=2)
def like(rng, seed):
    """New rows with columns in another order, more or fewer of them."""
    import pandas as pd

    columns = list("uvwx")
    train = pd.DataFrame(
        rng.normal([0, 10, 100, 1000], [1, 2, 3, 4], (30, 4)),
        [f"s{i}" for i in range(30)],
        columns,
    )
    new = pd.DataFrame(
        rng.normal([0, 10, 100, 1000], [1, 2, 3, 4], (8, 4)),
        [f"t{i}" for i in range(8)],
        columns,
    )
    about, changed = (
        ("reversed", new[columns[::-1]]),
        ("shuffled", new[list(rng.permutation(columns))]),
        ("one more", new.assign(y=1.0)),
        ("one less", new[columns[:3]]),
        ("renamed", new.rename(columns={"u": "q"})),
    )[seed % 5]
    truth = (new - train.mean()) / train.std(ddof=0)
    if seed % 5 == 3:
        truth["x"] = np.nan
    if seed % 5 == 4:
        truth["u"] = np.nan

    def run(folder):
        fitted = cs.read({"a": train}).standardize()
        return cs.read({"a": changed}).standardize(like=fitted)

    def right(data):
        names = list(data.feature_names[0])
        for column in columns:
            got = (
                measured(data, "a")[:, names.index(column)]
                if column in names
                else np.full(8, np.nan)
            )
            np.testing.assert_allclose(got, truth[column], atol=2e-4, err_msg=column)

    return Case(about, run, right, ("'a'|a", "column"))


@mechanism("scaling: wrong calls", 8)
def calls(rng, seed):
    data = from_arrays({"a": rng.normal(size=(6, 2)), "n": rng.poisson(3, (6, 2))})
    call, words = (
        (lambda: data.standardize(["c"]), "'c'"),
        (lambda: data.standardize("a"), "names"),
        (lambda: data.standardize(["n"]), "'n'"),
        (lambda: data.standardize(["a", "a"]), "names"),
        (lambda: data.standardize().standardize(), "scaled"),
        (lambda: data.standardize(like=data), "like"),
        (lambda: data.standardize(log=["c"]), "'c'"),
        (lambda: data.standardize(3), "names"),
    )[seed % 8]
    return Case(f"call {seed % 8}", lambda folder: call(), None, (words, "expected"))
