"""Tables 3 and 4 on the page: rows beside the true model, and orderings paired by seed."""

from collections.abc import Callable, Iterator

import numpy as np

from consilience.experiments.paper.page import (
    Point,
    Results,
    budget_of,
    figures,
    grouped,
    grouped_by,
    higher,
    paired,
    spread,
)
from consilience.experiments.paper.rows import FIXED, LEARNED

MIXED = ("SumPoolingMixture", "SelfAttentionMixture")
PRIORS = {"labelled": "mixture of labels"}  # that have another name than their own
STARTS = {"anywhere": "", "clusters": ", from clusters", "truth": ", from the truth"}
HEADER = (
    "bound",
    "aggregation",
    "prior",
    "draws of mixtures",
    "seeds",
    "LLH, thousands",
    "true − LLH, nats a row",
    "strong MCC, draws",
    "means of 64 draws",
    "k̂ > 0.7",
    "seconds",
)
LIKELIHOODS = """\
LLH is importance-sampled and so biased downwards, the more the worse the posterior fits:
*k̂ > 0.7* is the share of rows where it is not to be trusted (of the true model: the mean
share of effective draws). Seconds are of training, compiling and measuring.
"""
CLUSTERS = """\
Rows *from clusters* have two halves of the steps, each with a learning rate that begins
anew. After the first, under a standard prior, the mixture begins at the clusters of one
posterior draw a row, as a `semitied_mixture`: p(x) is as with the other mixture, but an
affine map of the latents, learned, says which directions are independent, and correlations
are of the latents so turned. The posterior factorises before they are turned, and so is of
another family than that of the other rows. Where β comes down, the first half has it all.
"""


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
        prior = PRIORS.get(row[2], row[2]) + STARTS[start]
        own = (thousands(runs, "llh"), spread(behind(runs), 3))
        more = [spread(figures(runs, f"mcc_{k}")) for k in ("samples", "means")]
        more.append(spread(figures(runs, "unreliable"), 2))
        seconds = np.array([each["seconds"] for each in runs])
        more.append(f"{np.median(seconds):.0f}")
        yield (*row[:2], prior, drawn, str(len(runs)), *own, *more)
    seeds = [runs[0] for runs in grouped(results, "seed").values()]
    best = [spread(figures(seeds, f"exact_mcc_{k}")) for k in ("samples", "means")]
    share = spread(figures(seeds, "exact_effective_share"), 2)
    llh = thousands(seeds, "exact_llh")
    yield ("", "*true model*", "", "", str(len(seeds)), llh, "0", *best, share, "")


def by_budget(results: Results, tables: Callable[[Results], str]) -> list[str]:
    """What `tables` says of each budget, under a line of its own."""
    return [
        f"{count} rows, {steps} steps{size and f', {size} networks'}:\n\n{tables(runs)}"
        for (count, steps, size), runs in sorted(grouped_by(results, budget_of).items())
    ]


def thousands(runs: Results, name: str) -> str:
    """A log-likelihood of all rows."""
    return spread(figures(runs, name) * runs[0]["settings"]["rows"] / 1000, 2)


def behind(runs: Results) -> np.ndarray:
    """How far the learned model is behind the true one, nats a row."""
    return figures(runs, "exact_llh") - figures(runs, "llh")


def orders(results: Results, where: str = "") -> Iterator[Point]:
    """The paper's orderings: bounds, aggregations, priors, posteriors."""
    drawn = chosen(results, estimator="stratified", start="anywhere")
    masked, mixture = (chosen(drawn, bound=bound) for bound in ("masked", "mixture"))
    for (name, prior), runs in grouped(masked, "aggregation", "prior").items():
        other = chosen(mixture, aggregation=name, prior=prior)
        what = f"{name}, {prior} prior{where}: masked over mixture bound"
        yield from higher(what, runs, other, "llh")
    begun = chosen(results, estimator="stratified", bound="masked")
    for better, worse, words in (*_pairs_from_clusters(), *_pairs()):
        sides = [
            chosen(begun, aggregation=a, prior=p, start=s)
            for a, p, s in (better, worse)
        ]
        yield from higher(f"masked{where}: {words}", *sides, "llh")
        # which needs no importance sampling
        yield from higher(f"masked{where}: {words}, by the bound", *sides, "bound")


Kind = tuple[str, str, str]  # aggregation, prior, start


def _pairs() -> Iterator[tuple[Kind, Kind, str]]:
    """Rows of which the first should be the better one."""
    anywhere = "anywhere"
    for name in LEARNED:
        plain = (name, "standard", anywhere)
        for fixed in FIXED:
            yield plain, (fixed, "standard", anywhere), f"{name} over {fixed}"
    for name in LEARNED:
        plain, mixture = ((name, p, anywhere) for p in ("standard", "mixture"))
        yield mixture, plain, f"{name}, mixture over standard prior"
        words = f"{name}, mixture prior, mixture over Gaussian posterior"
        yield (f"{name}Mixture", "mixture", anywhere), mixture, words


def _pairs_from_clusters() -> Iterator[tuple[Kind, Kind, str]]:
    """Likewise, where the first one's prior starts from clusters."""
    for name in LEARNED:
        plain = (name, "mixture", "clusters")
        mixed = (f"{name}Mixture", "mixture", "clusters")
        standard = (name, "standard", "anywhere")
        yield plain, standard, f"{name}, mixture from clusters over standard prior"
        words = f"{name}, from clusters, mixture over Gaussian posterior"
        yield mixed, plain, words
        for row in (plain, mixed):
            words = f"{row[0]}, mixture from clusters over from anywhere"
            yield row, (*row[:2], "anywhere"), words


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
                f"{spread(behind(runs), 3)}; {spread(paired(other, runs, 'llh'), 3)} apart",
                None,
            )
