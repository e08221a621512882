"""Posteriors as ArviZ DataTrees."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.attributes import Attribute, checked, versions
from consilience.inference.chunks import check_subset, over_rows
from consilience.inference.contract import inspect
from consilience.inference.coordinates import coordinates, dimensions
from consilience.inference.draws import weigher
from consilience.inference.entries import at_draws
from consilience.inference.posterior import generate, shared_draws
from consilience.inference.prior import prior_draws
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive, check_whole

if TYPE_CHECKING:
    from xarray import DataTree


@checked_kinds
def to_datatree(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    num_samples: int = 1000,
    num_predictive: int = 100,
    num_prior: int = 100,
    prior_predictive: bool = False,
    entrywise: bool = False,
    chunk_size: int = 500,
    attrs: Mapping[str, Attribute] | None = None,
) -> "DataTree":
    """Draws from q(z | x_S) and all that belongs to them, for ArviZ.

    Groups: posterior (chain, draw, datapoint, latent); log_likelihood of every modality at
    each draw, NaN where it is absent; posterior_predictive; prior, given the covariates of
    each row, and if asked for prior_predictive of the same draws; observed_data;
    constant_data (what is present, what was conditioned on, covariates); sample_stats
    ("log_weight", log p(x_S, z) − log q(z|x_S), which is what makes draws of q ones of the
    model's posterior). Data and predictions are in the units of the unscaled data. Rows
    and features carry their names as coordinates, the root the versions of packages and
    `attrs`. Draws follow the place of a row, as in `posterior`. It saves with
    `.to_netcdf(path)` and `.to_zarr(path)`.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, what to condition on; None means all that is present.
        num_samples: draws a row.
        num_predictive: draws a row of posterior_predictive, which is the largest group.
        num_prior: draws a row of prior; 0 leaves it out, for priors without a sampler.
        prior_predictive: whether to have that group, of `num_prior` draws a row.
        entrywise: log_likelihood of every entry, `[chain, draw, datapoint, *event]`, in
            place of every modality, and posterior_predictive of the draws of posterior, all
            of them: what `az.loo_pit` and `az.plot_loo_pit` ask for. They leave out one
            entry at a time, of those conditioned on; missing ones stay NaN.
        chunk_size: rows at once.
        attrs: strings and numbers by name, such as the aggregation or the seed.

    Raises:
        TypeError: `data` is no `MultimodalData`; `attrs` no mapping to strings and numbers.
        ValueError: a size is not positive; `prior_predictive` without `num_prior`; a name
            of `attrs` is no identifier; a subset of another shape than `present`; model
            and guide break the contract.
    """
    import arviz as az

    check_positive(
        num_samples=num_samples, num_predictive=num_predictive, chunk_size=chunk_size
    )
    _check_prior(num_prior, prior_predictive)
    attrs = versions() | checked(attrs)
    inspect(model, guide, params, data)
    subset = check_subset(data, subset)
    key_shared, key_draws, key_predictive, key_prior = jax.random.split(rng_key, 4)
    shared = shared_draws(key_shared, guide, params, data, num_samples, chunk_size)
    program = Program(partial(_draws, model, guide, num_samples))

    def work(key, rows, members):
        return program(key, params, rows, members, shared)

    draws = over_rows(work, key_draws, data, subset, chunk_size, axis=1)
    latents, log_x, log_weight = jax.tree.map(np.asarray, draws)
    log_x, log_weight = _in_first_units(data, subset, log_x, log_weight)
    if entrywise:
        given = (data, latents, shared, chunk_size)
        predictive, log_x = at_draws(key_predictive, model, params, *given)
    else:
        sizes = {"num_samples": num_predictive, "chunk_size": chunk_size}
        predictive = generate(
            key_predictive, model, guide, params, data, subset, **sizes
        )
    groups = {
        "posterior": _with_chain(latents | shared),
        "log_likelihood": _with_chain(log_x),
        "posterior_predictive": _with_chain(predictive),
        "sample_stats": {"log_weight": log_weight[None]},
        "observed_data": _observed(data),
        "constant_data": _constant(data, subset),
    }
    if num_prior:
        prior = (model, params, data, num_prior, chunk_size, prior_predictive)
        groups |= _prior(key_prior, *prior)
    dims, coords = dimensions(data, latents, shared), coordinates(data)
    return az.from_dict(groups, dims=dims, coords=coords, attrs={"/": attrs})


def _check_prior(num_prior: int, prior_predictive: bool) -> None:
    check_whole(num_prior=num_prior)
    if prior_predictive and not num_prior:
        raise ValueError("num_prior: expected 1 or more with prior_predictive, got 0")


def _draws(model, guide, num_samples, rng_key, params, data, subset, shared):
    weigh = weigher(rng_key, model, guide, params, data, subset)
    return jax.vmap(weigh)(jax.random.split(rng_key, num_samples), shared)


def _in_first_units(data: MultimodalData, subset, log_x, log_weight):
    """Log-likelihoods by modality, NaN where it is absent, and log weights."""
    by_name = {}
    for i, name in enumerate(data.names):
        jacobian = np.asarray(data.log_jacobian(data.subset_of(name)))
        present = np.asarray(data.present[:, i])
        by_name[name] = np.where(present, log_x[..., i] + jacobian, np.nan)
    return by_name, log_weight + np.asarray(data.log_jacobian(subset))


def _observed(data: MultimodalData) -> dict[str, Float[np.ndarray, "rows ..."]]:
    """Values in their first units; NaN where they are missing."""
    values = data.unstandardize(data.values)
    return {
        name: np.where(data.observed(name), np.asarray(values[name], float), np.nan)
        for name in data.names
    }


def _constant(data: MultimodalData, subset) -> dict[str, np.ndarray]:
    masks = {"present": data.present, "subset": subset}
    return {name: np.asarray(x) for name, x in (masks | data.covariates).items()}


def _prior(rng_key, *settings) -> dict[str, dict[str, np.ndarray]]:
    drawn = prior_draws(rng_key, *settings)
    groups = {"prior": drawn.local | drawn.shared, "prior_predictive": drawn.predictive}
    return {name: _with_chain(arrays) for name, arrays in groups.items() if arrays}


def _with_chain(arrays: Mapping[str, Array | np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(array)[None] for name, array in arrays.items()}
