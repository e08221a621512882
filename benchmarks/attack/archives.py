"""`.npz` archives: damaged bytes, members that lie, packings that few know."""

import io
import zipfile

import numpy as np

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import equal

NAMES = ("a", "b")


def arrays(rng) -> dict[str, np.ndarray]:
    """Two modalities of the same rows, with ids."""
    count = int(rng.integers(4, 9))
    found = {
        n: rng.normal(size=(count, int(rng.integers(2, 5)))).astype(np.float32)
        for n in NAMES
    }
    return found | {"row_names": np.array([f"s{i}" for i in range(count)])}


def packed(members: dict[str, np.ndarray], method: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of `.npy` members."""
    return zipped({f"{n}.npy": npy(x) for n, x in members.items()}, method)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Any members, in order; a name may stand twice with a blank behind it."""
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w", method) as file:
        for name, content in members.items():
            file.writestr(name.rstrip("\0"), content)
    return box.getvalue()


def npy(array: np.ndarray) -> bytes:
    """One array as NumPy writes it."""
    box = io.BytesIO()
    np.lib.format.write_array(box, array, allow_pickle=True)
    return box.getvalue()


def same(expected: dict[str, np.ndarray]):
    """Values bit for bit, and names of rows."""

    def check(data: cs.MultimodalData) -> None:
        assert set(data.names) == set(NAMES) & set(expected), f"modalities {data.names}"
        for name in data.names:
            equal(data.values[name], expected[name], name)
        if "row_names" in expected:
            assert list(data.row_names) == list(map(str, expected["row_names"]))

    return check


def reading(about: str, raw: bytes, right, words=("data", "expected")) -> Case:
    """Read these bytes as data.npz."""

    def run(folder):
        (folder / "data.npz").write_bytes(raw)
        return cs.read(folder / "data.npz")

    return Case(about, run, right, words)


@mechanism("npz: one bit flipped", 40, quick=4)
def flipped(rng, seed):
    """Members have checksums: what is accepted is what was written."""
    found = arrays(rng)
    method = pick(rng, [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    raw = packed(found, method)
    where = int(rng.integers(len(raw)))
    raw = (
        raw[:where]
        + bytes([raw[where] ^ (1 << int(rng.integers(8)))])
        + raw[where + 1 :]
    )
    return reading(f"byte {where} of {len(raw)}", raw, same(found))


@mechanism("npz: several bytes overwritten", 20, quick=2)
def overwritten(rng, seed):
    found = arrays(rng)
    raw = bytearray(packed(found, zipfile.ZIP_DEFLATED))
    for where in rng.integers(len(raw), size=int(rng.integers(2, 30))):
        raw[where] = int(rng.integers(256))
    return reading("overwritten", bytes(raw), same(found))


@mechanism("npz: truncated", 8, quick=2)
def truncated(rng, seed):
    raw = packed(arrays(rng))
    return reading("truncated", raw[: int(rng.integers(len(raw)))], None)


@mechanism("npz: something before or behind", 4)
def padded(rng, seed):
    found = arrays(rng)
    raw = packed(found)
    return reading(
        "padded",
        (raw + b"\0" * 9, b"#!/bin/sh\n" + raw, raw + raw, b"PK\3\4" + raw)[seed % 4],
        same(found),
    )


METHODS = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
)


@mechanism("npz: ways to compress", 4)
def methods(rng, seed):
    found = arrays(rng)
    good = seed % 4 < 2
    return reading(
        f"method {seed % 4}",
        packed(found, METHODS[seed % 4]),
        same(found),
        None if good else ("data",),
    )


@mechanism("npz: members that are no arrays", 8, quick=2)
def foreign(rng, seed):
    """Left out where they are known to be none, or refused; never a modality."""
    found = arrays(rng)
    extra = (
        {"__MACOSX/._a.npy": b"\0\5\x16\7\0\2\0\0Mac OS X"},
        {".DS_Store": b"\0\0\0\1Bud1"},
        {"readme.txt": b"made by me"},
        {"a/": b""},
        {"c.npy": b""},
        {"c.npy": b"\x93NUMPY"},
        {"c.npy": b"\x93NUMPY\1\0v\0" + b" " * 118},
        {"c.npy": b"\x93NUMPY\x09\0v\0\0\0" + b" " * 118},
    )[seed % 8]
    members = {f"{n}.npy": npy(x) for n, x in found.items()} | extra
    return reading(
        f"{next(iter(extra))!r}",
        zipped(members),
        same(found) if seed % 8 < 4 else None,
        ("data",),
    )


@mechanism("npz: one name twice", 6, quick=2)
def twice(rng, seed):
    found = arrays(rng)
    members = {f"{n}.npy": npy(x) for n, x in found.items()}
    other = npy(found["a"] + 1)
    extra = (
        {"a.npy\0": other},
        {"a": other},
        {"./a.npy": other},
        {"A.npy": other},
        {"x/a.npy": other},
        {"a .npy": other},
    )[seed % 6]
    return reading(
        f"{next(iter(extra))!r} beside 'a.npy'",
        zipped(members | extra),
        None if seed % 6 in (0, 1) else lambda data: _apart(data, found),
        ("data",),
    )


def _apart(data, found) -> None:
    """If both are there they have names of their own."""
    assert len(data.names) == 3, f"modalities {data.names}"
    equal(data.values["a"], found["a"])


@mechanism("npz: encrypted", 1)
def encrypted(rng, seed):
    raw = bytearray(packed(arrays(rng)))
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = 0
        while (start := raw.find(mark, start)) >= 0:
            raw[start + offset] |= 1
            start += 4
    return reading("encrypted", bytes(raw), None)


@mechanism("npz: a bomb", 3, quick=0, seconds=300, megabytes=400)
def bomb(rng, seed):
    """600 MB of zeros, behind a header of few rows, of too many, or in no array at all."""
    found = arrays(rng)
    members = {f"{n}.npy": npy(x) for n, x in found.items()}
    where, head = (
        ("a.npy", members["a.npy"]),
        (
            "c.npy",
            npy(np.zeros((2, 3), np.int8)).replace(
                b"(2, 3), }        ", b"(200000000, 3), }"
            ),
        ),
        ("__MACOSX/._a.npy", b""),
    )[seed % 3]

    def run(folder):
        with zipfile.ZipFile(
            folder / "data.npz", "w", zipfile.ZIP_DEFLATED, True, 1
        ) as file:
            for name, content in members.items():
                if name != where:
                    file.writestr(name, content)
            with file.open(where, "w") as member:
                member.write(head)
                for _ in range(600):
                    member.write(bytes(1 << 20))
        return cs.read(folder / "data.npz")

    right = None if seed % 3 == 1 else same(found)
    return Case(f"600 MB behind {where}", run, right, ("data|'a'|'c'",))
