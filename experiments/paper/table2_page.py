"""Table 2 on the page: every row, and the points that were to be shown."""

from collections.abc import Iterator, Mapping, Sequence

from consilience.experiments.paper.page import (
    Point,
    figures,
    grouped,
    markdown,
    points,
    spread,
)

COLUMNS = {
    "gap": 4,
    "mcc_samples": 3,
    "mcc_samples_out": 3,
    "mcc_means": 3,
    "mcc_means_out": 3,
}
HEADER = (
    "latents",
    "bound",
    "aggregation",
    "gap",
    "MCC, draws",
    "other half",
    "MCC, means",
    "other half",
)
LEARNED = ("SumPooling", "SelfAttention")
GAP, NEAR = 0.005, 0.02
PRODUCT = {"gap": 0.03, "mcc_samples": 0.75}
ABOUT = """\
Five modalities of 30 to 59 features, σ = 1 given; 30 latents that all share, or 5 that all
share and 5 private ones of each modality. Gaps are relative to maximum likelihood of a model
with 30 shared latents on the same rows. Correlations are up to an affine map, by canonical
pairs (a rotation of the latents changes no likelihood), fitted on one half of the rows and
measured on it or on the *other half*. *True model*: its own gap, and its exact posterior,
which is the ceiling.
"""


def section(results: Sequence[Mapping]) -> str:
    """Markdown of all rows, and of the points."""
    found = points(list(compared(results)))
    return f"{ABOUT}\n{markdown(HEADER, list(_rows(results)))}\n{found}"


def _rows(results: Sequence[Mapping]) -> Iterator[tuple[str, ...]]:
    for (case,), runs in grouped(results, "latents").items():
        for row, of_row in grouped(runs, "bound", "aggregation").items():
            yield (case, *row, *_cells(of_row))
        best = next(iter(grouped(runs, "bound", "aggregation").values()))
        yield (case, "", "*true model*", *_cells(best, "exact_"))


def _cells(runs: Sequence[Mapping], prefix: str = "") -> list[str]:
    return [spread(figures(runs, prefix + c), digits) for c, digits in COLUMNS.items()]


def compared(results: Sequence[Mapping]) -> Iterator[Point]:
    """What was aimed at, of the masked bound."""
    by_row = grouped(results, "latents", "bound", "aggregation")
    for (case, bound, name), runs in by_row.items():
        row = f"{name}, {bound}, {case}"
        if bound == "masked" and name in LEARNED:
            yield from _learned(row, runs)
        if (bound, name, case) == ("masked", "PoE", "shared"):
            yield from _product(row, runs)


def _learned(row: str, runs: Sequence[Mapping]) -> Iterator[Point]:
    gap = figures(runs, "gap")
    yield Point(f"{row}: gap", f"≤ {GAP}", spread(gap, 4), bool(gap.mean() <= GAP))
    for column in ("mcc_samples", "mcc_means"):
        own, best = figures(runs, column), figures(runs, f"exact_{column}")
        away = own - best
        yield Point(
            f"{row}: MCC, {'draws' if 'samples' in column else 'means'}",
            f"ceiling {spread(best)}, within {NEAR}",
            f"{spread(own)} ({away.mean():+.3f})",
            bool(abs(away.mean()) <= NEAR),
        )


def _product(row: str, runs: Sequence[Mapping]) -> Iterator[Point]:
    reason = "here experts are multiplied as Gaussians, by natural parameters"
    gap, mcc = figures(runs, "gap"), figures(runs, "mcc_samples")
    paper = PRODUCT["gap"]
    holds = bool(gap.mean() <= paper)
    yield Point(f"{row}: gap", f"{paper}", spread(gap, 4), holds, reason)
    paper = PRODUCT["mcc_samples"]
    holds = bool(mcc.mean() >= paper)
    yield Point(f"{row}: MCC, draws", f"{paper}", spread(mcc), holds, reason)
