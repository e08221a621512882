r"""Prior holes and inconsistency: laws that should be one, by maximum mean discrepancy."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import check_subset
from consilience.inference.consistency import maximum_mean_discrepancy
from consilience.inference.contract import inspect, require_features
from consilience.inference.draws import sampler
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


class Discrepancy(NamedTuple):
    """MMD² of two samples, and what it is when labels are swapped at random.

    Attributes:
        value: unbiased for fixed kernel widths; about 0, or below, if the laws are one.
        swapped: the same after random swaps between the samples.
        p_value: share of `swapped` (and `value` itself) that is at least `value`.
    """

    value: float
    swapped: Float[np.ndarray, " swaps"]
    p_value: float


@checked_kinds
def prior_hole(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    num_swaps: int = 199,
) -> Discrepancy:
    """Aggregated posterior 1/N Σ_n q(z | x_n) against the prior (Proposition 1).

    Where they differ, draws of the prior decode to what no data look like. One draw a row,
    of the first latent site: private latents are not looked at.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows, a few thousand at most: memory takes (2 N)² numbers.
        subset: `[N, M]`, what to condition on; None means all that is present.
        num_swaps: random swaps, of which 199 make p-values as small as 1/200.
    """
    sites, subset = _checked(model, guide, params, data, subset, num_swaps)
    key_q, key_p, key_swap = jax.random.split(rng_key, 3)
    rows = data.bare()
    q = Program(partial(_draw, guide, sites.root))(key_q, params, rows, subset)
    p = Program(partial(_prior, model, sites.root))(key_p, params, rows)
    return _test(key_swap, (q,), (p,), num_swaps)


@checked_kinds
def inconsistency(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"],
    *,
    num_swaps: int = 199,
) -> Discrepancy:
    """(h_S, z) with z ~ q(z | x_O) against z ~ q(z | x_S) (Hirt et al. 2024, Remark 4).

    Exact posteriors of a true model are one law over the data: E p(z | x_O) = p(z | x_S)
    for those x_S. On z alone the comparison would be necessary only; h_S are the guide's
    features of S. Of the first latent site; rows that have nothing of S count as x_∅.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S), which registers "features".
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, S.
        num_swaps: random swaps.

    Raises:
        ValueError: the guide has no features.
    """
    sites, subset = _checked(
        model, guide, params, data, subset, num_swaps, require_features
    )
    key_full, key_part, key_swap = jax.random.split(rng_key, 3)
    rows = data.bare()
    draw = Program(partial(_draw, guide, sites.root))
    hidden = Program(partial(_features, guide))(key_full, params, rows, subset)
    full = draw(key_full, params, rows, rows.present)
    part = draw(key_part, params, rows, subset)
    return _test(key_swap, (*hidden, full), (*hidden, part), num_swaps)


def _checked(model, guide, params, data, subset, num_swaps, also=lambda *_: None):
    check_positive(num_swaps=num_swaps)
    sites = inspect(model, guide, params, data, also=also)
    if data.size < 3:
        raise ValueError(f"data: expected 3 rows or more, got {data.size}")
    return sites, check_subset(data, subset)


def _draw(guide, site, rng_key, params, data, subset):
    return sampler(rng_key, guide, params, data, subset)(rng_key).latents[site]


def _prior(model, site, rng_key, params, data):
    return programs.run(model, params, rng_key, {}, data.without_values())[site][
        "value"
    ]


def _features(guide, rng_key, params, data, subset) -> tuple[Array, ...]:
    """What S has of them; zero elsewhere."""
    trace = programs.run(guide, params, rng_key, {}, data, subset)
    leaves = jax.tree.leaves(programs.features(trace))
    return tuple(
        jnp.where(subset.reshape(*subset.shape, *[1] * (x.ndim - 2)), x, 0.0)
        for x in leaves
    )


@partial(jax.jit, static_argnames="num_swaps")
def _swapped(rng_key, x, y, num_swaps):
    def one(key):
        swap = jax.random.bernoulli(key, 0.5, (len(x[0]),))
        pairs = [_swap(swap, a, b) for a, b in zip(x, y, strict=True)]
        return maximum_mean_discrepancy(*zip(*pairs, strict=True))

    return jax.lax.map(one, jax.random.split(rng_key, num_swaps))


def _swap(swap, a: Array, b: Array) -> tuple[Array, Array]:
    """Rows exchanged where `swap` is: under one law of both that changes nothing."""
    swap = swap.reshape(-1, *[1] * (a.ndim - 1))
    return jnp.where(swap, b, a), jnp.where(swap, a, b)


def _test(rng_key, x: tuple, y: tuple, num_swaps: int) -> Discrepancy:
    value = float(jax.jit(maximum_mean_discrepancy)(x, y))
    swapped = np.asarray(_swapped(rng_key, x, y, num_swaps), float)
    p_value = (1 + int((swapped >= value).sum())) / (1 + num_swaps)
    return Discrepancy(value, swapped, p_value)
