"""What a path can lead to beside a file: pipes, devices, links, folders, nothing."""

import os
import socket

import numpy as np

import consilience as cs
from attack.case import Case, mechanism, pick
from attack.tables import tables, text, write

ENDINGS = ("csv", "csv.gz", "tsv", "parquet", "npz", "h5ad", "h5mu")


def fifo(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def null(path):
    path.symlink_to("/dev/null")


def random(path):
    path.symlink_to("/dev/urandom")


def broken(path):
    path.symlink_to(path.with_name("gone"))


def loop(path):
    path.symlink_to(path.name)


def directory(path):
    path.mkdir()


def empty(path):
    path.write_bytes(b"")


def unix_socket(path):
    box = socket.socket(socket.AF_UNIX)
    box.bind(str(path))
    box.close()


def process(path):
    path.symlink_to("/proc/self/mem")


MADE = (
    fifo,
    device,
    null,
    random,
    broken,
    loop,
    directory,
    empty,
    unix_socket,
    process,
)


@mechanism(
    "special: as a source",
    len(MADE) * 2,
    quick=4,
    seconds=20,
    megabytes=900,
    alone=False,
)
def source(rng, seed):
    make, ending = MADE[seed % len(MADE)], pick(rng, ENDINGS)

    def run(folder):
        path = folder / f"genes.{ending}"
        make(path)
        return cs.read(path)

    return Case(f"{make.__name__} as genes.{ending}", run, None, ("genes",))


@mechanism("special: in a folder", len(MADE), quick=3, seconds=20, megabytes=900)
def in_folder(rng, seed):
    make, ending = MADE[seed % len(MADE)], pick(rng, ENDINGS[:4])

    def run(folder):
        write(folder, {"proteins.csv": text(tables(rng)["proteins"])})
        make(folder / f"genes.{ending}")
        return cs.read(folder)

    return Case(f"{make.__name__} as genes.{ending}", run, None, ("genes",))


@mechanism(
    "special: in a folder to stream", len(MADE), quick=3, seconds=20, megabytes=900
)
def streamed(rng, seed):
    make = MADE[seed % len(MADE)]

    def run(folder):
        np.save(folder / "proteins.npy", rng.normal(size=(5, 2)))
        make(folder / "genes.npy")
        return cs.stream(folder)

    return Case(f"{make.__name__} as genes.npy", run, None, ("genes",))


SOURCES = (
    "",
    ".",
    "\0",
    "a\nb",
    "none",
    "/",
    "~",
    "x" * 5000,
    "http://x.org/a.csv",
    "con.xyz",
)


@mechanism("special: paths that lead nowhere", len(SOURCES), quick=2, seconds=20)
def nowhere(rng, seed):
    path = SOURCES[seed % len(SOURCES)]
    call = pick(rng, [cs.read, cs.stream])
    return Case(
        f"{call.__name__}({path[:30]!r})",
        lambda folder: call(path),
        None,
        ("source|expected|file|folder|embedded",),
    )


OBJECTS = (
    None,
    3,
    2.5,
    b"a.csv",
    [],
    (),
    set(),
    np.zeros((3, 2)),
    "a.csv".encode,
    open,
    object(),
)


@mechanism("special: sources that are none", len(OBJECTS))
def objects(rng, seed):
    thing, call = OBJECTS[seed % len(OBJECTS)], (cs.read, cs.stream)[seed % 2]
    return Case(
        f"{call.__name__}({thing!r:.40})",
        lambda folder: call(thing),
        None,
        ("source", "expected"),
    )
