"""Table 3 on the page: every row, and the points that were to be shown."""

from collections.abc import Iterator, Mapping

from consilience.experiments.paper.nonlinear_page import (
    CLUSTERS,
    HEADER,
    LIKELIHOODS,
    MIXED,
    PRIORS,
    STARTS,
    behind,
    by_budget,
    chosen,
    estimators,
    orders,
    rows,
)
from consilience.experiments.paper.page import (
    Point,
    Results,
    figures,
    grouped,
    markdown,
    paired,
    points,
    spread,
)

BEHIND, NEAR = 0.5, 0.01
STRETCH = (
    "beyond a bend x hardly tells z: a decoder that stretches less there, with a narrower "
    "component of the prior, is almost as likely (compare its LLH with the truth's), and "
    "then the latents are not the true ones"
)
PREFERS = "the bound itself seems to prefer other latents than the true ones"
LIKELY = (
    "in every seed the fit is more likely than the true model, on the rows that it was "
    "trained on, so that their likelihood does not ask for the true latents"
)
BEHIND_TRUTH = (
    "the fit is less likely than the true model, which its family holds: the bound's best, "
    "or the end of training, is elsewhere"
)
ABOUT = """\
x = f(z) + 0.1 ε with two latents, and a label of five values that moves them. LLH: by
importance sampling, 64 draws, of the training rows (as in the paper). *True model*: its
exact log-likelihood and the correlations of its exact posterior, by quadrature, on the same
rows. The paper's figures are of data of its own, whose truth it does not give; one such
data set differs from another by thousands of nats, so orderings and the distance to the
true model are compared.
"""
LABELS = """\
Where the prior is a *mixture of labels*, its components are the labels, p(z, u) = π_u p_u(z)
(`multimodal_model(..., label="label")`; the generating model is of this form). No network
decodes labels in the second half of the steps, where the mixture begins at the draws of each
label from the first. Not in the paper.
"""
SEEDS = """\
Seed by seed, rows with a mixture for prior and posterior under the masked bound, of all
numbers of steps that were run. LLHs are of the training rows, so that a fit should exceed
the truth by about half a nat for each parameter that it learns; they are estimates from 64
draws, which errors of some nats are in. Most likely first:
"""


def section(results: Results) -> str:
    """Markdown of all rows, and of the points."""
    return "\n".join([ABOUT, LIKELIHOODS, CLUSTERS, LABELS, _tables(results)])


def _tables(results: Results) -> str:
    tables = []
    for (beta,), runs in grouped(results, "beta").items():
        tables.append(f"β = {beta:g}\n\n{markdown(HEADER, list(rows(runs)))}")
    return "\n".join([*tables, points(list(compared(results)))])


def of_other_budgets(others: Results, shown: Results) -> str:
    """Markdown: rows and points of each, and all budgets seed by seed."""
    sizes = {each["settings"]["rows"] for each in shown}
    parts = by_budget(others, _tables)
    return "\n".join([*parts, by_seed(chosen([*others, *shown], rows=tuple(sizes)))])


def by_seed(results: Results) -> str:
    """Markdown: likelihood and correlations of fits of the same rows."""
    row = {"aggregation": MIXED, "prior": ("mixture", "labelled"), "bound": "masked"}
    found = chosen(results, **row, beta=1.0, estimator="stratified")
    lines = []
    for (name, seed), runs in sorted(grouped(found, "aggregation", "seed").items()):
        for each in sorted(runs, key=_ahead, reverse=True):
            lines.append((name, str(seed), *_fit(each)))
    header = (
        "aggregation",
        "seed",
        "prior",
        "from",
        "steps",
        "LLH − true, nats in all rows",
    )
    table = markdown((*header, "MCC, draws", "exact"), lines)
    return f"{SEEDS}\n{table}" if lines else ""


def _fit(result: Mapping) -> tuple[str, ...]:
    settings, own = result["settings"], result["figures"]
    begun = STARTS[settings["start"]].removeprefix(", from ") or "anywhere"
    correlations = [f"{own[f'{k}mcc_samples']:.3f}" for k in ("", "exact_")]
    prior = PRIORS.get(settings["prior"], settings["prior"])
    return prior, begun, str(settings["steps"]), f"{_ahead(result):+.0f}", *correlations


def _ahead(result: Mapping) -> float:
    """How far a fit is ahead of the truth, nats in all rows."""
    return float(-behind([result])[0] * result["settings"]["rows"])


def compared(results: Results) -> Iterator[Point]:
    """What was aimed at, and the paper's orderings, at β = 1."""
    first = chosen(results, beta=1.0)
    stratified = chosen(first, bound="masked", estimator="stratified")
    best = chosen(stratified, prior="mixture")
    for (name, start), runs in grouped(best, "aggregation", "start").items():
        if start != "truth":
            yield from _near_truth(f"{name}, mixture prior{STARTS[start]}", runs)
        else:
            yield from _from_truth(name, chosen(best, aggregation=name), runs)
    labelled = chosen(stratified, prior="labelled")
    for (name,), runs in grouped(labelled, "aggregation").items():
        yield from _near_truth(f"{name}, mixture of labels", runs, BEHIND_TRUTH)
        decoded = chosen(best, aggregation=name, start="clusters")
        yield from _labels_known(name, runs, decoded)
    for (beta,), runs in grouped(results, "beta").items():
        yield from orders(runs, f", β = {beta:g}")
    yield from estimators(first)


def _from_truth(name: str, every: Results, runs: Results) -> Iterator[Point]:
    """Does the bound itself prefer other latents than the true ones?"""
    for start in ("anywhere", "clusters"):
        other = chosen(every, start=start)
        if not other:
            continue
        bound, mcc = (paired(other, runs, x) for x in ("bound", "mcc_samples"))
        begun = STARTS[start].removeprefix(", ") or "begun anywhere"
        yield Point(
            f"{name}, mixture prior, masked: {begun}, not at the truth",
            "no figures",
            f"the bound is {spread(bound, 3)} higher, MCC {spread(mcc)} higher",
            None,
            PREFERS if len(bound) > 1 and bound.mean() > 0 > mcc.mean() else "",
        )


def _labels_known(name: str, runs: Results, decoded: Results) -> Iterator[Point]:
    """What labels that are components do for correlations."""
    mcc, llh = (paired(runs, decoded, x) for x in ("mcc_samples", "llh"))
    if len(mcc):
        yield Point(
            f"{name}, masked, from clusters: mixture of labels, not with labels decoded",
            "no figures",
            f"MCC {spread(mcc)} higher, in {(mcc > 0).sum()} of {len(mcc)} seeds; LLH "
            f"{spread(llh, 3)} higher",
            None,
        )


def _near_truth(name: str, runs: Results, short: str = STRETCH) -> Iterator[Point]:
    row, away = f"{name}, masked", behind(runs)
    holds = bool(away.mean() <= BEHIND)
    yield Point(f"{row}: true − LLH", f"≤ {BEHIND} a row", spread(away, 3), holds)
    own, best = (figures(runs, f"{k}mcc_samples") for k in ("", "exact_"))
    found = bool((own - best).mean() >= -NEAR)
    reason = LIKELY if (away < 0).all() else short if away.mean() > 0 else ""
    yield Point(
        f"{row}: MCC, draws",
        f"exact {spread(best)} − {NEAR}",
        f"{spread(own)} ({(own - best).mean():+.3f})",
        found,
        "" if found else reason,
    )
