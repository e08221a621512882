"""Section "rows": training on rows that stay on disk, against the same rows in memory.

    python benchmarks/streaming.py               # 10⁶ rows × 200 columns
    python benchmarks/streaming.py --rows 50000  # fewer

Memory is this process's resident memory above what it has before the files are opened,
sampled while everything is read, checked and trained on. Pages of files count, and are
reported apart. Speed is of whole epochs of one model, those in memory and those from disk
taking turns, the fastest of each; compilation has its epoch before.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
import numpy as np
import optax
import psutil
from figures import Figure
from numpyro.infer import SVI

import consilience as cs
from consilience.datasets.stores import stream
from consilience.datasets.streaming import StreamedData
from consilience.training.order import Order
from consilience.training.streaming import Streamed

LATENT, HIDDEN, BATCH, BLOCK = 16, 128, 256, 50_000
SHARES = {"genes": 0.4, "proteins": 0.3, "drugs": 0.3}  # of the columns


class Sizes(NamedTuple):
    """Rows and columns in all, and epochs that are timed."""

    rows: int = 1_000_000
    columns: int = 200
    rounds: int = 2


class Memory:
    """Largest resident memory since it was made, in bytes above that, by kind."""

    def __init__(self):
        self.start, self.peak = self._now(), np.zeros(2)

    def look(self) -> None:
        """Take a sample."""
        self.peak = np.maximum(self.peak, self._now() - self.start)

    @contextmanager
    def watched(self, every: float = 0.01) -> Iterator[None]:
        """Sample until the end of the block."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(every):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            self.look()

    def _now(self) -> np.ndarray:
        """All of it, and what belongs to no file."""
        info = psutil.Process().memory_info()
        return np.array([info.rss, info.rss - getattr(info, "shared", 0)], float)


def write(folder: Path, sizes: Sizes) -> None:
    """Latent factors and noise, as float32, block by block."""
    generator = np.random.default_rng(0)
    for name, share in SHARES.items():
        shape = (sizes.rows, round(share * sizes.columns))
        loadings = generator.normal(size=(LATENT, shape[1])).astype("f4")
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with open(folder / f"{name}.npy", "wb") as file:
            np.lib.format.write_array_header_2_0(file, header)
            for start in range(0, sizes.rows, BLOCK):
                rows = min(BLOCK, sizes.rows - start)
                factors = np.random.default_rng(start).normal(size=(rows, LATENT))
                noise = generator.standard_normal((rows, shape[1]), "f4")
                (factors.astype("f4") @ loadings + noise).tofile(file)


def program() -> SVI:
    """A model of ordinary size under the masked bound."""
    decoder = partial(cs.MLPDecoder, hidden=(HIDDEN,))
    prior, likelihood = cs.standard_normal(LATENT), cs.NormalLikelihood()
    model = cs.multimodal_model(prior, likelihood, decoder)
    encoder = partial(cs.MLPEncoder, hidden=(HIDDEN,))
    pooling = partial(cs.SumPooling, width=HIDDEN, hidden=(HIDDEN,))
    guide = cs.amortized_guide(LATENT, encoder, pooling, HIDDEN)
    return SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())


class Stopwatch:
    """A logger that looks at the clock, and at the processor's, around an epoch."""

    def open(self, step: int | None) -> None:
        """The first step is next."""
        self._began = self._now()

    def log(self, step: int, numbers: object) -> None:
        """The epoch is over."""
        self.seconds = self._now() - self._began

    def close(self) -> None:
        """Nothing is held."""

    def _now(self) -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])


def epoch(svi: SVI, data: cs.MultimodalData | StreamedData) -> np.ndarray:
    """Seconds of one epoch of `fit`, and seconds that processors worked in it."""
    clock = Stopwatch()
    settings = {"num_epochs": 1, "batch_size": BATCH, "progress": False}
    cs.fit(jax.random.key(0), svi, data, loggers=[clock], **settings)
    return clock.seconds


def reading(data: StreamedData, sizes: Sizes) -> float:
    """Seconds to read an epoch's batches, and do nothing with them."""
    source = Streamed(
        data, Order(jax.random.key(1), sizes.rows, min(BATCH, sizes.rows))
    )
    steps, piece = source.order.num_steps, source.most_steps
    source.order(0).block_until_ready()
    started = time.perf_counter()
    for start in range(0, steps, piece):
        jax.block_until_ready(source.chunk(0, start, min(start + piece, steps)))
    return time.perf_counter() - started


def measure(quick: bool = False, sizes: Sizes | None = None) -> list[Figure]:
    """Memory, then speed."""
    sizes = sizes or (Sizes(20_000, 50, 1) if quick else Sizes())
    with TemporaryDirectory() as folder:
        write(Path(folder), sizes)
        return figures(Path(folder), sizes)


def figures(folder: Path, sizes: Sizes) -> list[Figure]:
    """Of the rows in a folder."""
    svi, memory, clock = program(), Memory(), [time.perf_counter()]
    of_files = sum(path.stat().st_size for path in folder.iterdir())
    with memory.watched():
        data = stream(folder)
        clock.append(time.perf_counter())
        data = data.standardize()
        clock.append(time.perf_counter())
        epoch(svi, data)
    found = [
        Figure("memory above start", memory.peak[0] / 1e6, "MB", 1000.0, "≤ 1.00"),
        Figure("that without pages of files", memory.peak[1] / 1e6, "MB"),
        Figure("files", of_files / 1e6, "MB"),
    ]
    a_row = 1e6 / sizes.rows
    for name, spent in zip(
        ("validation", "standardisation"), np.diff(clock), strict=True
    ):
        found.append(Figure(f"{name} of a row", a_row * spent, "µs"))
    data.save(folder / "saved")
    saved = stream(folder / "saved").standardize(like=data)
    return speeds(svi, {"files": data, "saved": saved}, sizes) + found


def speeds(svi: SVI, streams: dict[str, StreamedData], sizes: Sizes) -> list[Figure]:
    """Of files a modality, of what `save` writes, and of the same rows in memory."""
    a_row, found = 1e6 / sizes.rows, []
    alone = {name: reading(data, sizes) for name, data in streams.items()}
    kinds = streams | {"memory": streams["files"].take(slice(None))}
    epoch(svi, kinds["memory"])
    times = [[epoch(svi, data) for data in kinds.values()] for _ in range(sizes.rounds)]
    *least, (ram, work) = a_row * np.min(times, 0)
    titles = {"files": "a file a modality", "saved": "one file, by `save`"}
    for (name, title), (disk, own) in zip(titles.items(), least, strict=True):
        found += [
            Figure(f"{title}: a row, in memory", disk, "µs", ram, "≤ 1.20"),
            Figure(f"{title}: processor time of both", own, "µs", work),
            Figure(f"{title}: streamed", 1e6 / disk, "rows/s"),
            Figure(f"{title}: read only", sizes.rows / alone[name], "rows/s"),
        ]
    return found


def main() -> None:
    """Print the figures and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in Sizes()._asdict().items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder to write"
    )
    options = vars(parser.parse_args())
    folder = options.pop("out")
    found = measure(sizes=Sizes(**options))
    for f in found:
        ratio = "" if f.against is None else f"{f.ratio:10.3f} of {f.against:.3f}"
        print(f"{f.name:40}{f.value:14.3f} {f.unit:9}{ratio} {f.aim}")
    folder.mkdir(parents=True, exist_ok=True)
    report = [f._asdict() | {"ratio": f.ratio} for f in found]
    (folder / "streaming.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
