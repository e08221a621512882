"""VampPrior: a mixture of the guide's own posteriors at learned pseudo-inputs."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro import handlers

from consilience.datasets.data import MultimodalData
from consilience.models.priors import Prior

Guide = Callable[..., None]


def vamp_prior(guide: Guide, pseudo_inputs: MultimodalData, site: str = "z") -> Prior:
    """p(z) = 1/K Σ_k q(z | u^k) (Tomczak & Welling 2018; Hirt et al. 2024, equation 5).

    The pseudo-inputs u^1..u^K are learned, and the guide's parameters are its own: model
    and guide share them by name. Choose rows of the training data to begin with, as in

        prior = cs.vamp_prior(guide, train.take(rows))

    Means and scales of the components move with the encoder; under sticking the landing
    the density of the prior keeps its full gradient.

    Args:
        guide: q(z | x_S), as given to SVI.
        pseudo_inputs: K rows to start from. What is missing in them stays missing;
            integers (indices, counts) stay what they are.
        site: name of the latent.

    Raises:
        TypeError: `pseudo_inputs` is no `MultimodalData`.
    """
    if not isinstance(pseudo_inputs, MultimodalData):
        raise TypeError(
            "pseudo_inputs: expected MultimodalData, such as data.take(rows), got "
            f"{type(pseudo_inputs).__name__}"
        )
    start = pseudo_inputs.bare()

    def prior() -> dist.Distribution:
        q = posterior_of(guide, learned_rows(start), site)
        logits = jnp.zeros(start.size)
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), q)

    return prior


def learned_rows(start: MultimodalData) -> MultimodalData:
    """The rows, each modality of floating numbers as the parameter "prior.pseudo.…"."""
    values = {
        name: numpyro.param(f"prior.pseudo.{name}", value)
        if jnp.issubdtype(value.dtype, jnp.floating)
        else value
        for name, value in start.values.items()
    }
    return dataclasses.replace(start, values=values)


def posterior_of(guide: Guide, rows: MultimodalData, site: str) -> dist.Distribution:
    """q(site | all of each row); of the guide's sites only parameters are seen outside."""
    seeded = handlers.seed(guide, jax.random.key(0))  # its draw is not used
    with handlers.block(hide_fn=lambda site: site["type"] != "param"):
        return handlers.trace(seeded).get_trace(rows)[site]["fn"]
