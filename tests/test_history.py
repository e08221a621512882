"""The course of a training as a table and as a picture."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest
import tiny
from numpyro.infer import Trace_ELBO

import consilience as cs
from consilience.evaluation.plot_training import plot_training

matplotlib.use("Agg")
NAN = float("nan")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def records(count=4, **columns):
    """Epochs of which some columns are given."""
    for i in range(count):
        given = {n: x[i] for n, x in columns.items()}
        plain = cs.Epoch(
            i, 5 * (i + 1), -3.0 + i, -1.0, 2.0 - i, NAN, NAN, 0, 0.5, 10.0
        )
        yield plain._replace(**given)


def test_columns_are_those_of_the_records():
    history = cs.History.of(records(3, beta=[0.1, 0.2, 0.3], skipped=[0, 2, 0]))
    np.testing.assert_array_equal(history.bound, [-3.0, -2.0, -1.0])
    np.testing.assert_array_equal(history.rate, [2.0, 1.0, 0.0])
    np.testing.assert_array_equal(history.beta, [0.1, 0.2, 0.3])
    np.testing.assert_array_equal(history.step, [5, 10, 15])
    np.testing.assert_array_equal(history.skipped, [0, 2, 0])
    assert history.step.dtype.kind == history.skipped.dtype.kind == "i"
    assert history.validation.shape == (0,)
    assert cs.History.of(()).bound.shape == (0,)


def test_the_table_has_a_row_an_epoch_and_the_columns_that_hold_something():
    full = cs.History.of(records(3, beta=[0.1, 0.2, 0.3], validation=[NAN, -1.0, -2.0]))
    frame = full.to_frame()
    assert frame.index.name == "epoch"
    assert frame.index.tolist() == [0, 1, 2]
    assert tuple(frame.columns) == cs.History._fields
    for name in cs.History._fields:
        np.testing.assert_array_equal(frame[name], getattr(full, name))
    fewer = cs.History.of(records(3)).to_frame()
    assert {*frame.columns} - {*fewer.columns} == {"beta", "validation"}
    own = cs.History.of(records(3, rate=[NAN] * 3, reconstruction=[NAN] * 3))
    assert {*fewer.columns} - {*own.to_frame().columns} == {"rate", "reconstruction"}


@pytest.mark.parametrize(
    ("validation", "best"),
    [
        ([-2.0, -1.0, -3.0, -1.0], 1),
        ([NAN, -5.0, NAN, -6.0], 1),
        ([-np.inf, NAN, -9.0, -9.5], 2),
        ([NAN] * 4, None),
    ],
)
def test_the_best_epoch_is_the_first_of_the_highest(validation, best):
    history = cs.History.of(records(4, validation=validation))
    assert history.best_epoch == best


def test_the_history_of_a_training():
    """That an epoch's bound is the mean of its steps: tests/test_schedules.py."""
    history = tiny.fit().history
    np.testing.assert_allclose(
        history.reconstruction - history.rate, history.bound, rtol=1e-12
    )
    assert np.all(history.rate != 0)
    assert np.all(history.seconds > 0)
    assert history.step.tolist() == [2, 4, 6]


def test_a_bound_of_others_has_no_reconstruction():
    fitted = tiny.fit(tiny.svi(optax.sgd(1e-3), Trace_ELBO()), num_epochs=2)
    assert fitted.history.bound.shape == (2,)
    assert fitted.history.reconstruction.shape == fitted.history.rate.shape == (0,)
    assert tuple(fitted.history.to_frame()) == ("bound", "step", "skipped", "seconds")


# The picture


def texts(figure):
    return {t.get_text() for t in figure.findobj(matplotlib.text.Text)}


def course(count=200):
    rng, epochs = np.random.default_rng(0), np.arange(count)
    rate = 8 * (1 - np.exp(-epochs / 20))
    reconstruction = -30 - 1e5 * np.exp(-epochs / 2) + 0.3 * rng.normal(size=count)
    skipped = np.zeros(count, int)
    skipped[[20, 90]] = 1, 3
    return {
        "bound": reconstruction - rate,
        "validation": reconstruction - rate - 1 - 0.02 * np.abs(epochs - 120),
        "reconstruction": reconstruction,
        "rate": rate,
        "beta": np.clip(epochs / 60, 0, 1),
        "step": 7 * (epochs + 1),
        "skipped": skipped,
        "seconds": np.ones(count),
    }


def test_the_picture_shows_every_column_by_epoch():
    columns = course()
    figure = plot_training(cs.History(**columns))
    figure.canvas.draw()
    best = int(np.argmax(columns["validation"]))
    assert {"bound", "reconstruction", "β · rate", "β", "nats a row"} <= texts(figure)
    assert {f"best: epoch {best}", "4 steps skipped", "held-out rows"} <= texts(figure)
    shown = [["bound", "validation"], ["reconstruction"], ["rate"], ["beta"]]
    for axes, names in zip(figure.axes, shown, strict=True):
        *lines, mark, skipped = axes.lines
        for line, name in zip(lines, names, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), columns[name])
            np.testing.assert_array_equal(line.get_xdata(), np.arange(200))
        assert set(mark.get_xdata()) == {best}
        assert skipped.get_xdata().tolist() == [20, 90]


def test_the_first_epochs_do_not_flatten_the_rest():
    columns = course()
    figure = plot_training(cs.History(**columns))
    low, high = figure.axes[0].get_ylim()
    assert low > -100 > columns["bound"][0]
    assert high > columns["bound"].max()
    assert low < columns["validation"][30:].min()


def test_what_there_is_not_is_not_drawn():
    bound = np.array([-3.0, -2.0, -np.inf, NAN])
    figure = plot_training(cs.History(bound))
    figure.canvas.draw()
    [axes] = figure.axes
    assert len(axes.lines) == 1
    assert np.isfinite(axes.get_ylim()).all()
    plot_training(cs.History(np.array([NAN]), np.array([NAN]))).canvas.draw()
    one = plot_training(cs.History(bound[:1], bound[:1]))
    one.canvas.draw()
    assert all(line.get_marker() == "o" for line in one.axes[0].lines[:2])


def test_the_picture_refuses(untyped):
    with pytest.raises(
        TypeError, match="history: expected a `History`, such as fitted"
    ):
        plot_training({"bound": [1.0]})
    with pytest.raises(ValueError, match="history: expected one with epochs, got an"):
        plot_training(cs.History(np.zeros(0)))
