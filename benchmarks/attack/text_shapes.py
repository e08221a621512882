"""Shapes of text tables: headers, separators, remarks, lines of another length."""

import io

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import holds, tables, text, write


def with_text(about: str, frames: dict, raw: str, right=None, words=("genes",)) -> Case:
    """Read this text beside a good table."""
    contents = {"genes.csv": raw, "proteins.csv": text(frames["proteins"])}
    return Case(
        f"{about}: {raw[:160]!r}",
        lambda folder: cs.read(write(folder, contents)),
        right,
        words,
    )


@mechanism("shape: other separators", 8, quick=2)
def separators(rng, seed):
    frames = tables(rng)
    sign = ";\t| :~^/"[seed % 8]
    return with_text(
        f"{sign!r} for commas",
        frames,
        text(frames["genes"], sep=sign),
        None,
        ("genes", "separated|column|cells|sample|numeric|expected"),
    )


@mechanism("shape: decimal commas and semicolons", 3)
def german(rng, seed):
    frames = tables(rng)
    return with_text(
        "German",
        frames,
        text(frames["genes"], sep=";", decimal=","),
        None,
        ("genes", "separated"),
    )


@mechanism("shape: quotes", 6)
def quotes(rng, seed):
    frames, genes = tables(rng), tables(rng)["genes"]
    frames["genes"] = genes
    plain = text(genes)
    raw, good = (
        (text(genes, quoting=1), True),
        (plain.replace("s0", '"s0', 1), False),
        (plain.replace("patient", '"pa""tient"'), True),
        (plain.replace(",", ',"', 3), False),
        (text(genes, quoting=1, quotechar="'"), False),
        (plain.replace("\n", '"\n', 2), False),
    )[seed % 6]
    return with_text(
        "quotes",
        frames,
        raw,
        holds(frames) if good else None,
        None if good else ("genes",),
    )


@mechanism("shape: no header", 8, quick=2)
def headless(rng, seed):
    """The first sample may not become the names."""
    frames = tables(rng, whole=seed % 2 == 0)
    if seed % 4 > 1:
        frames["genes"] = frames["genes"].rename(index=lambda s: str(int(s[1:]) + 1))
        frames["proteins"] = frames["proteins"].rename(
            index=lambda s: str(int(s[1:]) + 1)
        )
    return with_text(
        "no header",
        frames,
        text(frames["genes"].fillna(0.5), header=False),
        None,
        ("genes", "header|first line|names|column"),
    )


@mechanism("shape: the header again", 4)
def again(rng, seed):
    frames = tables(rng)
    lines = text(frames["genes"]).splitlines(keepends=True)
    where = int(rng.integers(1, len(lines) + 1))
    return with_text(
        "header again",
        frames,
        "".join([*lines[:where], lines[0], *lines[where:]]),
        None,
        ("genes", "patient|g0"),
    )


@mechanism("shape: remarks and footers", 8, quick=2)
def remarks(rng, seed):
    frames = tables(rng)
    plain = text(frames["genes"])
    width = frames["genes"].shape[1]
    raw = (
        "# made by a program\n" + plain,
        plain + "# end\n",
        "sep=,\n" + plain,
        plain + "Total rows: 9\n",
        "\n\nMeasurements\n\n" + plain,
        plain + "," * width + "\n",
        plain + "\x1a",
        plain + "mean" + ",n/a" * width + "\n",
    )[seed % 8]
    return with_text("a remark", frames, raw, None, ("genes|row \\d+ \\('mean'",))


@mechanism("shape: lines of another length", 8, quick=2)
def ragged(rng, seed):
    frames = tables(rng)
    lines = text(frames["genes"]).splitlines()
    where = int(rng.integers(0 if seed % 2 else 1, len(lines)))
    lines[where] += ("", ",", ",1.5", ",,")[1 + seed % 3]
    if seed % 4 == 0:
        lines[where] = lines[where].rsplit(",", 2)[0]
    return with_text(
        f"line {where + 1}",
        frames,
        "\n".join(lines) + "\n",
        None,
        ("genes", "line|column|cells"),
    )


@mechanism("shape: a comma at the end of each line", 3)
def trailing(rng, seed):
    frames = tables(rng)
    raw = text(frames["genes"]).replace("\n", ",\n")
    return with_text("commas at the ends", frames, raw, None, ("genes", "name"))


@mechanism("shape: the numbers of pandas as a first column", 4)
def numbered(rng, seed):
    """`to_csv` after `reset_index` writes row numbers under an empty name."""
    frames = tables(rng)
    cells = frames["genes"].reset_index()
    if seed % 2:
        cells = cells.sample(frac=1, random_state=seed)
    raw = text(cells)
    return with_text(
        "numbers before the ids", frames, raw, None, ("genes", "patient|id")
    )


@mechanism("shape: a column of nothing", 4)
def nothing(rng, seed):
    """Kept as missing throughout, or refused by name; not filled with zeros."""
    frames = tables(rng)
    frames["genes"] = frames["genes"].assign(void=float("nan"))
    return with_text(
        "a column of nothing",
        frames,
        text(frames["genes"]),
        holds(frames),
        ("genes", "void"),
    )


@mechanism("shape: wide and long tables", 3, quick=0)
def wide(rng, seed):
    import numpy as np
    import pandas as pd

    shape = ((4, 4000), (4000, 4), (600, 300))[seed % 3]
    frame = pd.DataFrame(
        rng.normal(size=shape).round(3),
        pd.Index([f"s{i}" for i in range(shape[0])], name="id"),
        [f"c{j}" for j in range(shape[1])],
    )
    box = io.StringIO()
    frame.iloc[np.random.default_rng(seed).permutation(shape[0])].to_csv(box)
    return Case(
        f"{shape}",
        lambda folder: cs.read(write(folder, {"a.csv": box.getvalue()})),
        holds({"a": frame}),
        None,
    )


@mechanism("shape: TSV as CSV and CSV as TSV", 2)
def wrong_ending(rng, seed):
    frames = tables(rng)
    name, sign = (("genes.csv", "\t"), ("genes.tsv", ","))[seed % 2]
    contents = {
        name: text(frames["genes"], sep=sign),
        "proteins.csv": text(frames["proteins"]),
    }
    return Case(
        f"{name} with {sign!r}",
        lambda folder: cs.read(write(folder, contents)),
        None,
        ("genes", "separated"),
    )


@mechanism("shape: truncated between two good lines", 3)
def half(rng, seed):
    """Nothing of a file tells that its second half is gone: what is there is read."""
    frames = tables(rng)
    keep = int(rng.integers(3, len(frames["genes"])))
    frames["genes"] = frames["genes"].iloc[:keep]
    raw = text(frames["genes"])
    shared = frames["genes"].index.intersection(frames["proteins"].index)
    words = None if len(shared) else ("genes",)
    return with_text(
        "half",
        frames,
        raw.rstrip("\n") if pick(rng, [0, 1]) else raw,
        holds(frames),
        words,
    )
