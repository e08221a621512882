"""Speed, compilation and memory, in one run: a table, and the same as JSON.

    python benchmarks/bench.py                             # all sections
    python benchmarks/bench.py --only peak                 # one of them
    python benchmarks/bench.py --page docs/performance.md  # the last run's table, there

Each section runs in a process of its own, so that memory and compiled programs are its own.
"""

import argparse
import datetime
import importlib
import json
import multiprocessing
import os
import platform
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import jax
import psutil
from figures import Figure, as_json, markdown, sentence, table
from rich.console import Console

SECTIONS = {
    "steps": "step_cost",
    "fit": "epoch_cost",
    "peak": "peak_share",
    "modalities": "scaling",
    "rows": "row_growth",
    "samples": "likelihood_cost",
}
PACKAGES = ("consilience", "jax", "jaxlib", "numpyro", "flax", "optax", "numpy")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def section(name: str, quick: bool = False) -> tuple[list[Figure], list[Figure]]:
    """Its figures, and what it took itself."""
    jax.config.update("jax_disable_most_optimizations", quick)
    started = time.perf_counter()
    found = importlib.import_module(SECTIONS[name]).measure(quick)
    taken = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return found, [
        Figure(f"{name}: largest resident memory", peak, "MB"),
        *on_device(name),
        Figure(f"{name}: time", taken, "s"),
    ]


def on_device(name: str) -> list[Figure]:
    """The largest memory of an accelerator, where it says so."""
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    title = f"{name}: largest device memory"
    return [] if peak is None else [Figure(title, peak / 1e6, "MB")]


def imported() -> Figure:
    """Memory of a process that has imported the library and done nothing."""
    importlib.import_module("consilience")
    resident = psutil.Process().memory_info().rss / 1e6
    return Figure("imports: resident memory", resident, "MB")


def machine() -> dict[str, str]:
    """What the figures are of."""
    device, memory = jax.devices()[0], psutil.virtual_memory()
    return {
        "device": f"{device.device_kind} × {jax.device_count()}",
        "processor": f"{processor()}, {psutil.cpu_count()} cores",
        "memory": f"{memory.total / 2**30:.0f} GiB",
        "load": f"{psutil.getloadavg()[0]:.1f} at the start",
        "date": str(datetime.date.today()),
        "Python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


def processor() -> str:
    """Its name, or its kind where it has none."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def measure(names: list[str], quick: bool) -> dict:
    """The report: machine, ratios, absolute figures."""
    context, found = multiprocessing.get_context("spawn"), {}
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        facts, itself = pool.submit(machine).result(), [pool.submit(imported).result()]
        for name in names:
            print(f"{name} ...", flush=True)
            found[name], took = pool.submit(section, name, quick).result()
            itself += took
    return {"machine": facts} | as_json(found | {"this run": itself})


def write_page(page: Path, report: dict) -> None:
    """Put the table between the two marks of a page."""
    before, rest = page.read_text().split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{markdown(report)}\n{END}{after}")


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    quick = {"action": "store_true", "help": "see it work; its times mean nothing"}
    parser.add_argument("--quick", **quick)
    parser.add_argument("--only", choices=SECTIONS, action="append", help="a section")
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder to write"
    )
    parser.add_argument("--page", type=Path, help="write the last table into this page")
    options = parser.parse_args(arguments)
    file = options.out / "bench.json"
    if options.page is not None:
        write_page(options.page, json.loads(file.read_text()))
        return
    report = measure(options.only or list(SECTIONS), options.quick)
    console = Console(width=None if os.isatty(1) else 140)
    console.print(sentence(report), table(report), sep="\n")
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
