"""Table 4: several non-linear modalities, half of them missing or none.

x_s = f_s(z) + 0.5 ε with injective f_s; a hidden label moves the sources z (Hirt et al.
2024, section 5.2). The paper's text has five modalities; its figures fit the four that its
code has by default. All figures are of test rows, with the same missingness.
"""

from argparse import Namespace
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.infer import SVI

from consilience.datasets import (
    MultimodalData,
    missing_completely_at_random,
    simulate_nonlinear,
)
from consilience.experiments.paper.injective import InjectiveDecoder
from consilience.experiments.paper.nonlinear import (
    CLIP,
    FEW,
    MIXTURE_PRIORS,
    MIXTURES,
    ROWS,
    Row,
    measured,
    of_truth,
    svi_of,
    trained,
)
from consilience.experiments.paper.rows import BOUNDS, NATURAL
from consilience.experiments.paper.study import Budget, Cell
from consilience.experiments.paper.table4_page import (
    of_other_budgets as of_other_budgets,
)
from consilience.experiments.paper.table4_page import section as section
from consilience.experiments.paper.truth import by_importance
from consilience.guides import MLPEncoder
from consilience.inference import Networks
from consilience.models import LearnedNormalLikelihood
from consilience.nn import rectified

TITLE = "Table 4: several non-linear modalities, complete or half missing"
LATENTS, SCALE = 10, 0.5
WIDTHS = {"few": 64, "small": 128, "paper": 256}  # of all hidden layers but decoders'
BATCH, SAMPLES = 250, 512
RATES = {"few": 5e-3, "small": 5e-3, "paper": 5e-4}
EXACT_SAMPLES = 1000
MODALITIES, MISSING = (4, 5), (0.5, 0.0)


BUDGETS = {
    "default": Budget(seeds=3, steps=5000, rows=5000, size="small"),
    "fast": Budget(seeds=1, steps=500, rows=1000, size="few"),
    "full": Budget(seeds=5, steps=80_000, rows=5000, size="paper"),
}


TRAINED = f"""\
Adam along a cosine from {RATES["small"]:g} (networks of {WIDTHS["small"]} units, size
*small*) or the paper's {RATES["paper"]:g} ({WIDTHS["paper"]} units, *paper*), gradients
clipped at {CLIP:g}, batches of {BATCH}; decoders are as many pairs of bent units as
features, straight at first. Not as in the paper, learned aggregations have an affine map
beside their networks and give natural parameters, as experts do; linear layers of encoders
and aggregations start √2 times as large (`rows.NATURAL`). With the networks of Table 3 a
study that is not kept had sum pooling behind products of experts after as many steps.
"""
SETTLING, SIDE_BY_SIDE = ("llh", "mcc_samples"), True


class Case(NamedTuple):
    """The data of a seed.

    Attributes:
        train: training rows.
        test: as many others.
        latents: of the test rows.
        exact: the true model's log-likelihood a test row, its posterior's correlations.
        key_train: of initial values, order and noise.
        key_measure: of what is estimated afterwards.
    """

    train: MultimodalData
    test: MultimodalData
    latents: Array
    exact: dict[str, float]
    key_train: jax.Array
    key_measure: jax.Array


def cells(budget: Budget, options: Namespace) -> list[Cell]:
    """Every row under both bounds, for each number of modalities, complete and not."""
    cases = [(m, missing) for m in MODALITIES for missing in MISSING]
    every = [(*c, Row(*r, b)) for c in cases for b in BOUNDS for r in ROWS]
    every += [
        (MODALITIES[0], missing, Row(*r, "masked", estimator="implicit"))
        for missing in MISSING
        for r in MIXTURES
    ]
    every += [
        (*c, Row(*r, "masked", start="clusters")) for c in cases for r in MIXTURE_PRIORS
    ]
    if budget.size == "few":
        few = [Row(*r) for r in FEW[:2]]  # Table 3 has the prior that starts anywhere
        few.append(Row("SumPooling", "mixture", "masked", start="clusters"))
        every = [(4, 0.5, row) for row in few]
    found = []
    for modalities, missing, row in every:
        settings = {"modalities": modalities, "missing": missing} | row._asdict()
        settings |= {"size": budget.size, "steps": budget.steps, "rows": budget.rows}
        fixed = {"rate": RATES[budget.size], "batch": BATCH, "clip": CLIP}
        fixed["style"] = "natural"
        found.append(Cell(settings, partial(measure, **settings), fixed))
    return found


def measure(
    seeds: list[int],
    modalities: int,
    missing: float,
    size: str,
    steps: int,
    rows: int,
    **row,
) -> list[dict]:
    """Figures of each seed's training on test rows, and those of the true model there."""
    chosen = Row(**row)
    cases = [case(seed, modalities, missing, rows) for seed in seeds]
    data = [each.train for each in cases]
    keys = jnp.stack([each.key_train for each in cases])
    how = {"steps": steps, "batch_size": BATCH}
    svi, found_params = trained(keys, partial(programs, size=size), chosen, data, **how)
    found = []
    for params, each in zip(found_params, cases, strict=True):
        known = (each.test, each.latents)
        own = measured(each.key_measure, svi, params, *known, SAMPLES)
        found.append(own | each.exact)
    return found


@lru_cache(maxsize=8)
def case(seed: int, modalities: int, missing: float, rows: int) -> Case:
    """Data of a seed with what the truth says of the test rows."""
    key = jax.random.fold_in(jax.random.key(4), seed)
    key_data, key_miss, key_exact, *keys = jax.random.split(key, 5)
    simulated = simulate_nonlinear(
        key_data, 2 * rows, num_modalities=modalities, latent_dim=LATENTS, scale=SCALE
    )
    data = simulated.data
    if missing:
        keep = missing_completely_at_random(key_miss, data.present, missing)
        data = data.restrict(keep)
    train, test = (data.take(np.arange(i, i + rows)) for i in (0, rows))
    latents = simulated.latents[rows:]
    tested = simulated._replace(data=test, latents=latents)
    exact = by_importance(key_exact, tested, test, EXACT_SAMPLES)
    return Case(train, test, latents, of_truth(exact, latents), *keys)


@lru_cache(maxsize=2)
def programs(row: Row, steps: int, size: str) -> SVI:
    """Model, guide, optimiser and bound of a row, for any number of modalities."""
    width = WIDTHS[size]
    encoder = rectified(partial(MLPEncoder, hidden=(width, width)))
    networks = Networks(encoder, InjectiveDecoder, width)
    likelihood = LearnedNormalLikelihood()
    return svi_of(row, LATENTS, likelihood, networks, RATES[size], steps, NATURAL)
