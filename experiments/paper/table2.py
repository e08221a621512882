"""Table 2: five Gaussian modalities, all latents shared, or shared and private ones.

Gap and mean correlations (Hirt et al. 2024, section 5.1). The gap is exact; correlations
are those of the exact posterior of the true model at best, computed on the same rows.
"""

from argparse import Namespace
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.infer import SVI

import consilience.guides as guides
from consilience.datasets import MultimodalData, Simulated, simulate_linear
from consilience.evaluation import Identification, identification
from consilience.experiments.linear_models import split_loadings
from consilience.experiments.paper.gaussian_laws import gap
from consilience.experiments.paper.rows import (
    AGGREGATIONS,
    BOUNDS,
    equivariant,
    invariant,
)
from consilience.experiments.paper.study import Budget, Cell
from consilience.experiments.paper.table2_page import section as section
from consilience.experiments.paper.training import train_seeds
from consilience.inference import STL, AnalyticKL, posterior
from consilience.models import (
    LinearDecoder,
    LinearGaussian,
    NormalLikelihood,
    multimodal_model,
    shared_private_model,
    standard_normal,
)
from consilience.training import adam, warm_up

TITLE = "Table 2: five Gaussian modalities"
BUDGETS = {
    "default": Budget(seeds=3, steps=1500, rows=5000, size="paper"),
    "fast": Budget(seeds=1, steps=600, rows=1000, size="few"),
    "full": Budget(seeds=5, steps=40_000, rows=5000, size="paper"),
}
BATCH, DRAWS = 500, 64
SETTLING, SIDE_BY_SIDE = ("gap", "mcc_samples"), False


class Size(NamedTuple):
    """Of data and networks.

    Attributes:
        dims: latents that all share, and private ones of each modality, by kind of data.
        modalities: M.
        widths: features of each modality; None: random ones, as in the paper.
        hidden: units of the networks' layers.
        rate: Adam's first learning rate; it decays to zero.
    """

    dims: dict[str, tuple[int, int]]
    modalities: int
    widths: tuple[int, ...] | None
    hidden: int
    rate: float


SIZES = {
    "paper": Size({"shared": (30, 0), "private": (5, 5)}, 5, None, 256, 3e-3),
    "few": Size({"shared": (4, 0), "private": (2, 2)}, 3, (8, 9, 10), 64, 1e-2),
}
# Units and rate of rows of size "paper" that at the others' lose latents.
OWN = {
    ("shared", "SelfAttention"): (256, 1e-3),
    ("private", "SelfAttention"): (64, 3e-3),
}
TRAINED = f"""\
Adam at {SIZES["paper"].rate:g} along a cosine, batches of {BATCH}, networks of
{SIZES["paper"].hidden} units, β from 0.1 to 1 over the first third of the steps, features
less their means; the paper: 1e-3, up to 4000 epochs, none of the rest. SelfAttention of 256
units lost latents at that rate in each of three seeds. With shared latents it has a third of
the rate; with private ones that was not enough after as many steps (a gap of .013 in a study
that is not kept), so that there it has networks of 64 units, at the others' rate.
"""


def cells(budget: Budget, options: Namespace) -> list[Cell]:
    """Both laws of the data, both bounds, every aggregation."""
    kinds = ("shared", "private")
    rows = [(k, b, a) for k in kinds for b in BOUNDS for a in AGGREGATIONS]
    if budget.size == "few":
        rows = [(k, "masked", "SumPooling") for k in kinds]
        rows = [("shared", "masked", "MoE"), *rows]
    found = []
    for case, bound, aggregation in rows:
        row = {"latents": case, "bound": bound, "aggregation": aggregation}
        settings = row | {"steps": budget.steps, "rows": budget.rows}
        settings["size"] = budget.size
        hidden, rate = _network(case, aggregation, budget.size)
        fixed = {"rate": rate, "batch": BATCH, "hidden": hidden}
        found.append(Cell(settings, partial(measure, **settings), fixed))
    return found


def measure(
    seeds: list[int],
    latents: str,
    bound: str,
    aggregation: str,
    steps: int,
    rows: int,
    size: str,
) -> list[dict]:
    """Gap and correlations of each seed, one after another: their data differ in width."""
    svi = _svi(latents, bound, aggregation, steps, size)
    found = []
    for seed in seeds:
        key = jax.random.fold_in(jax.random.key(0), seed)
        key_data, key_train, key_draw, key_exact = jax.random.split(key, 4)
        simulated = _simulated(key_data, latents, rows, size)
        data = centred(simulated.data)
        settings = {"steps": steps, "batch_size": BATCH, "beta": _warm(steps)}
        params = train_seeds(key_train[None], svi, [data], **settings)[0]
        model = _decoders(params, data, latents, size)
        draws = _draws(key_draw, svi.guide, params, data)
        shared = SIZES[size].dims[latents][0]
        figures = {"gap": gap(model, data)} | _correlations(simulated, draws, shared)
        found.append(figures | _exact(key_exact, simulated, shared))
    return found


def _network(latents: str, aggregation: str, size: str) -> tuple[int, float]:
    """Units of hidden layers, and Adam's first learning rate."""
    usual = (SIZES[size].hidden, SIZES[size].rate)
    return OWN.get((latents, aggregation), usual) if size == "paper" else usual


@lru_cache(maxsize=1)
def _warm(steps: int) -> Callable:
    """β from 0.1 to 1 over a third of the steps, or latents go unused for good."""
    return warm_up(max(steps // 3, 1), start=0.1)


def centred(data: MultimodalData) -> MultimodalData:
    """Less the mean of each feature: otherwise a latent becomes the bias and stays it."""
    values = {n: np.asarray(x) - np.asarray(x).mean(0) for n, x in data.values.items()}
    return MultimodalData.from_arrays(values)


def _simulated(rng_key, latents: str, rows: int, size: str) -> Simulated:
    chosen = SIZES[size]
    latent_dim, private_dim = chosen.dims[latents]
    return simulate_linear(
        rng_key,
        rows,
        latent_dim=latent_dim,
        private_dim=private_dim,
        num_modalities=chosen.modalities,
        widths=chosen.widths,
    )


@lru_cache(maxsize=1)
def _svi(latents: str, bound: str, aggregation: str, steps: int, size: str) -> SVI:
    width, rate = _network(latents, aggregation, size)
    latent_dim, private_dim = SIZES[size].dims[latents]
    encoder = partial(guides.MLPEncoder, hidden=(width, width))
    prior, likelihood = standard_normal(latent_dim), NormalLikelihood(1.0)
    if private_dim:
        model = shared_private_model(prior, private_dim, likelihood, LinearDecoder)
        parts = (encoder, equivariant(aggregation, width), width)
        guide = guides.shared_private_guide(latent_dim, private_dim, *parts)
    else:
        model = multimodal_model(prior, likelihood, LinearDecoder)
        pooling = invariant(aggregation, width)
        guide = guides.amortized_guide(latent_dim, encoder, pooling, width)
    elbo = BOUNDS[bound](estimator=AnalyticKL(otherwise=STL()))
    optimizer = adam(rate, steps, schedule="cosine")
    return SVI(model, guide, optimizer, elbo)


def _decoders(
    params: dict, data: MultimodalData, latents: str, size: str
) -> LinearGaussian:
    """The learned model, over the latent (z, w_1 .. w_M)."""
    layers = {n: params[f"decoder.{n}$params"]["linear"] for n in data.names}
    dense = {n: layer["kernel"].T for n, layer in layers.items()}
    loadings = split_loadings(dense, SIZES[size].dims[latents][0])
    return LinearGaussian(loadings, {n: x["bias"] for n, x in layers.items()}, 1.0)


def _draws(rng_key, guide, params: dict, data: MultimodalData) -> Array:
    """Posterior draws of (z, w_1 .. w_M), `[K, N, D]`."""
    drawn = posterior(rng_key, guide, params, data, num_samples=DRAWS)
    names = ["z", *(name for name in drawn if name != "z")]
    parts = [drawn[name].reshape(DRAWS, data.size, -1) for name in names]
    return jnp.concatenate(parts, -1)


def _exact(rng_key, simulated: Simulated, shared: int) -> dict[str, float]:
    """The true model's gap, and correlations of its exact posterior."""
    truth = LinearGaussian(*simulated.truth)
    law = truth.posterior(simulated.data)
    found = _correlations(simulated, law.sample(rng_key, (DRAWS,)), shared)
    found["gap"] = gap(truth, simulated.data)
    return {f"exact_{name}": value for name, value in found.items()}


def _correlations(simulated: Simulated, draws, shared: int) -> dict[str, float]:
    """Mean correlations up to an affine map (a rotation of z changes no likelihood).

    Of all latents, and where some are private of the `shared` first ones, too.
    """
    truth, draws = np.asarray(simulated.latents), np.asarray(draws)
    found = _figures("", identification(truth, draws))
    if shared < truth.shape[1]:
        alone = identification(truth[:, :shared], draws[..., :shared])
        found |= _figures("shared_", alone)
    return found


def _figures(prefix: str, found: Identification) -> dict[str, float]:
    return {
        f"{prefix}mcc_samples": found.samples.weak,
        f"{prefix}mcc_samples_out": found.samples.weak_out_of_sample,
        f"{prefix}mcc_means": found.means.weak,
        f"{prefix}mcc_means_out": found.means.weak_out_of_sample,
    }
