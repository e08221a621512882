"""The generative model: one shared latent cause, one likelihood per modality."""

import math
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool
from numpyro import handlers

from consilience.datasets.data import MultimodalData
from consilience.models.decoders import MLPDecoder
from consilience.models.likelihoods import Likelihood, num_outputs
from consilience.models.priors import Prior, law_of
from consilience.nn.kinds import checked_kinds
from consilience.nn.lazy import module
from consilience.nn.recipes import recorded
from consilience.nn.spec import per_modality

Model = Callable[..., None]


@recorded
@checked_kinds
def multimodal_model(
    prior: Prior,
    likelihoods: Likelihood | Mapping[str, Likelihood],
    decoders: Callable | Mapping[str, Callable] = MLPDecoder,
    *,
    label: str | None = None,
) -> Model:
    """z ~ p(z), x_s | z ~ p(x_s | decoder_s(z)) independently (Hirt et al. 2024, sec. 2).

    With `label`, one modality u is the component of a mixture prior that a row comes from,

        p(z, u = c) = π_c p_c(z),    so that    p(u = c | z) = π_c p_c(z) / p(z)

    which is the model of Khemakhem et al. 2020 (Variational Autoencoders and Nonlinear ICA,
    equation 5) with the label as a modality: it may be missing, and be predicted. Labels
    then say what components are, and help to find sources that a decoder of labels often
    misses. With β other than 1 the two factors p(z) and p(u | z) are weighted apart.

    Args:
        prior: function without arguments, or of the covariates, that returns p(z), as in
            `PRIORS`.
        likelihoods: one for all modalities, or by name, as in `LIKELIHOODS`.
        decoders: constructor of the networks, for all modalities or by name, as in
            `DECODERS`.
        label: a modality of integers 0 .. K - 1, `[N]` or `[N, 1]`, for a prior of K
            components. It has neither likelihood nor decoder: mappings by name are of the
            others. Component c is label c: start the prior accordingly
            (`semitied_clusters` with `labels`; `gaussian_mixture(start=points)` and
            pseudo-inputs of a VampPrior have an order of their own).

    Returns:
        `model(data, subset=None)`: samples "z" `[N, D]` and one site per modality,
        observed where `data` has its values and generated where it has not; a modality
        outside `subset` counts nothing.

    Raises, when the model runs:
        ValueError: mappings are not of the modalities; `label` is none of them, or not one
            integer a row.
        TypeError: `label` is given, and the prior is no mixture.
    """
    observe_all = decoded(likelihoods, decoders)

    def model(
        data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> None:
        p_z = law_of(prior, data.covariates)
        with data.plate():
            z = numpyro.sample("z", p_z)
            if label is not None:
                observe(data, label, _component(label, data, p_z, z), subset)
            observe_all(data, [None if n == label else z for n in data.names], subset)

    return model


def _component(
    label: str, data: MultimodalData, p_z: dist.Distribution, z: Array
) -> dist.Distribution:
    """p(c | z) of a mixture."""
    _check_label(label, data, p_z)
    logits = p_z.component_log_probs(z)
    shape = data.event_shapes[data.index(label)]  # (), or (1,) of tables
    return dist.Categorical(logits=logits.reshape(data.size, *shape, -1))


def _check_label(label: str, data: MultimodalData, p_z: dist.Distribution) -> None:
    if label not in data.names:
        raise ValueError(
            f"label: expected one of the modalities {', '.join(data.names)}, got {label!r}"
        )
    if not isinstance(p_z, dist.MixtureSameFamily):
        raise TypeError(
            f"label: expected a prior that is a mixture, whose component {label!r} says, "
            f"got {type(p_z).__name__}"
        )
    shape, values = data.event_shapes[data.index(label)], data.values.get(label)
    kind = jnp.int32 if values is None else values.dtype  # None: it is generated
    if math.prod(shape) != 1 or not jnp.issubdtype(kind, jnp.integer):
        raise ValueError(
            f"label: expected one integer a row in modality {label!r}, got {kind} of shape "
            f"{shape}; rows that have none are masked ones, or said by `present`"
        )


def decoded(
    likelihoods: Likelihood | Mapping[str, Likelihood],
    decoders: Callable | Mapping[str, Callable],
) -> Callable[..., None]:
    """`observe_all(data, latents, subset)`: x_s ~ p(x_s | decoder_s(latents[s])).

    Modalities whose latents are None are left out.
    """
    likelihood_of = per_modality("likelihoods", likelihoods)
    decoder_of = per_modality("decoders", decoders)

    def observe_all(data, latents, subset) -> None:
        by_name = zip(data.names, data.event_shapes, latents, strict=True)
        given = [each for each in by_name if each[-1] is not None]
        names = tuple(name for name, *_ in given)
        for name, event_shape, latent in given:
            likelihood = likelihood_of(name, names)
            outputs = num_outputs(likelihood, event_shape)
            shape = event_shape if outputs is None else (*event_shape, outputs)
            make = decoder_of(name, names)
            eta = module(f"decoder.{name}", make, latent.shape[-1], shape)(latent)
            with handlers.scope(prefix=name, divider="."):
                p_x = likelihood(eta, data.covariates)
            observe(data, name, p_x, subset)

    return observe_all


def observe(
    data: MultimodalData,
    name: str,
    distribution: dist.Distribution,
    subset: Bool[Array, "rows modalities"] | None = None,
) -> Array:
    """Sample one modality, observed where it was measured; call it inside the plate.

    Args:
        data: the rows.
        name: the modality, and the name of the site.
        distribution: p(x_s | z), independent between entries where single ones are
            missing (`.to_event(...)` or not, as you like).
        subset: modalities that count, as the model got it.

    Raises:
        TypeError: no distribution.
        ValueError: the distribution's shape is not that of the modality; single entries
            are missing, but the distribution is joint over them; it is categorical,
            and values are no integers.
    """
    if not isinstance(distribution, dist.Distribution):
        raise TypeError(
            f"modality {name!r}: expected a distribution p(x | z), got {distribution!r}"
        )
    while isinstance(distribution, dist.Independent):
        distribution = distribution.base_dist
    event_shape = data.event_shapes[data.index(name)]
    shape = distribution.batch_shape + distribution.event_shape
    if shape != (data.size, *event_shape):
        raise ValueError(
            f"modality {name!r}: expected a likelihood of shape "
            f"{(data.size, *event_shape)}, got {shape}"
        )
    dims = len(distribution.batch_shape) - 1
    if name in data.entries:
        distribution = distribution.mask(_entry_mask(data, name, distribution))
    value = data.filled(name) if name in data.values else None
    _check_indices(name, distribution, value)
    with handlers.mask(mask=data.subset(subset)[:, data.index(name)]):
        return numpyro.sample(name, distribution.to_event(dims), obs=value)


def _check_indices(name: str, fn: dist.Distribution, value: Array | None) -> None:
    """Refuse floats where categories are counted: NaN has made them such."""
    while isinstance(fn, dist.MaskedDistribution):
        fn = fn.base_dist
    kinds = (dist.CategoricalLogits, dist.CategoricalProbs)
    if value is None or not isinstance(fn, kinds):
        return
    if not jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(
            f"modality {name!r}: expected whole numbers for a categorical likelihood, got "
            f"{value.dtype}; where labels are missing as NaN, pass "
            "np.ma.array(np.nan_to_num(x).astype(int), mask=np.isnan(x))"
        )


def _entry_mask(data: MultimodalData, name: str, fn: dist.Distribution) -> Array:
    """Entries that count; a one-hot vector counts if all of it was measured."""
    mask = data.observed(name)
    if fn.event_dim == 0:
        return mask
    if isinstance(fn, dist.MultinomialLogits | dist.MultinomialProbs):
        return mask.all(-1)
    raise ValueError(
        f"modality {name!r}: single entries are missing; expected a likelihood that is "
        f"independent between entries, got {type(fn).__name__}, which is joint over them"
    )
