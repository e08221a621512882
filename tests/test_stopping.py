"""Early stopping: when, and which state is kept; all against prescribed bounds."""

import sys

import jax
import numpy as np
import pytest
import tiny

import consilience as cs

NAN = float("nan")


@pytest.fixture
def prescribed(monkeypatch):
    """`fit` sees these validation bounds, one an epoch."""

    def say(bounds):
        given = iter(bounds)
        module = sys.modules["consilience.training.fit"]  # of the function's name too
        monkeypatch.setattr(module, "validator", lambda *a, **kw: lambda _: next(given))

    return say


# Patience, least rise, first epoch; bounds; the epoch that is the last one.
WHEN = [
    (2, 0.0, 0, [1, 2, 1, 2, 9], 3),  # an equal one is no rise
    (2, 0.0, 0, [1, 2, 1, 3, 2, 2.5, 9], 5),
    (1, 0.0, 0, [3, 2, 9], 1),
    (2, 0.5, 0, [1, 1.4, 1.5, 9], 2),  # small rises do not count
    (2, 0.5, 0, [1, 1.4, 1.6, 2.0, 2.05, 9], 4),  # nor do they raise the bar
    (2, 0.0, 3, [9, 1, 1, 1, 2, 1, 2, 9], 6),  # what was before does not count
    (2, 0.0, 9, [5, 4, 3, 2, 1], None),
    (2, 0.0, 0, [1, 2, 3, 4, 5], None),
    (2, 0.0, 0, [NAN, NAN, 9], 1),  # what is no number has not risen
    (2, 0.0, 0, [NAN, 1, NAN, 2, NAN, NAN, 9], 5),
    (2, 0.0, 0, [-np.inf, 1, 0, 1, 9], 3),
]


@pytest.mark.parametrize(("patience", "min_delta", "start", "bounds", "last"), WHEN)
def test_it_stops_exactly_when_it_should(patience, min_delta, start, bounds, last):
    stopping = cs.EarlyStopping(patience, min_delta, start)
    bounds = [float(b) for b in bounds]
    enough = [stopping.enough(bounds[: i + 1]) for i in range(len(bounds))]
    first = enough.index(True) if any(enough) else None
    assert first == last


def test_the_training_stops_and_keeps_the_best_and_the_last_state(prescribed):
    """Each as the same training has it that ends there."""
    stopping = cs.EarlyStopping(patience=2, start_epoch=1)
    settings = {"validation": tiny.data(), "num_epochs": 20}
    prescribed([NAN, -3.0, -1.0, -2.0, -1.0, 9.0])
    fitted = tiny.fit(early_stopping=stopping, **settings)
    history = fitted.history
    np.testing.assert_array_equal(history.validation, [NAN, -3.0, -1.0, -2.0, -1.0])
    assert history.best_epoch == 2
    best, last = (tiny.fit(num_epochs=n) for n in (3, 5))
    jax.tree.map(np.testing.assert_array_equal, fitted.best.params, best.params)
    jax.tree.map(np.testing.assert_array_equal, fitted.params, last.params)
    assert fitted.best.history is history
    for one, other in zip(
        *map(jax.tree.leaves, (best.params, last.params)), strict=True
    ):
        assert np.any(one != other)


def test_the_best_state_is_that_of_the_highest_bound_whatever_counts(prescribed):
    """Neither the least rise nor the first epoch of early stopping have a say in it."""
    stopping = cs.EarlyStopping(patience=9, min_delta=5.0, start_epoch=9)
    prescribed([-2.0, -1.0, -1.5])
    fitted = tiny.fit(validation=tiny.data(), early_stopping=stopping)
    expected = tiny.fit(num_epochs=2).params
    jax.tree.map(np.testing.assert_array_equal, fitted.best.params, expected)


def test_without_validation_there_is_no_best():
    fitted = tiny.fit(num_epochs=1)
    assert fitted.history.best_epoch is None
    with pytest.raises(ValueError, match="best: expected a fit with validation rows"):
        _ = fitted.best


def test_validation_is_of_the_state_after_each_epoch():
    """With one fixed key, and β of the bound itself, whatever the schedule says."""
    held_out, seen = tiny.data(1.0), []
    svi = tiny.sgd()

    def look(epoch, fitted):
        key = jax.random.split(tiny.KEY, 4)[2]
        seen.append(cs.validation_bound(key, svi, fitted.state, held_out))

    fitted = tiny.fit(validation=held_out, callbacks=[look])
    np.testing.assert_allclose(fitted.history.validation, seen, rtol=1e-6)
    assert len({round(x, 4) for x in seen}) == 3


REFUSED = [
    ({"patience": 0}, "patience: expected a positive integer, got 0"),
    ({"min_delta": -0.1}, r"min_delta: expected a number of 0 or more, got -0\.1"),
    ({"min_delta": "a"}, "min_delta: expected a number of 0 or more, got 'a'"),
    ({"start_epoch": -1}, "start_epoch: expected a whole number of 0 or more, got -1"),
    ({"start_epoch": 1.5}, r"start_epoch: expected a whole number .* got 1\.5"),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("wrong", "match"), REFUSED)
def test_refusals(wrong, match):
    with pytest.raises(ValueError, match=match):
        cs.EarlyStopping(**wrong)


@pytest.mark.usefixtures("untyped")
def test_fit_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="early_stopping: expected validation rows"):
        tiny.fit(early_stopping=cs.EarlyStopping())
    with pytest.raises(TypeError, match="early_stopping: expected EarlyStopping"):
        tiny.fit(early_stopping=20, validation=tiny.data())
