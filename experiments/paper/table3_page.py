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
    "component of the prior, is almost as likely (compare its LLH with the truth's), and "
    "then the latents are not the true ones"
)
PREFERS = "the bound itself seems to prefer other latents than the true ones"
LIKELY = (
    "in every seed the fit is more likely than the true model, on the rows that it was "
    "trained on, so that their likelihood does not ask for the true latents"
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
numbers of steps that were run. LLHs are of the training rows, so that a fit should exceed
the truth by about half a nat for each parameter that it learns; they are estimates from 64
draws, which errors of some nats are in. Most likely first:
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
    for (size, steps), runs in sorted(grouped(others, "rows", "steps").items()):
        words, found = f"{size} rows, {steps} steps:\n", points(list(compared(runs)))
        parts += [words, markdown(HEADER, list(rows(runs))), found]
    sizes = {each["settings"]["rows"] for each in shown}
    return "\n".join([*parts, by_seed(chosen([*others, *shown], rows=tuple(sizes)))])


def by_seed(results: Results) -> str:
    """Markdown: likelihood and correlations of fits of the same rows."""
    row = {"aggregation": MIXED, "prior": "mixture", "bound": "masked"}
    found = chosen(results, **row, beta=1.0, estimator="stratified")
    lines = []
    for (name, seed), runs in sorted(grouped(found, "aggregation", "seed").items()):
        for each in sorted(runs, key=_ahead, reverse=True):
            lines.append((name, str(seed), *_fit(each)))
    header = ("aggregation", "seed", "from", "steps", "LLH − true, nats in all rows")
    table = markdown((*header, "MCC, draws", "exact"), lines)
    return f"{SEEDS}\n{table}" if lines else ""


def _fit(result: Mapping) -> tuple[str, ...]:
    settings, own = result["settings"], result["figures"]
    begun = STARTS[settings["start"]].removeprefix(", from ") or "anywhere"
    correlations = [f"{own[f'{k}mcc_samples']:.3f}" for k in ("", "exact_")]
    return begun, str(settings["steps"]), f"{_ahead(result):+.0f}", *correlations


def _ahead(result: Mapping) -> float:
    """How far a fit is ahead of the truth, nats in all rows."""
    return float(-behind([result])[0] * result["settings"]["rows"])


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
            PREFERS if len(bound) > 1 and bound.mean() > 0 > mcc.mean() else "",
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
        LIKELY if (away < 0).all() else STRETCH,
    )
