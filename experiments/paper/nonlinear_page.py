"""Tables 3 and 4 on the page: rows beside the true model, and orderings paired by seed."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from consilience.experiments.paper.page import Point, figures, grouped, spread

FIXED, LEARNED = ("PoE", "MoE"), ("SumPooling", "SelfAttention")
MIXED = ("SumPoolingMixture", "SelfAttentionMixture")
HEADER = (
    "bound",
    "aggregation",
    "prior",
    "draws of mixtures",
    "LLH, thousands",
    "true − LLH, nats a row",
    "MCC, draws",
    "MCC, means",
)
Results = Sequence[Mapping]


def chosen(results: Results, **settings) -> Results:
    """Those with these settings; a tuple stands for any of its members."""
    allowed = {k: v if isinstance(v, tuple) else (v,) for k, v in settings.items()}
    return [
        each
        for each in results
        if all(each["settings"][k] in values for k, values in allowed.items())
    ]


def rows(results: Results) -> Iterator[tuple[str, ...]]:
    """Lines of one data set's table, the true model last."""
    keys = ("start", "bound", "aggregation", "prior", "estimator")
    for (start, *row, estimator), runs in grouped(results, *keys).items():
        drawn = estimator if row[1] in (*MIXED, "MoE") else ""
        prior = row[2] if start == "anywhere" else f"{row[2]}, from the truth"
        own = (thousands(runs, "llh"), spread(behind(runs), 3))
        correlations = [spread(figures(runs, f"mcc_{k}")) for k in ("samples", "means")]
        yield (*row[:2], prior, drawn, *own, *correlations)
    seeds = [runs[0] for runs in grouped(results, "seed").values()]
    best = [spread(figures(seeds, f"exact_mcc_{k}")) for k in ("samples", "means")]
    yield ("", "*true model*", "", "", thousands(seeds, "exact_llh"), "0", *best)


def thousands(runs: Results, name: str) -> str:
    """A log-likelihood of all rows."""
    return spread(figures(runs, name) * runs[0]["settings"]["rows"] / 1000, 2)


def behind(runs: Results) -> np.ndarray:
    """How far the learned model is behind the true one, nats a row."""
    return figures(runs, "exact_llh") - figures(runs, "llh")


def paired(better: Results, worse: Results, figure: str = "llh") -> np.ndarray:
    """Differences of a figure between runs on the same data, which are in both.

    Runs are paired by their seed; where several settings stand on a side, by their means.
    """
    means = [_by_seed(side, figure) for side in (better, worse)]
    return np.array([means[0][s] - means[1][s] for s in means[0] if s in means[1]])


def _by_seed(runs: Results, figure: str) -> dict[int, float]:
    of_seed = grouped(runs, "seed").items()
    return {seed: float(figures(each, figure).mean()) for (seed,), each in of_seed}


def order(what: str, better: Results, worse: Results, reason: str = "") -> Point:
    """Whether one side has the higher log-likelihood on the data sets of both."""
    found = paired(better, worse)
    ahead = int((found > 0).sum())
    return Point(
        what,
        "higher LLH",
        f"{ahead} of {len(found)} seeds, {spread(found, 3)} nats a row",
        bool(found.mean() > 0),
        reason,
    )


def orders(results: Results, where: str = "") -> Iterator[Point]:
    """The paper's orderings: bounds, aggregations, priors."""
    drawn = chosen(results, estimator="stratified", start="anywhere")
    of = {bound: chosen(drawn, bound=bound) for bound in ("masked", "mixture")}
    for (name, prior), runs in grouped(of["masked"], "aggregation", "prior").items():
        other = chosen(of["mixture"], aggregation=name, prior=prior)
        if other:
            what = f"{name}, {prior} prior{where}: masked over mixture bound"
            yield order(what, runs, other)
    masked = of["masked"]
    plain = chosen(masked, prior="standard")
    sides = [chosen(plain, aggregation=names) for names in (LEARNED, FIXED)]
    if all(sides):
        yield order(f"masked{where}: learned over fixed aggregations", *sides)
    for name in LEARNED:
        sides = [
            chosen(masked, aggregation=name, prior=p) for p in ("mixture", "standard")
        ]
        if all(sides):
            yield order(f"{name}, masked{where}: mixture over standard prior", *sides)


def estimators(results: Results, where: str = "") -> Iterator[Point]:
    """Stratified against implicit draws of the same rows."""
    implicit = chosen(results, estimator="implicit", start="anywhere")
    for (name, bound), runs in grouped(implicit, "aggregation", "bound").items():
        same = {"aggregation": name, "bound": bound, "start": "anywhere"}
        other = chosen(results, estimator="stratified", **same)
        if other:
            yield Point(
                f"{name}, {bound} bound{where}: stratified against implicit draws",
                "no figures",
                f"true − LLH {spread(behind(other), 3)} against "
                f"{spread(behind(runs), 3)}; {spread(paired(other, runs), 3)} apart",
                None,
            )
