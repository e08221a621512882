"""Running a model and a guide: what their traces hold, and what they must.

The contract. `model(data, subset=None)` and `guide(data, subset=None)` sample the same
latents. Sites of rows stand in `with data.plate():` and have batch shape `[N]`; sites
outside are global. Views of several subsets are `jax.vmap` axes around these functions,
so that users' programs see rows only.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpyro.distributions as dist
from jax import lax
from numpyro import handlers

from consilience.datasets.data import MultimodalData

FEATURES = "features"
PLATE = "data"


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
    """One draw of the guide for each of V views.

    Attributes:
        latents: `[V, N, ...]` by site of rows.
        root: distribution of the root site, a batch of V.
        features: what the guide registered as "features", without a view axis, or None.
        shared: values of the global sites.
        shared_fns: their distributions.
    """

    latents: dict[str, jax.Array]
    root: dist.Distribution
    features: object
    shared: dict[str, jax.Array]
    shared_fns: dict[str, dist.Distribution]


def run(program: Callable, params: dict, rng_key, given: dict, data, *subset) -> dict:
    """Trace a program with parameters and some of its sites fixed."""
    seeded = handlers.seed(program, rng_key)
    fixed = handlers.substitute(seeded, data={**params, **given})
    return handlers.trace(fixed).get_trace(data, *subset)


def stop(tree):
    """stop_gradient on every leaf; distributions are trees as well."""
    return jax.tree.map(lax.stop_gradient, tree)


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


def draw(rng_key, guide, params, data: MultimodalData, subsets, sites: Sites) -> Draw:
    """Call the guide once for each of `subsets [V, N, M]`; features are computed once.

    Raises:
        ValueError: the guide's features depend on the subset.
    """
    key_shared, key_views = jax.random.split(rng_key)
    shared, shared_fns = draw_shared(key_shared, guide, params, data, sites)

    def view(subset, key):
        trace = run(guide, params, key, shared, data, subset)
        latents = {name: trace[name]["value"] for name in sites.local}
        return latents, trace[sites.root]["fn"], features(trace)

    keys = jax.random.split(key_views, len(subsets))
    try:
        views = jax.vmap(view, out_axes=(0, 0, None))(subsets, keys)
    except ValueError as error:
        if "out_axes" not in str(error):
            raise
        raise ValueError(
            f"guide: expected the deterministic site {FEATURES!r} to hold only what does "
            "not depend on the subset, but it does; register it before pooling"
        ) from error
    return Draw(*views, shared, shared_fns)


def features(trace: dict) -> object:
    """What the guide registered as features, or None."""
    return trace[FEATURES]["value"] if FEATURES in trace else None


def guide_fns(guide, params, draw: Draw, data, subset, latents, root, sites) -> dict:
    """Distributions of the guide's row sites at given latents of one view.

    The root's is given; only later sites are traced again, with features substituted.
    """
    fns = {sites.root: root}
    if sites.later:
        given = {**latents, **draw.shared}
        if draw.features is not None:
            given[FEATURES] = draw.features
        key = jax.random.key(0)  # every random site is substituted
        trace = run(guide, params, key, given, data, subset)
        fns |= {name: trace[name]["fn"] for name in sites.later}
    return fns


def latent_sites(trace: dict) -> dict:
    """Sample sites without an observation."""
    return {
        name: site
        for name, site in trace.items()
        if site["type"] == "sample" and not site["is_observed"]
    }


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
