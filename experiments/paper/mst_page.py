"""MNIST-SVHN-Text on the page: every row, and the points that were to be shown."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from consilience.experiments.paper.mst_pictures import (
    PICTURED,
    RATES_FILE,
    completions_file,
)
from consilience.experiments.paper.page import (
    Point,
    figures,
    grouped,
    markdown,
    points,
    spread,
)

STUDY = ("modalities", "rows", "steps", "size")
ROW = ("latents", "beta", "bound", "aggregation")
RATES = ("full_reconstruction", "full_rate", "cross_reconstruction", "cross_rate")
STAND_INS = """\
**SVHN was not at hand for these figures**: {colour} stand in its place{speech}. They \
cannot be set beside the paper's, digit by digit; what can be compared is the order of the \
rows. With SVHN's files in the folder of `--data` the same command trains the real thing.
"""
ABOUT = """\
Images have Laplace likelihoods around a sigmoid, with a learned scale of 0.1 or more for \
each pixel; text of 8 characters over 71 letters is one-hot and categorical. In training \
likelihoods are weighted by relative dimension, here never. Log-likelihoods are \
importance-sampled, nats a test row; rates and distortions likewise. Coherence is of \
expectations E[x_t | z]; *real* says how often the classifiers are right on test \
measurements themselves, which is what coherence can be expected to reach. PoE+ and MoE+ \
have deeper encoders, and no fewer parameters than the learned aggregations.
"""


def section(results: Sequence[Mapping]) -> str:
    """Markdown of all rows, and of the points; studies of other files apart."""
    return "\n".join(_study(each) for each in grouped(results, *STUDY).values())


def _study(results: Sequence[Mapping]) -> str:
    parts = [_about(results), points(list(compared(results)))]
    parts += [_table(results, *kind) for kind in _kinds(results)]
    parts.append(f"![Rate against distortion]({RATES_FILE})\n")
    for bound, aggregation in _pictured(results):
        file = completions_file(bound, aggregation)
        words = f"Test rows completed by {aggregation}, {bound} bound"
        parts.append(f"![{words}]({file})\n")
    return "\n".join(parts)


def compared(results: Sequence[Mapping]) -> Iterator[Point]:
    """Joint log-likelihoods of shared latents at β = 1, paired by seed."""
    name = f"llh {' + '.join(_names(results))}"
    found = {
        row[2:]: {each["settings"]["seed"]: each["figures"][name] for each in runs}
        for row, runs in grouped(results, *ROW).items()
        if row[:2] == ("shared", 1.0)
    }
    for bound, aggregation in found:
        if bound == "masked" and ("mixture", aggregation) in found:
            pair = found["masked", aggregation], found["mixture", aggregation]
            yield from _difference(f"{aggregation}: masked over mixture bound", *pair)
    for bound in ("masked", "mixture"):
        if {(bound, "SumPooling"), (bound, "PoE")} <= found.keys():
            pair = found[bound, "SumPooling"], found[bound, "PoE"]
            yield from _difference(f"{bound} bound: SumPooling over PoE", *pair)


def _difference(what: str, better: Mapping, worse: Mapping) -> Iterator[Point]:
    """A study that was stopped may have no seed of both."""
    shared = sorted(better.keys() & worse.keys())
    if not shared:
        return
    values = np.array([better[s] - worse[s] for s in shared], float)
    ours = f"{spread(values, 1)} nats, {(values > 0).sum()} of {len(values)} seeds"
    yield Point(f"joint LLH, {what}", "above 0", ours, bool(values.mean() > 0))


def _about(results: Sequence[Mapping]) -> str:
    settings, names = results[0]["settings"], _names(results)
    budget = (
        f"{settings['rows']} training rows, {settings['steps']} steps, networks of size "
        f"*{settings['size']}*.\n"
    )
    if "svhn" in names:
        return f"{ABOUT}\n{budget}"
    speech = ", and spoken digits are a fourth modality" if "speech" in names else ""
    said = STAND_INS.format(colour="other colour photographs of digits", speech=speech)
    return f"{said}\n{ABOUT}\n{budget}"


def _names(results: Sequence[Mapping]) -> list[str]:
    return results[0]["settings"]["modalities"].split("+")


def _kinds(results: Sequence[Mapping]) -> Iterator[tuple[str, list[str], int]]:
    """Title, columns and digits of each table."""
    names = list(results[0]["figures"])

    def starting(word: str) -> list[str]:
        return [n for n in names if n.startswith(word)]

    likelihoods = [n for n in starting("llh ") if not n.startswith("llh error")]
    yield "Test log-likelihood of each subset", likelihoods, 1
    of_one = [n for n in starting("coherence ") if " + " not in n]
    yield "Coherence from one modality, and of the prior", of_one, 2
    of_two = [n for n in starting("coherence ") if " + " in n]
    yield "Coherence from two modalities", of_two, 2
    yield "Classifiers on real test measurements", starting("real "), 2
    yield "Linear classification of the shared latent", starting("class "), 2
    yield "Rates and distortions", list(RATES), 1
    yield "Share of rows whose likelihood has k̂ > 0.7", starting("doubtful "), 2


def _table(
    results: Sequence[Mapping], title: str, columns: Sequence[str], digits: int
) -> str:
    words = ("llh ", "coherence ", "real ", "class ", "doubtful ")

    def short(column: str) -> str:
        word = next((w for w in words if column.startswith(w)), "")
        return column.removeprefix(word).replace("->", "→").replace("_", " ")

    rows = [
        (*map(str, row), *(spread(figures(runs, c), digits) for c in columns))
        for row, runs in grouped(results, *ROW).items()
    ]
    header = ("latents", "β", *ROW[2:], *map(short, columns))
    return f"### {title}\n\n{markdown(header, rows)}"


def _pictured(results: Sequence[Mapping]) -> list[tuple[str, str]]:
    """Those that the study draws."""
    usual = [row[2:] for row in grouped(results, *ROW) if row[:2] == ("shared", 1.0)]
    return [row for row in usual if row[1] in PICTURED]
