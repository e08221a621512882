"""Table 2 on the page: every row, and the points that were to be shown."""

from collections.abc import Iterator

from consilience.experiments.paper.page import (
    Point,
    Results,
    figures,
    grouped,
    markdown,
    points,
    spread,
)

COLUMNS = {
    "gap": 4,
    "mcc_samples": 3,
    "mcc_means": 3,
    "mcc_samples_out": 3,
    "mcc_means_out": 3,
    "shared_mcc_samples": 3,
    "shared_mcc_means": 3,
}
HEADER = (
    "latents",
    "bound",
    "aggregation",
    "seeds",
    "gap",
    "weak MCC, draws",
    "means",
    "out of sample, draws",
    "means",
    "of shared latents, draws",
    "means",
)
LEARNED = ("SumPooling", "SelfAttention")
GAP, NEAR = 0.005, 0.02
FOUND = {
    "mcc_samples": "MCC, draws",
    "mcc_means": "MCC, means",
    "shared_mcc_samples": "MCC of shared latents, draws",
    "shared_mcc_means": "MCC of shared latents, means",
}
PRODUCT = {"gap": 0.03, "mcc_samples": 0.75}
ABOUT = """\
Five modalities of 30 to 59 features, σ = 1 given; 30 latents that all share, or 5 that all
share and 5 private ones of each modality. Gaps are relative to maximum likelihood of a model
with 30 shared latents on the same rows. Mean correlations are weak ones, up to an affine
map, by canonical pairs (a rotation of the latents changes no likelihood), fitted on one half
of the rows and measured on it or, *out of sample*, on the other; where there are private
latents, of all 30 and of the 5 shared ones. *True model*: its own gap, and its exact
posterior, which is the ceiling.
"""


def section(results: Results) -> str:
    """Markdown of all rows, and of the points."""
    found = points(list(compared(results)))
    return f"{ABOUT}\n{markdown(HEADER, list(_rows(results)))}\n{found}"


def _rows(results: Results) -> Iterator[tuple[str, ...]]:
    for (case,), runs in grouped(results, "latents").items():
        for row, of_row in grouped(runs, "bound", "aggregation").items():
            yield (case, *row, str(len(of_row)), *_cells(of_row))
        seeds = [each[0] for each in grouped(runs, "seed").values()]
        yield (case, "", "*true model*", str(len(seeds)), *_cells(seeds, "exact_"))


def _cells(runs: Results, prefix: str = "") -> list[str]:
    return [
        spread(figures(runs, prefix + c), digits)
        if prefix + c in runs[0]["figures"]
        else ""
        for c, digits in COLUMNS.items()
    ]


def compared(results: Results) -> Iterator[Point]:
    """What was aimed at, of the masked bound."""
    by_row = grouped(results, "latents", "bound", "aggregation")
    for (case, bound, name), runs in by_row.items():
        row = f"{name}, {bound}, {case}"
        if bound == "masked" and name in LEARNED:
            yield from _learned(row, runs)
        if (bound, name, case) == ("masked", "PoE", "shared"):
            yield from _product(row, runs)


def _learned(row: str, runs: Results) -> Iterator[Point]:
    gap = figures(runs, "gap")
    yield Point(f"{row}: gap", f"≤ {GAP}", spread(gap, 4), bool(gap.mean() <= GAP))
    for column, words in FOUND.items():
        if column in runs[0]["figures"]:
            own, best = figures(runs, column), figures(runs, f"exact_{column}")
            away = own - best
            yield Point(
                f"{row}: {words}",
                f"ceiling {spread(best)}, within {NEAR}",
                f"{spread(own)} ({away.mean():+.3f})",
                bool(abs(away.mean()) <= NEAR),
            )


def _product(row: str, runs: Results) -> Iterator[Point]:
    reason = "here experts are multiplied as Gaussians, by natural parameters"
    gap, mcc = figures(runs, "gap"), figures(runs, "mcc_samples")
    paper = PRODUCT["gap"]
    holds = bool(gap.mean() <= paper)
    yield Point(f"{row}: gap", f"{paper}", spread(gap, 4), holds, reason)
    paper = PRODUCT["mcc_samples"]
    holds = bool(mcc.mean() >= paper)
    yield Point(f"{row}: MCC, draws", f"{paper}", spread(mcc), holds, reason)
