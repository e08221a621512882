"""Table 1: the illustrative bi-modal linear model, gap and rates beside the exact optimum.

x_1 = z_0 + z_1 + u_1, x_2 = z_0 + 10 z_2 + u_2, σ = 1 given (Hirt et al. 2024, section
5.1). Decoders are linear and posteriors Gaussian, so that every column is exact, but for KL
divergences of mixtures of experts, which are estimated.
"""

from argparse import Namespace
from collections.abc import Callable
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.infer import SVI

import consilience.guides as guides
from consilience.datasets import MultimodalData
from consilience.experiments.paper.gaussian_laws import (
    Mixture,
    exact,
    expected_log,
    gap,
    kl,
    learned,
    prior_of,
)
from consilience.experiments.paper.mixture_optimum import mixture_optimum
from consilience.experiments.paper.rows import AGGREGATIONS, BOUNDS, invariant
from consilience.experiments.paper.study import Budget, Cell
from consilience.experiments.paper.table1_page import section as section
from consilience.experiments.paper.training import train_seeds
from consilience.inference import (
    STL,
    AnalyticKL,
    Hierarchical,
    Independent,
)
from consilience.models import (
    LinearDecoder,
    LinearGaussian,
    NormalLikelihood,
    illustrative_example,
    maximum_likelihood,
    multimodal_model,
    standard_normal,
)
from consilience.training import adam

TITLE = "Table 1: illustrative bi-modal linear model"
BUDGETS = {
    "default": Budget(seeds=5, steps=20_000, rows=5000),
    "fast": Budget(seeds=1, steps=2000, rows=2000, size="few"),
    "full": Budget(seeds=5, steps=40_000, rows=5000),
}
LATENTS, WIDTH, BATCH, RATE = 3, 64, 500, 5e-3
LAWS = {"hierarchical": Hierarchical(), "independent": Independent()}
FIXED = {"rate": RATE, "batch": BATCH, "width": WIDTH}
TRAINED = f"""\
Adam at {RATE:g} along a cosine, batches of {BATCH}, networks of {WIDTH} units; rows are
scaled. The paper trains for 4000 epochs at a constant rate.
"""
SETTLING, SIDE_BY_SIDE = ("gap", "cross_rate"), True
FEW = (
    ("PoE", "masked", "hierarchical"),
    ("SumPooling", "masked", "hierarchical"),
    ("SumPooling", "mixture", "hierarchical"),
)


def cells(budget: Budget, options: Namespace) -> list[Cell]:
    """Every aggregation under every bound and law of subsets."""
    rows = [(a, b, law) for law in LAWS for b in BOUNDS for a in AGGREGATIONS]
    found = []
    for aggregation, bound, law in FEW if budget.size == "few" else rows:
        row = {"aggregation": aggregation, "bound": bound, "law": law}
        settings = row | {"steps": budget.steps, "rows": budget.rows}
        found.append(Cell(settings, partial(measure, **settings), FIXED))
    return found


def measure(
    seeds: list[int], aggregation: str, bound: str, law: str, steps: int, rows: int
) -> list[dict]:
    """Columns of each seed's training, and those of the exact optimum on its rows."""
    keys = [jax.random.fold_in(jax.random.key(0), seed) for seed in seeds]
    key_data, key_train = jax.vmap(jax.random.split, out_axes=1)(jnp.stack(keys))
    data = [illustrative_example().simulate(key, rows)[0] for key in key_data]
    scaled = [each.standardize(like=_units()) for each in data]
    svi = _svi(aggregation, bound, law, steps)
    trained = train_seeds(key_train, svi, scaled, steps=steps, batch_size=BATCH)
    found = []
    for params, own, of_own in zip(trained, data, scaled, strict=True):
        q = partial(learned, svi.guide, params, of_own)
        model = _decoders(params, of_own)
        columns = {c: float(x.mean()) for c, x in by_row(model, own, q).items()}
        found.append({"gap": gap(model, own)} | columns | best(own, bound, law))
    return found


@lru_cache(maxsize=1)
def _units() -> MultimodalData:
    """One scaling for all seeds, so that they share a compiled program."""
    many, _ = illustrative_example().simulate(jax.random.key(1), 20_000)
    return many.standardize()


@lru_cache(maxsize=1)
def _svi(aggregation: str, bound: str, law: str, steps: int) -> SVI:
    """σ = 1 in the units of the data, which are scaled for training."""
    scale = _units().standardization.scale
    likelihoods = {n: NormalLikelihood(1 / float(s[0])) for n, s in scale.items()}
    model = multimodal_model(standard_normal(LATENTS), likelihoods, LinearDecoder)
    encoder = partial(guides.MLPEncoder, hidden=(WIDTH, WIDTH))
    pooling = invariant(aggregation, WIDTH)
    guide = guides.amortized_guide(LATENTS, encoder, pooling, WIDTH)
    estimator = AnalyticKL(otherwise=STL())
    elbo = BOUNDS[bound](subsets=LAWS[law], estimator=estimator)
    return SVI(model, guide, adam(RATE, steps, schedule="cosine"), elbo)


def _decoders(params: dict, scaled: MultimodalData) -> LinearGaussian:
    """The learned model, in the units of the data."""
    loc, scale = scaled.standardization.loc, scaled.standardization.scale
    layers = {n: params[f"decoder.{n}$params"]["linear"] for n in scaled.names}
    return LinearGaussian(
        {n: layer["kernel"].T * scale[n][:, None] for n, layer in layers.items()},
        {n: layer["bias"] * scale[n] + loc[n] for n, layer in layers.items()},
        1.0,
    )


def best(data: MultimodalData, bound: str, law: str) -> dict[str, float]:
    """Columns of the bound's exact joint optimum, for these rows and any posteriors.

    As `best_...`; `error_...` is the standard error of such a mean over rows.
    """
    if bound == "mixture":
        optimum = mixture_optimum(data, LATENTS, 1.0, LAWS[law])
        model, q = optimum.model, partial(optimum.posterior, data)
    else:
        model = maximum_likelihood(data, LATENTS, 1.0)
        q = partial(exact, model, data)
    rows = by_row(model, data, q)
    errors = {c: x.std(ddof=1) / len(x) ** 0.5 for c, x in rows.items()}
    return (
        {"best_gap": gap(model, data)}
        | {f"best_{c}": float(x.mean()) for c, x in rows.items()}
        | {f"error_{c}": float(x) for c, x in errors.items()}
    )


def by_row(
    model: LinearGaussian, data: MultimodalData, q: Callable[..., Mixture]
) -> dict[str, Float[np.ndarray, " rows"]]:
    """Columns of Table 1 but the gap, of posteriors `q(*names)`; nats.

    Full: E_{q(z|x)} log p(x | z) and KL(q(z|x) ‖ p(z)). Cross: E_{q(z|x_s)} log p(x_t | z)
    and KL(q(z|x) ‖ q(z|x_s)), means over s ≠ t.
    """
    names = data.names
    full, one = q(*names), {name: q(name) for name in names}
    pairs = [(s, t) for s in names for t in names if s != t]
    each = [expected_log(model, data, name, full) for name in names]
    crossed = [expected_log(model, data, t, one[s]) for s, t in pairs]
    return {
        "full_reconstruction": np.sum(each, 0),
        "full_rate": kl(full, [prior_of(data.size, LATENTS)]),
        "cross_reconstruction": np.mean(crossed, 0),
        "cross_rate": np.mean([kl(full, one[s]) for s in names], 0),
    }
