"""p(z) as model code: functions without arguments that return a distribution.

A prior may declare parameters with `numpyro.param`. Six lines of your own serve as well:

    def my_prior():
        scale = numpyro.param("prior_scale", jnp.ones(3), constraint=positive)
        return dist.StudentT(4.0, 0.0, scale).to_event(1)

A prior with one argument gets the covariates of the rows, and returns a batch of N.
"""

import inspect
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Shaped
from numpyro import handlers
from numpyro.distributions import constraints

from consilience.models.covariates import integer_covariate
from consilience.models.semitied import semitied_mixture
from consilience.nn.kinds import checked_kinds
from consilience.nn.recipes import recorded
from consilience.nn.sizes import check_positive

Prior = Callable[..., dist.Distribution]


@recorded
def standard_normal(latent_dim: int) -> Prior:
    """p(z) = N(0, I) over `[latent_dim]`.

    Raises:
        ValueError: `latent_dim` is not positive.
    """
    check_positive(latent_dim=latent_dim)

    def prior() -> dist.Distribution:
        return dist.Normal(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1)

    return prior


@recorded
def standard_laplace(latent_dim: int) -> Prior:
    """p(z) = Π_d Laplace(z_d; 0, 1) over `[latent_dim]`; its variance is 2.

    Raises:
        ValueError: `latent_dim` is not positive.
    """
    check_positive(latent_dim=latent_dim)

    def prior() -> dist.Distribution:
        return dist.Laplace(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1)

    return prior


@recorded
def gaussian_mixture(
    latent_dim: int,
    num_components: int,
    start: Shaped[Array | np.ndarray, "points latent"] | None = None,
) -> Prior:
    """p(z) = Σ_c π_c N(μ_c, diag σ_c²), all learned (Hirt et al. 2024, section 4.2).

    Means start as draws from N(0, I), standard deviations at 1, weights equal: good for
    log-likelihoods, but such components often collapse into one. **For clusters give
    `start`**, points whose clusters the components are at first, such as posterior means
    of a guide trained under another prior.

    The component is never sampled: with its optimal factor q(c|z) = p(c|z) the bounds are
    those of the marginal density (appendix G); `responsibilities` gives p(c|z).

    Args:
        latent_dim: D.
        num_components: K.
        start: points `[P, D]`; components start as the clusters that scikit-learn's
            `KMeans` finds in them.

    Raises:
        ValueError: a size is not positive, or `start` has another shape.
    """
    check_positive(latent_dim=latent_dim, num_components=num_components)
    shape = (num_components, latent_dim)
    logits, first, spread = jnp.zeros(num_components), None, jnp.ones(shape)
    if start is not None:
        logits, first, spread = _mixture_at(start, *shape)

    def initial(key):
        return jax.random.normal(key, shape) if first is None else first

    def prior() -> dist.Distribution:
        weights = dist.Categorical(logits=numpyro.param("prior.logits", logits))
        loc = numpyro.param("prior.loc", initial)
        positive = constraints.positive
        scale = numpyro.param("prior.scale", spread, constraint=positive)
        return dist.MixtureSameFamily(weights, dist.Normal(loc, scale).to_event(1))

    return prior


def _mixture_at(points, num_components: int, latent_dim: int) -> tuple:
    """Logits, means and standard deviations of the clusters that k-means finds."""
    from sklearn.cluster import KMeans

    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != latent_dim:
        raise ValueError(
            f"start: expected points of shape (P, {latent_dim}), got {points.shape}"
        )
    found = KMeans(num_components, n_init=10, random_state=0).fit(points)
    if len(np.unique(found.labels_)) < num_components:
        raise ValueError(
            f"start: expected at least {num_components} different points, got "
            f"{len(np.unique(points, axis=0))}"
        )
    share = np.bincount(found.labels_, minlength=num_components) / len(points)
    members = [points[found.labels_ == c] for c in range(num_components)]
    scale = np.stack([m.std(0) + 1e-2 for m in members])
    parts = (np.log(share), found.cluster_centers_, scale)
    return tuple(jnp.asarray(x, float) for x in parts)


@recorded
def label_conditional(
    latent_dim: int, num_labels: int, covariate: str = "label"
) -> Prior:
    """p(z | u) = N(μ_u, diag σ_u²) for a label u = 0 .. K − 1 that is always known.

    The prior of iVAE (Khemakhem et al. 2020; Hirt et al. 2024, section 5.2); means start
    as draws from N(0, I). A label that may be missing is one more modality instead
    (Example 6): as the component of a mixture, `multimodal_model(..., label=...)`, or with
    a decoder, `CategoricalLikelihood(num_labels)`.

    Args:
        latent_dim: D.
        num_labels: K.
        covariate: name of the integer covariate `[N]`.

    Raises:
        ValueError: a size is not positive; at the first call, no such covariate.
    """
    check_positive(latent_dim=latent_dim, num_labels=num_labels)
    shape = (num_labels, latent_dim)

    def prior(covariates: Mapping[str, Array]) -> dist.Distribution:
        label = integer_covariate(covariates, covariate)
        loc = numpyro.param("prior.loc", lambda key: jax.random.normal(key, shape))
        positive = constraints.positive
        scale = numpyro.param("prior.scale", jnp.ones(shape), constraint=positive)
        # A label that is not there shows as NaN, not as the nearest one.
        inside = ((label >= 0) & (label < num_labels))[:, None]
        chosen = jnp.where(inside, loc[label], jnp.nan)
        return dist.Normal(chosen, scale[label]).to_event(1)

    return prior


def law_of(prior: Prior, covariates: Mapping[str, Array]) -> dist.Distribution:
    """p(z), or p(z | covariates) where the prior takes an argument."""
    takes = [
        p
        for p in inspect.signature(prior).parameters.values()
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return prior(covariates) if takes else prior()


@checked_kinds
def responsibilities(
    prior: Prior, params: Mapping, z: Float[Array, "*batch latent"]
) -> Float[Array, "*batch components"]:
    """p(c | z) ∝ p(c) p(z | c): what clusters under a mixture prior.

    Args:
        prior: that of the model, such as `gaussian_mixture(D, K)` or a VampPrior.
        params: trained parameters.
        z: points, such as posterior draws, `[*batch, D]`.

    Raises:
        TypeError: the prior is no mixture.
        ValueError: `params` lacks one of its parameters.
    """
    seeded = handlers.seed(prior, jax.random.key(0))
    with handlers.trace() as trace:
        law = handlers.substitute(seeded, data=dict(params))()
    missing = [n for n, s in trace.items() if s["type"] == "param" and n not in params]
    if missing:
        raise ValueError(
            f"params: expected those of the prior, got none for {', '.join(missing)}"
        )
    if not isinstance(law, dist.MixtureSameFamily):
        raise TypeError(f"prior: expected a mixture, got {type(law).__name__}")
    return jnp.exp(law.component_log_probs(z) - law.log_prob(z)[..., None])


PRIORS = {
    "standard_normal": standard_normal,
    "standard_laplace": standard_laplace,
    "gaussian_mixture": gaussian_mixture,
    "semitied_mixture": semitied_mixture,
}
