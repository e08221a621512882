"""Models with a shared latent and a private one for each modality, and private priors."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool

from consilience.datasets.data import MultimodalData
from consilience.models.decoders import MLPDecoder
from consilience.models.likelihoods import Likelihood
from consilience.models.multimodal import Model, decoded
from consilience.models.priors import Prior, law_of
from consilience.nn.kinds import checked_kinds
from consilience.nn.lazy import module
from consilience.nn.mlp import MLP, check_widths
from consilience.nn.private import (
    PrivatePrior,
    check_private_dim,
    private_law,
    standard_private,
    used_dimensions,
)
from consilience.nn.recipes import recorded
from consilience.nn.sizes import check_numbers


@recorded
def learned_private(
    hidden: Sequence[int] = (64,), min_scale: float = 1e-3
) -> PrivatePrior:
    """p(w_s | z) = N(μ_s(z), diag σ_s(z)²), learned; hand it to model *and* guide.

    Both then share its parameters, and an absent private latent costs nothing.

    Args:
        hidden: hidden layers of the network from z to all means and log-scales.
        min_scale: floor of the standard deviation.

    Raises:
        ValueError: a size or `min_scale` is not positive.
    """
    check_widths(1, hidden)
    check_numbers(min_scale=min_scale)

    def private_prior(z, names, width) -> dist.Distribution:
        outputs = 2 * len(names) * width
        network = module("private_prior", _network(tuple(hidden)), z.shape[-1], outputs)
        loc, raw = jnp.split(network(z), 2, -1)
        shape = (*z.shape[:-1], len(names), width)
        return dist.Normal(loc.reshape(shape), min_scale + jnp.exp(raw).reshape(shape))

    return private_prior


def _network(hidden: tuple[int, ...]) -> Callable:
    def make(latent_dim, outputs, *, rngs):
        return MLP(latent_dim, hidden, outputs, rngs=rngs)

    return make


@recorded
@checked_kinds
def shared_private_model(
    prior: Prior,
    private_dim: int | Mapping[str, int],
    likelihoods: Likelihood | Mapping[str, Likelihood],
    decoders: Callable | Mapping[str, Callable] = MLPDecoder,
    private_prior: PrivatePrior = standard_private,
) -> Model:
    """z ~ p(z), w_s ~ p(w_s | z), x_s ~ p(x_s | decoder_s(z, w_s)) independently.

    Hirt et al. 2024, section 3.2. All private latents have one width W, so that they can
    be exchanged; where `private_dim` differs by modality, W is the largest and decoders
    do not see the dimensions that a modality has too many.

    Args:
        prior: function without arguments, or of the covariates, that returns p(z), as in
            `PRIORS`.
        private_dim: W, or by modality.
        likelihoods: one for all modalities, or by name, as in `LIKELIHOODS`.
        decoders: constructor of the networks from (z, w_s), for all modalities or by
            name, as in `DECODERS`.
        private_prior: p(w | z) as a function of z, the names and W that returns a Normal
            with batch `[N, M, W]`, as in `PRIVATE_PRIORS`. Begin the names of parameters
            of your own with "private_prior": bounds then know them for the model's.

    Returns:
        `model(data, subset=None)` with sites "z" `[N, D]` and "w" `[N, M, W]`, and one
        for each modality, as in `multimodal_model`.

    Raises:
        ValueError: a width is not positive, or its modalities are not those of the data.
    """
    check_private_dim(private_dim)
    observe_all = decoded(likelihoods, decoders)

    def model(
        data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> None:
        p_z = law_of(prior, data.covariates)
        used = used_dimensions(private_dim, data.names)
        with data.plate():
            z = numpyro.sample("z", p_z)
            p_w = private_law(private_prior, z, data.names, used.shape[-1])
            w = numpyro.sample("w", p_w.to_event(2))
            own = jnp.where(used, w, 0.0)
            latents = [
                jnp.concatenate([z, own[:, index]], -1) for index in range(len(used))
            ]
            observe_all(data, latents, subset)

    return model


PRIVATE_PRIORS = {"standard": lambda: standard_private, "learned": learned_private}
