r"""The four figures of the paper's tables, and what they say about mutual information."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.evaluation.rates import row_rates
from consilience.inference.chunks import check_subset
from consilience.inference.contract import require_data
from consilience.nn.kinds import checked_kinds

if TYPE_CHECKING:
    from pandas import DataFrame


class Mean(NamedTuple):
    """A mean over rows.

    Attributes:
        value: the mean, nats a row.
        standard_error: from the rows' spread, which holds the noise of the draws too.
        rows: how many rows it is of.
    """

    value: float
    standard_error: float
    rows: int


class Rates(NamedTuple):
    r"""Rates and distortions (Hirt et al. 2024, section 2.2 and Table 1), nats a row.

    Cross figures are means over the uni-modal S of each row, then over the rows that have
    two modalities or more. Reconstructions are by modality, in the units of the unscaled
    data, and in all as "total".

    Attributes:
        full_reconstruction: E_{q(z|x_O)} log p(x_s | z).
        full_rate: KL(q(z|x_O) ‖ p(z)).
        cross_reconstruction: E_{q(z|x_S)} log p(x_\S | z).
        cross_rate: KL(q(z|x_O) ‖ q(z|x_S)).
    """

    full_reconstruction: dict[str, Mean]
    full_rate: Mean
    cross_reconstruction: dict[str, Mean]
    cross_rate: Mean

    def to_pandas(self) -> "DataFrame":
        """One line for each figure: value and standard error."""
        import pandas as pd

        lines = {}
        for name, found in self._asdict().items():
            each = found if isinstance(found, dict) else {"total": found}
            lines |= {(name.replace("_", " "), of): mean for of, mean in each.items()}
        index = pd.MultiIndex.from_tuples(lines, names=["figure", "of"])
        return pd.DataFrame(lines.values(), index=index, columns=Mean._fields)


@checked_kinds
def rates(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    **settings,
) -> Rates:
    r"""Full and cross reconstructions and rates, as in the paper's tables.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        settings: `num_samples`, `estimator`, `chunk_size` of `row_rates`.

    Raises:
        ValueError: no row has two modalities: there is nothing to cross.
    """
    require_data(data)
    present = np.asarray(data.present)
    several = present.sum(-1) > 1
    if not several.any():
        raise ValueError(
            "data: expected rows with two modalities or more, for cross terms, got none"
        )
    found = [
        row_rates(key, model, guide, params, data, data.subset_of(name), **settings)
        for key, name in zip(
            jax.random.split(rng_key, len(data.names)), data.names, strict=True
        )
    ]
    value = jax.tree.map(lambda *x: np.stack(x, 1), *[each.value for each in found])
    full = value.full_reconstruction.mean(1)
    others = present[:, :, None] & ~np.eye(len(data.names), dtype=bool)
    cross = np.where(others, value.reconstruction, 0.0)
    count = np.maximum(present.sum(-1), 1)
    cross_rate = np.where(present, value.cross_rate, 0.0).sum(1) / count
    return Rates(
        full_reconstruction=_by_modality(full, present, data.names, present.any(-1)),
        full_rate=_mean(value.full_rate.mean(1)[present.any(-1)]),
        cross_reconstruction=_crossed(cross, present, data.names, several),
        cross_rate=_mean(cross_rate[several]),
    )


def _crossed(cross, present, names, several) -> dict[str, Mean]:
    """By target: over the other modalities that a row has; in all: over its S."""
    sources = np.maximum(present.sum(-1, keepdims=True) - 1, 1)
    to_each = cross.sum(1) / sources
    count = np.maximum(present.sum(-1), 1)
    total = {"total": _mean((cross.sum((1, 2)) / count)[several])}
    return _by_modality(to_each, present, names, several) | total


def _by_modality(values, present, names, rows) -> dict[str, Mean]:
    """Means over those of `rows` that have the modality; "total" sums what a row has."""
    each = {
        name: _mean(values[rows & present[:, i], i])
        for i, name in enumerate(names)
        if (rows & present[:, i]).any()
    }
    return each | {"total": _mean(np.where(present, values, 0.0).sum(-1)[rows])}


def _mean(values: Float[np.ndarray, " rows"]) -> Mean:
    rows = len(values)
    error = values.std(ddof=1) / np.sqrt(rows) if rows > 1 else np.nan
    return Mean(float(values.mean(dtype=float)), float(error), rows)


class InformationBounds(NamedTuple):
    r"""What I_q(x_S; z) lies between (Hirt et al. 2024, equation 6 and Lemma 7), nats.

    Attributes:
        lower: H(x_S) − D_S.
        upper: R_S.
        conditional_lower: H(x_\S | x_S) − D^c.
        conditional_upper: R^c, of I_q(x_\S; z | x_S).
        standard_error: of the four, in this order.
    """

    lower: float
    upper: float
    conditional_lower: float
    conditional_upper: float
    standard_error: tuple[float, float, float, float]


@checked_kinds
def information_bounds(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"],
    entropy: Mapping[str, float],
    **settings,
) -> InformationBounds:
    r"""The sandwich of mutual information, where the data's entropy is known.

        H(x_S) − D_S ≤ I_q(x_S; z) ≤ R_S
        H(x_\S | x_S) − D^c ≤ I_q(x_\S; z | x_S) ≤ R^c

    D_S = −E_{q(z|x_S)} log p(x_S|z), R_S = KL(q(z|x_S) ‖ p(z)), D^c = −E_{q(z|x_O)}
    log p(x_\S|z), R^c = KL(q(z|x_O) ‖ q(z|x_S)). A lower bound above its upper one by more
    than the errors says that rows are not of the law whose entropy was given.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, S, which all rows have alike.
        entropy: "given", H(x_S), and "all", H(x_O), in nats, in the units of the unscaled
            data.
        settings: see `row_rates`.

    Raises:
        ValueError: rows differ in what is present or in S; single entries are missing; an
            entropy is not named.
    """
    require_data(data)
    subset = check_subset(data, subset)
    for name in data.names:
        holes = int(jnp.sum(data.present[:, data.index(name)])) * math.prod(
            data.event_shapes[data.index(name)]
        ) - int(data.observed(name).sum())
        if holes:
            raise ValueError(
                f"data: modality {name!r}: expected all entries, whose entropy is given, "
                f"got {holes} missing ones"
            )
    for what, rows in (("data", data.present), ("subset", subset)):
        if not bool((rows == rows[0]).all()):
            raise ValueError(f"{what}: expected the same modalities in every row")
    if entropy.keys() != {"given", "all"}:
        raise ValueError(
            "entropy: expected 'given' and 'all', got "
            f"{', '.join(map(repr, entropy)) or 'nothing'}"
        )
    found = row_rates(rng_key, model, guide, params, data, subset, **settings).value
    S, rest = np.asarray(subset[0]), np.asarray(data.present[0] & ~subset[0])
    own = _mean(np.asarray(found.reconstruction)[:, S].sum(-1))
    other = _mean(np.asarray(found.full_reconstruction)[:, rest].sum(-1))
    rate, cross = (_mean(np.asarray(x)) for x in (found.rate, found.cross_rate))
    known = float(entropy["given"])
    return InformationBounds(
        lower=known + own.value,
        upper=rate.value,
        conditional_lower=float(entropy["all"]) - known + other.value,
        conditional_upper=cross.value,
        standard_error=tuple(m.standard_error for m in (own, rate, other, cross)),
    )
