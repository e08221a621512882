"""Trained models from disk."""

import os
from collections.abc import Callable

import jax
import numpy as np
import optax
from numpyro.infer import SVI
from numpyro.infer.elbo import ELBO
from numpyro.infer.svi import SVIState
from numpyro.optim import _NumPyroOptim

from consilience.datasets.data import MultimodalData
from consilience.nn.executables import tracing
from consilience.nn.kinds import instance, program
from consilience.nn.rebuilding import OwnError, Reader
from consilience.training.archive import ArchiveError, read_archive, sound
from consilience.training.encodings import unflatten
from consilience.training.fitted import Fitted
from consilience.training.history import History
from consilience.training.saving import KIND, PROGRAMS, public_names, trained

Optimizer = optax.GradientTransformation | _NumPyroOptim


def load(
    path: str | os.PathLike,
    *,
    model: Callable | None = None,
    guide: Callable | None = None,
    elbo: ELBO | None = None,
    optimizer: Optimizer | None = None,
) -> Fitted:
    """A fit that `save` wrote. It computes what it did, to the last bit.

    Model, guide and bound are rebuilt from our constructors. One that has a function of
    yours in it must be given again. Code in a file is never run: there is none.

    Args:
        path: the file.
        model: p(x, z), in place of what the file says.
        guide: q(z | x_S), likewise.
        elbo: the bound, likewise.
        optimizer: to train on with, from its own start; without one `svi.update` is
            refused. `fit(..., start=fitted.params)` needs none.

    Raises:
        TypeError: `model` or `guide` is no function, or `elbo` a class.
        ArchiveError: the file is damaged, no saved model, or of a newer format.
        ValueError: one of `model`, `guide` and `elbo` is needed and was not given, or has
            other parameters than those in the file.
        OSError: the file cannot be read.
    """
    given = {"guide": guide, "model": model, "elbo": elbo}
    for name, part in given.items():
        if part is not None:
            (instance if name == "elbo" else program)(name, part)
    header, arrays = read_archive(path, KIND)
    with sound(path):
        _require_precision(path, header["x64"])
        made, schema, history = _rebuilt(path, header, arrays, given)
    svi = SVI(made["model"], made["guide"], optimizer or _no_optimizer(), made["elbo"])
    own = any(part is not None for part in given.values())
    with sound(path, *(Exception,) * own):  # errors of the user's programs pass
        state, best = _states(path, svi, schema, arrays, header["best"])
    return Fitted(svi, state, history, schema, best)


def _rebuilt(path, header: dict, arrays: dict, given: dict) -> tuple:
    """Programs by name, schema and history."""
    described = [header["schema"], header["history"], header["programs"]]
    reader = Reader(described, arrays, public_names())
    for name in PROGRAMS:
        if given[name] is not None:
            reader.give(header["programs"][name], given[name])
    made = {
        n: _program(path, n, reader, header["programs"][n], given) for n in PROGRAMS
    }
    schema, history = (reader.rebuild(header[name]) for name in ("schema", "history"))
    for name, part, kind in (
        ("schema", schema, MultimodalData),
        ("history", history, History),
    ):
        if not isinstance(part, kind):
            raise ArchiveError(
                f"{path}: damaged: its {name} is no {kind.__name__}, got "
                f"{type(part).__name__}"
            )
    return made, schema, history


def _program(path, name: str, reader: Reader, recipe: object, given: dict) -> object:
    if given[name] is not None:
        return given[name]
    try:
        return reader.rebuild(recipe)
    except OwnError as error:
        raise ValueError(
            f"{path}: {name}: it was made with your own {error.args[0]}, which no file "
            f"holds; expected it again, load(path, {name}=...)"
        ) from error


def _states(
    path, svi: SVI, schema: MultimodalData, arrays: dict, has_best: bool
) -> tuple[SVIState, SVIState | None]:
    """The last and the best state; `svi` learns how parameters are constrained."""
    key = arrays["['state']['rng_key']"]
    row = schema.batch(np.arange(1))
    with tracing():
        like = trained(svi, jax.eval_shape(svi.init, key, row))
    kept = {name: a for name, a in arrays.items() if name.startswith("[")}
    try:
        states = unflatten(
            dict.fromkeys(["state", "best"] if has_best else ["state"], like), kept
        )
    except ValueError as error:
        raise ValueError(
            f"{path}: model, guide: expected those that were trained; {error}"
        ) from error
    best = _restored(svi, states["best"]) if has_best else None
    return _restored(svi, states["state"]), best


def _restored(svi: SVI, state: dict) -> SVIState:
    optim_state = svi.optim.init(state["params"])
    return SVIState(optim_state, state["mutable"], state["rng_key"])


def _require_precision(path, x64: bool) -> None:
    if x64 != jax.config.jax_enable_x64:
        raise ValueError(
            f"{path}: it was trained with jax_enable_x64={x64}; expected the same here, "
            f'jax.config.update("jax_enable_x64", {x64})'
        )


def _no_optimizer() -> optax.GradientTransformation:
    """Refuses to train, where an optimiser that does nothing would seem to."""

    def update(updates, state, params=None):
        raise ValueError(
            "optimizer: this fit was loaded without one; expected "
            "load(path, optimizer=...) to train on"
        )

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
