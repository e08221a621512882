"""Processes that run cases; one that hangs is ended, one that died is replaced."""

import multiprocessing
import os
import resource
import tempfile
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

from attack.case import Mechanism, mechanisms
from attack.judge import judged

MOST_MAPS = 30_000
PAGE = resource.getpagesize()


def serve(connection) -> None:
    """What a process does: case after case, until it is told None."""
    prepare()
    known = mechanisms()
    while (job := connection.recv()) is not None:
        name, seed = job
        connection.send(run(known[name], seed))
        forget_programs()


def prepare() -> None:
    """Compile quickly; words of what is tried go nowhere."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)


def run(mechanism: Mechanism, seed: int) -> dict:
    """One case in an empty folder, with its limit of memory."""
    began = time.monotonic()
    case = mechanism.case(seed)
    with tempfile.TemporaryDirectory() as folder:
        here = os.getcwd()
        os.chdir(folder)
        before = _limit(mechanism.megabytes)
        try:
            verdict = judged(case, Path(folder))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
            os.chdir(here)
    return {
        "mechanism": mechanism.name,
        "seed": seed,
        "outcome": verdict.outcome,
        "about": case.about,
        "said": verdict.said,
        "seconds": round(time.monotonic() - began, 2),
    }


def _limit(megabytes: int | None) -> tuple[int, int]:
    """So much address space beyond what there is; the limits before."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    if megabytes is not None:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
        resource.setrlimit(resource.RLIMIT_AS, (now + (megabytes << 20), before[1]))
    return before


def forget_programs() -> None:
    """Inputs are tried one by one here; that many fits fit into a process is not."""
    if Path("/proc/self/maps").read_bytes().count(b"\n") > MOST_MAPS:
        import jax

        jax.clear_caches()


class Worker:
    """A process, and the case that it is at."""

    def __init__(self, context):
        self.hears, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.job: tuple[Mechanism, int] | None = None
        self.began = 0.0
        self.todo: deque[int] = deque()
        self.used = False

    def ask(self, mechanism: Mechanism, seed: int) -> None:
        """Begin with a case."""
        self.job, self.began, self.used = (mechanism, seed), time.monotonic(), True
        self.hears.send((mechanism.name, seed))

    def late(self) -> bool:
        """Whether its case has run for longer than it may; the first one starts cold."""
        return time.monotonic() - self.began > self.job[0].seconds

    def end(self) -> None:
        """Whatever it is at."""
        self.process.kill()
        self.process.join()
        self.hears.close()


class Pool:
    """Workers that share mechanisms; each takes the inputs of one after another."""

    def __init__(self, jobs: int):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["attack.preload"])
        self.workers: list[Worker | None] = [None] * jobs

    def run(
        self, plan: list[tuple[Mechanism, list[int]]], tell: Callable[[dict], None]
    ) -> list[dict]:
        """Every seed of every mechanism; `tell` hears of each result.

        Whatever a killed process leaves behind stands in one folder, which goes.
        """
        with tempfile.TemporaryDirectory(prefix="attack-") as folder:
            os.environ["TMPDIR"] = folder  # before the first process starts
            return self._run(plan, tell)

    def _run(self, plan, tell) -> list[dict]:
        waiting = deque((m, deque(seeds)) for m, seeds in plan if seeds)
        current: list = [None] * len(self.workers)
        results: list[dict] = []
        while True:
            for i in range(len(self.workers)):
                self._feed(i, waiting, current)
            busy = [w for w in self.workers if w is not None and w.job]
            if not busy:
                break
            wait([w.hears for w in busy], timeout=0.5)
            for i, worker in enumerate(self.workers):
                if worker is None or worker.job is None:
                    continue
                result = self._result(worker)
                if result is None:
                    continue
                alone = worker.job[0].alone
                worker.job = None
                if alone or result.pop("over", False):
                    worker.end()
                    self.workers[i] = None
                results.append(result)
                tell(result)
        self.close()
        return results

    def _feed(self, i: int, waiting: deque, current: list) -> None:
        worker = self.workers[i]
        if worker is not None and worker.job is not None:
            return
        if current[i] is None or not current[i][1]:
            current[i] = waiting.popleft() if waiting else None
        if current[i] is None:
            return
        mechanism, seeds = current[i]
        if worker is not None and mechanism.alone and worker.used:
            worker.end()
            worker = None
        if worker is None:
            worker = self.workers[i] = Worker(self.context)
        worker.ask(mechanism, seeds.popleft())

    def _result(self, worker: Worker) -> dict | None:
        """What a worker says, or what is said of one that hangs or died."""
        mechanism, seed = worker.job
        if worker.hears.poll():
            try:
                return worker.hears.recv()
            except EOFError:
                worker.process.join()
                said = f"the process died with code {worker.process.exitcode}"
                return _unsaid(mechanism, seed, "traceback", said, worker)
        if worker.late():
            said = f"longer than {mechanism.seconds:g} s"
            return _unsaid(mechanism, seed, "hang", said, worker)
        return None

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            if worker is not None:
                worker.end()


def _unsaid(mechanism: Mechanism, seed: int, outcome: str, said: str, worker) -> dict:
    return {
        "mechanism": mechanism.name,
        "seed": seed,
        "outcome": outcome,
        "about": mechanism.case(seed).about,
        "said": said,
        "seconds": round(time.monotonic() - worker.began, 2),
        "over": True,
    }
