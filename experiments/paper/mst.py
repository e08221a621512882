"""MNIST-SVHN-Text: handwriting, colour images and words (Hirt et al. 2024, section 5.3).

Rows of Tables 5 to 14: both bounds; fixed aggregations, plain and enlarged, and learned
ones; three β; shared latents, or shared and private ones.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import jax

from consilience.experiments.options import a_path
from consilience.experiments.paper.mst_data import (
    Rows,
    Sources,
    modalities,
    paired_rows,
    read_sources,
)
from consilience.experiments.paper.mst_figures import (
    Effort,
    classifiers_of,
    measured_figures,
)
from consilience.experiments.paper.mst_networks import ENLARGED, Case, program
from consilience.experiments.paper.mst_page import section as section
from consilience.experiments.paper.mst_pictures import (
    PICTURED,
    RATES_FILE,
    completions_file,
    draw_completions,
    draw_rates,
)
from consilience.experiments.paper.mst_sizes import SIZES
from consilience.experiments.paper.rows import AGGREGATIONS, BOUNDS, CORRECTED
from consilience.experiments.paper.study import Budget, Cell
from consilience.experiments.paper.training import train_seeds

TITLE = "Tables 5 to 14: MNIST-SVHN-Text"
BETAS = (0.1, 4.0)


BUDGETS = {
    "default": Budget(seeds=3, steps=10_000, rows=20_000, size="small"),
    "fast": Budget(seeds=1, steps=400, rows=300, size="few"),
    "full": Budget(seeds=5, steps=40_000, rows=50_000, size="paper"),
}
EFFORTS = {
    "few": Effort(draws=20, few=1, epochs=20, test_rows=60, alone=300),
    "small": Effort(draws=100, few=2, epochs=30, test_rows=400, alone=10_000),
    "paper": Effort(draws=512, few=10, epochs=30, test_rows=5000, alone=60_000),
}


TRAINED = """\
Adam along a cosine, with encoders and decoders of the paper; widths that it does not state
in a readable form are ours (`mst_sizes.py`), as are the numbers of steps and rows, the rate
and the batch, which pilots of one seed chose. In networks of size *small* colour images and
spectrograms are averaged over 2 × 2 pixels, so that two cores train them. Not as in the
paper, SumPooling and SelfAttention have an affine map beside their networks and give
natural parameters, as experts do, and linear layers start √2 times as large
(`rows.NATURAL`).
"""
SETTLING, SIDE_BY_SIDE = ("class mnist", "full_reconstruction", "full_rate"), False
PICTURES = {RATES_FILE: "Rate against distortion, means over the seeds of each row"} | {
    completions_file(bound, name): f"Test rows completed by {name}, {bound} bound"
    for bound in BOUNDS
    for name in PICTURED
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Where the files are."""
    group = parser.add_argument_group("mst, files of yours")
    group.add_argument(
        "--data",
        type=a_path,
        metavar="FOLDER",
        help="has MNIST's files (IDX or mnist.npz) and SVHN's (.mat, cropped digits)",
    )
    file = {"type": Path, "metavar": "FILE"}
    group.add_argument(
        "--colour", help="an .npz of colour images in SVHN's place", **file
    )
    group.add_argument(
        "--speech", help="an .npz of spectrograms, a fourth modality", **file
    )


def sources_of(options: argparse.Namespace) -> Sources:
    """From the options.

    Raises:
        ValueError: there is no folder.
    """
    if options.data is None:
        raise ValueError(
            "--data: expected a folder with the files of MNIST and SVHN, got none; "
            "--colour gives other colour images of digits in SVHN's place"
        )
    return Sources(options.data, options.colour, options.speech)


def draw(results: Sequence[Mapping], folder: Path) -> None:
    """What is drawn of all rows together."""
    draw_rates(results, folder / RATES_FILE)


def cases(few: bool = False) -> list[Case]:
    """All rows, those first that the points are about."""
    if few:
        return [Case("masked", "SumPooling"), Case("mixture", "SumPooling")]
    plain = [Case(b, a) for a in AGGREGATIONS for b in BOUNDS]
    private = [Case(b, a, latents="private") for a in AGGREGATIONS for b in BOUNDS]
    enlarged = [Case(b, a) for a in ENLARGED for b in BOUNDS]
    curves = [Case(b, a, beta) for a in AGGREGATIONS for b in BOUNDS for beta in BETAS]
    corrected = [Case(b, CORRECTED) for b in BOUNDS]
    return plain + corrected + private + enlarged + curves


def cells(budget: Budget, options: argparse.Namespace) -> list[Cell]:
    """One for each row; pictures of some go to the folder of results.

    Raises:
        FileNotFoundError: a file is not there: what to get, and where from.
        ValueError: no folder of files is given; a file is damaged or another.
    """
    sources = sources_of(options)
    read_sources(sources)  # before anything is compiled
    shared = {
        "modalities": "+".join(modalities(sources)),
        "files": ", ".join(path.name for path in sources[1:] if path),
        "steps": budget.steps,
        "rows": budget.rows,
        "size": budget.size,
    }
    work = partial(measure, budget=budget, sources=sources, folder=options.out)
    fixed = {name: str(value) for name, value in SIZES[budget.size]._asdict().items()}
    styles = {"shared": "natural", "private": "natural, private laws too"}
    return [
        Cell(
            case._asdict() | shared,
            partial(work, case),
            fixed | {"style": styles[case.latents]},
        )
        for case in cases(few=budget.size == "few")
    ]


def measure(
    case: Case, seeds: list[int], budget: Budget, sources: Sources, folder: Path
) -> list[dict]:
    """Figures of each seed, one after another; pictures of the first."""
    found = []
    for seed in seeds:
        key = jax.random.fold_in(jax.random.key(0), seed)
        _, _, key_train, key_figures, key_picture = jax.random.split(key, 5)
        rows, classifiers = _rows(seed, budget, sources)
        events = zip(rows.train.names, rows.train.event_shapes, strict=True)
        svi = program(case, budget.steps, budget.size, tuple(events))
        settings = {"steps": budget.steps, "batch_size": SIZES[budget.size].batch}
        params = train_seeds(key_train[None], svi, [rows.train], **settings)[0]
        programs = (svi.model, svi.guide, params)
        effort = EFFORTS[budget.size]
        found.append(measured_figures(key_figures, programs, rows, classifiers, effort))
        if seed == 0 and _pictured(case):
            path = folder / completions_file(case.bound, case.aggregation)
            draw_completions(key_picture, programs, rows.test, path)
    return found


def _pictured(case: Case) -> bool:
    usual = (case.beta, case.latents) == (1.0, "shared")
    return usual and case.aggregation in PICTURED


@lru_cache(maxsize=8)
def _rows(seed: int, budget: Budget, sources: Sources) -> tuple[Rows, dict]:
    """Rows and classifiers of a seed, which all cells share."""
    key = jax.random.fold_in(jax.random.key(0), seed)
    key_rows, key_classifiers, *_ = jax.random.split(key, 5)
    effort = EFFORTS[budget.size]
    shrink = SIZES[budget.size].shrink
    sizes = (budget.rows, effort.test_rows, effort.alone, shrink)
    rows = paired_rows(key_rows, sources, *sizes)
    return rows, classifiers_of(key_classifiers, rows.alone, effort.epochs)
