"""Callbacks, the progress bar, and signals that stop a training."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import types
from contextlib import redirect_stderr
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import tiny

import consilience as cs
from consilience.training.history import Epoch
from consilience.training.signals import Signals
from consilience.training.watch import Bar, Lines, progress

NAN = float("nan")


@pytest.fixture(autouse=True)
def interruptible():
    """Shells start what runs in the background with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# Callbacks


def test_callbacks_see_each_epoch_and_the_fit_as_it_stands():
    seen = []

    def look(epoch, fitted):
        seen.append((epoch, fitted))

    last = tiny.fit(callbacks=[look, look], validation=tiny.data())
    assert [e.epoch for e, _ in seen] == [0, 0, 1, 1, 2, 2]
    for i, (epoch, fitted) in enumerate(seen[::2]):
        assert isinstance(epoch, Epoch)
        assert isinstance(fitted, cs.Fitted)
        assert_same(fitted.params, tiny.fit(num_epochs=i + 1).params)
        assert fitted.history.bound.shape == (i + 1,)
        for name in set(Epoch._fields) & set(fitted.history._fields):
            column = getattr(fitted.history, name)
            np.testing.assert_array_equal(
                column[-1:], [getattr(epoch, name)][: len(column)]
            )
        best = seen[2 * fitted.history.best_epoch][1]
        assert_same(fitted.best.params, best.params)
    assert_same(seen[-1][1].params, last.params)
    z = seen[0][1].posterior(tiny.KEY, tiny.data(), num_samples=2)["z"]
    assert z.shape == (2, tiny.ROWS, 1)


@pytest.mark.parametrize("yes", [True, np.True_, jax.numpy.array(True)])
def test_true_ends_the_training(yes):
    asked = []

    def stop(epoch, fitted):
        asked.append(epoch.epoch)
        return yes if epoch.epoch == 1 else None

    fitted = tiny.fit(callbacks=[stop, lambda *a: False], num_epochs=9)
    assert fitted.history.bound.shape == (2,)
    assert asked == [0, 1]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("said", [1, "stop", [True], np.array([True])])
def test_what_is_neither_true_nor_false_is_refused(said):
    with pytest.raises(TypeError, match=r"callbacks: expected True to end .* got"):
        tiny.fit(callbacks=[lambda epoch, fitted: said])


@pytest.mark.usefixtures("untyped")
def test_what_is_no_callback_is_refused():
    with pytest.raises(TypeError, match=r"callbacks: expected functions .* got 3"):
        tiny.fit(callbacks=[3])
    with pytest.raises(TypeError, match="callbacks: expected a list of them, got"):
        tiny.fit(callbacks=print)


# The bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream=Terminal, **settings):
    """Text of the bar, and the fit."""
    text = stream()
    with redirect_stderr(text):
        fitted = tiny.fit(**{"progress": True} | settings)
    return text.getvalue(), fitted


def test_the_bar_shows_bound_validation_rate_reconstruction_and_speed():
    text, fitted = shown(validation=tiny.data())
    last = text.rstrip().split("\r")[-1]
    history = fitted.history
    numbers = ", ".join(
        f"{name} {getattr(history, name)[-1]:.2f}"
        for name in ("bound", "validation", "rate", "reconstruction")
    )
    assert last.startswith("epoch 3/3: 100%|")
    assert last.endswith(numbers)
    assert re.search(r"\d\d:\d\d<00:00, [\d.]+k? rows/s, ", last)


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO, ""), (Terminal, "dumb")])
def test_what_is_no_terminal_gets_a_line_for_a_twentieth(stream, term, monkeypatch):
    monkeypatch.setenv("TERM", term)
    text, fitted = shown(stream, num_epochs=45, validation=tiny.data())
    assert "\r" not in text
    lines = text.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"epoch {n}/45" for n in (*range(3, 46, 3),)
    ]
    history = fitted.history
    for line, epoch in zip(lines, range(2, 45, 3), strict=True):
        assert f"bound {history.bound[epoch]:.2f}, " in line
        assert f"validation {history.validation[epoch]:.2f}, " in line


def test_the_last_line_of_a_training_that_ends_early_is_said():
    text, _ = shown(
        io.StringIO, num_epochs=400, callbacks=[lambda epoch, _: epoch.epoch == 24]
    )
    assert [line.split(":")[0] for line in text.splitlines()] == [
        "epoch 20/400",
        "epoch 25/400",
    ]


def test_long_blocks_have_a_line_a_minute(monkeypatch, capsys):
    clock = iter(np.arange(0, 10_000, 25.0))
    monkeypatch.setattr(
        "consilience.training.watch.time.monotonic", lambda: next(clock)
    )
    lines = Lines()
    for i in range(8):
        lines.show(Epoch(i, i, -1.5, -1, 0.5, NAN, NAN, 0, 1.0, 1.0), 1000)
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "epoch 3/1000",
        "epoch 6/1000",
    ]


def test_a_notebook_has_a_bar_though_it_is_no_terminal(monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = type("ZMQInteractiveShell", (), {})
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with redirect_stderr(io.StringIO()):
        made = progress(True, 10, 0)
        made.close()
    assert isinstance(made, Bar)


def test_no_bar_if_none_is_wanted():
    text, fitted = shown(progress=False)
    assert text == ""
    assert fitted.history.bound.shape == (3,)


def test_the_bar_leaves_out_what_there_is_not_and_counts_skipped_steps():
    text = io.StringIO()
    with redirect_stderr(text):
        bar = Bar(True, 100, 0)
        bar.advance(10)
        bar.show(Epoch(4, 10, -1.5, NAN, NAN, NAN, NAN, 3, 1.0, 1.0), 10)
        bar.close()
    assert text.getvalue().rstrip().endswith("s, bound -1.50, 3 steps skipped")
    assert "epoch 5/10:  10%|" in text.getvalue()


def test_the_bar_goes_on_within_an_epoch_and_begins_where_a_run_was(
    tmp_path, monkeypatch
):
    moves, advance = [], Bar.advance
    monkeypatch.setattr(
        Bar, "advance", lambda bar, n: (advance(bar, n), moves.append(bar.bar.n))
    )
    kept = {"every_seconds": None, "every_steps": 1}
    _, fitted = shown(num_epochs=2, checkpoints=cs.Checkpoints(tmp_path, **kept))
    assert moves == [5, 10, 15, 20]
    for path in sorted(tmp_path.glob("step-*"))[1:]:
        path.unlink()
    moves.clear()
    resumed = cs.Checkpoints(tmp_path, **kept, resume=True)
    text, again = shown(num_epochs=2, checkpoints=resumed)
    assert moves == [15, 20]
    assert "50%|" in text
    assert_same(again.params, fitted.params)


def test_short_epochs_are_not_all_drawn(monkeypatch):
    """Drawing takes longer than they do."""
    drawn = []
    with redirect_stderr(io.StringIO()):
        bar = Bar(True, 1000, 0)
        monkeypatch.setattr(bar.bar, "refresh", lambda: drawn.append(1))
        clock = iter(np.arange(1000) / 100)
        monkeypatch.setattr(
            "consilience.training.watch.time.monotonic", lambda: next(clock)
        )
        for i in range(100):
            bar.show(Epoch(i, i, -1.5, -1, 0.5, NAN, NAN, 0, 1.0, 1.0), 100)
        bar.close()
    assert 5 <= len(drawn) <= 20


def test_a_notebook_without_widgets_does_not_warn(monkeypatch):
    """As in a kernel: `tqdm.auto` looks for these modules, and warns."""
    for name in ("tqdm.auto", "tqdm.autonotebook", "tqdm.notebook"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = type("ZMQInteractiveShell", (), {})
    kernel = types.ModuleType("zmqshell")
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", kernel)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with redirect_stderr(io.StringIO()) as text:
        Bar(True, 10, 0).close()
    assert "0%|" in text.getvalue()
    assert "tqdm.auto" not in sys.modules


def test_a_notebook_with_widgets_has_the_bar_of_notebooks(monkeypatch):
    import tqdm.auto

    class OfNotebooks:
        def __init__(self, **settings):
            self.settings = settings

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "ipywidgets")
    monkeypatch.setattr(tqdm.auto, "tqdm", OfNotebooks)
    bar = Bar(True, 10, 3).bar
    assert isinstance(bar, OfNotebooks)
    assert (bar.settings["total"], bar.settings["initial"]) == (10, 3)


# Signals


def interrupts(number, at):
    """A callback that has a signal sent to this process."""
    seen = []

    def callback(epoch, fitted):
        seen.append(epoch.epoch)
        if epoch.epoch == at:
            os.kill(os.getpid(), number)
            time.sleep(0.01)

    return callback, seen


def handlers():
    return [signal.getsignal(s) for s in Signals.HELD]


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
@pytest.mark.parametrize(("at", "steps"), [(1, 6), (2, 8), (3, 8)])
def test_a_signal_acts_behind_a_checkpoint(number, raised, at, steps, tmp_path, capfd):
    """After the segment that follows, or at the end; what was trained is on disk."""
    before = handlers()
    callback, seen = interrupts(number, at)
    kept = {"every_seconds": 1e6, "every_steps": None}
    with pytest.raises(raised) as caught:
        tiny.fit(
            num_epochs=4,
            checkpoints=cs.Checkpoints(tmp_path, **kept),
            callbacks=[callback],
        )
    if raised is SystemExit:
        assert caught.value.code == 143
    assert handlers() == before
    assert seen == [*range(at + 1)]
    assert f"{number.name}: stops behind the next checkpoint" in capfd.readouterr().err
    [path] = tmp_path.glob("step-*.npz")
    assert path.name == f"step-{steps:09d}.npz"
    resumed = cs.Checkpoints(tmp_path, **kept, resume=True)
    fitted = tiny.fit(num_epochs=4, checkpoints=resumed)
    whole = tiny.fit(num_epochs=4)
    assert_same(fitted.params, whole.params)
    assert_same(fitted.history.bound, whole.history.bound)


def test_without_checkpoints_ctrl_c_acts_as_usual():
    callback, seen = interrupts(signal.SIGINT, 1)
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        tiny.fit(callbacks=[callback, lambda *a: seen.append("not reached")])
    assert handlers() == before
    assert seen == [0, "not reached", 1]


def test_a_second_signal_acts_at_once():
    before = handlers()
    with pytest.raises(KeyboardInterrupt), Signals() as held:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert held.came == signal.SIGINT
        assert handlers() == before
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
        pytest.fail("it did not act")


def test_signals_that_are_ignored_stay_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Signals() as held:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            assert held.came is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_is_not_hidden_by_a_signal():
    with pytest.raises(KeyError), Signals() as held:  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert held.came == signal.SIGINT
        raise KeyError("mine")


SCRIPT = """
import sys
import time
import tiny
import consilience as cs

def look(epoch, fitted):
    print("epoch", epoch.epoch, flush=True)
    time.sleep(0.05)  # epochs are short, and who reads may be busy

kept = cs.Checkpoints(sys.argv[1], every_seconds=1e6)
tiny.fit(num_epochs=10**6, checkpoints=kept, callbacks=[look])
"""


INTERRUPT = pytest.param(signal.SIGINT, -2, marks=pytest.mark.long)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), INTERRUPT])
def test_a_training_of_another_process_stops_and_goes_on_here(number, code, tmp_path):
    """As a cluster stops it, and as Ctrl-C does (a shell says 130)."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    env = {**os.environ, "PYTHONPATH": path}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        while process.stdout.readline().strip() != "epoch 3":
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == code
    finally:
        process.kill()
        process.stdout.close()
    [checkpoint] = tmp_path.glob("step-*.npz")
    epochs = int(checkpoint.stem.removeprefix("step-")) // 2 + 1
    assert epochs > 4
    svi = tiny.svi(optax.sgd(1e-3))  # compiled as it was there
    fitted = tiny.fit(
        svi, num_epochs=epochs, checkpoints=cs.Checkpoints(tmp_path, 1e6, resume=True)
    )
    whole = tiny.fit(svi, num_epochs=epochs)
    assert_same(fitted.history.bound, whole.history.bound)
    assert_same(fitted.params, whole.params)
