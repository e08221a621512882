"""Objectives for mixtures of experts: each expert draws, every draw is decoded."""

from typing import final

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Key
from numpyro.distributions.kl import kl_divergence

from consilience.datasets.data import MultimodalData
from consilience.guides.auxiliary import AUXILIARY
from consilience.inference import programs
from consilience.inference.elbo import MultimodalELBO, Values
from consilience.inference.estimators import Estimator, Pathwise
from consilience.inference.importance_weighted import WeightedELBO
from consilience.inference.reductions import average_of_logs
from consilience.inference.terms import Terms, Views, everything


def require_experts(
    bound: str, sites: programs.Sites, guide_trace: dict, data: MultimodalData
) -> None:
    """Refuse a guide whose first site is not a mixture of one expert a modality.

    Only the number of components can be told: that the s-th is the expert of the s-th
    modality, and that present ones weigh the same, is `MixtureOfExperts`' to keep.

    Raises:
        TypeError: naming what came.
    """
    fn, count = guide_trace[sites.root]["fn"], len(data.names)
    components = fn.mixture_size if programs.is_mixture(fn) else 1
    if components != count or not programs.is_mixture(fn):
        raise TypeError(
            f"guide: site {sites.root!r}: expected a mixture of {count} experts, one a "
            f"modality, for {bound}, got {programs.name_of(fn)} of {components}; use "
            "MixtureOfExperts"
        )


class ExpertsELBO(WeightedELBO):
    """1/|O| Σ_{s∈O} log 1/K Σ_k w(z^s_k): K draws of each expert, all are decoded."""

    def __init__(self, num_samples: int = 8, **settings):
        super().__init__(num_samples, **settings)
        if not self.stratified:
            raise ValueError(
                f"estimator: expected a stratified one for {type(self).__name__}, in "
                f"which every expert draws, got {self.estimator!r}"
            )

    def _check_bias(self, estimator: Estimator) -> None:
        """The published form is for these; it has warned."""

    def check(self, sites, guide_trace, data) -> None:
        require_experts(type(self).__name__, sites, guide_trace, data)

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        return everything(present)

    def reduce(
        self, values: Values, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        return average_of_logs(*values, beta)


@final
class MixtureOfExpertsELBO(ExpertsELBO):
    """MMVAE (Shi et al. 2019): 1/|O| Σ_{s∈O} E log 1/K Σ_k p(x_O, z_k) / q_MoE(z_k | x_O).

    z_1..z_K ~ q(z | x_s). The guide's first site is a mixture of one expert a modality, as
    from `MixtureOfExperts`; M experts, M modalities and K draws are decoded in one call.

    Args:
        num_samples: K.
        estimator: `DReG()`, or `PublishedDReG()` for the gradient of the publication,
            which is biased for K, M > 1.
        settings: `beta`, `weights`, `num_particles` of `MultimodalELBO`.

    Raises:
        TypeError: at the first call, a guide that is no mixture of experts.
        ValueError: see `WeightedELBO`; an estimator that is not stratified.
    """


@final
class AuxiliaryMixtureOfExpertsELBO(ExpertsELBO):
    """MMVAE+ (Palumbo et al. 2023; Hirt et al. 2024, Remark 25): private latents w.

        1/|O| Σ_{s∈O} E log 1/K Σ_k p(x_O | z, w) p(z) p(w_s) / [q_MoE(z | x_O) q(w_s | x_s)]
        z ~ q(z | x_s),  w_s ~ q(w_s | x_s),  w_t ~ r_t for t ≠ s

    r_t = N(0, diag σ_t²) with learned σ is no prior and has no density in the bound: draws
    from it keep the private latents of others from carrying what is shared. The guide is
    `auxiliary_guide(shared_private_guide(...), ...)` with a mixture of experts for z.

    Args:
        num_samples: K.
        estimator: as for `MixtureOfExpertsELBO`.
        settings: `beta`, `weights`, `num_particles` of `MultimodalELBO`.

    Raises:
        TypeError: at the first call, a guide that is no mixture of experts, or without
            private latents and auxiliary scales.
        ValueError: see `WeightedELBO`; an estimator that is not stratified.
    """

    def check(self, sites, guide_trace, data) -> None:
        super().check(sites, guide_trace, data)
        shape = guide_trace["w"]["fn"].event_shape if "w" in guide_trace else None
        scale = guide_trace.get(AUXILIARY, {}).get("value")
        if sites.later != ("w",) or scale is None or scale.shape != shape:
            raise TypeError(
                'guide: expected private latents "w" and the parameter '
                f"{AUXILIARY!r} of their shape for {type(self).__name__}, got the later "
                f"sites {', '.join(sites.later) or 'none'} of shape {shape} and scales of "
                f"shape {getattr(scale, 'shape', None)}; use "
                "auxiliary_guide(shared_private_guide(...), private_dim)"
            )

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        each = jnp.eye(present.shape[-1], dtype=bool)[:, None] & present
        return everything(present)._replace(inner=each[None])

    def replace(self, rng_key: Key[Array, ""], params: dict, latents: dict) -> dict:
        """w_t ~ r_t in the stratum of each other expert s ≠ t."""
        w, scale = latents["w"], params[AUXILIARY]
        others = scale * jax.random.normal(rng_key, w.shape, w.dtype)
        own = jnp.eye(w.shape[1], dtype=bool)[:, None, :, None]
        return {**latents, "w": jnp.where(own, w, others)}


@final
class JensenShannonELBO(MultimodalELBO):
    """MMJSD (Sutter et al. 2020): a mixture of experts against a dynamic prior f.

        E_{q_MoE(z|x_O)}[log p(x_O|z)] − β [Σ_{s∈O} π_s KL(q_s ‖ f) + π_0 KL(p ‖ f)]

    f ∝ p^{π_0} Π_s q_s^{π_s} is a Normal again, π = 1/(|O| + 1) each. All divergences are
    in closed form. The guide is a mixture of Normal experts, the prior a Normal without
    correlations.

    Args:
        beta: β.
        weights: factor of log p(x_s | z) by modality.
        num_particles: estimates to average over.

    Raises:
        TypeError: at the first call, another guide or prior, or private latents.
    """

    def __init__(self, *, beta: float = 1.0, weights=None, num_particles: int = 1):
        settings = {"weights": weights, "num_particles": num_particles}
        super().__init__(beta=beta, estimator=Pathwise(), **settings)

    def check(self, sites, guide_trace, data) -> None:
        require_experts(type(self).__name__, sites, guide_trace, data)
        _normal("guide", guide_trace[sites.root]["fn"].component_distribution)
        if sites.later:
            raise TypeError(
                f"guide: expected {sites.root!r} as the only latent of rows for "
                f"JensenShannonELBO, got {', '.join(sites.later)} as well"
            )

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        return everything(present)

    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        experts = _normal("guide", terms.root.component_distribution)
        divergence = jensen_shannon(
            dist.Normal(experts.loc[0], experts.scale[0]),
            _normal("prior", terms.prior),
            views.subsets[0],
        )
        return self.reconstruction(terms, views) - beta * divergence[None]


def jensen_shannon(
    experts: dist.Normal, prior: dist.Normal, present: Bool[Array, "rows modalities"]
) -> Float[Array, " rows"]:
    """Σ_s π_s KL(q_s ‖ f) + π_0 KL(p ‖ f), f ∝ p^{π_0} Π q_s^{π_s}; experts `[N, M, D]`."""
    counts = present[..., None]
    share = 1 / (present.sum(-1, keepdims=True) + 1)
    precision = jnp.where(counts, experts.scale**-2, 0.0)
    total = share * (precision.sum(-2) + prior.scale**-2)
    pull = (precision * experts.loc).sum(-2) + prior.loc * prior.scale**-2
    f = dist.Normal(share * pull / total, total**-0.5)
    each = dist.Normal(f.loc[:, None], f.scale[:, None])
    kl = jnp.where(counts, kl_divergence(experts, each), 0.0).sum((-2, -1))
    return share[:, 0] * (kl + kl_divergence(prior, f).sum(-1))


def _normal(argument: str, fn: dist.Distribution) -> dist.Normal:
    base = programs.base_of(fn)
    if not isinstance(base, dist.Normal):
        raise TypeError(
            f"{argument}: expected Normals with independent dimensions for "
            f"JensenShannonELBO, got {programs.name_of(fn)}"
        )
    return base
