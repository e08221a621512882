"""Bytes of CSV files damaged at random: what is left must be read as it stands there."""

import gzip
import io
import zipfile

import numpy as np

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import holds, parsed, tables, text, write

WHERE = r"genes|row \d+ \('"  # the file, or the sample that has nothing left


def damaged(about: str, raw: bytes, frames: dict, name: str = "genes.csv") -> Case:
    """Read the damaged table beside a good one; the truth is what `parsed` says."""
    left = parsed(raw)
    right = (
        None if left is None else holds({"genes": left, "proteins": frames["proteins"]})
    )
    contents = {name: raw, "proteins.csv": text(frames["proteins"])}
    return Case(
        f"{about}: {raw[:400]!r}",
        lambda folder: cs.read(write(folder, contents)),
        right,
        (WHERE,),
    )


def by(change):
    """A maker of cases of a function of generator and bytes, which returns new bytes."""

    def make(rng: np.random.Generator, seed: int) -> Case:
        frames = tables(rng)
        return damaged(
            change.__name__, change(rng, text(frames["genes"]).encode()), frames
        )

    return make


@mechanism("CSV: one byte flipped", 24, quick=4)
@by
def flipped(rng, raw):
    where = int(rng.integers(len(raw)))
    bit = 1 << int(rng.integers(8))
    return raw[:where] + bytes([raw[where] ^ bit]) + raw[where + 1 :]


@mechanism("CSV: one byte replaced by a telling one", 24, quick=4)
@by
def replaced(rng, raw):
    where = int(rng.integers(len(raw)))
    return (
        raw[:where]
        + pick(rng, [b",", b"\n", b'"', b"\r", b"\0", b" ", b"\t", b"-", b"e", b"_"])
        + raw[where + 1 :]
    )


@mechanism("CSV: one byte inserted", 16, quick=3)
@by
def inserted(rng, raw):
    where = int(rng.integers(len(raw)))
    new = pick(
        rng, [b",", b"\n", b'"', b"\r", b"\0", b" ", b".", b"9", b"\xff", b"\xc3\xa9"]
    )
    return raw[:where] + new + raw[where:]


@mechanism("CSV: bytes deleted", 16, quick=3)
@by
def deleted(rng, raw):
    where, count = int(rng.integers(len(raw))), int(rng.integers(1, 12))
    return raw[:where] + raw[where + count :]


@mechanism("CSV: truncated", 12, quick=3)
@by
def truncated(rng, raw):
    return raw[: int(rng.integers(len(raw)))]


@mechanism("CSV: two pieces swapped", 8)
@by
def swapped(rng, raw):
    a, b, c = sorted(int(i) for i in rng.integers(0, len(raw), 3))
    return raw[:a] + raw[b:c] + raw[a:b] + raw[c:]


@mechanism("CSV: a line doubled or lost", 8)
@by
def line_doubled(rng, raw):
    lines = raw.splitlines(keepends=True)
    where = int(rng.integers(len(lines)))
    return b"".join(
        lines[:where]
        + lines[where : where + 1] * int(pick(rng, [0, 2]))
        + lines[where + 1 :]
    )


ENCODINGS = (
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "latin-1",
    "cp500",
    "shift_jis",
)


@mechanism("CSV: other encodings", 7, quick=2)
def encodings(rng, seed):
    frames, name = tables(rng), ENCODINGS[seed % len(ENCODINGS)]
    named = frames["genes"].rename(
        columns={"g1": "grün" if name != "shift_jis" else "緑"}
    )
    good = name == "utf-8-sig"
    case = damaged(name, text(named).encode(name), frames)
    return case._replace(
        words=None if good else (WHERE, "UTF-8|one cell|column|expected")
    )


@mechanism("CSV: ends of lines", 4)
def line_ends(rng, seed):
    frames = tables(rng)
    end = ("\r\n", "\r", "\n\n", "\n \n")[seed % 4]
    raw = text(frames["genes"]).replace("\n", end).encode()
    case = damaged(repr(end), raw, frames)
    return case._replace(words=None if seed % 4 in (0, 2) else (WHERE,))


@mechanism("gzip: damaged at random", 16, quick=3)
def zipped(rng, seed):
    """Whatever is accepted must be what was written: gzip has a checksum."""
    frames = tables(rng)
    raw = gzip.compress(text(frames["genes"]).encode() * 1)
    where = int(rng.integers(len(raw)))
    raw = pick(
        rng,
        [
            raw[:where]
            + bytes([raw[where] ^ (1 << int(rng.integers(8)))])
            + raw[where + 1 :],
            raw[:where],
        ],
    )
    case = damaged("gzip", b"", frames, "genes.csv.gz")
    contents = {"genes.csv.gz": raw, "proteins.csv": text(frames["proteins"])}
    return case._replace(
        about=f"gzip damaged at byte {where} of {len(raw)}",
        run=lambda folder: cs.read(write(folder, contents)),
        right=holds(frames),
    )


@mechanism("gzip: other packings", 6)
def packings(rng, seed):
    frames = tables(rng)
    plain = text(frames["genes"]).encode()
    half = plain.index(b"\n") + 1
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as file:
        file.writestr("genes.csv", plain)
    about, name, raw, good = (
        (
            "two members",
            "genes.csv.gz",
            gzip.compress(plain[:half]) + gzip.compress(plain[half:]),
            True,
        ),
        ("gzipped twice", "genes.csv.gz", gzip.compress(gzip.compress(plain)), False),
        ("not gzipped", "genes.csv.gz", plain, False),
        ("gzipped without the ending", "genes.csv", gzip.compress(plain), False),
        ("a zip file as .csv", "genes.csv", box.getvalue(), False),
        ("rest behind the end", "genes.csv.gz", gzip.compress(plain) + b"rest", False),
    )[seed % 6]
    contents = {name: raw, "proteins.csv": text(frames["proteins"])}
    return Case(
        about,
        lambda folder: cs.read(write(folder, contents)),
        holds(frames) if good else None,
        None if good else ("genes",),
    )
