"""MNIST-SVHN-Text on the page: every row, and the points that were to be shown."""

from collections.abc import Iterator, Mapping

from consilience.experiments.paper.mst_figures import RATES
from consilience.experiments.paper.mst_points import (
    SUMMARIES,
    compared,
    names_of,
    summarized,
)
from consilience.experiments.paper.page import (
    Results,
    figures,
    grouped,
    markdown,
    points,
    spread,
)

STUDY = ("modalities", "files")
ROW = ("latents", "beta", "bound", "aggregation")
STAND_INS = """\
**SVHN was not at hand for these figures**: colour photographs stand in its place{speech} \
({files}). They cannot be set beside the paper's, digit by digit; what can be compared \
is the order of the rows. With SVHN's files in the folder of `--data` the same command \
trains the real thing.
"""
ABOUT = """\
Images have Laplace likelihoods around a sigmoid, with a learned scale of 0.1 or more for \
each pixel; text of 8 characters over 71 letters is one-hot and categorical. In training \
likelihoods are weighted by relative dimension, here never. Log-likelihoods are \
importance-sampled, nats a test row, and so biased downwards, the more where k̂ > 0.7. Rates \
and distortions are means over draws and closed forms. Coherence is of expectations \
E[x_t | z]; *real* says how often the classifiers are right on test measurements \
themselves, which is what coherence can be expected to reach. PoE+ and MoE+ have deeper \
encoders, and no fewer parameters than the learned aggregations. CorrectedPoE is ours: a \
product that a sum pooling corrects. Where k̂ > 0.7 for most rows, as it is for images, \
log-likelihoods are lower bounds of unequal tightness; the joint bound (full reconstruction \
less full rate) needs no importance sampling, and is compared beside them. *Joint LLH less \
those of each alone* says how loose they are: modalities that are paired by label share \
the digit and nothing else, ln 10 nats for each modality beyond the first. Where it is less \
than that, the joint estimate is the looser one, or the model has not learned what is \
shared; where it is more, those of single modalities are. Coherence is compared, too, which \
is what the mixture bound trains for: every modality from every subset. Pictures show \
expectations of one draw; words begin at a place that differs from row to row, and where it \
is not known the most probable letters of each place are blanks or of several words.
"""


def section(results: Results) -> str:
    """Markdown of all rows, and of the points; studies of other files apart."""
    return "\n".join(_study(each) for each in grouped(results, *STUDY).values())


def _study(results: Results) -> str:
    parts = [_about(results), points(list(compared(results)))]
    parts.append(_table(list(map(summarized, results)), "At a glance", SUMMARIES))
    parts += [
        _table(results, title, dict.fromkeys(columns, digits))
        for title, columns, digits in _kinds(results)
    ]
    return "\n".join(parts)


def _about(results: Results) -> str:
    names, files = names_of(results), results[0]["settings"]["files"]
    if "svhn" in names:
        return ABOUT
    speech = ", and spoken digits are a fourth modality" if "speech" in names else ""
    return f"{STAND_INS.format(files=files, speech=speech)}\n{ABOUT}"


def _kinds(results: Results) -> Iterator[tuple[str, list[str], int]]:
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
    yield "Share of rows whose likelihood has k̂ > 0.7", starting("unreliable "), 2


def _table(results: Results, title: str, columns: Mapping[str, int]) -> str:
    """Every row; figures by name, with their digits."""
    words = ("llh ", "coherence ", "real ", "class ", "unreliable ")

    def short(column: str) -> str:
        word = next((w for w in words if column.startswith(w)), "")
        return column.removeprefix(word).replace("->", "→").replace("_", " ")

    rows = [
        (
            *map(str, row),
            str(len(runs)),
            *(spread(figures(runs, c), digits) for c, digits in columns.items()),
        )
        for row, runs in grouped(results, *ROW).items()
    ]
    header = ("latents", "β", *ROW[2:], "seeds", *map(short, columns))
    return f"### {title}\n\n{markdown(header, rows)}"
