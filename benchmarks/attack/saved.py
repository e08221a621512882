"""Saved models: damaged, forged, of others; places where nothing can be saved."""

import hashlib
import io
import json
import os
import zipfile

import jax
import numpy as np

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.linear import fitted, guide, model, ours_once
from attack.tables import equal

SETTINGS = {"seconds": 180}


def saved(folder):
    """The bytes of one of our models."""
    path = folder / "model.npz"
    ours_once().save(path)
    return path


def same(found) -> None:
    """The parameters that were saved."""
    for name, x in ours_once().params.items():
        jax.tree.map(equal, found.params[name], x)


def loading(about: str, change, right=same, words=(r"model\.npz",)) -> Case:
    """Load the file after its bytes were changed."""

    def run(folder):
        path = saved(folder)
        path.write_bytes(change(path.read_bytes()))
        return cs.load(path)

    return Case(about, run, right, words)


@mechanism("saved: one bit flipped", 30, quick=1, **SETTINGS)
def flipped(rng, seed):
    """Everything has a checksum: what is loaded is what was saved."""
    share, bit = rng.random(), 1 << int(rng.integers(8))

    def change(raw):
        where = int(share * len(raw))
        return raw[:where] + bytes([raw[where] ^ bit]) + raw[where + 1 :]

    return loading(f"at {share:.4f}", change)


@mechanism("saved: truncated, padded, empty", 10, quick=1, **SETTINGS)
def cut(rng, seed):
    share = rng.random()
    change = (
        lambda raw: raw[: int(share * len(raw))],
        lambda raw: raw + b"rest",
        lambda raw: b"",
        lambda raw: b"rest" + raw,
        lambda raw: (
            raw[: int(share * len(raw))] + bytes(64) + raw[int(share * len(raw)) + 64 :]
        ),
    )[seed % 5]
    return loading(f"kind {seed % 5} at {share:.3f}", change)


def repacked(raw: bytes, forge) -> bytes:
    """The archive with its header changed, and its checksums made right again."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    described = json.loads(members["header.json"])
    text = forge(described)
    text = (
        text
        if isinstance(text, bytes)
        else json.dumps(described if text is None else text).encode()
    )
    members["header.json"] = text
    members["header.sha256"] = hashlib.sha256(text).hexdigest().encode()
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return box.getvalue()


JUNK = (
    None,
    0,
    -1,
    1e308,
    "",
    "x" * 50,
    [],
    {},
    True,
    [[]],
    {"a": 1},
    ["object"],
    float("nan"),
)


def places(tree, path=()):
    """Every place in a JSON tree."""
    found = [path]
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, child in items:
        found += places(child, (*path, key))
    return found


@mechanism("saved: forged headers", 60, quick=2, **SETTINGS)
def forged(rng, seed):
    """One place of the header lost or replaced, its checksum right: refused, or a model."""
    share, junk, lose = rng.random(), pick(rng, JUNK), rng.random() < 0.4
    shown = []

    def forge(described):
        found = places(described)[1:]
        path = found[int(share * len(found))]
        shown.append(path)
        inner = described
        for key in path[:-1]:
            inner = inner[key]
        if lose:
            del inner[path[-1]]
        else:
            inner[path[-1]] = junk

    def right(found):
        """A header of other settings may be another model, but it has these parameters."""
        for name, x in ours_once().params.items():
            assert name in found.params, f"{shown}: no parameter {name}"
            shapes = jax.tree.map(np.shape, (found.params[name], x))
            assert str(shapes[0]) == str(shapes[1]), f"{shown}: {shapes}"

    return loading(
        f"place {share:.4f} {'lost' if lose else f'= {junk!r}'}",
        lambda raw: repacked(raw, forge),
        right,
    )


@mechanism("saved: headers that are no header", 10, quick=1, **SETTINGS)
def headers(rng, seed):
    deep = b"[" * 100_000 + b"]" * 100_000
    text = (
        b"",
        b"null",
        b"[]",
        b"3",
        b"{",
        deep,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"\xff\xfe",
        b'"text"',
        b"{}",
    )[seed % 10]
    return loading(f"{text[:20]!r}", lambda raw: repacked(raw, lambda _: text), None)


@mechanism("saved: of another version, kind or precision", 6, quick=1, **SETTINGS)
def versions(rng, seed):
    field, value = (
        ("version", 99),
        ("version", "1"),
        ("kind", "checkpoint"),
        ("format", "numpy"),
        ("version", None),
        ("kind", None),
    )[seed % 6]

    def forge(described):
        described[field] = value

    return loading(f"{field} = {value!r}", lambda raw: repacked(raw, forge), None)


@mechanism("saved: with other programs", 6, quick=0, **SETTINGS)
def programs(rng, seed):
    """A user's programs are asked for; those that do not fit are refused."""
    about, settings, good = (
        ("none given", {}, False),
        ("both given", {"model": model, "guide": guide}, True),
        ("the guide alone", {"guide": guide}, False),
        ("another guide", {"model": model, "guide": cs.amortized_guide(1)}, False),
        (
            "another model",
            {
                "model": cs.multimodal_model(
                    cs.standard_normal(1), cs.NormalLikelihood()
                ),
                "guide": guide,
            },
            False,
        ),
        ("a number", {"model": 3, "guide": guide}, False),
    )[seed % 6]

    def run(folder):
        fitted().save(folder / "model.npz")
        return cs.load(folder / "model.npz", **settings)

    def right(found):
        for name, x in fitted().params.items():
            equal(found.params[name], x)

    return Case(about, run, right if good else None, None if good else ("model|guide",))


@mechanism("saved: places", 10, quick=1, **SETTINGS)
def spots(rng, seed):
    """What is no ordinary file is not replaced; links are followed."""
    kind = seed % 10

    def run(folder):
        path = folder / "m.npz"
        other = folder / "other.npz"
        if kind == 0:
            os.mkfifo(path)
        if kind == 1:
            path.mkdir()
        if kind == 2:
            path = folder / "no" / "m.npz"
        if kind == 3:
            other.write_text("x")
            path.symlink_to(other)
        if kind == 4:
            path.symlink_to(path.name)
        if kind == 5:
            path = folder / "a\0b.npz"
        if kind == 6:
            path = folder / ("x" * 300)
        if kind == 7:
            other.write_text("x")
            path = other / "m.npz"
        if kind == 8:
            path = ""
        if kind == 9:
            path.symlink_to(folder / "later.npz")
        ours_once().save(path)
        assert not (kind == 3 and not path.is_symlink()), "the link was replaced"
        assert not (kind == 3 and other.read_bytes() == b"x"), (
            "the link was not followed"
        )
        return cs.load(path)

    about = (
        "a pipe",
        "a folder",
        "no such folder",
        "a link",
        "a link to itself",
        "a NUL",
        "a long name",
        "a file for a folder",
        "nothing",
        "a link to nothing",
    )[kind]
    return Case(
        about,
        run,
        same if kind in (3, 9) else None,
        None if kind == 3 else ("path|m.npz|x|no|null|regular|expected",),
    )
