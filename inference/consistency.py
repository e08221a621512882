"""Consistency of the posteriors of one guide: maximum mean discrepancy."""

from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from consilience.inference import programs
from consilience.inference.contract import inspect, require_features
from consilience.inference.elbo import MultimodalELBO, Objective
from consilience.inference.masked_elbo import MaskedELBO
from consilience.inference.mixture_elbo import MixtureELBO
from consilience.nn.sizes import check_numbers


def maximum_mean_discrepancy(
    x: tuple[Float[Array, "rows ..."], ...], y: tuple[Float[Array, "rows ..."], ...]
) -> Float[Array, ""]:
    """Estimate of MMD² between two joint laws (Gretton et al. 2012, equation 4).

    Unbiased for fixed widths; those here follow the points.

    The kernel is the product over the parts of Σ_w exp(−d²/(2 w m²)) / 5 with m² the
    parts' mean squared distance (without gradient) and w = ¼ .. 4. It may be negative.

    Args:
        x: N joint draws, each part `[N, ...]`.
        y: as many of the other law; draws of one row may depend on one another.
    """
    joined = map(jnp.concatenate, zip(x, y, strict=True))
    kernels = [_kernel(part.reshape(len(part), -1)) for part in joined]
    kernel = jnp.stack(kernels).prod(0)
    count = len(x[0])
    xx, yy, xy = kernel[:count, :count], kernel[count:, count:], kernel[:count, count:]
    different = 1 - jnp.eye(count)
    return ((xx + yy - 2 * xy) * different).sum() / (count * (count - 1))


def _kernel(points: Float[Array, "points dims"]) -> Float[Array, "points points"]:
    square = (points**2).sum(-1)
    distance = square[:, None] + square - 2 * points @ points.T
    distance = jnp.maximum(distance, 0.0)
    unit = jax.lax.stop_gradient(distance.mean()) + jnp.finfo(distance.dtype).tiny
    widths = jnp.array([0.25, 0.5, 1.0, 2.0, 4.0])[:, None, None]
    return jnp.exp(-distance / (2 * widths * unit)).mean(0)


@final
class ConsistentELBO(MultimodalELBO):
    """A masked or mixture bound less λ times a mismatch of joint laws (Remark 4).

    The mismatch is MMD² between (h_S, z), z ~ q(z | x_O), and (h_S, z), z ~ q(z | x_S),
    over the rows of a batch; h_S are the guide's features of S, without gradient. At exact
    posteriors of a true model it is zero. Draws are whole ones: a guide that is a mixture
    gets the implicit gradient here, with its noise (see `ReparameterizedMixture`).

    Args:
        elbo: the bound, with a law of subsets.
        strength: λ, in nats a row.

    Raises:
        ValueError: λ is negative.
        TypeError: the bound has no law of subsets.
    """

    def __init__(self, elbo: MultimodalELBO, strength: float):
        if not isinstance(elbo, MaskedELBO | MixtureELBO):
            raise TypeError(
                "elbo: expected a bound with a law of subsets, MaskedELBO() or "
                f"MixtureELBO(), got {elbo!r}"
            )
        check_numbers(zero=True, strength=strength)
        self.elbo, self.strength = elbo, strength
        super().__init__(
            beta=elbo.beta,
            weights=elbo.weights,
            estimator=elbo.estimator,
            num_particles=elbo.num_particles,
        )

    def views(self, rng_key, present):
        return self.elbo.views(rng_key, present)

    def combine(self, terms, views, beta):
        return self.elbo.combine(terms, views, beta)

    def inspect(self, model, guide, params, data):
        """As the bound does; draws are whole here, so mixtures must be reparameterised."""
        if data.size < 2:
            raise ValueError(
                f"data: expected 2 rows or more in a batch, got {data.size}"
            )
        inspect(model, guide, params, data, stratified=False, also=require_features)
        return self.elbo.inspect(model, guide, params, data)

    def objective(
        self, rng_key, param_map, model, guide, data, *, beta=None
    ) -> Objective:
        """The bound's loss plus λ N MMD²."""
        programs_ = (param_map, model, guide, data)
        found = super().objective(rng_key, *programs_, beta=beta)
        mismatch = self.mismatch(jax.random.fold_in(rng_key, 1), param_map, guide, data)
        penalty = self.strength * (data.total or data.size) * mismatch
        return found._replace(loss=found.loss + penalty)

    def mismatch(self, rng_key, params, guide, data) -> Float[Array, ""]:
        """MMD² of one drawn S a row."""
        key_subset, key_draw = jax.random.split(rng_key)
        S = data.present & self.elbo.subsets(key_subset, data.present)
        trace = programs.run(guide, params, key_draw, {}, data, data.present)
        sites = programs.sites_of(programs.latent_sites(trace))
        shared = programs.draw_shared(key_draw, guide, params, data, sites)
        both = jnp.stack([data.present, S])
        draw = programs.draw(key_draw, guide, params, data, both, sites, shared)
        given = jax.tree.leaves(programs.stop(draw.features))
        hidden = tuple(
            jnp.where(S.reshape(*S.shape, *[1] * (x.ndim - 2)), x, 0.0) for x in given
        )
        z = draw.latents[sites.root][:, 0]
        return maximum_mean_discrepancy((*hidden, z[0]), (*hidden, z[1]))
