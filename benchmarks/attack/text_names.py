"""Ids and names of columns in text files."""

import unicodedata

import pandas as pd

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import holds, tables, text, write

WORDS = ("genes|proteins", "sample|id|row|column|name")


def reading(about: str, frames: dict, truth, words=WORDS, **settings) -> Case:
    """Read these frames as CSV."""
    contents = {f"{n}.csv": text(frame) for n, frame in frames.items()}
    return Case(
        about, lambda folder: cs.read(write(folder, contents), **settings), truth, words
    )


@mechanism("names: rows and columns in any order", 6)
def shuffled(rng, seed):
    frames = tables(rng)
    moved = {
        n: f.iloc[rng.permutation(len(f)), rng.permutation(f.shape[1])]
        for n, f in frames.items()
    }
    return reading("shuffled", moved, holds(frames), None)


def renamed(frames: dict, sample: str, to: str) -> dict:
    """One id of the proteins written in another way."""
    proteins = frames["proteins"].rename(index={sample: to})
    return frames | {"proteins": proteins}


def shared(frames: dict) -> str:
    """A sample of both tables."""
    return str(frames["genes"].index.intersection(frames["proteins"].index)[0])


INVISIBLE = ("\u200b", "\u200c", "\u2060", "\ufeff", "\u00ad", "\u00a0", " ", "\t")
INVISIBLE += ("\u2009", "\u200e", "\u3000", "\x7f", "\x01")


@mechanism("names: an id with something invisible", len(INVISIBLE) * 2, quick=3)
def invisible(rng, seed):
    """Refused, or one sample: never two samples of one."""
    frames, mark = tables(rng), INVISIBLE[seed % len(INVISIBLE)]
    sample = shared(frames)
    to = (sample + mark, mark + sample)[seed // len(INVISIBLE) % 2]
    if seed >= len(INVISIBLE) and mark not in " \t\ufeff":
        to = sample[:2] + mark + sample[2:]
    return reading(f"{to!r} for {sample!r}", renamed(frames, sample, to), holds(frames))


@mechanism("names: an id in another form of Unicode", 6, quick=2)
def forms(rng, seed):
    frames = tables(rng)
    base = ("café", "Ångström", "ﬁt", "ｓ７", "Ａ1", "naïve")[seed % 6]
    frames = {n: f.rename(index={shared(frames): base}) for n, f in frames.items()}
    form = ("NFD", "NFD", "NFKC", "NFKC", "NFKC", "NFD")[seed % 6]
    to = unicodedata.normalize(form, base)
    return reading(f"{to!r} for {base!r}", renamed(frames, base, to), holds(frames))


@mechanism("names: numbers as ids, written in two ways", 6, quick=2)
def numeric(rng, seed):
    frames = tables(rng)
    plain = {f"s{i:02d}": str(i + 1) for i in range(20)}
    frames = {n: f.rename(index=plain) for n, f in frames.items()}
    sample = shared(frames)
    to = (
        f"{sample}.0",
        f"00{sample}",
        f"{sample}.",
        f" {sample}",
        f"0{sample}",
        f"{sample}.00",
    )[seed % 6]
    return reading(f"{to!r} for {sample!r}", renamed(frames, sample, to), holds(frames))


@mechanism("names: an id in another case or with other dashes", 6)
def case(rng, seed):
    frames = tables(rng)
    frames = {n: f.rename(index=lambda s: f"TCGA-{s}-a") for n, f in frames.items()}
    sample = shared(frames)
    to = (
        sample.lower(),
        sample.replace("-", "_"),
        sample.replace("-", "."),
        sample.replace("-", "\u2013"),
        sample.replace("-", " "),
        sample.replace("-", "\u2011"),
    )[seed % 6]
    return reading(f"{to!r} for {sample!r}", renamed(frames, sample, to), holds(frames))


@mechanism("names: an id twice or none", 6)
def twice(rng, seed):
    frames = tables(rng)
    sample = shared(frames)
    to = (str(frames["proteins"].index[-1]), "", " ", "\u00a0", "\t", "NA")[seed % 6]
    if to == sample:
        to = str(frames["proteins"].index[0])
    good = seed % 6 == 5  # a sample may be called so
    return reading(
        f"{to!r} for {sample!r}",
        renamed(frames, sample, to),
        holds(renamed(frames, sample, to)) if good else None,
    )


@mechanism("names: ids that look like something else", 8)
def telling(rng, seed):
    """Ids are text, whatever they look like."""
    frames = tables(rng)
    to = ("NA", "nan", "null", "True", "1e5", "0012", "2024-01-01", "=A1")[seed % 8]
    sample = shared(frames)
    moved = {n: f.rename(index={sample: to}) for n, f in frames.items()}
    return reading(f"{to!r} in both", moved, holds(moved), None)


@mechanism("names: columns that look like something else", 8)
def columns(rng, seed):
    frames = tables(rng)
    to = ("NA", "nan", "True", "a,b", 'say "so"', "two\nlines", "x.1", "Unnamed: 0")[
        seed % 8
    ]
    frames["genes"] = frames["genes"].rename(columns={"g1": to})
    words = (
        ("genes", "Unnamed") if to.startswith("Unnamed") else None
    )  # pandas' own word
    return reading(f"a column {to!r}", frames, holds(frames), words)


@mechanism("names: a column twice or none", 6)
def same_columns(rng, seed):
    frames = tables(rng)
    to = ("g0", "", " ", "\u00a0", "g0", "\ufeff")[seed % 6]
    genes = frames["genes"].rename(columns={"g1": to})
    return reading(
        f"a column {to!r}", frames | {"genes": genes}, None, ("genes", "column")
    )


@mechanism("names: ids in another column", 4)
def id_column(rng, seed):
    frames = tables(rng)
    moved = {}
    for name, frame in frames.items():
        cells = frame.reset_index()
        order = [*frame.columns[:1], "patient", *frame.columns[1:]]
        moved[name] = cells[order].set_index(order[0])
    asked = seed % 2 == 0
    settings = {"id_column": "patient"} if asked else {}
    words = None if asked else ("genes|proteins", "id")
    return reading(
        "ids in the second column",
        moved,
        holds(frames) if asked else None,
        words,
        **settings,
    )


@mechanism("names: samples of all tables or of any", 6)
def union(rng, seed):
    frames, how = tables(rng), ("union", "intersection")[seed % 2]
    common = frames["genes"].index.intersection(frames["proteins"].index)
    common = [
        s
        for s in common
        if frames["genes"].loc[s].notna().any()
        and frames["proteins"].loc[s].notna().any()
    ]
    rows = None if how == "union" else common
    return reading(how, frames, holds(frames, rows=rows), None, samples=how)


@mechanism("names: transposed tables", 6, quick=2)
def transposed(rng, seed):
    """One of them, or all: the genes of two files are no samples."""
    n, genes = int(rng.integers(6, 12)), [f"gene{j}" for j in range(9)]
    ids = [f"patient{i}" for i in range(n)]

    def made(columns):
        return pd.DataFrame(
            rng.normal(size=(n, len(columns))).round(3),
            pd.Index(ids, name="id"),
            columns,
        )

    rna, protein = made(genes[:6]), made(genes[5:])
    frames = {
        0: {"rna": rna.T, "protein": protein},
        1: {"rna": rna.T, "protein": protein.T},
        2: {"rna": rna, "protein": protein.T},
    }[seed % 3]
    return reading(
        ("the first transposed", "both transposed", "the second transposed")[seed % 3],
        frames,
        None,
        ("rna|protein", "transpos|samples in rows|columns"),
    )


@mechanism("names: modalities that mean something", 8)
def modality(rng, seed):
    """Sites, masks and covariates by another spelling."""
    frames = tables(rng)
    name = ("z", "data", "features", "w", "prior", "Covariates", "COVARIATES", "z ")[
        seed % 8
    ]
    contents = {
        f"{name}.csv": text(frames["genes"]),
        "proteins.csv": text(frames["proteins"]),
    }
    mapped = {name: frames["genes"], "proteins": frames["proteins"]}
    free = seed % 8 == 7
    return Case(
        f"a modality {name!r}",
        lambda folder: cs.read(write(folder, contents)),
        holds(mapped) if free else None,
        (name.strip(), "name|covariates"),
    )
