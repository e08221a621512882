"""`.npz` and `.npy`: headers that lie, types of arrays, masks that contradict."""

import numpy as np

from attack.archives import arrays, npy, packed, reading, same, zipped
from attack.case import mechanism
from attack.tables import equal, measured

SHAPES = (
    *(
        "(1000000000000, 3)",
        "(-1, 3)",
        "(9223372036854775807, 9223372036854775807)",
        "(3,)",
    ),
    *("(99999999999999999999999, 1)", "(0, 3)", "()", "3", "[3, 3]", "(3.0, 3)"),
    *("(" * 400 + ")" * 400, "(True, 3)", "None", "(3, 3, 1000000000)", "'(3, 3)'"),
)


def with_header(text: str, data: bytes) -> bytes:
    """A member with this header."""
    raw = text.encode("latin-1")
    raw += b" " * (-(len(raw) + 11) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(raw).to_bytes(2, "little") + raw + data


@mechanism("npy: claimed shapes", len(SHAPES), quick=4, megabytes=700)
def claimed(rng, seed):
    found = arrays(rng)
    shape = SHAPES[seed % len(SHAPES)]
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    members = {f"{n}.npy": npy(x) for n, x in found.items()}
    members["a.npy"] = with_header(header, found["a"].tobytes())
    return reading(shape[:60], zipped(members), None, ("data|'a'|'b'|row_names",))


HEADERS = (
    "{'descr': '<f4', 'fortran_order': False}",
    "{'descr': 'x', 'fortran_order': False, 'shape': (3, 2)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (3, 2)}",
    "{'descr': '<f4', 'fortran_order': 'no', 'shape': (3, 2)}",
    "{'descr': ('<f4', (1000000000,)), 'fortran_order': False, 'shape': (3, 2)}",
    "__import__('os').system('true')",
    "{'descr': [('a', '<f4'), ('a', '<f4')], 'fortran_order': False, 'shape': (3,)}",
    "[" * 3000,
    "{**{}}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), 'more': 1}",
    "9" * 5000,
    "{'descr': '<V2147483647', 'fortran_order': False, 'shape': (3, 2)}",
    "{'descr': '<U999999999', 'fortran_order': False, 'shape': (3, 2)}",
    "\0" * 64,
)


@mechanism("npy: headers that are none", len(HEADERS), quick=3, megabytes=700)
def headers(rng, seed):
    found = arrays(rng)
    members = {f"{n}.npy": npy(x) for n, x in found.items()}
    text = HEADERS[seed % len(HEADERS)]
    members["a.npy"] = with_header(text, found["a"].tobytes())
    return reading(text[:70], zipped(members), None, ("data|'a'",))


@mechanism("npy: headers damaged at random", 30, quick=3, megabytes=700)
def damaged(rng, seed):
    """With right checksums of the archive: what comes of it is a refusal, or numbers."""
    found = arrays(rng)
    raw = bytearray(npy(found["a"]))
    for _ in range(int(rng.integers(1, 4))):
        raw[int(rng.integers(0, 128))] = int(rng.integers(256))
    members = {f"{n}.npy": npy(x) for n, x in found.items()} | {"a.npy": bytes(raw)}

    def right(data):
        values = np.asarray(data.values["a"])
        assert len(values) == len(found["a"])

    return reading(
        f"{bytes(raw[:128])!r}", zipped(members), right, ("data|'a'|'b'|row_names",)
    )


TYPES = {
    "big-endian": lambda x: x.astype(">f4"),
    "Fortran order": lambda x: np.asfortranarray(x),
    "float64": lambda x: x.astype("f8"),
    "float16": lambda x: x.astype("f2"),
    "long double": lambda x: x.astype(np.longdouble),
    "int8": lambda x: (10 * x).astype("i1"),
    "uint16 big-endian": lambda x: np.abs(10 * x).astype(">u2"),
    "bool": lambda x: x > 0,
    "complex": lambda x: x.astype("c8"),
    "complex without an imaginary part": lambda x: x.astype("c16"),
    "structured": lambda x: np.array(
        [tuple(r) for r in x], [(f"f{i}", "f4") for i in range(x.shape[1])]
    ),
    "dates": lambda x: np.full(x.shape, np.datetime64("2024-01-01")),
    "text of numbers": lambda x: x.astype("U"),
    "bytes of numbers": lambda x: x.astype("S"),
    "objects": lambda x: x.astype(object),
    "durations": lambda x: np.full(x.shape, np.timedelta64(1, "s")),
    "void": lambda x: np.ascontiguousarray(x).view("V4"),
}
GOOD = 8


@mechanism("npz: types of arrays", len(TYPES), quick=3)
def types(rng, seed):
    found, kind = arrays(rng), list(TYPES)[seed % len(TYPES)]
    changed = found | {"a": TYPES[kind](found["a"])}
    if seed % len(TYPES) >= GOOD:
        return reading(kind, packed(changed), None, ("data", "'a'|objects"))
    # the truth has the values of that type, rounded to float32 at most
    whole = changed["a"].dtype.kind in "iu"
    truth = found | {"a": changed["a"].astype(np.int64 if whole else np.float32)}
    return reading(kind, packed(changed), same(truth), None)


@mechanism("npz: names of rows", 9, quick=2)
def row_names(rng, seed):
    found = arrays(rng)
    n = len(found["a"])
    given, good = (
        (np.array([f"s{i}".encode() for i in range(n)]), True),
        (np.arange(n), True),
        (np.array([f"s{i}" for i in range(n - 1)]), False),
        (np.array(["s0"] * n), False),
        (np.full(n, np.nan), False),
        (np.array([""] * n), False),
        (np.array([[f"s{i}", "x"] for i in range(n)]), False),
        (np.array([f"s{i}" for i in range(n)], dtype=object), False),
        (np.array([f"s{i}" for i in range(n + 1)]), False),
    )[seed % 9]
    text = [x.decode() if isinstance(x, bytes) else str(x) for x in given.tolist()]
    truth = same(found | {"row_names": text}) if good else None
    return reading(
        f"row_names {given[:2].tolist()}, …",
        packed(found | {"row_names": given}),
        truth,
        ("data|row_names",),
    )


@mechanism("npz: masks", 10, quick=2)
def masks(rng, seed):
    """Entries that a mask or a NaN takes away are missing; masks of another kind refused."""
    found = {n: x.copy() for n, x in arrays(rng).items()}
    shape = found["a"].shape
    mask = rng.random(shape) < 0.8
    mask[:, 0] = True
    rows = np.ones(shape[0], bool)
    rows[0] = False
    nan = found["a"].copy()
    nan[1, 1] = np.nan
    about, extra, good = (
        ("of entries", {"mask_a": mask}, True),
        ("of rows", {"mask_a": rows}, True),
        ("of entries beside NaN", {"mask_a": mask, "a": nan}, True),
        ("present", {"present": np.stack([rows, ~rows | True], 1)}, True),
        (
            "transposed",
            {"mask_a": mask.T if shape[0] != shape[1] else mask[:, 1:]},
            False,
        ),
        ("of numbers", {"mask_a": mask.astype(int)}, False),
        ("of no modality", {"mask_c": mask}, False),
        (
            "present of other length",
            {"present": np.ones((shape[0] + 1, 2), bool)},
            False,
        ),
        ("present of three columns", {"present": np.ones((shape[0], 3), bool)}, False),
        ("present of numbers", {"present": np.ones((shape[0], 2))}, False),
    )[seed % 10]
    a = extra.get("a", found["a"]).astype(float)
    seen = extra.get("mask_a", extra.get("present", rows | True))
    truth = a.copy()
    if good:
        seen = seen[:, 0] if "present" in extra else seen
        truth[~(seen if seen.ndim == 2 else np.broadcast_to(seen[:, None], shape))] = (
            np.nan
        )

    def right(data):
        equal(measured(data, "a"), truth.astype(np.float32), "a")
        equal(measured(data, "b"), found["b"], "b")

    return reading(
        about,
        packed(found | extra),
        right if good else None,
        None if good else ("data|present|mask|entries",),
    )


@mechanism("npz: shapes of modalities", 6)
def shapes(rng, seed):
    found = arrays(rng)
    n = len(found["a"])
    value, good = (
        (rng.normal(size=n).astype("f4"), True),
        (rng.normal(size=(n, 2, 3, 1)).astype("f4"), True),
        (rng.normal(size=(n + 1, 2)).astype("f4"), False),
        (np.zeros((n, 0), "f4"), False),
        (np.zeros((0, 3), "f4"), False),
        (rng.normal(size=(1, n)).astype("f4"), False),
    )[seed % 6]
    return reading(
        f"{value.shape}",
        packed(found | {"a": value}),
        same(found | {"a": value}) if good else None,
        None if good else ("data|'a'|'b'|row_names",),
    )
