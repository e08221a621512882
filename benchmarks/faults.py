"""Faults: kills at random moments, a full disk, damaged files; all but steps must survive.

Every resumed training has to end in the state, the history and the log of one that nothing
happened to, bit for bit. For Linux: where a small file system may not be mounted, failing
calls of the system stand for the full disk, and /proc for the folder that is read-only.
"""

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import psutil
from numpyro.distributions import constraints
from numpyro.infer import SVI
from tqdm import tqdm

import consilience as cs
from consilience.training import archive
from consilience.training.encodings import flatten

warnings.filterwarnings("ignore", message=r"os\.fork\(\) was called")  # before any work
KIND, TIMED, KEEP = "result", ("seconds", "rows_per_second"), 3


def train(folder: Path, cache: Path, num_epochs: int, say: Callable) -> None:
    """One training, from where it was; what it leaves becomes `folder`/result.npz.

    It says when it begins and ends, in seconds of computing.
    """
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=(64, 3)) for name in "ab"}
    data = cs.MultimodalData.from_arrays(values)
    often = {"every_seconds": None, "every_steps": 1, "keep": KEEP, "resume": True}
    say(time.process_time())
    fitted = cs.fit(
        jax.random.key(0),
        SVI(model, guide, optax.adam(1e-2), cs.ImportanceWeightedELBO(1)),
        data,
        num_epochs=num_epochs,
        batch_size=16,
        validation=data.take(np.arange(8)),
        checkpoints=cs.Checkpoints(folder / "checkpoints", **often),
        progress=False,
    )
    history = fitted.history._asdict()
    untimed = {name: x for name, x in history.items() if name not in TIMED}
    left = flatten([fitted.state, fitted.best_state, untimed])
    archive.write_archive(folder / "result.npz", KIND, {}, left)
    say(time.process_time())


def model(data: cs.MultimodalData, subset=None) -> None:
    """Factor analysis: quickly compiled, so that much of a run is steps and saves."""
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        for name in data.names:
            loadings = numpyro.param(f"W.{name}", jnp.eye(2, 3))
            cs.observe(data, name, dist.Normal(z @ loadings, 1.0), subset)


def guide(data: cs.MultimodalData, subset=None) -> None:
    """Means that are linear in the values, one scale."""
    x = jnp.concatenate([data.filled(name) for name in data.names], -1)
    slope = numpyro.param("slope", lambda key: 0.1 * jax.random.normal(key, (6, 2)))
    scale = numpyro.param("scale", jnp.ones(2), constraint=constraints.positive)
    with data.plate():
        numpyro.sample("z", dist.Normal(x @ slope, scale).to_event(1))


def work(connection, folder: Path, fault: str | None, at: int, **settings) -> None:
    """What the process of a training does; its words go to `folder`/stderr.txt."""
    with open(folder / "stderr.txt", "w", buffering=1) as words:
        os.dup2(words.fileno(), 2)
        tqdm.set_lock(RLock())  # the killed give back none that processes share
        if fault is not None:
            system_fails(fault, at)
        try:
            train(folder, **settings, say=connection.send)
        except Exception:
            traceback.print_exc()
            sys.exit(1)


def system_fails(fault: str, at: int) -> None:
    """From its checkpoint number `at` on, saving goes wrong."""
    replace, fsync, count = os.replace, os.fsync, [0]

    def counted(origin, target):
        count[0] += Path(target).name.startswith("step-")
        if fault == "killed before the rename" and count[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(origin, target)

    def full(handle):
        if fault == "full" and count[0] >= at:
            raise OSError(28, os.strerror(28))
        fsync(handle)

    os.replace, os.fsync = counted, full


class Attempt:
    """A training in a process of its own.

    Args:
        folder: of the run.
        method: "forkserver", a fork of a process that has imported everything and done
            nothing, or "spawn", an interpreter of its own.
        fault: what goes wrong, and `at` which checkpoint.
        settings: `cache` and `num_epochs` of `train`.
    """

    def __init__(self, folder: Path, method="forkserver", fault=None, at=0, **settings):
        context = multiprocessing.get_context(method)
        self.hears, says = context.Pipe(duplex=False)
        given = (says, folder, fault, at)
        self.process = context.Process(target=work, args=given, kwargs=settings)
        self.process.start()
        says.close()
        self.began = self.hears.recv()

    def killed_after(self, seconds: float, moment: float) -> bool:
        """Kill it when it has computed so long, and a moment later; unless it ends before.

        A process that waits for the disk does not compute: hence the moment.
        """
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(self.process.pid).cpu_times
            while (
                self.process.exitcode is None and _sum(times()) < self.began + seconds
            ):
                self.process.join(0.002)
        self.process.join(moment)
        ended = self.process.exitcode is not None
        self.process.kill()  # SIGKILL
        self.process.join()
        return not ended

    def seconds(self) -> float:
        """How long a training that has ended computed."""
        return self.hears.recv() - self.began

    def code(self) -> int:
        """The exit code, once it has ended."""
        self.process.join()
        return self.process.exitcode


def _sum(times: NamedTuple) -> float:
    return times.user + times.system


class Outcome(NamedTuple):
    """Of one fault.

    Attributes:
        fault: which.
        passed: whether nothing but steps was lost, and the message was clear.
        found: what was counted or said.
    """

    fault: str
    passed: bool
    found: str


class Bench:
    """Trainings in one folder, and an uninterrupted one to compare them with.

    Args:
        root: the folder.
        num_epochs: of each training, 4 steps and checkpoints an epoch.
    """

    def __init__(self, root: Path, num_epochs: int):
        self.root, self.count = root, 0
        self.settings = {"cache": root / "cache", "num_epochs": num_epochs}
        multiprocessing.get_context("forkserver").set_forkserver_preload(["faults"])
        self.cold = self.new()
        self.run(self.cold)  # compiles everything
        self.run(self.new())  # some of it again, as it runs on with cached programs
        self.whole = self.new()
        self.seconds = self.run(self.whole).seconds()

    def new(self) -> Path:
        """A folder for one more run."""
        self.count += 1
        folder = self.root / f"run-{self.count}"
        folder.mkdir()
        return folder

    def start(self, folder: Path, **given) -> Attempt:
        """Begin a training, or go on with it."""
        return Attempt(folder, **given, **self.settings)

    def run(self, folder: Path, **given) -> Attempt:
        """To its end."""
        attempt = self.start(folder, **given)
        attempt.code()
        return attempt

    def finishes(self, folder: Path) -> bool:
        """Whether a resumed training ends as the whole one."""
        return self.run(folder).code() == 0 and self.same(folder)

    def same(self, folder: Path) -> bool:
        """State, best state, history and log are those of the whole one, bit for bit."""
        (_, ours), (_, theirs) = (
            archive.read_archive(f / "result.npz", KIND) for f in (folder, self.whole)
        )
        equal = ours.keys() == theirs.keys() and all(
            bits(ours[name]) == bits(theirs[name]) for name in ours
        )
        return equal and logged(folder) == logged(self.whole)


def bits(array: np.ndarray | jax.Array) -> tuple:
    """Everything about an array."""
    raw = jax.random.key_data(array) if isinstance(array, jax.Array) else array
    return str(array.dtype), array.shape, np.asarray(raw).tobytes()


def logged(folder: Path) -> list[dict]:
    """Lines of the log, but for how long epochs took."""
    lines = (folder / "checkpoints" / "log.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    return [{n: x for n, x in line.items() if n not in TIMED} for line in kept]


def files(folder: Path, pattern: str = "step-*.npz") -> list[Path]:
    """Checkpoints, oldest first."""
    return sorted((folder / "checkpoints").glob(pattern))


def kills(bench: Bench, count: int, seed: int, fresh: int = 4) -> Outcome:
    """SIGKILL at moments uniform over the time of a whole run; resumed until it is done.

    Every `fresh`-th run has interpreters of its own.
    """
    generator, done, runs, same, halves = np.random.default_rng(seed), 0, 0, 0, 0
    while done < count:
        folder, runs = bench.new(), runs + 1
        method = "spawn" if fresh and runs % fresh == 0 else "forkserver"
        killed = True
        while killed:
            attempt = bench.start(folder, method=method)
            seconds = generator.uniform(0, bench.seconds) if done < count else math.inf
            killed = attempt.killed_after(seconds, generator.uniform(0, 0.02))
            done += killed
            halves += killed and bool(files(folder, ".*.partial"))
        same += attempt.code() == 0 and bench.same(folder)
        print(
            f"{done} kills, {runs} runs, {same} as if nothing had happened", flush=True
        )
    found = f"{done} kills ({halves} in a save), {same} of {runs} runs bit-equal"
    return Outcome("SIGKILL at any moment", same == runs, found)


def interrupted_save(bench: Bench) -> Outcome:
    """Killed between the temporary file and its renaming."""
    passed = []
    for at in (1, 2, 50):
        folder = bench.new()
        bench.run(folder, fault="killed before the rename", at=at)
        left = len(files(folder, ".*.partial")), len(files(folder))
        good = left == (1, min(at - 1, KEEP)) and bench.finishes(folder)
        passed.append(good and not files(folder, ".*.partial"))
    return Outcome("interrupted save", all(passed), "at checkpoints 1, 2, 50")


def damaged(bench: Bench, name: str, damage: Callable[[Path], None]) -> Outcome:
    """The newest file is no good: it is named, and the one before it used."""
    folder = bench.new()
    bench.run(folder, fault="killed before the rename", at=30)
    damage(files(folder)[-1])
    newest = files(folder)[-1].name
    passed, text = bench.finishes(folder), said(folder, "UserWarning: ")
    named = newest in text and "the one before it is used" in text
    return Outcome(name, passed and named, text)


def all_damaged(bench: Bench) -> Outcome:
    """No file is any good: nothing starts anew unasked."""
    folder = bench.new()
    bench.run(folder, fault="killed before the rename", at=30)
    for path in files(folder):
        cut(path)
    code, text = bench.run(folder).code(), said(folder, "ArchiveError: ")
    passed = code == 1 and f"none of its {KEEP} checkpoints can be read" in text
    return Outcome("all files truncated", passed, text)


def cut(path: Path) -> None:
    """Take the second half away."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def full_disk(bench: Bench) -> Outcome:
    """No space for one more checkpoint: those before it stay, and go on with more space."""
    folder = bench.new()
    size = files(bench.whole)[-1].stat().st_size
    with small_disk(folder / "checkpoints", round(2.5 * size)) as mount:
        given = {} if mount else {"fault": "full", "at": 30}
        code, text = bench.run(folder, **given).code(), said(folder, "OSError: ")
        if mount:
            mount("remount,size=64m")
        passed = code == 1 and "No space left" in text and "is intact" in text
        how = "a file system of its own" if mount else "errno"
        return Outcome(f"full disk ({how})", passed and bench.finishes(folder), text)


def read_only(bench: Bench) -> Outcome:
    """Said before anything is trained, for root too."""
    folder = bench.new()
    with small_disk(folder / "checkpoints", 64 << 20) as mount:
        if not mount:
            (folder / "checkpoints").rmdir()
            (folder / "checkpoints").symlink_to("/proc")
        else:
            mount("remount,ro")
        code, text = bench.run(folder).code(), said(folder, "OSError: ")
        passed = code == 1 and "nothing can be written into" in text
        if mount:
            mount("remount,rw")
            passed = passed and bench.finishes(folder)
        how = "a file system of its own" if mount else "/proc"
        return Outcome(f"read-only folder ({how})", passed, text)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[str], None] | None]:
    """A file system in memory, with a function to change it; None if it may not be."""
    folder.mkdir()

    def mount(options: str) -> int:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    if mount(f"size={size}"):
        yield None
        return
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def said(folder: Path, mark: str) -> str:
    """The last line with the mark, from there on."""
    lines = (folder / "stderr.txt").read_text().splitlines()
    marked = [line.split(mark, 1)[1] for line in lines if mark in line]
    return marked[-1].replace(str(folder), "RUN") if marked else "nothing"


def main() -> int:
    """Run all, print a table; 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        bench = Bench(Path(root), options.epochs)
        print(f"a whole run computes for {bench.seconds:.1f} s", flush=True)
        cold = bench.same(bench.cold)
        outcomes = [
            Outcome("nothing at all", cold, "with and without a cache of programs"),
            interrupted_save(bench),
            damaged(bench, "truncated file", cut),
            damaged(bench, "flipped bit", flip),
            damaged(bench, "foreign file", lambda path: path.write_text("a,b\n1,2\n")),
            all_damaged(bench),
            full_disk(bench),
            read_only(bench),
            kills(bench, options.kills, options.seed),
        ]
    for outcome in outcomes:
        print(
            f"{'ok' if outcome.passed else 'LOST':<5}{outcome.fault}: {outcome.found}"
        )
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
