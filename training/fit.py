"""`fit`: training with `svi.update`, however long it takes and often it is stopped."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Key
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.data import MultimodalData
from consilience.inference.contract import check_names, inspect, require_data
from consilience.inference.support import support_check
from consilience.inference.unread import warn_of_unread
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive
from consilience.training.checkpoints import Checkpoints, CheckpointStore
from consilience.training.checks import check_settings, require_eager
from consilience.training.devices import batch_mesh, place
from consilience.training.fingerprint import course, fingerprint
from consilience.training.fitted import Fitted
from consilience.training.loggers import JSONLines, Logger
from consilience.training.loop import Loop
from consilience.training.order import Order
from consilience.training.processes import require_same, speaks, together
from consilience.training.rows import (
    Rows,
    blocks,
    identity,
    require_rows,
    source_of,
)
from consilience.training.run import Run
from consilience.training.schedules import check_beta
from consilience.training.sources import MOST_STEPS as MOST
from consilience.training.start import initial_state
from consilience.training.steps import Schedule, Settings
from consilience.training.stopping import EarlyStopping
from consilience.training.unmeasured import Survey
from consilience.training.validation import validator
from consilience.training.watch import Callback, Watch
from consilience.training.watch import progress as looks_on


@checked_kinds
def fit(
    rng_key: Key[Array, ""],
    svi: SVI,
    data: Rows,
    *,
    num_epochs: int,
    batch_size: int = 256,
    validation: MultimodalData | None = None,
    start: Mapping | None = None,
    beta: Schedule | None = None,
    early_stopping: EarlyStopping | None = None,
    checkpoints: Checkpoints | None = None,
    loggers: Sequence[Logger] | None = None,
    callbacks: Sequence[Callback] = (),
    nonfinite: str = "stop",
    mesh: jax.sharding.Mesh | None = None,
    progress: bool = True,
) -> Fitted:
    """Train with `svi.update` over shuffled minibatches, on the device.

    Each epoch is a permutation of all rows; its last batch is filled from the next
    epoch's permutation, so that every batch is full and its scale exact. The order is a
    function of key and epoch alone: same key, same machine, same bits, also if the run was
    stopped in between and went on from a checkpoint, in another process.

    Args:
        rng_key: random key of parameters, order and noise.
        svi: NumPyro's SVI of model, guide, optimiser and bound. Learning-rate schedules
            and clipping are the optimiser's: `adam`, or any of Optax's.
        data: training rows, in memory or, as `StreamedData`, on disk; the same bits come
            of both.
        num_epochs: passes over `data`, those before a resumed checkpoint counted in.
        batch_size: rows a step; all of them if there are fewer.
        validation: held-out rows, whose bound is measured after each epoch with one
            fixed key and the bound's own β. The best state is kept: `fitted.best`.
        start: initial values by parameter, such as `params` of another fit; those that
            it does not name start as the programs have it.
        beta: β by step, traced, in place of the bound's own: `warm_up`, `cyclical`.
        early_stopping: when to stop before `num_epochs`.
        checkpoints: where to keep the run, and whether to go on with the one there; only
            `num_epochs`, the optimiser, early stopping, loggers and callbacks may differ
            then. Ctrl-C and SIGTERM stop the run behind a checkpoint.
        loggers: take each epoch's numbers; with checkpoints, `log.jsonl` beside them by
            default.
        callbacks: `callback(epoch, fitted)` after each epoch; True stops the training.
        nonfinite: "stop" at a step that is not finite, or "skip" and count it.
        mesh: one axis of devices that share every batch: `jax.make_mesh((4,), ("data",))`.
            With several processes those of all; only the first of them calls loggers and
            callbacks, writes checkpoints and shows the progress bar.
        progress: show a progress bar; where there is no terminal, a line for each twentieth
            of the epochs.

    Warns:
        UserWarning: a modality or a column was never measured; a count is out of all
            proportion to its column (`consilience.training.unmeasured.beyond`).

    Raises:
        TypeError: `data` is none; a setting is of the wrong type.
        ValueError: a setting is out of its range; values are outside the support of their
            likelihood; `validation` does not conform to `data`; `start` names
            parameters that there are not, or of other shapes; the checkpoints are of
            another run.
        NonFiniteError: a step was not finite. It names step, term and row, and has the
            state before it, which is the last checkpoint, to go on from with another
            optimiser.
    """
    require_eager(rng_key, data)
    check_positive(num_epochs=num_epochs, batch_size=batch_size)
    require_rows(data)
    check_settings(early_stopping, checkpoints, validation, nonfinite)
    key_init, key_order, key_validation, key_support = jax.random.split(rng_key, 4)
    order = Order(key_order, data.size, min(batch_size, data.size))
    if beta is not None:
        check_beta(beta, num_epochs * order.num_steps)
    mesh = batch_mesh(mesh, order.batch_size)
    watch = Watch(_loggers(loggers, checkpoints), callbacks)
    named = _held_out(data, validation)
    held_out = None if named is None else named.bare()
    first = data.batch(np.arange(order.batch_size))
    check_names(svi.model, svi.guide, first)
    state = initial_state(key_init, svi, first, start)
    params = svi.get_params(state)
    sizes = {"num_epochs": num_epochs, "batch_size": order.batch_size}
    require_same(
        **sizes,
        data=identity(data),
        validation=held_out,
        rng_key=jax.random.key_data(rng_key),
        svi=params,
    )
    _inspect(svi.loss, data)(svi.model, svi.guide, params, first)
    survey = _check_support(key_support, svi, params, data, named)
    warn_of_unread(svi.model, svi.guide, params, first)
    source = source_of(data, order, mesh)
    segment = min(source.most_steps, (checkpoints and checkpoints.every_steps) or MOST)
    store = None
    if checkpoints is not None:
        known = fingerprint(rng_key, svi, order, data, validation=held_out) | {
            "beta": course(beta),
            "nonfinite": nonfinite,
            "checkpoints.every_steps": checkpoints.every_steps or "none",
        }
        with together():
            store = CheckpointStore(checkpoints, known)
    loop = Loop(
        svi=svi,
        source=source,
        settings=Settings(beta, nonfinite == "skip", mesh),
        schema=survey.schema(data.take([0])),
        row_names=data.row_names,
        num_epochs=num_epochs,
        segment=segment,
        validate=_validate(key_validation, svi, held_out, mesh),
        stopping=early_stopping,
        store=store,
        watch=watch,
    )
    return _train(loop, state, progress)


def _train(loop: Loop, state: SVIState, progress: bool) -> Fitted:
    """Begin, or go on from a checkpoint, and let go of everything at the end."""
    run = Run(*2 * (place(state, loop.settings.mesh),))
    found = None if loop.store is None else loop.store.latest(run.tree())
    if found is not None:
        try:
            run.restore(found[0], place(found[1], loop.settings.mesh))
        except ValueError as error:
            raise ValueError(f"{loop.store.newest}: {error}") from error
    if run.epoch > loop.num_epochs:
        raise ValueError(
            f"num_epochs: expected at least the {run.epoch} of the run that is resumed, got "
            f"{loop.num_epochs}"
        )
    resumed = loop.store is not None and loop.store.settings.resume
    rows = loop.source.order.batch_size
    total = loop.num_epochs * loop.source.order.num_steps * rows
    with ExitStack() as stack:
        stack.callback(loop.source.close)
        if loop.store is not None:
            stack.enter_context(loop.signals)
        with together():
            loop.watch.open(run.logged if resumed else None)
        stack.callback(loop.watch.close)
        bar = looks_on(progress and speaks(), total, run.done * rows)
        stack.callback(bar.close)
        loop.train(run, bar)
    return loop.fitted(run)


def _held_out(data: Rows, validation: MultimodalData | None) -> MultimodalData | None:
    """Validation rows as the training rows are."""
    if validation is None:
        return None
    require_data(validation, "validation")
    return validation.conform(data.take([0]), "validation")


def _validate(rng_key, svi, held_out, mesh) -> Callable | None:
    """The validation bound of a state."""
    if held_out is None:
        return None
    return validator(rng_key, svi, place(held_out, mesh), mesh=mesh)


def _check_support(rng_key, svi: SVI, params: dict, data: Rows, held_out) -> Survey:
    """Look at all rows once; say what was never measured."""
    check = support_check(rng_key, svi.model, svi.guide, params)
    survey = Survey(data)
    for row, block in blocks(data):
        survey.add(block)
        check(block, first_row=row)
    if held_out is not None:
        check(held_out, where="validation: ")
    survey.warn()
    return survey


def _loggers(loggers, checkpoints: Checkpoints | None) -> Sequence[Logger]:
    if loggers is None and checkpoints is not None:
        return (JSONLines(Path(checkpoints.folder) / "log.jsonl"),)
    return () if loggers is None else loggers


def _inspect(loss, data: Rows) -> Callable:
    """A bound's own check of model and guide; others know neither strata nor absence."""
    absent = not np.all(data.present)
    other = partial(inspect, stratified=False, by_row=absent)
    return getattr(loss, "inspect", other)
