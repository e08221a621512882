"""Malformed data: files, frames, arrays, masks, names, transforms."""

import gzip
import io
import os
import zipfile
from unittest import mock

import jax
import numpy as np
import pandas as pd
from bad_input import BadInput

import consilience as cs
from consilience.datasets import files as in_files

PATIENTS = [f"pt{i}" for i in range(10)]
A, B = np.ones((3, 2)), np.arange(15.0).reshape(3, 5)
SHAPED = "{'descr': '<f8', 'fortran_order': False, 'shape':"
GOOD = "id,x,y\ns1,1,2\ns2,3,4\n"


def files(contents, **options):
    """Read a folder of files; a function gives the bytes that are to stand in one."""

    def run(folder):
        for name, content in contents.items():
            raw = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(raw)
        return cs.read(folder, **options)

    return run


def table(text, **options):
    return files({"a.csv": text}, **options)


def archive(arrays=None, change=lambda raw: raw, **options):
    """Read an .npz of these arrays, with its bytes changed."""

    def run(folder):
        np.savez(folder / "a.npz", **({"a": A, "b": B} if arrays is None else arrays))
        path = folder / "b.npz"
        path.write_bytes(change((folder / "a.npz").read_bytes()))
        return cs.read(path, **options)

    return run


def frames(make, **options):
    return lambda folder: cs.read(make(), **options)


def arrays(values=None, **options):
    values = {"a": A, "b": B} if values is None else values
    return lambda folder: cs.MultimodalData.from_arrays(values, **options)


def calling(call):
    return lambda folder: call()


def omics(change=lambda cells: cells, **options):
    def run(folder):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import anndata

            cells = anndata.AnnData(
                B.copy(),
                obs=pd.DataFrame({"kind": [*"uvu"]}, index=["p", "q", "r"]),
                var=pd.DataFrame(index=[*"abcde"]),
            )
            change(cells)
            return cs.read(cells, **options)

    return run


def parquet(frame):
    raw = io.BytesIO()
    frame.to_parquet(raw)
    return raw.getvalue()


def flipped(raw):
    """One bit of the first array changed."""
    where = raw.index(b"NUMPY") + 128
    return raw[:where] + bytes([raw[where] ^ 1]) + raw[where + 1 :]


def zipped(*members, compress=0):
    """Read an .npz of these members as they are."""

    def run(folder):
        with zipfile.ZipFile(folder / "b.npz", "w", compress) as file:
            for name, content in members:
                file.writestr(name, content)
        return cs.read(folder / "b.npz")

    return run


def npy(array):
    raw = io.BytesIO()
    np.save(raw, array)
    return raw.getvalue()


def npy_header(text, rest=b""):
    """A .npy file whose header says what it likes."""
    text = text.encode() + b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + rest


def pipe(name, read=cs.read):
    """Give a reader a named pipe that nobody writes to."""

    def run(folder):
        os.mkfifo(folder / name)
        return read(folder / name)

    return run


def small(run, size=2**20):
    """With little memory."""

    def running(folder):
        with mock.patch.object(in_files, "memory", return_value=size):
            return run(folder)

    return running


def annotated(change, read=cs.read):
    """A file .h5ad that is changed before it is read."""

    def run(folder):
        import warnings

        import h5py

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import anndata

            obs, var = (pd.DataFrame(index=[*names]) for names in ("pqr", "abcde"))
            anndata.AnnData(B.copy(), obs, var).write_h5ad(folder / "a.h5ad")
            with h5py.File(folder / "a.h5ad", "r+") as file:
                change(file)
            return read(folder / "a.h5ad")

    return run


def described(text):
    """A Parquet file with this in place of what pandas says of it."""

    def run(folder):
        import pyarrow
        from pyarrow import parquet as files_of

        cells = pyarrow.Table.from_pandas(frame(["s1"]))
        cells = cells.replace_schema_metadata({b"pandas": text})
        files_of.write_table(cells, folder / "a.parquet")
        return cs.read(folder)

    return run


def numbered(*names, start=0):
    """Columns by name, in the order of rows that were shuffled."""
    cells = pd.DataFrame({name: np.arange(start, start + 6.0) for name in names})
    return cells.iloc[[3, 1, 4, 0, 5, 2]]


def by_feature(first, last):
    """Ten patients in columns, features in rows, as text."""
    cells = pd.DataFrame(1.0, [f"g{i}" for i in range(first, last)], PATIENTS)
    return cells.rename_axis("gene").to_csv()


def put(array, where, value):
    changed = np.array(array, dtype=np.result_type(array, type(value)))
    changed[where] = value
    return changed


def frame(index, columns=("x",), values=1.0):
    return pd.DataFrame(values, index=index, columns=list(columns))


FILES = [
    (
        "no such file",
        lambda f: cs.read(f / "none.csv"),
        r"file or folder, got .*none\.csv",
    ),
    (
        "a file of another kind",
        lambda f: (f / "a.xlsx").write_text("") or cs.read(f / "a.xlsx"),
        r"source: expected a folder or a file \.csv, .*\.h5mu, got a\.xlsx",
    ),
    (
        "an empty folder",
        files({}),
        r"expected a file \(.*\) for each modality, got none",
    ),
    (
        "covariates without modalities",
        files({"covariates.csv": GOOD}),
        "covariates only",
    ),
    (
        "a foreign file in the folder",
        files({"a.csv": GOOD, "readme.txt": ""}),
        r"readme\.txt: expected files \.csv, .* only, got another",
    ),
    (
        "two files of one modality",
        files({"a.csv": GOOD, "a.tsv": GOOD}),
        r"expected one file for modality 'a', got a\.csv and a\.tsv",
    ),
    (
        "an empty file",
        table(""),
        r"a\.csv: expected a line of column names, got nothing",
    ),
    ("a table without rows", table("id,x\n"), r"a\.csv: expected at least one sample"),
    (
        "a table of ids only",
        table("id\ns1\n"),
        r"at least one column beside the sample ids",
    ),
    (
        "a line that is too long",
        table(GOOD + "s3,5,6,7\n"),
        r"a\.csv: line 4: expected 3 cells as in the first line, got 4",
    ),
    (
        "a file cut off in a line",
        table(GOOD + "s3,5"),
        r"a\.csv: line 4: expected 3 cells as in the first line, got 2",
    ),
    (
        "a column without a name",
        table("id,x,\ns1,1,2\n"),
        r"column 1: expected a name, got",
    ),
    (
        "a column twice",
        table("id,x,x\ns1,1,2\n"),
        r"each column once, got 'x' as columns 0",
    ),
    (
        "a sample twice",
        table(GOOD + "s1,5,6\n"),
        r"each sample once, got 's1' in rows 0 and",
    ),
    (
        "a sample without an id",
        table(GOOD + ",5,6\n"),
        r"row 2: expected a sample id, got ''",
    ),
    (
        "semicolons for commas",
        table("id;x\ns1;1\n"),
        r"expected columns separated by commas, got semicolons",
    ),
    (
        "a text in Latin-1",
        table("id,größe\ns1,1\n".encode("latin-1")),
        r"a\.csv: expected text in UTF-8",
    ),
    (
        "a damaged gzip file",
        files({"a.csv.gz": gzip.compress(GOOD.encode() * 50)[:-12]}),
        r"a\.csv\.gz: expected a whole and undamaged file",
    ),
    (
        "words among numbers",
        table(GOOD + "s3,low,6\n"),
        r"a\.csv: sample 's3', column 'x': expected a number, or nothing .* got 'low'",
    ),
    (
        "commas as decimal points",
        table('id,x,y\ns1,1,2\ns2,3,"4,5"\n'),
        r"a\.csv: sample 's2', column 'y': expected a number, .*got '4,5'",
    ),
    (
        "an infinite cell",
        table(GOOD + "s3,5,-inf\n"),
        r"a\.csv: sample 's3', column 'y': expected a finite number, .*got -inf",
    ),
    (
        "a count beyond 32 bits",
        table(GOOD + "s3,5,3000000000\n"),
        r"row 2 \('s3'\), column 1 \('y'\): .*fits int32, got 3000000000",
    ),
    (
        "a count beyond 64 bits",
        table(GOOD + "s3,18446744073709551615,1\n"),
        r"sample 's3', column 'x': expected a number.*got.*18446744073709551615",
    ),
    (
        "no column of ids",
        table("x,y\n0.25,1\n0.5,2\n"),
        r"a\.csv: expected sample ids in the first column, got the number 0\.25",
    ),
    (
        "a wrong name of the id column",
        table(GOOD, id_column="Id"),
        r"id_column: a\.csv: .*id, x, y, got 'Id' \(did you mean 'id'\?\)",
    ),
    (
        "files without a common sample",
        files({"a.csv": GOOD, "b.csv": "id,z\nt1,1\n"}),
        r"a\.csv: expected samples that another .* has s1, s2, b\.csv has t1",
    ),
    (
        "samples in columns",
        files({"a.csv": GOOD, "b.csv": "id,s1,s2\np1,1,2\n"}),
        r"b\.csv: expected samples in rows, got columns that are samples of a\.csv too",
    ),
    (
        "ids with blanks and capitals",
        files({"a.csv": GOOD, "b.csv": "id,z\ns1,1\nS2 ,2\n"}),
        r"b\.csv: sample 'S2 ' looks like 's2' of a\.csv",
    ),
    (
        "ids that lost their zeros",
        files({"a.csv": "id,x\n007,1\n12,1\n", "b.csv": "id,z\n7,1\n12,2\n"}),
        r"b\.csv: sample '7' looks like '007' of a\.csv",
    ),
    (
        "ids with points for dashes",
        files({"a.csv": "id,x\nT-A1,1\nq,1\n", "b.csv": "id,z\nT.A1,1\nq,2\n"}),
        r"b\.csv: sample 'T\.A1' looks like 'T-A1' of a\.csv",
    ),
    (
        "a damaged Parquet file",
        lambda f: files({"a.parquet": parquet(frame(["s1"]))[:-9]})(f),
        r"a\.parquet: expected a whole Parquet file",
    ),
    (
        "words in a Parquet file",
        lambda f: files({"a.parquet": parquet(frame(["s1"], values="low"))})(f),
        r"a\.parquet: sample 's1', column 'x': expected a number, .*got 'low'",
    ),
    (
        "an unknown modality",
        table(GOOD, modalities=["A"]),
        r"modalities: expected names among .*: a, got 'A'",
    ),
    (
        "a modality twice",
        table(GOOD, modalities=["a", "a"]),
        "each name once, got 'a' twice",
    ),
    (
        "another word for union",
        table(GOOD, samples="all"),
        "'union' or 'intersection', got",
    ),
    (
        "an empty intersection",
        files({"a.csv": GOOD, "b.csv": "id,z\ns1,\ns3,2\n"}, samples="intersection"),
        r"samples: expected some that have all of a, b, got none",
    ),
    (
        "a sample without any number",
        table(GOOD + "s3,,NA\n"),
        r"row 2 \('s3'\) \(1 in all\): expected at least one present modality",
    ),
]

COVARIATES = [
    (
        "a sample without covariates",
        files({"a.csv": GOOD, "covariates.csv": "id,age\nS2,4\ns1,3\n"}),
        r"covariates\.csv: .* every sample, got none for 's2' .*'S2' looks like it",
    ),
    (
        "a covariate that is not known",
        files({"a.csv": GOOD, "covariates.csv": "id,age\ns1,3\ns2,\n"}),
        r"covariates\.csv: covariate 'age': sample 's2' .*always known",
    ),
    (
        "words without categories",
        files({"a.csv": GOOD, "covariates.csv": "id,sex\ns1,m\ns2,f\n"}),
        r"'sex': expected numbers, got 'f', 'm'; give categories=\{'sex': \[",
    ),
    (
        "a word that is no category",
        files(
            {"a.csv": GOOD, "covariates.csv": "id,sex\ns1,m\ns2,F\n"},
            categories={"sex": ["f", "m"]},
        ),
        r"'sex': sample 's2': expected one of categories\['sex'\], f, m, got 'F'",
    ),
    (
        "categories of no covariate",
        files(
            {"a.csv": GOOD, "covariates.csv": "id,sex\ns1,1\ns2,0\n"},
            categories={"sexx": ["f"]},
        ),
        r"categories: expected names of covariates .*got 'sexx' \(did you mean 'sex'",
    ),
    (
        "an unknown covariate",
        files({"a.csv": GOOD, "covariates.csv": GOOD}, covariates=["X"]),
        r"covariates: expected columns of covariates\.csv \(x, y\), got 'X'",
    ),
    (
        "covariates whose rows have no names",
        table(GOOD, covariates={"age": [1, 2]}),
        r"covariates: expected a DataFrame whose index has the sample ids",
    ),
    (
        "a covariate with the name of a modality",
        files({"a.csv": GOOD, "covariates.csv": "id,a\ns1,1\ns2,2\n"}),
        r"covariates: 'a' is the name of a modality",
    ),
    (
        "a covariate of NaN",
        arrays(covariates={"c": [1, np.nan, 2]}),
        r"'c'\]: row 1: .*nan",
    ),
]

ARCHIVES = [
    (
        "half an .npz",
        archive(change=lambda raw: raw[: len(raw) // 2]),
        "whole .npz file",
    ),
    (
        "a flipped bit in an .npz",
        archive(change=flipped),
        r"whole \.npz file .*Bad CRC",
    ),
    (
        "a text called .npz",
        archive(change=lambda raw: b"hello"),
        r"b\.npz: expected a whole",
    ),
    ("an .npz of objects", archive({"a": A.astype(object)}), "arrays without objects"),
    (
        "an .npz of words",
        archive({"a": A, "b": A.astype(str)}),
        "'b': expected numbers as a",
    ),
    (
        "masks of another shape",
        archive({"a": A, "present": np.ones((3, 2), bool)}),
        r"b\.npz: present: expected a column for each of a, got shape \(3, 2\)",
    ),
    (
        "masks of numbers",
        archive({"a": A, "mask_a": A}),
        "mask_a: expected booleans, got",
    ),
    (
        "modalities of other lengths",
        archive({"a": A, "b": B[:2]}),
        "3 rows as in the first",
    ),
    (
        "a view without values",
        archive({"views": ["a", "b"], "x_a": A}),
        r"b\.npz: expected the array 'x_b' of view 'b', got none",
    ),
    (
        "an array of no view",
        archive({"views": ["a"], "x_a": A, "x_c": A}),
        r"b\.npz: expected x_, mask_ and features_ of the views a, .*got 'x_c'",
    ),
]

FRAMES = [
    (
        "frames beside arrays",
        frames(lambda: {"a": frame(["p"]), "b": B}),
        r"DataFrames only, or arrays only, got a DataFrame for 'a' and ndarray for 'b'",
    ),
    (
        "numbers and words as ids",
        frames(lambda: {"a": frame(["1", "2"]), "b": frame([1, 2])}),
        r"source\['b'\]: expected sample ids of one type, got whole numbers .* and text",
    ),
    (
        "an index of dates",
        frames(lambda: {"a": frame(pd.to_datetime(["2024-01-01"]))}),
        r"source\['a'\]: expected an index of sample ids, .*got datetime64",
    ),
    (
        "columns without names",
        frames(lambda: {"a": pd.DataFrame(A)}),
        r"source\['a'\]: column 0: expected a name, got 0",
    ),
    (
        "a column of dates",
        frames(lambda: {"a": frame(["p"], values=pd.Timestamp("2024-01-01"))}),
        r"sample 'p', column 'x': expected a number, .*got .*2024",
    ),
    (
        "a column of categories",
        frames(lambda: {"a": frame(["p"], values="u").astype("category")}),
        r"sample 'p', column 'x': expected a number, .*got 'u'",
    ),
    ("no frames", frames(dict), "source: expected at least one modality, got none"),
    (
        "a list for a mapping",
        frames(lambda: [A, B]),
        "source: expected a mapping .*got list",
    ),
    (
        "genes twice",
        omics(lambda c: setattr(c, "var_names", [*"aacde"])),
        "'a' as columns 0",
    ),
    (
        "an unknown layer",
        omics(modalities=["layers/x"]),
        "modalities: .*: X, got 'layers/x'",
    ),
    (
        "words of cells",
        omics(covariates=["kind"]),
        "'kind': expected numbers, got 'u', 'v'",
    ),
    (
        "a damaged .h5ad",
        lambda f: (f / "a.h5ad").write_text("hello") and cs.read(f / "a.h5ad"),
        r"a\.h5ad: expected a whole \.h5ad file",
    ),
]

ARRAYS = [
    ("no modality", arrays({}), "values: expected at least one modality, got none"),
    (
        "rows of other lengths",
        arrays({"a": [[1.0], [2.0, 3.0]]}),
        "a rectangular array",
    ),
    ("no rows", arrays({"a": A[:0]}), r"an array with rows, got shape \(0, 2\)"),
    ("no columns", arrays({"a": A[:, :0]}), r"at least one column, got shape \(3, 0\)"),
    (
        "modalities of other rows",
        arrays({"a": A, "b": B.T}),
        r"expected 3 rows .*\(5, 3\)",
    ),
    (
        "complex numbers",
        arrays({"a": A * 1j}),
        "floats, integers or booleans, got dtype comp",
    ),
    ("objects", arrays({"a": A.astype(object)}), "got dtype object"),
    ("a reserved name", arrays({"z": A}), "'z' is reserved for a site of the model"),
    (
        "an infinite value",
        arrays({"a": put(A, (1, 0), np.inf)}),
        "row 1, column 0: .*got inf",
    ),
    (
        "a float beyond 32 bits",
        arrays({"a": put(A, (2, 1), 1e39)}),
        r"row 2, column 1: expected a number that fits float32, got 1e\+39",
    ),
    (
        "an empty row",
        arrays({"a": put(A, 1, np.nan)}),
        r"row 1 \(1 in all\): expected at least one present modality",
    ),
    (
        "present, but nothing measured",
        arrays({"a": put(A, 1, np.nan), "b": B}, present=np.ones((3, 2), bool)),
        r"present: modality 'a', row 1: expected at least one measured entry",
    ),
    (
        "a mask of another shape",
        arrays(present=np.ones((2, 3), bool)),
        r"present: expected shape \(3, 2\), got \(2, 3\)",
    ),
    (
        "a mask of numbers",
        arrays(present=np.ones((3, 2))),
        "present: expected booleans, got",
    ),
    (
        "a mask of an unknown modality",
        arrays(present={"c": [True] * 3}),
        "a, b, got 'c'",
    ),
    (
        "entries of another shape",
        arrays(entries={"a": B > 0}),
        r"\(3, 2\), got \(3, 5\)",
    ),
    (
        "too few row names",
        arrays(row_names=["p"]),
        "row_names: expected 3 names, got 1",
    ),
    ("a row name twice", arrays(row_names=[*"pqp"]), "unique names, got 'p' twice"),
    (
        "too many columns' names",
        arrays(feature_names={"a": "uvw"}),
        "expected 2 names, got 3",
    ),
]

PLAIN = cs.MultimodalData.from_arrays({"a": A + B[:, :2], "b": B})
WHOLE = cs.MultimodalData.from_arrays({"a": A.astype(int), "b": B})
NAMED = cs.MultimodalData.from_arrays({"a": A, "b": B}, feature_names={"a": "uv"})
OTHER = cs.MultimodalData.from_arrays({"a": A, "b": B}, feature_names={"a": "pq"})
FEWER = cs.MultimodalData.from_arrays({"a": A[:, :1], "b": B}, feature_names={"a": "u"})
TINY = cs.MultimodalData.from_arrays({"a": (B * 1e-40).astype("f4")})
HOLES = cs.MultimodalData.from_arrays({"a": A, "b": put(B, (0, 0), np.nan)})
NEGATIVE = cs.MultimodalData.from_arrays({"a": B - 9, "b": B})
POSITIVE = cs.MultimodalData.from_arrays({"a": B, "b": B}).standardize(log=["a"])
NOTHING = PLAIN.present & False
KEY = jax.random.key(0)
SCALED, LOGGED = PLAIN.standardize(), PLAIN.standardize(log=["b"])
IMAGES = cs.MultimodalData.from_arrays({"image": np.ones((2, 3, 4))})

TRANSFORMS = [
    ("scaled twice", calling(SCALED.standardize), "but they are scaled already"),
    (
        "scaled counts",
        calling(lambda: WHOLE.standardize(["a"])),
        "expected floats, got int32",
    ),
    (
        "scaled like what is not",
        calling(lambda: PLAIN.standardize(like=PLAIN)),
        "like: expected standardised data, got unscaled ones",
    ),
    (
        "scaled by two laws",
        calling(lambda: PLAIN.standardize(["a"], SCALED)),
        "got both",
    ),
    (
        "an unknown modality scaled",
        calling(lambda: PLAIN.standardize(["c"])),
        "a, b, got 'c'",
    ),
    (
        "a logarithm of −9",
        calling(lambda: NEGATIVE.standardize(log=["a"])),
        r"log: modality 'a': row 0, column 0: expected a value above −1 .*got -9",
    ),
    (
        "a logarithm of new rows with −9",
        calling(lambda: NEGATIVE.standardize(like=POSITIVE)),
        r"like: modality 'a': row 0, column 0: expected a value above −1 .*got -9",
    ),
    (
        "a logarithm of what is not scaled",
        calling(lambda: PLAIN.standardize(["a"], log=["b"])),
        r"log: expected modalities that are scaled, a, got 'b'",
    ),
    (
        "rows of other columns",
        calling(lambda: OTHER.conform(NAMED)),
        "expected columns among u, v, got p, q, of which none is known",
    ),
    (
        "rows without a column, for an encoder of complete ones",
        calling(lambda: FEWER.conform(NAMED)),
        "expected the columns of the training rows, got none called v",
    ),
    (
        "a standard deviation that float32 has not",
        calling(TINY.standardize),
        "modality 'a', column 0: expected a standard deviation from 1.2e-38 to 3.4e",
    ),
    (
        "scaled in a traced program",
        calling(lambda: jax.eval_shape(lambda d: d.standardize().values, PLAIN)),
        "standardize: expected rows as they are.*got traced ones",
    ),
    (
        "rows of another scaling",
        calling(lambda: SCALED.conform(LOGGED)),
        "training rows, got",
    ),
    (
        "rows that miss entries",
        calling(lambda: HOLES.conform(PLAIN)),
        "misses single entries",
    ),
    (
        "all of a row hidden",
        calling(lambda: PLAIN.restrict(NOTHING)),
        r"keep: expected every row to keep a modality, but row 0 \(3 in all\)",
    ),
    (
        "two scalings under each other",
        calling(lambda: cs.MultimodalData.concatenate([SCALED, LOGGED])),
        "one and the same standardisation, got two",
    ),
    (
        "draws as a table",
        calling(lambda: cs.to_frames({"a": np.ones((7, 3, 2))}, PLAIN)),
        r"expected the shape \(3, 2\), got \(7, 3, 2\); take one of the draws",
    ),
    (
        "images as a table",
        calling(lambda: cs.to_frames({"image": np.ones((2, 3, 4))}, IMAGES)),
        r"expected a modality of one axis for a table",
    ),
    (
        "completed scaled rows",
        calling(lambda: cs.complete(SCALED, {"a": A})),
        r"data: expected rows as they were before standardize\(\)",
    ),
    (
        "completed with NaN",
        calling(lambda: cs.complete(HOLES, {"b": put(B, (0, 0), np.nan)})),
        r"means\['b'\]: expected finite numbers where something is missing",
    ),
    (
        "a table of another kind",
        lambda f: cs.write_frame(frame(["p"]), f / "a.xls"),
        r"path: expected a file \.csv, \.tsv, \.parquet, got 'a\.xls'",
    ),
    (
        "a table that is there",
        lambda f: [cs.write_frame(frame(["p"]), f / "a.csv") for _ in range(2)],
        r"path: expected a new file, got .*a\.csv, which is there",
    ),
]

MINE = np.asarray(PATIENTS)
NAMES = [
    (
        "a leftover index in Parquet",
        files({"a.parquet": parquet(numbered("patient", "x"))}),
        r"a\.parquet: expected ids of samples, .*\(3, 1, 4, .*id_column='patient' of a fi",
    ),
    (
        "a leftover index in CSV",
        table(numbered("x", "y").to_csv()),
        r"a\.csv: expected ids of samples, got an index of whole numbers without a name",
    ),
    (
        "rows that are counted beside a column of ids",
        table(numbered("patient", "x").reset_index(drop=True).to_csv()),
        r"a\.csv: expected ids of samples, .*\(0, 1, 2, .*id_column='patient'",
    ),
    (
        "a leftover index as a column",
        table("patient,Unnamed: 0,x\np,3,1\nq,1,2\n"),
        r"a\.csv: column 0: expected a name, got 'Unnamed: 0', which pandas writes",
    ),
    (
        "a leftover index in memory",
        frames(lambda: {"a": numbered("x"), "b": numbered("y")}),
        r"source\['a'\]: expected ids of samples, .*set_index\(\.\.\.\) of a DataFrame",
    ),
    (
        "a leftover index of covariates",
        lambda f: cs.read({"a": frame([*"pqr"])}, covariates=numbered("age")),
        r"covariates: expected ids of samples, got an index of whole numbers",
    ),
    (
        "an index of several levels in Parquet",
        lambda f: files(
            {"a.parquet": parquet(frame(["p", "q"]).set_index("x", append=True))}
        )(f),
        r"a\.parquet: expected an index of sample ids, .*MultiIndex",
    ),
    (
        "no line of names",
        table("s1,10,20\ns2,30,40\n"),
        r"a\.csv: expected a first line with the names of columns, got 's1' and the "
        r"numbers 10, 20, .*id_column='s1'",
    ),
    (
        "no line of names, and one number twice",
        table("7,10,10,NA\n8,30,40,1\n"),
        r"a\.csv: expected a first line with the names of columns, got '7'",
    ),
    (
        "covariates without a line of names",
        files({"a.csv": GOOD, "covariates.csv": "s0,31,m\ns1,40,f\ns2,50,m\n"}),
        r"covariates\.csv: expected a first line with the names of columns, got 's0'",
    ),
    (
        "ids in two Unicode forms",
        table("id,x\ncaf\u00e9,1\ncafe\u0301,2\n"),
        r"sample ids that differ to the eye, got 'caf\\xe9' and 'cafe\\u0301'",
    ),
    (
        "ids of two tables in two Unicode forms",
        files(
            {
                "a.csv": "id,x\ncaf\u00e9,1\nq,2\n",
                "b.csv": "id,y\ncafe\u0301,1\nq,2\n",
            }
        ),
        r"b\.csv: sample 'cafe\\u0301' looks like 'caf\\xe9' of a\.csv",
    ),
    (
        "an id with a wide blank inside",
        files({"a.csv": "id,x\ns01,1\nq,2\n", "b.csv": "id,y\ns0\u00a01,1\nq,2\n"}),
        r"b\.csv: sample 's0\\xa01' looks like 's01' of a\.csv",
    ),
    (
        "a byte order mark within a file",
        table("id,x\ns1,1\n\ufeffs1,2\n"),
        r"differ to the eye, got 's1' and '\\ufeffs1'",
    ),
    (
        "columns with a zero-width space",
        table("id,x,x\u200b\ns1,1,2\n"),
        r"column names that differ to the eye, got 'x' and 'x\\u200b'",
    ),
    (
        "files in two Unicode forms",
        files({"caf\u00e9.csv": GOOD, "cafe\u0301.csv": GOOD}),
        r"names of modalities that differ to the eye, got",
    ),
    (
        "row names that look the same",
        arrays(row_names=["p", "p\u200b", "q"]),
        r"row_names: expected names that differ to the eye",
    ),
    (
        "row names of other bytes than UTF-8",
        arrays(row_names=[b"p", b"\xff", b"q"]),
        r"names: expected text in UTF-8, got the bytes b'\\xff'",
    ),
    (
        "covariates in capitals",
        files({"a.csv": GOOD, "Covariates.csv": GOOD}),
        r"expected covariates in a file called covariates\.csv, got Covariates\.csv",
    ),
    (
        "a mask in capitals",
        archive({"a": A, "mask_A": A > 0}),
        r"b\.npz: expected present, .* got 'mask_A' \(did you mean 'mask_a'\?\)",
    ),
    (
        "a mask in capitals beside named modalities",
        archive({"a": A, "mask_A": A > 0}, modalities=["a"]),
        r"b\.npz: expected present, .* got 'mask_A'",
    ),
    (
        "the mask of an array to be streamed in capitals",
        lambda f: (
            [np.save(f / f"{n}.npy", A) for n in ("a", "Present")] and cs.stream(f)
        ),
        r"expected present, .* got 'Present' \(did you mean 'present'",
    ),
    (
        "patients in columns",
        files({"a.csv": by_feature(0, 30), "b.csv": by_feature(29, 60)}),
        r"a\.csv: expected samples in rows, got columns that are columns of b\.csv too "
        r"\(pt0, pt1, pt2.*transpose=True.*--transpose all",
    ),
    (
        "patients in the columns of one of two files",
        files({"a.csv": by_feature(0, 30), "b.csv": frame(MINE).to_csv()}),
        r"a\.csv: expected samples in rows, got columns that are samples of b\.csv too",
    ),
    (
        "patients in columns, and covariates",
        files({"a.csv": by_feature(0, 30), "covariates.csv": frame(PATIENTS).to_csv()}),
        r"columns that are samples of the covariates too .*transpose=True",
    ),
    (
        "one table of genes in rows",
        files({"a.csv": by_feature(0, 30)}),
        r"a\.csv: .*got rows whose ids are called 'gene' \(g0, g1, g2.*transpose=True",
    ),
    (
        "the same genes of the same patients in all tables",
        lambda f: cs.read(dict.fromkeys("ab", frame([*"uvw"]).rename_axis("Gene ID"))),
        r"got rows whose ids are called 'Gene ID'",
    ),
    (
        "arrays turned",
        lambda f: cs.read({"a": A}, transpose=True),
        "transpose: the source: expected tables whose rows and columns have names, got ar",
    ),
    (
        "an unknown modality turned",
        table(GOOD, transpose=["b"]),
        "transpose: expected modalities among a, got 'b'",
    ),
    (
        "a name for a list of those turned",
        table(GOOD, transpose="a"),
        "transpose: expected True, False or a list of modalities, got 'a'",
    ),
]

THREE = frame([*"pqr"])
KINDS = [
    (
        "a DataFrame beside an array in from_arrays",
        arrays({"a": THREE, "b": B}),
        r"values: expected DataFrames only, or arrays only, got a DataFrame for 'a'",
    ),
    ("a Series", arrays({"a": THREE["x"]}), r"got a Series; use to_frame\(\)"),
    (
        "names of rows beside DataFrames",
        arrays({"a": THREE}, row_names=[*"pqr"]),
        "row_names: expected none beside DataFrames",
    ),
    (
        "an array of covariates beside DataFrames in two orders",
        arrays({"a": THREE, "b": THREE[::-1]}, covariates={"c": [1, 2, 3]}),
        r"covariates\['c'\]: expected a DataFrame or Series whose index .* got list",
    ),
    (
        "covariates of some samples",
        arrays({"a": THREE}, covariates=frame([*"pq"], columns=["c"])),
        r"covariates: expected a row for every sample, got none for 'r'",
    ),
    (
        "a Series of covariates beside rows without names",
        arrays(covariates={"c": THREE["x"]}),
        "covariates: expected rows with names to match, got rows without",
    ),
    (
        "the same in read",
        lambda f: cs.read({"a": A}, covariates={"c": THREE["x"]}),
        "covariates: expected rows with names to match, got rows without",
    ),
    (
        "a mask of other columns",
        arrays({"a": THREE}, entries={"a": frame([*"pqr"], "y", True)}),
        r"entries\['a'\]: expected the columns x, got y",
    ),
    (
        "a mask of other rows",
        arrays({"a": THREE}, present={"a": frame([*"pqrs"])["x"] > 0}),
        r"present\['a'\]: expected the rows of `values` only, got 's'",
    ),
    (
        "an AnnData for all values",
        omics(lambda c: cs.MultimodalData.from_arrays(c)),
        "values: expected a mapping from modality to array or DataFrame, got AnnData",
    ),
    (
        "a DataFrame to be streamed",
        lambda f: cs.StreamedData.from_arrays({"a": THREE}),
        r"values\['a'\]: expected an array, got a DataFrame, whose names would be lost",
    ),
    (
        "an object to be streamed",
        lambda f: cs.stream({"a": A}),
        "source: expected a path, got dict; consilience.read takes what is in memory",
    ),
]

FRONT_DOOR = [
    (
        "an empty path",
        lambda f: cs.read(""),
        "source: expected a path, got an empty te",
    ),
    (
        "an empty path to stream",
        lambda f: cs.stream(""),
        "source: expected a path, got",
    ),
    (
        "an empty path to load",
        lambda f: cs.load(""),
        "path: expected the path of a file",
    ),
    *(
        (
            f"a pipe called {name}",
            pipe(name),
            rf"source: expected a regular file, got the fifo .*{name}",
        )
        for name in ("a.csv", "a.csv.gz", "a.parquet", "a.npz", "a.h5ad", "a.h5mu")
    ),
    (
        "a pipe among arrays to stream",
        pipe("a.npy", lambda path: cs.stream(path.parent)),
        "source: expected a regular file, got the fifo",
    ),
    (
        "a pipe as a saved model",
        pipe("a.npz", cs.load),
        "path: expected a regular file, got the fifo",
    ),
    (
        "a pipe of covariates",
        pipe("a.csv", lambda path: cs.read({"a": A}, covariates=path)),
        "covariates: expected a regular file, got the fifo",
    ),
    (
        "a pipe called mnist.npz",
        pipe("mnist.npz", lambda path: cs.read_mnist(path.parent)),
        "expected a regular file, got the fifo",
    ),
    (
        "a pipe called as a file of MNIST",
        pipe("train-images-idx3-ubyte", lambda path: cs.read_mnist(path.parent)),
        "expected a regular file, got the fifo",
    ),
    (
        "an array twice",
        zipped(("a.npy", npy(A)), ("b.npy", npy(B)), ("a", npy(2 * A))),
        r"b\.npz: expected each array once, got 'a\.npy' and 'a'",
    ),
    (
        "a folder that macOS packed",
        zipped(("d/", b""), ("d/a.npy", npy(A)), ("__MACOSX/d/._a.npy", b"\0")),
        r"b\.npz: expected arrays, got 'd/a\.npy' in a folder",
    ),
    (
        "a text among arrays",
        zipped(("a.npy", npy(A)), ("readme.txt", b"hello")),
        r"b\.npz: 'readme\.txt': expected a whole .npz .*it is no array",
    ),
    (
        "an array that claims to be gigantic",
        zipped(("a.npy", npy_header(f"{SHAPED} ({10**15}, 3)}}", b"0" * 9))),
        r"b\.npz: 'a\.npy': .*its header promises 24000000000000000 bytes, .* are 9",
    ),
    (
        "an array of fewer rows than none",
        zipped(("a.npy", npy_header(f"{SHAPED} (-1, 3)}}", b"0" * 24))),
        r"b\.npz: 'a\.npy': expected a whole \.npz file .*promises -24 bytes",
    ),
    (
        "a header of nested brackets",
        zipped(("a.npy", npy_header("(" * 4000 + ")" * 4000))),
        r"b\.npz: 'a\.npy': expected a whole \.npz file",
    ),
    (
        "many packed bytes behind an array",
        zipped(("a.npy", npy(A) + b"0" * 10**6), compress=zipfile.ZIP_DEFLATED),
        r"its header promises 48 bytes, .* there are 1000048",
    ),
    (
        "more zeros than there is memory, packed",
        small(
            zipped(("a.npy", npy(np.zeros((10**6, 1)))), compress=zipfile.ZIP_DEFLATED)
        ),
        r"b\.npz: expected at most .* the memory of this machine, .* when unpacked",
    ),
    (
        "more lines than there is memory, packed",
        small(
            files({"a.csv.gz": gzip.compress(b"id,x\n" + b"s,1\n" * 10**5)}), size=2**18
        ),
        r"a\.csv\.gz: expected at most .* the memory of this machine",
    ),
    (
        "a matrix that claims to be gigantic",
        annotated(
            lambda h5: h5.create_dataset(
                "layers/b", (10**9, 10**6), "f4", chunks=(10, 10)
            )
        ),
        r"a\.h5ad: expected at most .* the memory of this machine, got 4\.0e\+15 bytes",
    ),
    (
        "cells without annotations to stream",
        annotated(lambda h5: h5.__delitem__("obs"), cs.stream),
        r"a\.h5ad: expected AnnData with names of rows in obs and of columns in var",
    ),
    (
        "cells without names",
        annotated(lambda h5: h5["obs"].attrs.__delitem__("_index")),
        r"a\.h5ad: expected a whole \.h5ad file",
    ),
    *(
        (
            f"{what} in place of the metadata of Parquet",
            described(text),
            r"a\.parquet: expected a whole Parquet file",
        )
        for what, text in (
            ("half a text", b"{"),
            ("a number", b"3"),
            ("another index", b'{"index_columns":["z"],"columns":[]}'),
            ("no text", b"\xff"),
        )
    ),
]

PROGRAMS = [
    (
        "a seed in place of a key",
        calling(lambda: PLAIN.split(0, 0.5)),
        r"rng_key: expected a random key, such as jax\.random\.key\(0\), got 0",
    ),
    (
        "a program in place of SVI",
        calling(lambda: cs.fit(KEY, print, PLAIN, num_epochs=1)),
        r"svi: expected numpyro\.infer\.SVI\(model, guide, optimizer, bound\), got",
    ),
    (
        "a class of likelihoods",
        calling(lambda: cs.mvae(2, cs.NormalLikelihood)),
        r"likelihoods: expected an instance, got the class .*; write NormalLikelihood\(\)",
    ),
    (
        "a prior that is not called",
        calling(lambda: cs.multimodal_model(cs.standard_normal, cs.NormalLikelihood())),
        r"prior: .*; call it with its sizes, standard_normal\(latent_dim, \.\.\.\)",
    ),
]

TWICE = pd.DataFrame(A, [f"TCGA-{i}" for i in range(3)], ["p", "q"])

FOUND = [
    (
        f"a call: {what}",
        calling(call),
        match,
    )
    for what, call, match in (
        (
            "a set of row names",
            lambda: arrays(row_names={"x"})(None),
            "row_names: expected a list of names, got {.x.}",
        ),
        (
            "row names of two columns",
            lambda: arrays(row_names=[["s", "x"]] * 3)(None),
            r"row_names: place 0: expected one text or number as a name, got \['s', 'x'\]",
        ),
        (
            "a row name of None",
            lambda: arrays(row_names=["x", None, "y"])(None),
            "row_names: place 1: expected one text or number as a name, got None",
        ),
        (
            "a number as column names",
            lambda: arrays(feature_names={"a": 3})(None),
            r"feature_names\['a'\]: expected a list of names, got 3",
        ),
        (
            "a column name that nobody sees",
            lambda: arrays(feature_names={"a": ["\ufeff", "y"]})(None),
            r"feature_names\['a'\]: expected names, got '\\ufeff', an empty one",
        ),
        (
            "ids that differ in a dash",
            lambda: cs.read({"a": TWICE, "b": TWICE.rename({"TCGA-1": "TCGA–1"})}),
            "sample 'TCGA–1' looks like 'TCGA-1'",
        ),
        (
            "a number of modalities to standardise",
            lambda: PLAIN.standardize(3),
            "names: expected a list of modalities, got 3",
        ),
        (
            "a path that is too long",
            lambda: cs.read("x" * 5000),
            r"source: expected a path, got 'x+' \(File name too long\)",
        ),
        (
            "weights that are one number",
            lambda: cs.MaskedELBO(weights=2.0),
            "weights: expected a number for each modality, .* got 2.0",
        ),
        (
            "checkpoints in no folder",
            lambda: cs.Checkpoints(None),
            "folder: expected a path, got None",
        ),
        (
            "clusters of mixed kinds",
            lambda: cs.clustering_scores([None, 1, 2], [0, 1, 2]),
            "labels: expected whole numbers or names of shape .N., got object of shape .3,.",
        ),
        (
            "no distribution to observe",
            lambda: cs.observe(PLAIN, PLAIN.names[0], None),
            "modality .*: expected a distribution p.x . z., got None",
        ),
    )
]

SETTINGS = [
    (
        f"a setting: {what}",
        calling(call),
        match,
    )
    for what, call, match in (
        (
            "a text as degrees of freedom",
            lambda: cs.StudentTLikelihood(df="3"),
            "df: expected a number above 0, got '3'",
        ),
        (
            "an infinite scale",
            lambda: cs.NormalLikelihood(scale=float("inf")),
            "scale: expected numbers above 0, got inf",
        ),
        (
            "no scale at all",
            lambda: cs.NormalLikelihood(scale=()),
            r"scale: expected numbers above 0, got \(\)",
        ),
        (
            "an infinite initial scale",
            lambda: cs.LearnedLaplaceLikelihood(initial_scale=float("inf")),
            "initial_scale: expected a number above 0, got inf",
        ),
        (
            "a scale that float32 does not hold",
            lambda: cs.NormalLikelihood(scale=1e-46),
            "scale: expected numbers above 0 in float32, got 1e-46, which float32 does",
        ),
        (
            "None as the floor of a head",
            lambda: cs.NormalHead(min_scale=None),
            "min_scale: expected a number above 0, got None",
        ),
        (
            "an infinite floor of a head",
            lambda: cs.CholeskyHead(min_scale=float("inf")),
            "min_scale: expected a number above 0, got inf",
        ),
        (
            "a text as probability",
            lambda: cs.Independent(probability="nan"),
            r"probability: expected a number in \[0, 1\], got 'nan'",
        ),
        (
            "imaginary seconds",
            lambda: cs.Checkpoints("run", every_seconds=1j),
            "every_seconds: expected a number above 0, got 1j",
        ),
        (
            "a text as rate",
            lambda: cs.missing_completely_at_random(KEY, PLAIN.present, rate="half"),
            r"rate: expected a number in \[0, 1\), got 'half'",
        ),
        (
            "None as fraction",
            lambda: PLAIN.split(KEY, None),
            r"fraction: expected a number in \[0, 1\], got None",
        ),
        (
            "an infinite weight",
            lambda: cs.MaskedELBO(weights={"a": float("inf")}),
            r"weights\['a'\]: expected a number of 0 or more, got inf",
        ),
    )
]

GROUPS = (
    *(FILES, COVARIATES, ARCHIVES, FRAMES, ARRAYS, TRANSFORMS),
    *(NAMES, KINDS, FRONT_DOOR, PROGRAMS, FOUND, SETTINGS),
)
BAD = [BadInput(*entry) for group in GROUPS for entry in group]
