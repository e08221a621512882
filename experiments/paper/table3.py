"""Table 3: two modalities, one of them a label, through a non-linear map.

x = f(z) + 0.1 ε with f bent and injective, the label u moves the sources z (Hirt et al.
2024, section 5.2). Log-likelihoods and correlations stand beside those of the true model
on the same rows, which are exact.
"""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
from numpyro.infer import SVI

from consilience.datasets import NonlinearTruth, Simulated, simulate_with_label
from consilience.datasets.nonlinear_simulators import LABEL
from consilience.experiments.paper import figures
from consilience.experiments.paper.injective import InjectiveDecoder, holding
from consilience.experiments.paper.nonlinear import (
    CLIP,
    FEW,
    HOT,
    MIXTURE_PRIORS,
    MIXTURES,
    ROWS,
    Row,
    cooling,
    measured,
    of_truth,
    svi_of,
    trained,
)
from consilience.experiments.paper.rows import BOUNDS
from consilience.experiments.paper.study import Budget, Cell
from consilience.experiments.paper.table3_page import (
    of_other_budgets as of_other_budgets,
)
from consilience.experiments.paper.table3_page import section as section
from consilience.experiments.paper.truth import by_quadrature
from consilience.guides import MLPEncoder
from consilience.inference import Networks
from consilience.models import CategoricalLikelihood, MLPDecoder, NormalLikelihood

TITLE = "Table 3: a label as modality, through a non-linear map"
BUDGETS = {
    "default": Budget(seeds=3, steps=8000, rows=4000),
    "fast": Budget(seeds=1, steps=1500, rows=1000, size="few"),
    "full": Budget(seeds=5, steps=64_000, rows=4000),
}
LATENTS, LABELS, SCALE, WIDTH = 2, 5, 0.1, 128
BATCH, RATE, SAMPLES, PAIRS = 250, 3e-3, 64, 4
FIXED = {"rate": RATE, "batch": BATCH, "width": WIDTH, "pairs": PAIRS, "hot": HOT}
TRAINED = f"""\
Adam at {RATE:g} along a cosine, gradients clipped at {CLIP:g}, batches of {BATCH}, {WIDTH}
units; β begins at {HOT:g} times its value and comes down over a third of the steps (not in
rows from the truth); the decoder of x is {PAIRS} pairs of bent units, straight at first. The
paper: 5e-4 for 4000 epochs ({BUDGETS["full"].steps} steps), none of the rest.
"""
SETTLING, SIDE_BY_SIDE = ("llh", "mcc_samples"), True
PICTURES = {f"{name}.png": each.words for name, each in figures.PICTURES.items()}
BETAS = (1.0, 0.1)
FROM_TRUTH = (("SumPooling", "mixture"), ("SumPoolingMixture", "mixture"))


class Case(NamedTuple):
    """The data of a seed.

    Attributes:
        simulated: rows, latents, truth.
        exact: the true model's log-likelihood a row, and its posterior's correlations.
        key_train: of initial values, order and noise.
        key_measure: of what is estimated afterwards.
    """

    simulated: Simulated
    exact: dict[str, float]
    key_train: jax.Array
    key_measure: jax.Array


def cells(budget: Budget, options: Namespace) -> list[Cell]:
    """Every row under both bounds and both β; implicit gradients where there is a choice."""
    every = [Row(*r, b, beta) for beta in BETAS for b in BOUNDS for r in ROWS]
    every += [Row(*r, b, estimator="implicit") for b in BOUNDS for r in MIXTURES]
    every += [Row(*r, "masked", start="clusters") for r in MIXTURE_PRIORS]
    labelled = [(name, "labelled") for name, _ in MIXTURE_PRIORS]
    every += [Row(*r, "masked", start="clusters") for r in labelled]
    every += [Row(*r, "masked", start="truth") for r in FROM_TRUTH]
    found = []
    for row in [Row(*r) for r in FEW] if budget.size == "few" else every:
        settings = row._asdict() | {"steps": budget.steps, "rows": budget.rows}
        work = partial(measure, folder=options.out, **settings)
        found.append(Cell(settings, work, FIXED))
    return found


def draw(results: Sequence[Mapping], folder: Path) -> None:
    """Figures 1, 4 and 5, of the rows that were trained."""
    figures.draw_kept(folder)


def measure(seeds: list[int], folder: Path, steps: int, rows: int, **row) -> list[dict]:
    """Figures of each seed's training, and those of the true model on its rows."""
    chosen = Row(**row)
    cases = [case(seed, rows) for seed in seeds]
    svi, found_params = _trained(chosen, cases, steps)
    found = []
    for seed, params, each in zip(seeds, found_params, cases, strict=True):
        known = (each.simulated.data, each.simulated.latents)
        own = measured(each.key_measure, svi, params, *known, SAMPLES)
        found.append(own | each.exact)
        if seed == 0 and figures.pictured(chosen):
            fitted = (svi.model, svi.guide, params)
            figures.keep(each.key_measure, fitted, each.simulated, chosen, folder)
    return found


def _trained(row: Row, cases: Sequence[Case], steps: int) -> tuple[SVI, list[dict]]:
    """Programs, and parameters of each seed."""
    data = [each.simulated.data for each in cases]
    keys = jnp.stack([each.key_train for each in cases])
    how = {"steps": steps, "batch_size": BATCH, "cool": cooling}
    if row.start == "truth":  # which cooling would lose
        true = [true_start(each.simulated.truth) for each in cases]
        how |= {"cool": None, "start": true}
    return trained(keys, programs, row, data, **how)


@lru_cache(maxsize=8)
def case(seed: int, rows: int) -> Case:
    """Data of a seed with what the truth says of them."""
    key = jax.random.fold_in(jax.random.key(3), seed)
    key_data, key_exact, key_train, key_measure = jax.random.split(key, 4)
    simulated = simulate_with_label(key_data, rows, num_labels=LABELS, scale=SCALE)
    exact = by_quadrature(key_exact, simulated, simulated.data)
    known = of_truth(exact, simulated.latents)
    return Case(simulated, known, key_train, key_measure)


@lru_cache(maxsize=2)
def programs(row: Row, steps: int) -> SVI:
    """Model, guide, optimiser and bound of a row."""
    encoder = partial(MLPEncoder, hidden=(WIDTH, WIDTH))
    networks = Networks(
        {"x": encoder, LABEL: partial(encoder, num_classes=LABELS)},
        {
            "x": partial(InjectiveDecoder, pairs=PAIRS),
            LABEL: partial(MLPDecoder, hidden=(WIDTH,)),
        },
        WIDTH,
    )
    likelihoods = {"x": NormalLikelihood(SCALE), LABEL: CategoricalLikelihood(LABELS)}
    return svi_of(row, LATENTS, likelihoods, networks, RATE, steps)


def true_start(truth: NonlinearTruth) -> dict:
    """Parameters of decoder and prior; the label's decoder and the guide are learned."""
    return {
        "decoder.x$params": holding(truth.layers["x"], 2 * PAIRS),
        "prior.loc": truth.loc,
        "prior.scale": truth.spread,
    }
