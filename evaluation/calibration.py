"""Simulation-based calibration: are ranks of the truth among draws uniform?"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from consilience.datasets.data import MultimodalData
from consilience.evaluation.reference_posterior import flattened
from consilience.inference import programs
from consilience.inference.contract import inspect
from consilience.inference.draws import log_joint
from consilience.inference.posterior import posterior
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive

if TYPE_CHECKING:
    from pandas import DataFrame

LOG_JOINT = "log p(x, z)"
BINS = 20
Subset = tuple[str, ...]


class Calibration(NamedTuple):
    """Ranks of the true latents among draws of q(z | x_S).

    Attributes:
        quantities: names of the Q things ranked: coordinates of latents, as in "z[0]",
            and "log p(x, z)", the joint density of z and x_S, which sees what the
            coordinates do not one by one, such as correlations.
        ranks: by subset, `[simulations, Q]`, each from 0 to `num_ranks`.
        num_ranks: draws a simulation.
    """

    quantities: tuple[str, ...]
    ranks: dict[Subset, Int[np.ndarray, "simulations quantities"]]
    num_ranks: int

    def p_values(self) -> "DataFrame":
        """Subsets × quantities: χ² tests of uniformity in 20 bins, each for itself."""
        import pandas as pd
        from scipy.stats import chisquare

        bins = min(BINS, self.num_ranks + 1)
        index = [" + ".join(subset) or "nothing" for subset in self.ranks]
        lines = []
        for ranks in self.ranks.values():
            expected = _share_of_bins(self.num_ranks, bins) * len(ranks)
            counts = [np.bincount(self._bin(r, bins), minlength=bins) for r in ranks.T]
            lines.append([chisquare(c, expected).pvalue for c in counts])
        return pd.DataFrame(
            lines, index=pd.Index(index, name="given"), columns=list(self.quantities)
        )

    def p_value(self) -> float:
        """Of all tests together: the smallest times their number (Bonferroni)."""
        each = self.p_values().to_numpy()
        return float(min(1.0, each.min() * each.size))

    def _bin(self, ranks, bins: int):
        return ranks * bins // (self.num_ranks + 1)


def _share_of_bins(num_ranks: int, bins: int) -> Float[np.ndarray, " bins"]:
    """Bins hold as many ranks as fit: their shares are equal only if they divide."""
    ranks = np.arange(num_ranks + 1)
    return np.bincount(ranks * bins // (num_ranks + 1)) / len(ranks)


@checked_kinds
def calibration(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subsets: Sequence[Subset],
    *,
    num_simulations: int = 500,
    num_ranks: int = 99,
    chunk_size: int = 500,
) -> Calibration:
    """Simulate (z, x) from the model, rank z among draws of q(z | x_S), for each S.

    Talts et al. 2018; the joint density as a quantity: Modrák et al. 2023. Where q is
    the posterior, ranks are uniform; ∪ says too narrow, ∩ too wide, a slope biased. It
    checks q against the model, not the model against data.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: rows whose shapes, covariates and pattern of missingness the simulated
            ones have, over and over; their values are not used.
        subsets: what to condition on, by names, as far as a row has it; () is q(z | x_∅),
            and so is a subset that a row has nothing of: it is ranked all the same.
        num_simulations: rows to simulate.
        num_ranks: draws for each, of which 99 make 100 ranks.
        chunk_size: rows at once.

    Raises:
        ValueError: no subset, or one twice; an unknown name; a global latent, which all
            rows share.
    """
    check_positive(num_simulations=num_simulations, num_ranks=num_ranks)
    sites = inspect(model, guide, params, data)
    if sites.shared:
        raise ValueError(
            "guide: expected latents of rows only, whose ranks are independent, got the "
            f"global {', '.join(sites.shared)}"
        )
    key_data, key_rank = jax.random.split(rng_key)
    rows = data.bare().take(np.resize(np.arange(data.size), num_simulations))
    simulate = Program(partial(_simulate, model, sites.local))
    simulated, latents = simulate(key_data, params, rows)
    ranks, names = {}, ()
    for i, subset in enumerate(_checked(subsets)):
        key = jax.random.fold_in(key_rank, i)
        fixed = (model, guide, params, simulated, simulated.subset_of(*subset))
        found = _ranks(key, *fixed, latents, num_ranks, chunk_size)
        names, ranks[tuple(subset)] = flattened(found, 1)
    return Calibration(names, ranks, num_ranks)


def _checked(subsets: Sequence[Subset]) -> list[Subset]:
    if isinstance(subsets, str) or not len(subsets):
        raise ValueError(
            f"subsets: expected one or more tuples of names, got {subsets or 'none'!r}"
        )
    for subset in subsets:
        if isinstance(subset, str):
            raise ValueError(f"subsets: expected tuples of names, got {subset!r}")
    found = [tuple(subset) for subset in subsets]
    if len(set(found)) < len(found):
        raise ValueError(f"subsets: expected each once, got {found}")
    return found


def _simulate(model, names, rng_key, params, rows):
    """Rows with values of the model's own, and the latents that caused them."""
    trace = programs.run(model, params, rng_key, {}, rows.without_values())
    programs.require_params("model", trace, params)
    values = {
        name: trace[name]["value"].astype(rows.values[name].dtype)
        for name in rows.names
    }
    latents = {name: trace[name]["value"] for name in names}
    return dataclasses.replace(rows, values=values), latents


def _ranks(
    rng_key, model, guide, params, data, subset, latents, num_ranks, chunk_size
) -> dict[str, Array]:
    """How many draws lie below the truth, by site and for the joint density."""
    sizes = {"num_samples": num_ranks, "chunk_size": chunk_size}
    draws = posterior(rng_key, guide, params, data, subset, **sizes)
    ranks = {n: (draws[n] < latents[n]).sum(0) for n in latents}
    both = {n: jnp.concatenate([latents[n][None], draws[n]]) for n in latents}
    joint = Program(partial(_log_joint, model, tuple(latents)))
    log_p = joint(rng_key, params, data, subset, both)
    return ranks | {LOG_JOINT: (log_p[1:] < log_p[0]).sum(0)}


def _log_joint(model, names, rng_key, params, data, subset, latents):
    """log p(x_S, z) of every draw, `[draws, N]`."""

    def one(latents):
        return log_joint(rng_key, model, params, data, subset, latents, names)[1]

    return jax.lax.map(one, latents)


def simultaneous_band(
    num_simulations: int, num_ranks: int, probability: float = 0.95
) -> tuple[Float[np.ndarray, " ranks"], Float[np.ndarray, " ranks"]]:
    """Between which the empirical distribution of uniform ranks lies, all along.

    Säilynoja et al. 2022: pointwise binomial intervals, narrowed until `probability` of
    2000 simulated samples lie wholly within.

    Returns:
        lower and upper, at ranks 0 to `num_ranks`.
    """
    from scipy.stats import binom

    generator = np.random.default_rng(0)  # of the band, not of any result
    u = generator.integers(0, num_ranks + 1, (2000, num_simulations))
    counts = np.stack([(u <= r).sum(1) for r in range(num_ranks)], 1)
    p = np.arange(1, num_ranks + 1) / (num_ranks + 1)
    tail = np.minimum(
        binom.cdf(counts, num_simulations, p), binom.sf(counts - 1, num_simulations, p)
    )
    level = np.quantile(2 * tail.min(1), 1 - probability)
    band = binom.ppf([[level / 2], [1 - level / 2]], num_simulations, p)
    lower, upper = band / num_simulations
    return np.append(lower, 1.0), np.append(upper, 1.0)
