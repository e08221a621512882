"""Section "rows": an epoch streamed from disk as N grows, and all figures of the last N."""

import streaming
from clocks import slope
from figures import Figure

ROWS = (1000, 10_000, 100_000, 1_000_000)
SPEED = "rows streamed and trained on"


def measure(quick: bool = False) -> list[Figure]:
    """Seconds an epoch, their exponent, and those of `streaming` at the last N."""
    counts, columns, rounds = ((1000, 4000), 20, 1) if quick else (ROWS, 200, 2)
    sizes = [streaming.Sizes(n, columns, rounds) for n in counts]
    # The largest first: what others leave behind would hide the memory that it takes.
    figures = [streaming.measure(sizes=s) for s in sizes[::-1]][::-1]
    speeds = [next(f.value for f in each if f.name == SPEED) for each in figures]
    taken = [n / speed for n, speed in zip(counts, speeds, strict=True)]
    exponent = Figure(
        f"time of an epoch from {counts[0]} to {counts[-1]} rows, exponent",
        slope(counts, taken),
    )
    seconds = [
        Figure(f"an epoch of {n} rows, {columns} columns", t, "s")
        for n, t in zip(counts, taken, strict=True)
    ]
    return [exponent, *seconds, *figures[-1]]
