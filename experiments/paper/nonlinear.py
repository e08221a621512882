"""What Tables 3 and 4 share: rows, bounds, how they are trained, figures of a fit."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from numpyro.infer import SVI

import consilience.guides as guides
from consilience.datasets import MultimodalData
from consilience.datasets.nonlinear_simulators import LABEL
from consilience.evaluation import identification
from consilience.experiments.paper.likelihoods import summarized
from consilience.experiments.paper.rows import BOUNDS, PLAIN, Style, invariant
from consilience.experiments.paper.training import train_seeds
from consilience.experiments.paper.truth import Exact
from consilience.inference import (
    STL,
    AnalyticKL,
    Networks,
    log_likelihood,
    posterior,
)
from consilience.models import (
    gaussian_mixture,
    multimodal_model,
    semitied_clusters,
    semitied_mixture,
    sources,
    standard_normal,
)
from consilience.models.multimodal import Model
from consilience.nn.executables import Program
from consilience.training import adam

COMPONENTS, DRAWS, HOT, CLIP = 5, 64, 100.0, 20.0
BOUND_DRAWS = 20  # the subset is drawn, too
# Aggregation and prior of each row; those named Mixture have a mixture posterior, too.
ROWS = (
    ("PoE", "standard"),
    ("MoE", "standard"),
    ("SumPooling", "standard"),
    ("SelfAttention", "standard"),
    ("SumPooling", "mixture"),
    ("SelfAttention", "mixture"),
    ("SumPoolingMixture", "mixture"),
    ("SelfAttentionMixture", "mixture"),
)
MIXTURES = ROWS[-2:]
MIXTURE_PRIORS = tuple(row for row in ROWS if row[1] == "mixture")
# The rows of fast studies, with their bounds.
FEW = (
    ("SumPooling", "standard", "masked"),
    ("SumPooling", "standard", "mixture"),
    ("SumPooling", "mixture", "masked"),
)


class Row(NamedTuple):
    """What a row of a table is trained with.

    Attributes:
        aggregation: one of `AGGREGATIONS`; …Mixture has a mixture posterior.
        prior: "standard"; "mixture", of five components; or "labelled", a mixture whose
            components are the labels.
        bound: a key of `BOUNDS`.
        beta: β of the bound.
        estimator: how mixture posteriors are drawn: "stratified" or "implicit".
        start: "anywhere"; at the "truth": decoder and prior begin as the true ones; or from
            "clusters", which a first half of the steps finds under a standard prior.
    """

    aggregation: str
    prior: str
    bound: str
    beta: float = 1.0
    estimator: str = "stratified"
    start: str = "anywhere"


@lru_cache(maxsize=4)
def cooling(beta: float, steps: int) -> Callable:
    """β by step: a hundred times as large at first, as if σ were ten times as large.

    It comes down to its own value over a third of the steps, geometrically. Without,
    clusters of latents freeze where they first are, and mixtures sometimes diverge.
    """

    def at(step):
        return beta * jnp.maximum(1.0, HOT ** (1 - step / max(steps / 3, 1)))

    return at


def svi_of(
    row: Row,
    latent_dim: int,
    likelihoods,
    networks: Networks,
    rate: float,
    steps: int,
    style: Style = PLAIN,
) -> SVI:
    """The programs of a row; the width of features is that of aggregations, too."""
    model = _model(row, latent_dim, likelihoods, networks.decoders)
    name = row.aggregation.removesuffix("Mixture")
    mixed = name != row.aggregation
    components = COMPONENTS if mixed else None
    pooling = invariant(name, networks.num_features, style, components)
    parts = (networks.encoders, pooling, networks.num_features)
    guide = guides.amortized_guide(latent_dim, *parts)
    how = {"stratified": row.estimator == "stratified"}
    estimator = AnalyticKL(otherwise=STL(**how), **how)
    elbo = BOUNDS[row.bound](beta=row.beta, estimator=estimator)
    optimizer = adam(rate, steps, schedule="cosine", clip_norm=CLIP)
    return SVI(model, guide, optimizer, elbo)


def _model(row: Row, latent_dim: int, likelihoods: Mapping, decoders: Mapping) -> Model:
    """The model of a row; where labels are the prior's components they are not decoded."""
    mixture = semitied_mixture if row.start == "clusters" else gaussian_mixture
    if row.prior == "standard":
        return multimodal_model(standard_normal(latent_dim), likelihoods, decoders)
    prior = mixture(latent_dim, COMPONENTS)
    if row.prior == "mixture":
        return multimodal_model(prior, likelihoods, decoders)
    others = (
        {name: each for name, each in given.items() if name != LABEL}
        for given in (likelihoods, decoders)
    )
    return multimodal_model(prior, *others, label=LABEL)


def trained(
    rng_keys: Key[Array, " seeds"],
    programs: Callable[[Row, int], SVI],
    row: Row,
    data: Sequence[MultimodalData],
    *,
    steps: int,
    batch_size: int,
    cool: Callable[[float, int], Callable] | None = None,
    start: Sequence[dict] | None = None,
) -> tuple[SVI, list[dict]]:
    """A row's programs and each seed's parameters; from clusters, trained in two halves.

    The first half is under a standard prior; clusters of its posterior draws are where the
    mixture begins (`semitied_mixture`: it may turn its latents).

    Args:
        rng_keys: one key a seed.
        programs: of a row, for a number of steps.
        row: how it is trained.
        data: training rows of each seed.
        steps: of both halves together.
        batch_size: rows a step.
        cool: β by step, of the row's β and the steps; in the first half only.
        start: of each seed, values that parameters begin at.
    """
    if row.start == "clusters":
        plain = row._replace(prior="standard", start="anywhere")
        half, keys = steps // 2, jax.vmap(partial(jax.random.split, num=3))(rng_keys)
        more = {"batch_size": batch_size, "cool": cool}
        first, found = trained(keys[:, 0], programs, plain, data, steps=half, **more)
        begun = zip(keys[:, 1], found, data, strict=True)
        labelled = row.prior == "labelled"
        start = [_clustered(key, first.guide, *each, labelled) for key, *each in begun]
        rng_keys, steps, cool = keys[:, 2], steps - half, None
    svi, beta = programs(row, steps), cool and cool(row.beta, steps)
    how = {"steps": steps, "batch_size": batch_size, "beta": beta, "start": start}
    return svi, train_seeds(rng_keys, svi, data, **how)


def _clustered(
    rng_key, guide, params: dict, data: MultimodalData, labelled: bool
) -> dict:
    """Parameters with those of a mixture prior at the clusters of one draw a row."""
    drawn = posterior(rng_key, guide, params, data, num_samples=1)["z"][0]
    labels = data.values[LABEL] if labelled else None
    return params | semitied_clusters(np.asarray(drawn), COMPONENTS, labels).params()


def measured(
    rng_key: Key[Array, ""],
    svi: SVI,
    params: dict,
    data: MultimodalData,
    latents: Float[Array, "rows latent"],
    num_samples: int,
) -> dict[str, float]:
    """Log-likelihood and bound in nats a row, mean correlations with the true latents."""
    key_value, key_draw, key_bound = jax.random.split(rng_key, 3)
    programs = (svi.model, svi.guide, params, data)
    found = log_likelihood(key_value, *programs, num_samples=num_samples)
    likelihood = summarized(found)
    draws = posterior(key_draw, svi.guide, params, data, num_samples=DRAWS)["z"]
    found_sources = sources(params, draws) if "prior.unmixing" in params else draws
    correlations = identification(latents, np.asarray(found_sources))
    keys = jax.random.split(key_bound, BOUND_DRAWS)
    losses = Program(partial(_losses, svi))(keys, params, data)
    return {
        "bound": -float(losses.mean()) / data.size,
        "llh": likelihood.mean,
        "unreliable": likelihood.unreliable,
        "mcc_samples": correlations.samples.strong,
        "mcc_means": correlations.means.strong,
    }


def _losses(svi: SVI, rng_keys, params: dict, data: MultimodalData):
    def loss(key):
        return svi.loss.loss(key, params, svi.model, svi.guide, data)

    return jax.lax.map(loss, rng_keys)


def of_truth(exact: Exact, latents: Float[Array, "rows latent"]) -> dict[str, float]:
    """The same figures of the true model."""
    llh = float(np.asarray(exact.log_likelihood, float).mean())
    share = float(exact.effective_share.mean())
    found = {"llh": llh, "effective_share": share} | exact.ceilings(latents)
    return {f"exact_{name}": value for name, value in found.items()}
