"""Trained models on disk: parameters, what data must look like, how they were made."""

import dataclasses
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpyro.infer
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience import datasets, guides, inference, models, nn
from consilience.datasets.data import MultimodalData
from consilience.nn.recipes import Writer
from consilience.training.archive import write_archive
from consilience.training.encodings import flatten
from consilience.training.history import History

if TYPE_CHECKING:
    from consilience.training.fitted import Fitted

KIND = "model"
PROGRAMS = ("guide", "model", "elbo")
PACKAGES = ("consilience", "jax", "numpyro", "flax", "numpy")
ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish"),
    *("softplus", "sigmoid", "hard_tanh", "tanh", "standardize", "identity"),
)
BOUNDS = ("Trace_ELBO", "TraceMeanField_ELBO", "RenyiELBO")


def public_names() -> dict[str, object]:
    """What recipes may name: our constructors, activations of JAX, bounds of NumPyro."""
    rooms = (nn, datasets, models, guides, inference)
    ours = {name: getattr(room, name) for room in rooms for name in room.__all__}
    theirs = {f"jax.nn.{name}": getattr(jax.nn, name) for name in ACTIVATIONS}
    theirs |= {f"numpyro.{name}": getattr(numpyro.infer, name) for name in BOUNDS}
    return {"History": History, **ours, **theirs}


def save(fitted: "Fitted", path: str | os.PathLike) -> None:
    """Write a fit; `load` reads it. One file, no pickle, written whole or not at all.

    In it are the parameters as they are optimised, the history, how data must look like,
    and how model, guide and bound were made of our constructors. Of functions of your own
    it has the names only: `load` takes them as arguments. Of the training rows it has none
    but the pseudo-inputs of a VampPrior. The optimiser is not in it.

    Raises:
        ValueError: SVI holds further arguments of model and guide.
        OSError: the file cannot be written.
    """
    write_archive(path, KIND, *described(fitted))


def described(fitted: "Fitted") -> tuple[dict, dict]:
    """Header and arrays of the file."""
    svi, writer = fitted.svi, Writer(public_names())
    if svi.static_kwargs:
        raise ValueError(
            "svi: expected one without further arguments of model and guide, got "
            f"{', '.join(svi.static_kwargs)}"
        )
    programs = {"guide": svi.guide, "model": svi.model, "elbo": svi.loss}
    header = {
        "versions": {name: version(name) for name in PACKAGES},
        "x64": jax.config.jax_enable_x64,
        "schema": writer.describe(_blank(fitted.schema)),
        "history": writer.describe(fitted.history),
        "programs": {name: writer.describe(programs[name]) for name in PROGRAMS},
        "best": fitted.best_state is not None,
    }
    states = {"state": trained(svi, fitted.state)}
    if fitted.best_state is not None:
        states["best"] = trained(svi, fitted.best_state)
    return header, writer.arrays | flatten(states)


def trained(svi: SVI, state: SVIState) -> dict:
    """What a state holds beside the optimiser's: parameters as they are optimised."""
    params = svi.optim.get_params(state.optim_state)
    kept = {"mutable": state.mutable_state, "rng_key": state.rng_key}
    return {"params": params} | kept


def _blank(schema: MultimodalData) -> MultimodalData:
    """The schema without what the row held, and without its name; masks are of all."""
    held = (schema.values, schema.covariates)
    values, covariates = jax.tree.map(jnp.zeros_like, held)
    return dataclasses.replace(
        schema, values=values, covariates=covariates, row_names=()
    )
