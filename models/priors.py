"""p(z) as model code: functions without arguments that return a distribution.

A prior may declare parameters with `numpyro.param`. Six lines of your own serve as well:

    def my_prior():
        scale = numpyro.param("prior_scale", jnp.ones(3), constraint=positive)
        return dist.StudentT(4.0, 0.0, scale).to_event(1)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints

from consilience.nn.sizes import check_positive

Prior = Callable[[], dist.Distribution]


def standard_normal(latent_dim: int) -> Prior:
    """p(z) = N(0, I) over `[latent_dim]`.

    Raises:
        ValueError: `latent_dim` is not positive.
    """
    check_positive(latent_dim=latent_dim)

    def prior() -> dist.Distribution:
        return dist.Normal(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1)

    return prior


def standard_laplace(latent_dim: int) -> Prior:
    """p(z) = Π_d Laplace(z_d; 0, 1) over `[latent_dim]`; its variance is 2.

    Raises:
        ValueError: `latent_dim` is not positive.
    """
    check_positive(latent_dim=latent_dim)

    def prior() -> dist.Distribution:
        return dist.Laplace(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1)

    return prior


def gaussian_mixture(latent_dim: int, num_components: int) -> Prior:
    """p(z) = Σ_c π_c N(μ_c, diag σ_c²), all learned (Hirt et al. 2024, section 4.2).

    Means start as draws from N(0, I), standard deviations at 1, weights equal. The
    component is never sampled: with its optimal factor q(c|z) = p(c|z) the bounds are
    those of the marginal density (appendix G).

    Raises:
        ValueError: a size is not positive.
    """
    check_positive(latent_dim=latent_dim, num_components=num_components)
    shape = (num_components, latent_dim)

    def prior() -> dist.Distribution:
        logits = numpyro.param("prior.logits", jnp.zeros(num_components))
        loc = numpyro.param("prior.loc", lambda key: jax.random.normal(key, shape))
        scale = numpyro.param(
            "prior.scale", jnp.ones(shape), constraint=constraints.positive
        )
        return dist.MixtureSameFamily(
            dist.Categorical(logits=logits), dist.Normal(loc, scale).to_event(1)
        )

    return prior


PRIORS = {
    "standard_normal": standard_normal,
    "standard_laplace": standard_laplace,
    "gaussian_mixture": gaussian_mixture,
}
