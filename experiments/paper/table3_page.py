"""Table 3 on the page: every row, and the points that were to be shown."""

from collections.abc import Iterator, Mapping

from consilience.experiments.paper.nonlinear_page import (
    CLUSTERS,
    HEADER,
    LIKELIHOODS,
    MIXED,
    STARTS,
    behind,
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
    "component of the prior, is almost as likely or, for these rows, more likely than the "
    "true one (seed by seed below), and then the latents are not the true ones"
)
ABOUT = """\
x = f(z) + 0.1 ε with two latents, and a label of five values that moves them. LLH: by
importance sampling, 64 draws, of the training rows (as in the paper). *True model*: its
exact log-likelihood and the correlations of its exact posterior, by quadrature, on the same
rows. The paper's figures are of data of its own, whose truth it does not give; one such
data set differs from another by thousands of nats, so orderings and the distance to the
true model are compared.
"""


SEEDS = """\
Seed by seed, rows with a mixture for prior and posterior under the masked bound, of all
numbers of steps that were run, the most likely fit of a seed first:
"""


def section(results: Results) -> str:
    """Markdown of all rows, and of the points."""
    tables = []
    for (beta,), runs in grouped(results, "beta").items():
        tables.append(f"β = {beta:g}\n\n{markdown(HEADER, list(rows(runs)))}")
    found = points(list(compared(results)))
    return "\n".join([ABOUT, LIKELIHOODS, CLUSTERS, *tables, found])


def of_other_budgets(others: Results, shown: Results) -> str:
    """Markdown: rows and points of each, and all budgets seed by seed."""
    parts = []
    for (steps,), runs in sorted(grouped(others, "steps").items()):
        found = points(list(compared(runs)))
        parts += [f"With {steps} steps:\n", markdown(HEADER, list(rows(runs))), found]
    return "\n".join([*parts, by_seed([*others, *shown])])


def by_seed(results: Results) -> str:
    """Markdown: likelihood and correlations of fits of the same rows."""
    row = {"aggregation": MIXED, "prior": "mixture", "bound": "masked"}
    found = chosen(results, **row, beta=1.0, estimator="stratified")
    lines = []
    for (name, seed), runs in sorted(grouped(found, "aggregation", "seed").items()):
        for each in sorted(runs, key=lambda run: -run["figures"]["llh"]):
            lines.append((name, str(seed), *_fit(each)))
    header = ("aggregation", "seed", "from", "steps", "LLH − true, nats in all rows")
    table = markdown((*header, "MCC, draws", "exact"), lines)
    return f"{SEEDS}\n{table}" if lines else ""


def _fit(result: Mapping) -> tuple[str, ...]:
    settings, own = result["settings"], result["figures"]
    ahead = (own["llh"] - own["exact_llh"]) * settings["rows"]
    begun = STARTS[settings["start"]].removeprefix(", from ") or "anywhere"
    correlations = [f"{own[f'{k}mcc_samples']:.3f}" for k in ("", "exact_")]
    return begun, str(settings["steps"]), f"{ahead:+.0f}", *correlations


def compared(results: Results) -> Iterator[Point]:
    """What was aimed at, and the paper's orderings, at β = 1."""
    first = chosen(results, beta=1.0)
    best = chosen(first, prior="mixture", bound="masked", estimator="stratified")
    for (name, start), runs in grouped(best, "aggregation", "start").items():
        if start != "truth":
            yield from _near_truth(f"{name}, mixture prior{STARTS[start]}", runs)
        else:
            yield from _from_truth(name, chosen(best, aggregation=name), runs)
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
            "where the bound is higher and the correlation lower, the bound itself seems "
            "to prefer other latents than the true ones",
        )


def _near_truth(name: str, runs: Results) -> Iterator[Point]:
    row, away = f"{name}, masked", behind(runs)
    holds = bool(away.mean() <= BEHIND)
    yield Point(f"{row}: true − LLH", f"≤ {BEHIND} a row", spread(away, 3), holds)
    own, best = (figures(runs, f"{k}mcc_samples") for k in ("", "exact_"))
    yield Point(
        f"{row}: MCC, draws",
        f"exact {spread(best)} − {NEAR}",
        f"{spread(own)} ({(own - best).mean():+.3f})",
        bool((own - best).mean() >= -NEAR),
        STRETCH,
    )
