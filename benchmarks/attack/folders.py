"""Folders with more or less in them than tables."""

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import holds, tables, text, write


@mechanism("folder: files beside the tables", 12, quick=2)
def beside(rng, seed):
    frames = tables(rng)
    name, good = (
        (".DS_Store", True),
        ("._genes.csv", True),
        (".genes.csv.swp", True),
        ("Thumbs.db", False),
        ("genes.csv~", False),
        ("genes.csv.bak", False),
        ("genes.xlsx", False),
        ("readme.md", False),
        ("genes (1).csv", None),
        ("genes.CSV", False),
        ("desktop.ini", False),
        ("~$genes.csv", False),
    )[seed % 12]
    contents = {f"{n}.csv": text(f) for n, f in frames.items()} | {name: b"\0\1"}
    return Case(
        f"{name} beside genes.csv",
        lambda folder: cs.read(write(folder, contents)),
        holds(frames) if good else None,
        None
        if good
        else (
            name.replace(".", r"\.")
            .replace("(", r"\(")
            .replace(")", r"\)")
            .replace("$", r"\$"),
        ),
    )


@mechanism("folder: folders inside", 4)
def inside(rng, seed):
    frames = tables(rng)
    name = ("old", ".git", "genes", "checkpoints")[seed % 4]

    def run(folder):
        write(folder, {f"{n}.csv": text(f) for n, f in frames.items()})
        (folder / name).mkdir()
        return cs.read(folder)

    good = seed % 4 == 1
    return Case(
        f"a folder {name}",
        run,
        holds(frames) if good else None,
        None if good else (name,),
    )


@mechanism("folder: names of modalities", 8)
def names(rng, seed):
    frames = tables(rng)
    name = (
        "my genes",
        "gènes",
        "genes.v2",
        "基因",
        "a" * 200,
        "genes-2024",
        "-genes",
        "1",
    )[seed % 8]
    contents = {
        f"{name}.csv": text(frames["genes"]),
        "proteins.csv": text(frames["proteins"]),
    }
    truth = {name: frames["genes"], "proteins": frames["proteins"]}
    return Case(
        f"{name[:30]}.csv",
        lambda folder: cs.read(write(folder, contents)),
        holds(truth),
        None,
    )


@mechanism("folder: one modality in two files", 3)
def two(rng, seed):
    frames = tables(rng)
    other = ("genes.tsv", "genes.csv.gz", "genes.parquet")[seed % 3]
    contents = {f"{n}.csv": text(f) for n, f in frames.items()} | {
        other: text(frames["genes"])
    }
    return Case(
        f"genes.csv and {other}",
        lambda folder: cs.read(write(folder, contents)),
        None,
        ("enes",),
    )


@mechanism("folder: modalities by name", 8, quick=2)
def chosen(rng, seed):
    """Asked for by other names and in another order."""
    frames = tables(rng)
    contents = {f"{n}.csv": text(f) for n, f in frames.items()}
    asked, truth = (
        (["proteins", "genes"], frames),
        (
            {"rna": "genes", "adt": "proteins"},
            {"rna": frames["genes"], "adt": frames["proteins"]},
        ),
        (
            {"proteins": "genes", "genes": "proteins"},
            {"proteins": frames["genes"], "genes": frames["proteins"]},
        ),
        (["genes"], {"genes": frames["genes"]}),
        (["genes", "Proteins"], None),
        ([], None),
        ("genes", None),
        ({"z": "genes"}, None),
    )[seed % 8]
    words = None if truth else ("modalities",)
    return Case(
        f"modalities={asked}",
        lambda folder: cs.read(write(folder, contents), modalities=asked),
        holds(truth) if truth else None,
        words,
    )
