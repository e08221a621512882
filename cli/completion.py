"""Predictions in the place of what is missing, in the units of the files."""

import math
from typing import TYPE_CHECKING

import jax
import numpy as np

import consilience as cs
from consilience.cli.applied import Applied, sample_index

if TYPE_CHECKING:
    from pandas import DataFrame

AT_ONCE = 50_000_000  # numbers drawn, 200 MB
ESTIMATES = ("mean", "median", "draw")
Values = dict[str, np.ndarray]


def estimates(rng_key, found: Applied, estimate: str, draws: int) -> Values:
    """Predictions `[N, *event]` by modality, of rows that lack anything; others are NaN.

    Args:
        rng_key: random key.
        found: fit and rows.
        estimate: one of `ESTIMATES`.
        draws: of each row; a draw needs one.
    """
    rows, draws = found.rows, 1 if estimate == "draw" else draws
    lacking = np.flatnonzero(_lacking(rows))
    filled = {
        n: np.full((rows.size, *shape), np.nan, np.float32)
        for n, shape in zip(rows.names, rows.event_shapes, strict=True)
    }
    width = sum(math.prod(shape) for shape in rows.event_shapes)
    size = max(1, min(len(lacking), AT_ONCE // (draws * width)))
    for i, start in enumerate(range(0, len(lacking), size)):
        index = lacking[np.minimum(np.arange(start, start + size), len(lacking) - 1)]
        key = jax.random.fold_in(rng_key, i)
        for name, values in _predict(key, found, index, estimate, draws).items():
            filled[name][index] = values
    return filled


def _predict(rng_key, found: Applied, index, estimate: str, draws: int) -> Values:
    """Of some rows; means are of E[x | z] over draws where every likelihood has one."""
    likelihoods = found.run.config["likelihoods"]
    by_draws = {n for n, choice in likelihoods.items() if _without_mean(choice)}
    mean = estimate == "mean" and not by_draws
    generated = found.fitted.generate(
        rng_key, found.rows.take(index), num_samples=draws, mean=mean
    )
    drawn = {name: np.asarray(x) for name, x in generated.items()}
    if draws == 1:
        return {name: x[0] for name, x in drawn.items()}
    of = dict.fromkeys(drawn, _median if estimate == "median" else _mean)
    of |= dict.fromkeys(by_draws, _median)
    of |= {n: _mode for n in drawn if likelihoods[n]["name"] == "categorical"}
    return {name: of[name](x) for name, x in drawn.items()}


def _mean(draws: np.ndarray) -> np.ndarray:
    return draws.mean(0)


def _median(draws: np.ndarray) -> np.ndarray:
    """The lower one of an even number: a value that was drawn, whole if draws are."""
    return np.sort(draws, 0)[(len(draws) - 1) // 2]


def _mode(draws: np.ndarray) -> np.ndarray:
    """The most frequent category; of several the first."""
    if np.isnan(draws).all():
        return draws[0]
    counts = [(draws == value).sum(0) for value in range(int(draws.max()) + 1)]
    return np.argmax(counts, 0)


def _without_mean(choice: dict) -> bool:
    """Categories have none, and tails as heavy as Cauchy's."""
    cauchy = choice["name"] == "student_t" and choice.get("df", 4.0) <= 1
    return cauchy or choice["name"] == "categorical"


def _lacking(rows: cs.MultimodalData) -> np.ndarray:
    """`[N]`, whether a row lacks anything."""
    measured = [
        np.asarray(rows.observed(name)).reshape(rows.size, -1).all(-1)
        for name in rows.names
    ]
    return ~np.stack(measured).all(0)


def intervals(
    rng_key, found: Applied, probability: float, draws: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Lower and upper ends by modality, `[N, *event]` each."""
    ends = found.fitted.evaluate(
        cs.predictive_intervals,
        rng_key,
        found.rows,
        probability=probability,
        num_samples=draws,
    )
    lower, upper = found.fitted.known(ends.lower), found.fitted.known(ends.upper)
    return {name: (lower[name], upper[name]) for name in found.rows.names}


def in_units(found: Applied) -> Values:
    """Measured values by modality as they came, NaN where there are none."""
    return {
        name: np.where(
            np.asarray(found.rows.observed(name)),
            np.ma.getdata(found.arrays.values[name]).astype(float),
            np.nan,
        )
        for name in found.rows.names
    }


def table(found: Applied, name: str, predicted: np.ndarray, ending: str) -> "DataFrame":
    """A row a sample: what was measured as it was, and predictions elsewhere."""
    raw = np.ma.getdata(found.arrays.values[name])
    flat = [
        np.asarray(x).reshape(found.rows.size, -1)
        for x in (raw, found.rows.observed(name), predicted)
    ]
    columns = zip(*(x.T for x in flat), strict=True)
    return _frame(found, name, [_column(*parts, ending) for parts in columns])


def _column(raw: np.ndarray, measured: np.ndarray, predicted, ending: str):
    """One column; whole numbers stay such in text, beside predictions that are none."""
    if measured.all():
        return raw
    rounded = _shortest(predicted)
    if raw.dtype.kind == "f" or ending == "parquet":
        return np.where(measured, raw, rounded)
    filled = [_whole(x) for x in rounded]
    return np.where(measured, raw.astype(object), np.array(filled, object))


def _whole(x: float) -> int | float:
    return int(x) if np.isfinite(x) and x == round(x) else x


def _shortest(values: np.ndarray) -> np.ndarray:
    """As few decimals as single precision has."""
    return values.astype(np.float32).astype(str).astype(np.float64)


def only_missing(found: Applied, name: str, values: np.ndarray) -> "DataFrame":
    """Values where nothing was measured; the rest is empty."""
    kept = np.where(np.asarray(found.rows.observed(name)), np.nan, values)
    columns = kept.reshape(found.rows.size, -1).T
    return _frame(found, name, [_shortest(column) for column in columns])


def _frame(found: Applied, name: str, columns: list) -> "DataFrame":
    import pandas as pd

    rows, names = found.rows, ()
    i = rows.index(name)
    if rows.feature_names and rows.feature_names[i]:
        names = rows.feature_names[i]
    names = names or [
        "_".join(map(str, place)) for place in np.ndindex(*rows.event_shapes[i])
    ]
    columns = dict(zip(names, columns, strict=True))
    return pd.DataFrame(columns, index=sample_index(found))
