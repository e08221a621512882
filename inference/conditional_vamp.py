"""The conditional VampPrior: pseudo-inputs stand in for what a subset lacks."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.nn import logsumexp
from jaxtyping import Array, Bool, Float, Key, PyTree

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.models.vamp import VampPrior


class EqualMixture(dist.Distribution):
    """1/K Σ_k q_k, of which only the density is wanted.

    Args:
        components: q_k, every leaf with a leading axis of K.
    """

    arg_constraints = {}  # noqa: RUF012 (as NumPyro has it)
    pytree_data_fields = ("components",)

    def __init__(self, components: dist.Distribution):
        self.components = components
        super().__init__(components.batch_shape, components.event_shape)

    def log_prob(self, value: Array) -> Float[Array, " rows"]:
        """Its log-density."""
        each = jax.vmap(lambda q: q.log_prob(value))(self.components)
        return logsumexp(each, 0) - jnp.log(len(each))


def conditional_vamp(
    rng_key: Key[Array, ""],
    prior: VampPrior,
    params: dict,
    features: PyTree[Float[Array, "rows modalities ..."]],
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"],
) -> EqualMixture:
    r"""1/K Σ_k q(z | u^k_\S, x_S), \S = O \ S (Hirt et al. 2024, Remark 3).

    Features of x_S and u^k_\S are pooled together; a modality that u^k lacks stays out.

    Args:
        rng_key: of what is random in the guide beside its draws.
        prior: guide and pseudo-inputs.
        params: learned parameters of both.
        features: what the guide registered as "features" for `data`.
        data: N rows.
        subset: S.
    """
    learned = {name: params[p] for name, p in prior.parameters.items()}
    pseudo = prior.with_values(learned)
    trace = programs.run(prior.guide, params, rng_key, {}, pseudo, pseudo.present)

    def component(key, features_u, present_u) -> dist.Distribution:
        given = jax.tree.map(lambda x, u: _where(subset, x, u), features, features_u)
        both = subset | (data.present & present_u)
        fixed = programs.with_features(given)
        found = programs.run(prior.guide, params, key, fixed, data, both)
        return found[prior.site]["fn"]

    keys = jax.random.split(rng_key, pseudo.size)
    each = (keys, programs.features(trace), pseudo.present)
    return EqualMixture(jax.vmap(component)(*each))


def _where(members: Bool[Array, "rows modalities"], own: Array, pseudo: Array) -> Array:
    return jnp.where(
        members.reshape(*members.shape, *[1] * (own.ndim - 2)), own, pseudo
    )


def check_conditional(
    prior: VampPrior, guide, params: dict, data: MultimodalData
) -> None:
    """Refuse a VampPrior of another guide, of other modalities, or that is not learned.

    Raises:
        ValueError: naming what differs.
    """
    if prior.guide is not guide:
        raise ValueError(
            "conditional_prior: expected a vamp_prior of the guide that SVI has, got one "
            "of another guide"
        )
    if prior.start.names != data.names:
        raise ValueError(
            f"conditional_prior: expected pseudo-inputs of {', '.join(data.names)}, got "
            f"{', '.join(prior.start.names)}"
        )
    missing = [name for name in prior.parameters.values() if name not in params]
    if missing:
        raise ValueError(
            "conditional_prior: expected the prior of the model, whose pseudo-inputs are "
            f"learned, got a model without the parameters {', '.join(missing)}"
        )
