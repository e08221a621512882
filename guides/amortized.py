"""The amortised guide: encoders, an aggregation over any subset, a distribution."""

import functools
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree

from consilience.datasets.data import MultimodalData
from consilience.guides.encoders import usual_encoder
from consilience.guides.equivariant import EquivariantAggregation
from consilience.guides.roles import Aggregation
from consilience.guides.sum_pooling import SumPooling
from consilience.nn.kinds import checked_kinds
from consilience.nn.lazy import module
from consilience.nn.recipes import recorded
from consilience.nn.sizes import check_positive
from consilience.nn.spec import per_modality

Guide = Callable[..., None]


@recorded
@checked_kinds
def amortized_guide(
    latent_dim: int,
    encoders: Callable | Mapping[str, Callable] | None = None,
    aggregation: Callable = SumPooling,
    num_features: int = 128,
) -> Guide:
    """q(z | x_S) for any subset S: encode each modality once, pool what S has.

    Args:
        latent_dim: D, the width of "z".
        encoders: constructor of the networks x_s → h_s, for all modalities or by name,
            as in `ENCODERS`; None for `usual_encoder` of each, an `MLPEncoder`.
        aggregation: constructor of the pooling, as in `AGGREGATIONS`.
        num_features: F, the width of h_s.

    Returns:
        `guide(data, subset=None)`: samples "z" `[N, D]` from q(z | x_subset). What does
        not depend on the subset is registered once, as the site "features"; an
        aggregation's attention weights are the site "attention".

    Raises:
        TypeError: an encoder or the aggregation is not a constructor.
    """
    check_aggregation(aggregation, equivariant=False)
    encoder_of = encoder_look_up(encoders)
    check_positive(latent_dim=latent_dim, num_features=num_features)

    def guide(
        data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> None:
        pooling = module("aggregation", aggregation, num_features, latent_dim)
        h = encode(data, encoder_of, num_features)
        q_z, _ = pooled(pooling, h, data.subset(subset))
        with data.plate():
            numpyro.sample("z", q_z)

    return guide


def pooled(
    pooling: nnx.Module,
    h: Float[Array, "rows modalities features"],
    subset: Bool[Array, "rows modalities"],
) -> tuple[dist.Distribution, PyTree[Float[Array, "rows modalities ..."]]]:
    """q(z | x_S) and the embedded features; those and attention weights are sites."""
    embedded = numpyro.deterministic("features", pooling.embed(h))
    weights = getattr(pooling, "attention_weights", lambda *_: None)(embedded, subset)
    if weights is not None:
        numpyro.deterministic("attention", weights)
    return pooling.distribution(pooling.pool(embedded, subset)), embedded


def check_aggregation(aggregation: Callable, equivariant: bool) -> None:
    """Refuse an aggregation that cannot be called or is of another role.

    Raises:
        TypeError: naming the argument.
    """
    if not callable(aggregation):
        raise TypeError(f"aggregation: expected a constructor, got {aggregation!r}")
    made = aggregation
    while isinstance(made, functools.partial):
        made = made.func
    ours = isinstance(made, type) and issubclass(made, Aggregation)
    if ours and issubclass(made, EquivariantAggregation) != equivariant:
        registry = "EQUIVARIANT_AGGREGATIONS" if equivariant else "AGGREGATIONS"
        raise TypeError(
            f"aggregation: expected one of {registry}, got {made.__name__}; private latents "
            "need shared_private_guide and an equivariant aggregation, which takes z's "
            "own as `shared`"
        )


def encoder_look_up(
    encoders: Callable | Mapping[str, Callable] | None,
) -> Callable[[MultimodalData, str], Callable]:
    """`encoder_of(data, name)`: what was chosen, or what is usual for such values."""
    chosen = None if encoders is None else per_modality("encoders", encoders)

    def encoder_of(data: MultimodalData, name: str) -> Callable:
        if chosen is not None:
            return chosen(name, data.names)
        shape = data.event_shapes[data.index(name)]
        return usual_encoder(data.values[name].dtype, shape)

    return encoder_of


def encode(
    data: MultimodalData, encoder_of: Callable, num_features: int
) -> Float[Array, "rows modalities features"]:
    """H `[N, M, F]`: the features of every modality, each from its own encoder."""
    features = []
    for name in data.names:
        x = encoder_input(data, name)
        make = encoder_of(data, name)
        encoder = module(f"encoder.{name}", make, x.shape[1:], num_features)
        features.append(encoder(x))
    return jnp.stack(features, -2)


def encoder_input(data: MultimodalData, name: str) -> Array:
    """Zero-filled values, stacked with their mask where single entries are missing."""
    if name not in data.values:
        raise ValueError(
            f"modality {name!r}: expected values to encode, got data without them"
        )
    value = data.filled(name)
    if name not in data.entries:
        return value
    return jnp.stack([value, data.observed(name).astype(value.dtype)], -1)
