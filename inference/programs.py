"""Running a model and a guide: what their traces hold, and what they must.

The contract. `model(data, subset=None)` and `guide(data, subset=None)` sample the same
latents. Sites of rows stand in `with data.plate():` and have batch shape `[N]`; sites
outside are global. Views of several subsets are `jax.vmap` axes around these functions,
so that users' programs see rows only.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax import lax
from numpyro import handlers

from consilience.datasets.data import MultimodalData
from consilience.guides.mixture import ReparameterizedMixture
from consilience.nn.executables import tracing

FEATURES = "features"
PLATE = "data"
PRIVATE_PRIOR = "private_prior"
PRIORS = ("prior", PRIVATE_PRIOR)


class Sites(NamedTuple):
    """Names of the latent sites.

    Attributes:
        root: the first site of rows in the guide.
        later: the other sites of rows, in the guide's order.
        shared: the global sites, drawn once for all rows.
    """

    root: str
    later: tuple[str, ...]
    shared: tuple[str, ...]

    @property
    def local(self) -> tuple[str, ...]:
        """All sites of rows."""
        return (self.root, *self.later)


class Draw(NamedTuple):
    """Draws of the guide for each of V views, in K strata.

    A root site that is a mixture of K components may be drawn once from each of them,
    weighted; all else has one stratum of weight 1.

    Attributes:
        latents: `[V, K, N, ...]` by site of rows.
        log_weights: `[V, K, N]`, of the strata; they sum to 1 over K.
        root: distribution of the root site, a batch of V.
        keys: `[V, K]`, of the calls that the later sites are of: a guide may be random
            given its parameters, and their densities must be those that they are of.
        features: what the guide registered as "features", without a view axis, or None.
        shared: values of the global sites.
        shared_fns: their distributions.
    """

    latents: dict[str, jax.Array]
    log_weights: jax.Array
    root: dist.Distribution
    keys: jax.Array
    features: object
    shared: dict[str, jax.Array]
    shared_fns: dict[str, dist.Distribution]


def run(program: Callable, params: dict, rng_key, given: dict, data, *subset) -> dict:
    """Trace a program with parameters and some of its sites fixed."""
    seeded = handlers.seed(program, rng_key)
    fixed = handlers.substitute(seeded, data={**params, **given})
    with tracing():
        return handlers.trace(fixed).get_trace(data, *subset)


def stop(tree):
    """stop_gradient on every leaf; distributions are trees as well."""
    return jax.tree.map(lax.stop_gradient, tree)


def stop_variational(params: dict) -> dict:
    """stop_gradient on all but the parameters of priors, which are the model's own.

    Those are the sites whose names begin with "prior" or "private_prior". A guide gives
    absent private latents their prior: stopped there and live in the model, its score
    would be left over as noise.
    """
    return {
        name: value if name.startswith(PRIORS) else stop(value)
        for name, value in params.items()
    }


def at(tree, index):
    """Index the leading axis of every leaf; distributions are trees as well."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def draw_shared(rng_key, guide, params, data, sites: Sites) -> tuple[dict, dict]:
    """Values and distributions of the global sites, drawn once."""
    if not sites.shared:
        return {}, {}
    trace = run(guide, params, rng_key, {}, data, data.present)
    values = {name: trace[name]["value"] for name in sites.shared}
    return values, {name: trace[name]["fn"] for name in sites.shared}


def draw(
    rng_key,
    guide,
    params,
    data: MultimodalData,
    subsets,
    sites: Sites,
    shared: tuple[dict, dict],
    stratified: bool = False,
    inner=None,
) -> Draw:
    """Call the guide once for each of `subsets [V, N, M]`; features are computed once.

    Args:
        rng_key: of the draws.
        guide: the guide.
        params: its parameters.
        data: rows.
        subsets: one for each view.
        sites: of the guide.
        shared: values and distributions of the global sites, from `draw_shared`.
        stratified: draw a root site that is a mixture once from each component.
        inner: `[V, K, N, M]`, what later sites of each stratum condition on in place of
            the view's subset.

    Raises:
        ValueError: the guide's features depend on the subset.
    """

    def view(subset, inner, key):
        key_first, key_strata = jax.random.split(key)
        first = run(guide, params, key_first, shared[0], data, subset)
        root = first[sites.root]["fn"]
        if stratified and is_mixture(root):
            given = subset if inner is None else inner
            latents, log_weights, keys = strata(key_strata, first, given)
        else:
            latents = {name: first[name]["value"][None] for name in sites.local}
            log_weights, keys = jnp.zeros((1, data.size)), key_first[None]
        return latents, log_weights, root, keys, features(first)

    def strata(key, first, subset):
        key_root, key_later = jax.random.split(key)
        roots, log_weights = component_draws(key_root, first[sites.root]["fn"])
        keys = jax.random.split(key_later, len(roots))
        if not sites.later:
            return {sites.root: roots}, log_weights, keys
        given = shared[0] | with_features(features(first))
        subset = jnp.broadcast_to(subset, (len(roots), *data.present.shape))

        def later(key, root, subset):
            fixed = {**given, sites.root: root}
            trace = run(guide, params, key, fixed, data, subset)
            return {name: trace[name]["value"] for name in sites.local}

        return jax.vmap(later)(keys, roots, subset), log_weights, keys

    keys = jax.random.split(rng_key, len(subsets))
    axes = (0, None if inner is None else 0, 0)
    try:
        views = jax.vmap(view, axes, (0, 0, 0, 0, None))(subsets, inner, keys)
    except ValueError as error:
        if "out_axes" not in str(error):
            raise
        raise ValueError(
            f"guide: expected the deterministic site {FEATURES!r} to hold only what does "
            "not depend on the subset, but it does; register it before pooling"
        ) from error
    return Draw(*views, *shared)


def is_mixture(fn: dist.Distribution) -> bool:
    """Whether a distribution is a mixture whose components can be drawn one by one."""
    return (
        isinstance(fn, dist.MixtureSameFamily) and fn.component_distribution.has_rsample
    )


def component_draws(rng_key, fn: dist.MixtureSameFamily) -> tuple[jax.Array, jax.Array]:
    """One draw of each component `[K, N, ...]`, and the log-weights `[K, N]`."""
    if isinstance(fn, ReparameterizedMixture):
        return fn.component_draws(rng_key)
    axis = -1 - len(fn.event_shape)
    values = jnp.moveaxis(fn.component_distribution.rsample(rng_key), axis, 0)
    log_weights = jax.nn.log_softmax(fn.mixing_distribution.logits)
    log_weights = jnp.moveaxis(log_weights, -1, 0)
    return values, jnp.broadcast_to(log_weights, (len(values), *fn.batch_shape))


def with_features(features: object) -> dict:
    """Features as a given site; nothing without any."""
    return {} if features is None else {FEATURES: features}


def features(trace: dict) -> object:
    """What the guide registered as features, or None."""
    return trace[FEATURES]["value"] if FEATURES in trace else None


def later_fns(
    rng_key,
    guide,
    params,
    features,
    data,
    subset,
    latents: dict,
    shared: dict,
    sites: Sites,
) -> dict:
    """Distributions of the guide's later row sites at given latents of one view.

    The first site's come from `draw`; later ones are traced again, with features given
    and the key of their draw, so that what else is random in the guide is the same.
    """
    if not sites.later:
        return {}
    given = {**latents, **shared, **with_features(features)}
    trace = run(guide, params, rng_key, given, data, subset)
    return {name: trace[name]["fn"] for name in sites.later}


def require_params(program: str, trace: dict, params: dict) -> None:
    """Refuse parameters that lack a site: it would be drawn anew, at random.

    Raises:
        ValueError: naming the sites.
    """
    sites = (name for name, site in trace.items() if site["type"] == "param")
    missing = [name for name in sites if name not in params]
    if missing:
        raise ValueError(
            f"params: expected the sites of the {program}, got none for "
            f"{', '.join(missing)}; are these parameters of other modalities?"
        )


def latent_sites(trace: dict) -> dict:
    """Sample sites without an observation."""
    return {
        name: site
        for name, site in trace.items()
        if site["type"] == "sample" and not site["is_observed"]
    }


def base_of(fn: dist.Distribution) -> dist.Distribution:
    """What stands inside event axes and expansions; transforms stay."""
    while isinstance(fn, dist.Independent | dist.ExpandedDistribution):
        fn = fn.base_dist
    return fn


def entrywise(fn: dist.Distribution) -> dist.Distribution:
    """The law of each entry of a modality, without masks."""
    while isinstance(fn, dist.Independent | dist.MaskedDistribution):
        fn = fn.base_dist
    return fn


def name_of(fn: dist.Distribution) -> str:
    """The family of a distribution, without what is wrapped around it."""
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return type(fn).__name__


def in_plate(site: dict) -> bool:
    """Whether a site stands in the data plate."""
    return any(frame.name == PLATE for frame in site["cond_indep_stack"])


def sites_of(latents: dict) -> Sites:
    """Sort latent sites into those of rows and global ones."""
    local = [name for name, site in latents.items() if in_plate(site)]
    if not local:
        raise ValueError(
            "guide: expected a latent site inside `with data.plate():`, got "
            f"{', '.join(latents) or 'no latent site'}"
        )
    shared = tuple(name for name in latents if name not in local)
    return Sites(local[0], tuple(local[1:]), shared)
