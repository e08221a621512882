"""Commands on runs and data: half of a run gone, other data, what is written."""

import json
import shutil

import numpy as np
import pandas as pd

from attack.case import Case, mechanism, pick
from attack.running import TINY, RefusedError, command, copied, frames, write_data
from attack.tables import accept

LONG = {"seconds": 400}
FILES = (
    "config.yaml",
    "data.json",
    "model.npz",
    "history.csv",
    "log.jsonl",
    "checkpoints",
)
APPLY = ("impute", "encode", "evaluate", "resume")


def apply(name: str, folder, *more) -> str:
    """One of the commands on the run of a folder."""
    arguments = {
        "impute": (
            "impute",
            folder / "run",
            folder / "data",
            "--out",
            folder / "imputed",
            "--draws",
            "4",
        ),
        "encode": (
            "encode",
            folder / "run",
            folder / "data",
            "--out",
            folder / "z.csv",
            "--draws",
            "4",
        ),
        "evaluate": (
            "evaluate",
            folder / "run",
            folder / "data",
            "--out",
            folder / "scores",
        ),
        "resume": ("resume", folder / "run"),
    }[name]
    return command(*arguments, *more)


@mechanism("run: half of it gone", 6, quick=0, **LONG)
def gone(rng, seed):
    """Named, or not needed."""
    lost, name = FILES[seed % len(FILES)], APPLY[(seed // len(FILES) + seed) % 2 * 1]

    def run(folder):
        copied(folder)
        path = folder / "run" / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return apply(name, folder)

    needed = lost in ("config.yaml", "data.json", "model.npz")
    return Case(
        f"{name} without {lost}",
        run,
        None if lost in FILES[:3] else accept,
        ("run|config|data|model",) if needed else ("run",),
    )


@mechanism("run: a file of it damaged", 16, quick=0, **LONG)
def damaged(rng, seed):
    """The file is named; no traceback whatever it holds."""
    lost, name = FILES[seed % 3], APPLY[seed // 3 % 4]
    share, kind = rng.random(), int(rng.integers(6))

    def run(folder):
        copied(folder)
        path = folder / "run" / lost
        raw = path.read_bytes()
        where = int(share * len(raw))
        path.write_bytes(
            (
                raw[:where],
                raw[:where] + bytes([raw[where] ^ 4]) + raw[where + 1 :],
                b"",
                b"[" * 5000,
                b"\xff\xfe\0",
                raw[where:],
            )[kind]
        )
        return apply(name, folder)

    return Case(
        f"{name}, {lost}: kind {kind} at {share:.3f}",
        run,
        accept,
        (r"run|config\.yaml|data\.json|model\.npz|--",),
    )


@mechanism("run: a configuration of one key, or of another run", 10, quick=0, **LONG)
def reduced(rng, seed):
    text, name = (
        ("epochs: 3\n", "impute"),
        ("seed: 0\n", "encode"),
        ("latent_dim: 5\n", "evaluate"),
        ("likelihoods: {genes: normal}\n", "resume"),
        ("{}\n", "impute"),
        ("modalities: [genes]\n", "impute"),
        ("standardize: none\n", "encode"),
        ("standardize: all\n", "impute"),
        ("log: [genes]\n", "impute"),
        ("id_column: g0\n", "encode"),
    )[seed % 10]

    def run(folder):
        copied(folder)
        (folder / "run" / "config.yaml").write_text(text)
        return apply(name, folder)

    return Case(
        f"{name} with {text.strip()}",
        run,
        None,
        ("run|config|data|expected|id_column",),
    )


@mechanism("run: data.json forged", 8, quick=0, **LONG)
def forged(rng, seed):
    thing, name = (
        (None, "resume"),
        (3, "resume"),
        ({}, "impute"),
        ([], "encode"),
        ({"data": 3, "sha256": 4}, "resume"),
        ({"data": "/", "sha256": "x"}, "resume"),
        ({"data": "\0", "sha256": "x"}, "resume"),
        ({"data": ""}, "evaluate"),
    )[seed % 8]

    def run(folder):
        copied(folder)
        (folder / "run" / "data.json").write_text(json.dumps(thing))
        return apply(name, folder)

    return Case(f"{name}: {thing!r}", run, None, ("data.json|data|expected",))


def others(kind: int) -> dict[str, pd.DataFrame]:
    """The data of a run, described otherwise."""
    tables = frames()
    genes, counts = tables["genes"], tables["counts"]
    return (
        {"genes": genes[genes.columns[::-1]], "counts": counts[::-1]},
        {"genes": genes.assign(more=1.0), "counts": counts},
        {"genes": genes},
        {"genes": genes, "counts": counts, "third": counts.rename(columns=str.upper)},
        {"genes": genes[["g0", "g1"]], "counts": counts},
        {"genes": genes.rename(columns={"g0": "q0"}), "counts": counts},
        {"genes": genes, "counts": counts + 0.5},
        {"genes": genes, "counts": counts - 50},
    )[kind]


@mechanism(
    "run: applied to data in another order, more or less of them", 8, quick=0, **LONG
)
def applied(rng, seed):
    """What was measured is in the imputed tables as it was, by name of sample and column."""
    tables = others(seed % 8)

    def run(folder):
        copied(folder)
        shutil.rmtree(folder / "data")
        write_data(folder, tables)
        said = apply("impute", folder)
        found = {
            n: pd.read_csv(
                folder / "imputed" / f"{n}.csv",
                index_col=0,
                float_precision="round_trip",
            )
            for n in ("genes", "counts")
        }
        return said, found

    def right(result):
        assert seed % 8 < 6, "accepted"
        _said, found = result
        samples = set().union(*(t.index for n, t in tables.items() if n in found))
        for name, table in found.items():
            assert set(table.index) == samples, (
                f"{name}: samples {set(table.index) ^ samples}"
            )
            assert set(table.columns) <= {
                *frames()[name].columns,
                *tables.get(name, table).columns,
            }
            if name not in tables:
                continue
            for column in set(table.columns) & set(tables[name].columns):
                own = tables[name][column].dropna()
                np.testing.assert_array_equal(
                    table.loc[own.index, column].to_numpy(float),
                    own.to_numpy(float),
                    err_msg=f"{name}, {column}",
                )

    about = (
        "reversed",
        "a column more",
        "a modality less",
        "a modality more",
        "a column less",
        "a column renamed",
        "halves as counts",
        "negative counts",
    )[seed % 8]
    return Case(about, run, right, ("genes|counts|third", "expected|column|there are"))


@mechanism("run: imputed is what was measured, to the last bit", 2, quick=0, **LONG)
def imputed(rng, seed):
    def run(folder):
        copied(folder)
        apply("impute", folder, "--format", ("csv", "parquet")[seed % 2])
        read = (
            lambda p: pd.read_csv(p, index_col=0, float_precision="round_trip"),
            pd.read_parquet,
        )[seed % 2]
        return {
            n: read(folder / "imputed" / f"{n}.{('csv', 'parquet')[seed % 2]}")
            for n in ("genes", "counts")
        }

    def right(found):
        for name, table in found.items():
            own = frames()[name]
            if "patient" in table.columns:
                table = table.set_index("patient")
            assert list(table.columns) == list(own.columns)
            assert table.index.name == "patient", table.index.name
            assert not table.isna().any().any(), "something is still missing"
            kept = table.loc[own.index].to_numpy(float)
            seen = own.notna().to_numpy()
            np.testing.assert_array_equal(kept[seen], own.to_numpy(float)[seen])

    return Case(("csv", "parquet")[seed % 2], run, right, None)


WRONG = (
    ("impute", "--out", "{file}"),
    ("impute", "--draws", "1"),
    ("impute", "--draws", "x"),
    ("impute", "--seed", "-1"),
    ("impute", "--seed", "99999999999999999999"),
    ("impute", "--estimate", "mode"),
    ("impute", "--probability", "2"),
    ("impute", "--picture", "a.txt"),
    ("encode", "--out", "z.txt"),
    ("encode", "--given", "gene"),
    ("encode", "--draws", "0"),
    ("encode", "--out", "{folder}"),
    ("evaluate", "--coverage", "2"),
    ("evaluate", "--out", "{file}"),
    ("resume", "--data", "none"),
    ("encode", "--seed", "99999999999999999999"),
)


@mechanism("run: options of commands", len(WRONG), quick=0, **LONG)
def options(rng, seed):
    name, option, value = WRONG[seed % len(WRONG)]

    def run(folder):
        copied(folder)
        (folder / "there.txt").write_text("x")
        given = value.format(file=folder / "there.txt", folder=folder)
        before = sorted(p.name for p in folder.iterdir())
        try:
            return command(
                name,
                folder / "run",
                *((folder / "data",) if name != "resume" else ()),
                option,
                given,
            )
        except RefusedError:
            after = sorted(p.name for p in folder.iterdir())
            assert before == after, f"refused, and leaves {set(after) - set(before)}"
            raise

    return Case(f"{name} {option} {value}", run, None, (f"{option}|data|none",))


@mechanism("run: data that are none", 12, quick=0, **LONG)
def no_data(rng, seed):
    name = APPLY[seed % 3]
    raw = pick(
        rng,
        [
            b"",
            b"\0\1\2",
            b"id\n",
            b"id,x\n",
            b"\xff\xfe",
            b"PK\3\4",
            b"id,x\ns1,y\n",
            b"id,x\ns1,1\ns1,2\n",
        ],
    )

    def run(folder):
        copied(folder)
        (folder / "data" / "genes.csv").write_bytes(raw)
        return apply(name, folder)

    return Case(f"{name}: {raw!r}", run, None, ("genes",))


@mechanism("run: files that hold anything, given to fit", 24, quick=2, **LONG)
def anything(rng, seed):
    """No traceback, whatever a file holds."""
    ending = ("csv", "tsv", "csv.gz", "parquet", "npz", "h5ad", "h5mu", "npy")[seed % 8]
    raw = (rng.bytes(int(rng.integers(1, 4000))), b"", b"PK\3\4" + rng.bytes(200))[
        seed // 8 % 3
    ]

    def run(folder):
        path = folder / f"genes.{ending}"
        path.write_bytes(raw)
        return command("fit", path, "--out", folder / "run", *TINY)

    return Case(f"genes.{ending}: {raw[:20]!r}", run, None, ("genes",))


@mechanism("run: calls without or with too much", 12, quick=3, **LONG)
def bare(rng, seed):
    given = (
        (),
        ("fit",),
        ("fit", "none"),
        ("fit", "none", "--out", "run"),
        ("impute",),
        ("impute", "none", "none"),
        ("compare", "none"),
        ("resume", "none"),
        ("nothing",),
        ("fit", "none", "more", "--out", "run"),
        ("--nonsense",),
        ("encode", "/", "/"),
    )[seed % 12]
    return Case(
        " ".join(given),
        lambda folder: command(*given),
        None,
        ("expected|required|unrecognized|invalid|error|none|argument",),
    )
