"""Posteriors as ArviZ DataTrees."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.chunks import over_rows
from consilience.inference.contract import inspect
from consilience.inference.draws import weigher
from consilience.inference.posterior import generate, shared_draws
from consilience.nn.sizes import check_positive

if TYPE_CHECKING:
    from xarray import DataTree


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
    chunk_size: int = 500,
) -> "DataTree":
    """Draws from q(z | x_S) and all that belongs to them, for ArviZ.

    Groups: posterior (chain, draw, datapoint, latent); log_likelihood of every modality at
    each draw, NaN where it is absent; posterior_predictive; observed_data; constant_data
    (what is present, what was conditioned on, covariates); sample_stats ("log_weight",
    log p(x_S, z) − log q(z|x_S)). Data and predictions are in the units of the unscaled
    data. Rows and features carry their names as coordinates. It saves with
    `.to_netcdf(path)`.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, what to condition on; None means all that is present.
        num_samples: draws a row.
        num_predictive: draws a row of posterior_predictive, which is the largest group.
        chunk_size: rows at once.
    """
    import arviz as az

    check_positive(
        num_samples=num_samples, num_predictive=num_predictive, chunk_size=chunk_size
    )
    inspect(model, guide, params, data)
    key_shared, key_draws, key_predictive = jax.random.split(rng_key, 3)
    shared = shared_draws(key_shared, guide, params, data, num_samples, chunk_size)

    def work(key, rows, members):
        return _draws(key, model, guide, params, rows, members, shared, num_samples)

    draws = over_rows(work, key_draws, data, subset, chunk_size, axis=1)
    latents, log_x, log_weight = jax.tree.map(np.asarray, draws)
    log_x, log_weight = _in_first_units(data, subset, log_x, log_weight)
    sizes = {"num_samples": num_predictive, "chunk_size": chunk_size}
    predictive = generate(key_predictive, model, guide, params, data, subset, **sizes)
    groups = {
        "posterior": _with_chain(latents | shared),
        "log_likelihood": _with_chain(log_x),
        "posterior_predictive": _with_chain(predictive),
        "sample_stats": {"log_weight": log_weight[None]},
        "observed_data": _observed(data),
        "constant_data": {
            "present": np.asarray(data.present),
            "subset": np.asarray(data.subset(subset)),
            **{name: np.asarray(value) for name, value in data.covariates.items()},
        },
    }
    dims = _dims(data, latents, shared)
    return az.from_dict(groups, dims=dims, coords=_coords(data), attrs={"/": _attrs()})


@partial(jax.jit, static_argnames=("model", "guide", "num_samples"))
def _draws(rng_key, model, guide, params, data, subset, shared, num_samples):
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


def _with_chain(arrays: Mapping[str, Array | np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(array)[None] for name, array in arrays.items()}


def _dims(data: MultimodalData, latents: Mapping, shared: Mapping) -> dict:
    dims = {
        name: ["datapoint", *_axes(name, x.ndim - 2)] for name, x in latents.items()
    }
    dims |= {name: _axes(name, x.ndim - 1) for name, x in shared.items()}
    for name, shape in zip(data.names, data.event_shapes, strict=True):
        dims[name] = ["datapoint", *_axes(name, len(shape))]
    for name, value in data.covariates.items():
        dims[name] = ["datapoint", *_axes(name, value.ndim - 1)]
    both = ["datapoint", "modality"]
    return dims | {"log_weight": ["datapoint"], "present": both, "subset": both}


def _axes(name: str, count: int) -> list[str]:
    if name == "z" and count == 1:
        return ["latent"]
    return [f"{name}_dim_{i}" for i in range(count)]


def _coords(data: MultimodalData) -> dict:
    coords = {"modality": list(data.names)}
    if data.row_names:
        coords["datapoint"] = list(data.row_names)
    names = zip(data.names, data.feature_names, data.event_shapes, strict=True)
    for name, features, shape in names:
        if features and len(shape) == 1:
            coords[f"{name}_dim_0"] = list(features)
    return coords


def _attrs() -> dict:
    packages = ("consilience", "numpyro", "jax")
    return {f"{package}_version": version(package) for package in packages}
