"""Covariates: matched by id, coded by lists, always known."""

import numpy as np
import pandas as pd

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import tables, text, write


def notes(rng, frames) -> pd.DataFrame:
    """Age and sex of all samples, in another order, and of more."""
    ids = sorted({*frames["genes"].index, *frames["proteins"].index, "s98", "s99"})
    ids = list(rng.permutation(ids))
    return pd.DataFrame(
        {
            "age": rng.integers(20, 90, len(ids)),
            "sex": rng.choice(["f", "m"], len(ids)),
        },
        pd.Index(ids, name="patient"),
    )


def by_id(table: pd.DataFrame):
    """Age as it stands, sex as the place in the list."""

    def check(data):
        shown = table.loc[list(data.row_names)]
        np.testing.assert_array_equal(
            data.covariates["age"], shown["age"].astype(float)
        )
        if "sex" in data.covariates:
            np.testing.assert_array_equal(
                data.covariates["sex"], shown["sex"].map({"m": 0, "f": 1})
            )

    return check


@mechanism("covariates: by id", 8, quick=2)
def matched(rng, seed):
    frames = tables(rng)
    table = notes(rng, frames)
    contents = {f"{n}.csv": text(f) for n, f in frames.items()}
    way = seed % 4
    if way in (0, 3):
        contents["covariates.csv"] = text(table)
    settings = (
        {},
        {"covariates": table},
        {"covariates": "more.csv"},
        {"covariates": ["age"]},
    )[way]
    if way != 3:
        settings = settings | {"categories": {"sex": ["m", "f"]}}

    def run(folder):
        write(folder, contents)
        if way == 2:
            other = folder.parent / f"{folder.name}-more.csv"
            other.write_text(text(table))
            try:
                return cs.read(folder, **settings | {"covariates": str(other)})
            finally:
                other.unlink()
        return cs.read(folder, **settings)

    return Case(f"way {way}", run, by_id(table), None)


@mechanism("covariates: not known, not coded, not there", 14, quick=3)
def wrong(rng, seed):
    frames = tables(rng)
    table = notes(rng, frames)
    first = str(frames["genes"].index[0])
    changed, settings = table.copy(), {"categories": {"sex": ["m", "f"]}}
    kind = seed % 14
    if kind == 0:
        changed = table.drop(first)
    if kind == 1:
        changed["age"] = changed["age"].astype(object)
        changed.loc[first, "age"] = ""
    if kind == 2:
        changed.loc[first, "sex"] = "F"
    if kind == 3:
        changed.loc[first, "sex"] = ""
    if kind == 4:
        settings = {}
    if kind == 5:
        settings = {"categories": {"sex": ["m"]}}
    if kind == 6:
        settings = {"categories": {"sex": ["m", "f", "m"]}}
    if kind == 7:
        settings = {"categories": {"sex": "mf"}}
    if kind == 8:
        settings |= {"covariates": ["Age"]}
    if kind == 9:
        changed = changed.rename(columns={"age": "genes"})
    if kind == 10:
        changed = changed.rename(columns={"age": "present"})
    if kind == 11:
        changed = changed.rename(index={first: first.upper()})
    if kind == 12:
        changed["age"] = changed["age"].astype(float)
        changed.loc[first, "age"] = np.inf
    if kind == 13:
        settings |= {"covariates": ["age", "age"]}
    contents = {f"{n}.csv": text(f) for n, f in frames.items()} | {
        "covariates.csv": text(changed)
    }
    return Case(
        f"fault {kind}",
        lambda folder: cs.read(write(folder, contents), **settings),
        None,
        ("covariate|categories", "expected"),
    )


@mechanism("covariates: categories that look like numbers", 6)
def numbers(rng, seed):
    """Codes follow the list, also where categories are numbers or truth values."""
    frames = tables(rng)
    table = notes(rng, frames)
    names = (
        ["1", "2"],
        ["0", "1"],
        ["True", "False"],
        ["1.0", "2.0"],
        ["01", "02"],
        ["NA", "no"],
    )[seed % 6]
    batch = rng.choice(names, len(table))
    table = table[["age"]].assign(batch=batch)
    contents = {f"{n}.csv": text(f) for n, f in frames.items()} | {
        "covariates.csv": text(table)
    }
    order = names[::-1]

    def right(data):
        shown = table.loc[list(data.row_names), "batch"].map(
            {c: i for i, c in enumerate(order)}
        )
        np.testing.assert_array_equal(data.covariates["batch"], shown)

    return Case(
        f"categories {order}",
        lambda folder: cs.read(write(folder, contents), categories={"batch": order}),
        right,
        ("covariates|categories",),
    )
