"""A training from the command line, begun or resumed: all that comes after the data."""

import sys
import time
from collections.abc import Mapping

import jax
import numpy as np

import consilience as cs
from consilience.cli import beta, build, data, defaults, earlier, runs
from consilience.cli.runs import Run
from consilience.datasets.frames import write_frame
from consilience.experiments.console import console as make_console
from consilience.experiments.pictures import save
from consilience.inference.contract import check_names
from consilience.nn.executables import tracing

ADVICE = (  # the library's in the words of the command line
    "Options of `consilience fit` for this: --clip-norm 10, a smaller --learning-rate, "
    "--standardize or --log MODALITY, --nonfinite skip"
)


def parts(
    config: Mapping, rows: cs.MultimodalData
) -> tuple[cs.MultimodalData, cs.MultimodalData | None]:
    """Rows to train on and rows held out, as the model sees them."""
    train, held = data.split(rows, config["validation"])
    train = data.prepared(train, config)
    return train, None if held is None else data.like(held, config, train)


def check(config: Mapping, rows: cs.MultimodalData) -> None:
    """Trace a step, so that what cannot be trained is refused before anything is written.

    Raises:
        ValueError: a setting is refused, or parts do not fit together.
        TypeError: likewise.
    """
    svi = build.svi(config, rows, config["epochs"])
    rows = data.unscaled(rows, config)
    first = np.arange(min(config["batch_size"], rows.size))

    def step(key, rows):
        batch = rows.batch(first)
        check_names(svi.model, svi.guide, batch)
        return svi.evaluate(svi.init(key, batch), batch)

    with tracing():
        jax.eval_shape(step, jax.eval_shape(jax.random.key, 0), rows.bare())


def train(run: Run, rows: cs.MultimodalData, *, resume: bool, quiet: bool) -> None:
    """Train, and write model, history and picture into the run's folder."""
    console, config = make_console(), run.config
    rows, held = parts(config, rows)
    started = time.perf_counter()
    try:
        fitted = _fit(run, rows, held, resume, quiet)
    except (KeyboardInterrupt, SystemExit):
        print(runs.stopped(run), file=sys.stderr)
        raise
    except cs.NonFiniteError as error:
        raise ArithmeticError(f"{error}. {ADVICE}") from error
    earlier.drop(run.folder)
    _write(fitted, run)
    console.print(_result(fitted, time.perf_counter() - started), soft_wrap=True)


def _fit(run: Run, rows, held, resume: bool, quiet: bool) -> cs.Fitted:
    config = run.config
    per_epoch = defaults.steps(rows.size, config["batch_size"])
    return cs.fit(
        jax.random.key(config["seed"]),
        build.svi(config, rows, config["epochs"] * per_epoch),
        rows,
        num_epochs=config["epochs"],
        batch_size=config["batch_size"],
        validation=held,
        beta=beta.by_step(config["beta"], per_epoch),
        early_stopping=_stopping(config),
        checkpoints=cs.Checkpoints(run.folder / runs.CHECKPOINTS, resume=resume),
        loggers=(
            cs.JSONLines(run.folder / runs.LOG),
            earlier.UntilCheckpoint(run.folder, run.folder / runs.CHECKPOINTS),
        ),
        nonfinite=config["nonfinite"],
        progress=not quiet,
    )


def _stopping(config: Mapping) -> cs.EarlyStopping | None:
    if config["patience"] is None:
        return None
    first = beta.rising(config["beta"])
    return cs.EarlyStopping(patience=config["patience"], start_epoch=first)


def _write(fitted: cs.Fitted, run: Run) -> None:
    fitted.save(run.folder / runs.MODEL)
    write_frame(fitted.history.to_frame(), run.folder / runs.HISTORY, overwrite=True)
    save(cs.plot_training(fitted.history), run.folder / runs.PICTURE)


def _result(fitted: cs.Fitted, seconds: float) -> str:
    history = fitted.history
    said = f"trained for {len(history.bound)} epochs in {seconds:.0f} s: "
    if not len(history.validation):
        return said + f"bound {history.bound[-1]:.2f} nats a row"
    best = int(np.nanargmax(history.validation))
    return (
        f"{said}bound of held-out rows {history.validation[best]:.2f} nats a row at its "
        f"best, in epoch {best + 1}, which is kept"
    )
