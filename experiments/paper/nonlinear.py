"""What Tables 3 and 4 share: rows, bounds, the injective decoder, figures of a fit."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key
from numpyro.infer import SVI

import consilience.guides as guides
from consilience.datasets import MultimodalData
from consilience.evaluation import identification
from consilience.experiments.paper.truth import Exact
from consilience.inference import (
    STL,
    AnalyticKL,
    MaskedELBO,
    MixtureELBO,
    Networks,
    log_likelihood,
    posterior,
)
from consilience.models import gaussian_mixture, multimodal_model, standard_normal
from consilience.nn import MLP

COMPONENTS, SLOPE, DRAWS = 5, 0.1, 16
BOUNDS = {"masked": MaskedELBO, "mixture": MixtureELBO}
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
# The rows of fast studies, with their bounds.
FEW = (
    ("SumPooling", "standard", "masked"),
    ("SumPoolingMixture", "mixture", "masked"),
    ("SumPoolingMixture", "mixture", "mixture"),
)


class Row(NamedTuple):
    """What a row of a table is trained with.

    Attributes:
        aggregation: a key of `aggregations`.
        prior: "standard" or "mixture", of five components.
        bound: a key of `BOUNDS`.
        beta: β of the bound.
        estimator: how mixture posteriors are drawn: "stratified" or "implicit".
    """

    aggregation: str
    prior: str
    bound: str
    beta: float = 1.0
    estimator: str = "stratified"


class InjectiveDecoder(nnx.Module):
    """x = a(z A + b) B + c with a LeakyReLU: injective where A and B have full rank.

    The true maps are of this form, and so are the published decoders.

    Args:
        latent_dim: D.
        event_shape: `(features,)`.
        width: of the hidden layer; by default that of the features.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        latent_dim: int,
        event_shape: tuple[int, ...],
        *,
        width: int | None = None,
        rngs: nnx.Rngs,
    ):
        (features,) = event_shape
        bent = partial(nnx.leaky_relu, negative_slope=SLOPE)
        hidden = (features if width is None else width,)
        self.net = MLP(latent_dim, hidden, features, activation=bent, rngs=rngs)

    def __call__(self, z: Float[Array, "rows latent"]) -> Float[Array, "rows features"]:
        return self.net(z)


def aggregations(width: int) -> Mapping[str, Callable]:
    """Constructors by name."""
    sizes = {"width": width, "hidden": (width,)}
    mixed = sizes | {"head": guides.MixtureHead(COMPONENTS)}
    return {
        "PoE": guides.ProductOfExperts,
        "MoE": guides.MixtureOfExperts,
        "SumPooling": partial(guides.SumPooling, **sizes),
        "SelfAttention": partial(guides.SelfAttention, **sizes),
        "SumPoolingMixture": partial(guides.SumPooling, **mixed),
        "SelfAttentionMixture": partial(guides.SelfAttention, **mixed),
    }


def svi_of(
    row: Row,
    latent_dim: int,
    likelihoods,
    networks: Networks,
    optimizer: optax.GradientTransformation,
) -> SVI:
    """The programs of a row; the width of features is that of aggregations, too."""
    mixed = gaussian_mixture(latent_dim, COMPONENTS)
    prior = {"standard": standard_normal(latent_dim), "mixture": mixed}[row.prior]
    model = multimodal_model(prior, likelihoods, networks.decoders)
    pooling = aggregations(networks.num_features)[row.aggregation]
    parts = (networks.encoders, pooling, networks.num_features)
    guide = guides.amortized_guide(latent_dim, *parts)
    how = {"stratified": row.estimator == "stratified"}
    estimator = AnalyticKL(otherwise=STL(**how), **how)
    elbo = BOUNDS[row.bound](beta=row.beta, estimator=estimator)
    return SVI(model, guide, optimizer, elbo)


def measured(
    rng_key: Key[Array, ""],
    svi: SVI,
    params: dict,
    data: MultimodalData,
    latents: Float[Array, "rows latent"],
    num_samples: int,
) -> dict[str, float]:
    """Log-likelihood in nats a row, and mean correlations with the true latents."""
    key_value, key_draw = jax.random.split(rng_key)
    programs = (svi.model, svi.guide, params, data)
    found = log_likelihood(key_value, *programs, num_samples=num_samples)
    draws = posterior(key_draw, svi.guide, params, data, num_samples=DRAWS)["z"]
    correlations = identification(latents, np.asarray(draws))
    return {
        "llh": float(np.asarray(found.value, float).mean()),
        "unreliable": float((found.pareto_k > 0.7).mean()),
        "mcc_samples": correlations.samples.strong,
        "mcc_means": correlations.means.strong,
    }


def of_truth(exact: Exact, latents: Float[Array, "rows latent"]) -> dict[str, float]:
    """The same figures of the true model."""
    llh = float(np.asarray(exact.log_likelihood, float).mean())
    found = {"llh": llh} | exact.ceilings(latents)
    return {f"exact_{name}": value for name, value in found.items()}
