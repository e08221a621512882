"""Section "rows": an epoch streamed from disk as N grows, and all figures of the last N."""

import streaming
from clocks import slope
from figures import Figure

ROWS = (1000, 10_000, 100_000, 1_000_000)
STREAMED = ": streamed"  # figures of rows a second


def measure(quick: bool = False) -> list[Figure]:
    """Seconds an epoch, their exponent, and those of `streaming` at the last N."""
    counts, columns = ((1000, 4000), 20) if quick else (ROWS, 200)
    sizes = [streaming.Sizes(n, columns, rounds=1) for n in counts]
    # The largest first: what others leave behind would hide the memory that it takes.
    figures = [streaming.measure(sizes=s) for s in sizes[::-1]][::-1]
    speeds = [{f.name: f.value for f in each} for each in figures]
    found = []
    for name in (n for n in speeds[-1] if n.endswith(STREAMED)):
        taken = [n / speed[name] for n, speed in zip(counts, speeds, strict=True)]
        found += growth(name.removesuffix(STREAMED), counts, taken)
    return found + figures[-1]


def growth(name: str, counts: tuple[int, ...], taken: list[float]) -> list[Figure]:
    """Of one kind of file."""
    ends = f"from {counts[0]} to {counts[-1]} rows"
    seconds = zip(counts, taken, strict=True)
    return [
        Figure(f"{name}: time of an epoch {ends}, exponent", slope(counts, taken)),
        *(Figure(f"{name}: an epoch of {n} rows", t, "s") for n, t in seconds),
    ]
