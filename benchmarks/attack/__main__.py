"""Try all inputs, print one table; 1 if any was answered by what may not be."""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from attack.case import GOOD, OUTCOMES, Mechanism, mechanisms
from attack.workers import Pool, run

SHOWN = 3  # failing inputs of a mechanism


def main() -> int:
    """See the module."""
    options = _options()
    known = mechanisms()
    names = list(known) if options.only is None else [options.only]
    if options.group is not None:
        names = [n for n, m in known.items() if m.group in options.group.split(",")]
    for name in names:
        if name not in known:
            raise SystemExit(
                f"--only: expected one of {', '.join(known)}; got {name!r}"
            )
    chosen = [known[name] for name in names]
    if options.seed is not None and len(chosen) == 1:
        return _alone(chosen[0], options.seed)
    chosen = [m._replace(seconds=m.seconds * options.patience) for m in chosen]
    plan = [(m, _seeds(m, options)) for m in chosen]
    began = time.monotonic()
    results = Pool(options.jobs).run(plan, _tell if options.verbose else _dot)
    seconds = time.monotonic() - began
    print()
    print(report(results, [m.name for m, seeds in plan if seeds], seconds))
    if options.out is not None:
        _write(options.out, results, seconds)
    return int(any(r["outcome"] not in GOOD for r in results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m attack", description=__doc__)
    parser.add_argument("--only", help="the name of a mechanism")
    parser.add_argument("--group", help="files of mechanisms, separated by commas")
    parser.add_argument("--seed", type=int, help="one input of it, in this process")
    parser.add_argument("--quick", action="store_true", help="those of the tests")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--patience", type=float, default=1, help="times the limits, on a busy machine"
    )
    parser.add_argument("--out", type=Path, help="folder for attack.json")
    parser.add_argument("--verbose", action="store_true", help="a line an input")
    return parser.parse_args()


def _seeds(mechanism: Mechanism, options: argparse.Namespace) -> list[int]:
    if options.seed is not None:
        return [options.seed]
    return list(range(mechanism.quick if options.quick else mechanism.count))


def _alone(mechanism: Mechanism, seed: int) -> int:
    """One input, with all that can be said of it."""
    case = mechanism.case(seed)
    print(f"{mechanism.name}, seed {seed}: {case.about}")
    found = run(mechanism, seed)
    print(f"{found['outcome']}: {found['said']} ({found['seconds']} s)")
    if found["outcome"] in ("traceback", "misleading"):
        with tempfile.TemporaryDirectory() as folder:
            try:
                mechanism.case(seed).run(Path(folder))
            except BaseException:
                traceback.print_exc()
    return int(found["outcome"] not in GOOD)


def _dot(result: dict) -> None:
    print(_mark(result["outcome"]), end="", flush=True)


def _tell(result: dict) -> None:
    words = (result["outcome"], result["mechanism"], result["seed"], result["seconds"])
    print(*words, result["about"], "|", result["said"], flush=True)


def _mark(outcome: str) -> str:
    return "." if outcome in GOOD else outcome[0].upper()


def report(results: list[dict], names: list[str], seconds: float) -> str:
    """One table, then the first inputs that were answered badly."""
    width = max(map(len, [*names, "mechanism"]))
    head = ("inputs", *OUTCOMES, "seconds")
    lines = ["  ".join([f"{'mechanism':<{width}}", *head])]
    for name in names:
        mine = [r for r in results if r["mechanism"] == name]
        lines.append(_line(f"{name:<{width}}", mine, head))
    lines.append(_line(f"{f'all {len(names)}':<{width}}", results, head))
    lines.append(f"{len(results)} inputs by {len(names)} mechanisms in {seconds:.0f} s")
    return "\n".join([*lines, *_failing(results, names)])


def _line(name: str, results: list[dict], head: tuple[str, ...]) -> str:
    counts = Counter(r["outcome"] for r in results)
    took = f"{sum(r['seconds'] for r in results):.1f}"
    cells = [len(results), *(counts[outcome] or "." for outcome in OUTCOMES), took]
    return "  ".join([name, *(f"{c:>{len(h)}}" for c, h in zip(cells, head))])


def _failing(results: list[dict], names: list[str]) -> list[str]:
    lines = []
    for name in names:
        bad = [
            r for r in results if r["mechanism"] == name and r["outcome"] not in GOOD
        ]
        for r in sorted(bad, key=lambda r: r["seed"])[:SHOWN]:
            lines += ["", f"{r['outcome'].upper()}: {name}: {r['about']}"]
            lines += [f"  {r['said']}"]
            lines += [f"  python -m attack --only {name!r} --seed {r['seed']}"]
        if len(bad) > SHOWN:
            lines.append(f"  … {len(bad) - SHOWN} more of this mechanism")
    return lines


def _write(folder: Path, results: list[dict], seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    counts = Counter(r["outcome"] for r in results)
    found = {
        "inputs": len(results),
        "mechanisms": len({r["mechanism"] for r in results}),
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
        "seconds": round(seconds),
        "results": sorted(results, key=lambda r: (r["mechanism"], r["seed"])),
    }
    path = folder / "attack.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
