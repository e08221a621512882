"""AnnData and MuData: matrices, layers and names, whole and damaged."""

import warnings

import numpy as np
import pandas as pd

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import accept, frame_of, measured


def cells(rng, sparse: str | None = None):
    """An AnnData of counts with a layer, and its numbers."""
    import anndata
    import scipy.sparse

    n, d = int(rng.integers(4, 9)), int(rng.integers(2, 6))
    x = rng.poisson(1.0, (n, d)).astype(np.float32)
    made = x if sparse is None else getattr(scipy.sparse, sparse)(x)
    found = anndata.AnnData(
        made,
        obs=pd.DataFrame(
            {"age": rng.integers(20, 60, n)}, index=[f"c{i}" for i in range(n)]
        ),
        var=pd.DataFrame(index=[f"g{j}" for j in range(d)]),
    )
    found.layers["log"] = np.log1p(x)
    return found, x


def quietly(function, *arguments, **settings):
    """These packages warn of what is none of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **settings)


def counts(x, name: str = "X"):
    """The matrix by name of cell and gene."""

    def check(data):
        frame = frame_of(data, name)
        rows = [int(r[1:]) for r in frame.index]
        columns = [int(c[1:]) for c in frame.columns]
        np.testing.assert_array_equal(frame.to_numpy(), x[rows][:, columns])

    return check


KINDS = (None, "csr_matrix", "csc_matrix", "csr_array", "csc_array")


@mechanism("AnnData: dense and sparse, in memory and as a file", 10, quick=2)
def matrices(rng, seed):
    found, x = quietly(cells, rng, KINDS[seed % 5])

    def run(folder):
        if seed < 5:
            return quietly(cs.read, found)
        quietly(found.write_h5ad, folder / "a.h5ad")
        return quietly(cs.read, folder / "a.h5ad")

    return Case(
        f"{KINDS[seed % 5]}, {'in memory' if seed < 5 else 'file'}",
        run,
        counts(x),
        None,
    )


@mechanism("AnnData: layers and covariates", 4)
def layers(rng, seed):
    found, x = quietly(cells, rng)
    settings, name, truth = (
        ({"modalities": ["layers/log"]}, "log", np.log1p(x)),
        ({"modalities": {"rna": "X"}}, "rna", x),
        ({"modalities": {"rna": "X"}, "covariates": ["age"]}, "rna", x),
        ({"modalities": {"log": "layers/log", "raw": "X"}}, "log", np.log1p(x)),
    )[seed % 4]

    def right(data):
        got = [n for n in data.names if name in n]
        np.testing.assert_allclose(measured(data, got[0]), truth, rtol=1e-6)
        if "covariates" in settings:
            np.testing.assert_array_equal(data.covariates["age"], found.obs["age"])

    return Case(
        f"{settings}", lambda folder: quietly(cs.read, found, **settings), right, None
    )


@mechanism("AnnData: names twice, NaN, no names", 6)
def odd(rng, seed):
    found, x = quietly(cells, rng)
    words, right = ("obs|var|X|sample|column|c1|g1|names", "expected"), None
    if seed % 6 == 0:
        found.obs_names = ["c0", *found.obs_names[:-1]]
    if seed % 6 == 1:
        found.var_names = ["g0", *found.var_names[:-1]]
    if seed % 6 == 2:
        x = x.copy()
        x[0, 0] = np.nan
        found.X, right, words = x, counts(x), None
    if seed % 6 == 3:
        x = x.copy()
        x[0, 0] = np.inf
        found.X = x
    if seed % 6 == 4:
        found.obs_names = ["", *found.obs_names[1:]]
    if seed % 6 == 5:
        found.X = None
    return Case(
        ("obs twice", "var twice", "NaN", "inf", "no name", "no X")[seed % 6],
        lambda folder: quietly(cs.read, found),
        right,
        words,
    )


@mechanism("h5ad: damaged at random", 24, quick=2, megabytes=3000)
def damaged(rng, seed):
    """HDF5 has no checksums by default: values may change, but nothing may fall over."""
    found, _x = quietly(cells, rng, KINDS[seed % 3])

    def run(folder):
        quietly(found.write_h5ad, folder / "a.h5ad")
        raw = bytearray((folder / "a.h5ad").read_bytes())
        for where in rng.integers(len(raw), size=int(rng.integers(1, 40))):
            raw[where] = int(rng.integers(256))
        (folder / "a.h5ad").write_bytes(raw)
        return quietly(cs.read, folder / "a.h5ad")

    return Case("bytes overwritten", run, accept, ("a.h5ad|'X'|X|AnnData", "expected"))


@mechanism("h5ad: truncated, empty, of other kinds", 8, quick=2)
def foreign(rng, seed):
    found, _ = quietly(cells, rng)

    def run(folder):
        import h5py

        path = folder / "a.h5ad"
        quietly(found.write_h5ad, path)
        raw = path.read_bytes()
        if seed % 8 < 3:
            path.write_bytes(raw[: int(rng.integers(len(raw)))])
            return quietly(cs.read, path)
        with h5py.File(path, "a" if seed % 8 < 6 else "w") as file:
            if seed % 8 == 3:
                del file["obs"]
            if seed % 8 == 4:
                del file["X"]
            if seed % 8 == 5:
                del file["var"]
            if seed % 8 == 6:
                file["data"] = np.ones((3, 2))
            if seed % 8 == 7:
                file["X"] = np.ones((3, 2))
        return quietly(cs.read, path)

    about = ("cut", "cut", "cut", "no obs", "no X", "no var", "another's", "X alone")[
        seed % 8
    ]
    right = accept if about == "no var" else None  # genes without names
    return Case(about, run, right, (r"a\.h5ad|X|obs|var", "expected"))


@mechanism("h5ad: streamed", 6, quick=1)
def streamed(rng, seed):
    """Rows that stay on disk are those of memory; what cannot be streamed is named."""
    found, x = quietly(cells, rng, KINDS[(0, 1, 0, 2, 0, 0)[seed % 6]])

    def run(folder):
        import h5py

        path = folder / "a.h5ad"
        quietly(found.write_h5ad, path)
        with h5py.File(path, "a") as file:
            if seed % 6 == 2:
                del file["obs"]
            if seed % 6 == 4:
                del file["var"]
            if seed % 6 == 5:
                del file["X"]
        data = quietly(cs.stream, path)
        return data.take(np.arange(data.size))

    good = seed % 6 < 2 or seed % 6 == 3
    right = counts(x) if good else accept if seed % 6 == 4 else None
    return Case(
        ("dense", "csr", "no obs", "csc", "no var", "no X")[seed % 6],
        run,
        right,
        ("a.h5ad|X|obs|var|csc|CSC|source", "expected"),
    )


@mechanism("MuData: cells in other orders, and not in all", 6, quick=1)
def mudata(rng, seed):
    import mudata as md

    (rna, x), (adt, y) = quietly(cells, rng), quietly(cells, rng)
    rows = rng.permutation(len(y))
    adt = adt[rows].copy()
    made = quietly(md.MuData, {"rna": rna, "adt": adt})

    def run(folder):
        if seed % 2:
            return quietly(cs.read, made)
        quietly(made.write, folder / "a.h5mu")
        return quietly(cs.read, folder / "a.h5mu")

    def right(data):
        for name, truth in (("rna", x), ("adt", y)):
            frame = frame_of(data, name)
            for i, row in enumerate(frame.index):
                want = truth[int(row[1:])] if int(row[1:]) < len(truth) else np.nan
                columns = [int(c[1:]) for c in frame.columns]
                want = want if np.isscalar(want) else want[columns]
                np.testing.assert_array_equal(
                    frame.to_numpy()[i], np.broadcast_to(want, len(columns))
                )

    return Case("MuData", run, right, None)


@mechanism("MuData: nested, empty, reserved", 4)
def strange(rng, seed):
    import anndata
    import mudata as md

    (rna, _), (adt, _) = quietly(cells, rng), quietly(cells, rng)
    made = {
        0: lambda: md.MuData({"z": rna, "adt": adt}),
        1: lambda: md.MuData({"inner": md.MuData({"rna": rna}), "adt": adt}),
        2: lambda: md.MuData(
            {"rna": rna, "adt": anndata.AnnData(np.zeros((0, 3), np.float32))}
        ),
        3: lambda: {"rna": rna, "adt": adt},
    }[seed % 4]
    about = ("a modality z", "nested", "an empty one", "a dict of AnnData")[seed % 4]
    words = ("z|inner|adt|rna|dict", "expected|MuData")
    return Case(
        about,
        lambda folder: quietly(cs.read, quietly(made)),
        accept if seed % 4 == 3 else None,
        words,
    )


@mechanism("AnnData: where arrays or paths are wanted", 6)
def elsewhere(rng, seed):
    found, x = quietly(cells, rng, "csr_matrix")
    call, about = (
        (
            lambda: cs.MultimodalData.from_arrays({"rna": found}),
            "from_arrays of an AnnData",
        ),
        (
            lambda: cs.MultimodalData.from_arrays({"rna": found.X}),
            "from_arrays of a sparse X",
        ),
        (lambda: cs.stream(found), "stream of an AnnData"),
        (lambda: cs.read({"rna": found.X}), "read of a sparse X"),
        (
            lambda: cs.read({"rna": found.to_df().astype(pd.SparseDtype(float, 0.0))}),
            "read of a sparse frame",
        ),
        (lambda: cs.read({"rna": found}), "read of a dict of AnnData"),
    )[seed % 6]

    def right(data):
        name = data.names[0]
        np.testing.assert_array_equal(measured(data, name), x)

    return Case(
        about,
        lambda folder: quietly(call),
        right,
        ("rna|source", "sparse|AnnData|dense|toarray|read|path|file"),
    )
