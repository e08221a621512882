"""Model, guide and bound of MNIST-SVHN-Text (Hirt et al. 2024, appendix L).

Encoders and decoders have the paper's layers; `mst_sizes.py` has their widths.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from flax import nnx
from jaxtyping import Array, Float, Shaped
from numpyro.infer import SVI

import consilience.guides as guides
from consilience.experiments.paper.mst_data import TEXT
from consilience.experiments.paper.mst_sizes import SIZES, Size
from consilience.experiments.paper.rows import BOUNDS, NATURAL, equivariant, invariant
from consilience.inference import STL, AnalyticKL
from consilience.models import (
    ConvDecoder,
    LearnedLaplaceLikelihood,
    MLPDecoder,
    OneHotLikelihood,
    TextDecoder,
    multimodal_model,
    shared_private_model,
    standard_normal,
)
from consilience.nn import MLP, rectified
from consilience.training import adam

ENLARGED = ("PoE+", "MoE+")
# Pixels that are always black would have a density without end at scale zero.
LAPLACE = LearnedLaplaceLikelihood(initial_scale=0.2, min_scale=0.1)


class Case(NamedTuple):
    """What tells one training from another.

    Attributes:
        bound: a name of `BOUNDS`.
        aggregation: a name of `AGGREGATIONS` or `ENLARGED`, or `CORRECTED`.
        beta: weight of the rates.
        latents: "shared", or "private" for shared and private ones.
    """

    bound: str
    aggregation: str
    beta: float = 1.0
    latents: str = "shared"


class Deeper(nnx.Module):
    """An encoder with more dense layers behind it, for enlarged experts.

    Args:
        event_shape: of one measurement.
        num_features: F.
        encoder: constructor of the encoder.
        hidden: widths of the further layers.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_features: int,
        *,
        encoder: Callable,
        hidden: tuple[int, ...],
        rngs: nnx.Rngs,
    ):
        self.encoder = encoder(event_shape, num_features, rngs=rngs)
        self.net = MLP(num_features, hidden, num_features, rngs=rngs)

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        return self.net(nnx.relu(self.encoder(x)))


def unit_laplace(eta: Float[Array, "rows ..."], covariates):
    """x ~ Laplace(sigmoid(eta), scale), a learned scale for each pixel."""
    return LAPLACE(nnx.sigmoid(eta), covariates)


def relative_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, float]:
    """Of the likelihoods: the largest dimension over each one's own."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    return {name: max(sizes.values()) / size for name, size in sizes.items()}


@lru_cache(maxsize=1)
def program(
    case: Case, steps: int, size: str, shapes: tuple[tuple[str, tuple[int, ...]], ...]
) -> SVI:
    """The same object for the same arguments, so that it is compiled once.

    Args:
        case: bound, aggregation, β, latents.
        steps: updates, at which the learning rate ends.
        size: a name of `SIZES`.
        shapes: of the measurements, by modality.
    """
    sizes, of_rows = SIZES[size], dict(shapes)
    likelihoods = {
        n: OneHotLikelihood() if n == TEXT else unit_laplace for n in of_rows
    }
    parts = (likelihoods, _decoders(of_rows, sizes))
    encoders = _encoders(case, of_rows, sizes)
    name = case.aggregation.removesuffix("+")
    if case.latents == "private":
        latent, private = sizes.private
        model = shared_private_model(standard_normal(latent), private, *parts)
        pooling = equivariant(name, sizes.width, NATURAL)
        guide = guides.shared_private_guide(
            latent, private, encoders, pooling, sizes.width
        )
    else:
        model = multimodal_model(standard_normal(sizes.latent), *parts)
        pooling = invariant(name, sizes.width, NATURAL)
        guide = guides.amortized_guide(sizes.latent, encoders, pooling, sizes.width)
    elbo = BOUNDS[case.bound](
        beta=case.beta,
        weights=relative_weights(of_rows),
        estimator=AnalyticKL(otherwise=STL()),
    )
    optimizer = adam(sizes.rate, steps, schedule="cosine")
    return SVI(model, guide, optimizer, elbo)


def _decoders(shapes: dict, sizes: Size) -> dict[str, Callable]:
    kinds = {
        "mnist": partial(MLPDecoder, hidden=sizes.dense),
        TEXT: partial(TextDecoder, channels=sizes.detext, hidden=(sizes.width,)),
    }
    conv = partial(ConvDecoder, channels=sizes.deconv, hidden=(sizes.width,))
    return {name: rectified(kinds.get(name, conv)) for name in shapes}


def _encoders(case: Case, shapes: dict, sizes: Size) -> dict[str, Callable]:
    kinds = {
        "mnist": partial(guides.MLPEncoder, hidden=sizes.dense),
        TEXT: partial(guides.TextEncoder, channels=sizes.text),
    }
    conv = partial(guides.ConvEncoder, channels=sizes.conv)
    found = {name: kinds.get(name, conv) for name in shapes}
    if case.aggregation in ENLARGED:
        deeper = partial(Deeper, hidden=(2 * sizes.width, 2 * sizes.width))
        found = {name: partial(deeper, encoder=each) for name, each in found.items()}
    return {name: rectified(each) for name, each in found.items()}
