"""What to say when a bound is not finite: the step, the term, the row, the remedy."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Int
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.data import MultimodalData
from consilience.inference.blame import LATENTS, nonfinite_terms
from consilience.inference.elbo import MultimodalELBO
from consilience.nn.executables import Program
from consilience.training.devices import local
from consilience.training.sources import Source, rows_of
from consilience.training.steps import Settings, is_finite, segments

if TYPE_CHECKING:
    from consilience.training.fitted import Fitted

REMEDIES = {
    "z ~ q": "standardise or log-transform modalities with large values, raise min_scale of "
    "the guide's head, clip gradients (adam(..., clip_norm=...)), or lower the learning "
    "rate",
    "log p": "standardise or log-transform that modality, bound its likelihood's scale from "
    "below, or lower the learning rate",
    "KL": "raise min_scale of the guide's head, clip gradients (adam(..., clip_norm=...)), "
    "or lower the learning rate",
    "gradient": "clip gradients (adam(..., clip_norm=...)), or lower the learning rate",
    "update": "lower the learning rate, or clip gradients (adam(..., clip_norm=...))",
    "bound": "lower the learning rate, standardise data, or raise min_scale",
}


SUSPECT = 1e6  # times as large as all others: float32 has seven digits


class NonFiniteError(FloatingPointError):
    """Training met a number that is not finite.

    Attributes:
        step: steps that went well before.
        term: what was not finite, as in "log p(genes | z)"; several, with commas, where
            nothing tells which was first.
        rows: training rows in which it was not, empty if no row is to blame.
        fitted: the last good state.
    """

    def __init__(self, message: str, step: int, term: str, rows, fitted: "Fitted"):
        super().__init__(message)
        self.step, self.term, self.rows, self.fitted = step, term, rows, fitted


class Culprit(NamedTuple):
    """Where a segment went wrong.

    Attributes:
        offset: steps of the segment that went well.
        state: before the step that did not.
        term: what was not finite.
        rows: training rows to blame.
        sizes: what is large where, in words.
    """

    offset: int
    state: SVIState
    term: str
    rows: Int[np.ndarray, " rows"]
    sizes: str = ""


class _Found(NamedTuple):
    """What was not finite in a batch, in which of its rows `[N]`, and what is large."""

    term: str
    rows: Bool[np.ndarray, " rows"]
    sizes: str = ""


def find(
    svi: SVI,
    source: Source,
    settings: Settings,
    state: SVIState,
    chunk: object,
    place: tuple[int, int, int],
) -> Culprit:
    """Walk a segment again, step by step, up to the one that is not finite.

    Args:
        svi: model, guide, optimiser, bound.
        source: of the rows.
        settings: of the segment's program.
        state: at its start.
        chunk: what it scanned over.
        place: epoch, step in the epoch, steps before the segment.
    """
    epoch, start, first = place
    program = segments(svi, source.take, settings)
    count = len(jax.tree.leaves(chunk)[0])
    for offset in range(count):
        item = jax.tree.map(lambda x, i=offset: x[i : i + 1], chunk)
        given = (source.resident, state, item, first + offset)
        after, steps = program(*given)
        good = settings.skip or np.isfinite(steps.bound).all()
        if not (good and steps.finite):
            one = jax.tree.map(lambda x: x[0], item)
            state, resident, one = local((state, source.resident, one))
            batch = source.take(resident, one)
            beta = None if settings.beta is None else settings.beta(first + offset)
            found = _blame(svi, state, batch, beta)
            rows = rows_of(source, epoch, start + offset)[found.rows]
            return Culprit(offset, state, found.term, rows, found.sizes)
        state = after
    return Culprit(count, state, "bound", np.zeros(0, int))  # it was not seen again


def _blame(svi: SVI, state: SVIState, batch: MultimodalData, beta) -> _Found:
    """The first terms that are not finite, else where it began."""
    key, params = jax.random.split(state.rng_key)[1], svi.get_params(state)
    programs = (key, params, svi.model, svi.guide, batch)
    nobody, sizes = np.zeros(batch.size, bool), _values(batch)
    if not isinstance(svi.loss, MultimodalELBO):
        return _Found("bound", nobody, sizes + _suspect(batch))
    blames, features = nonfinite_terms(svi.loss, *programs)
    if blames:
        alike = [b for b in blames if b.term[:5] == blames[0].term[:5]]
        rows = np.any([b.rows for b in alike], 0)
        if blames[0].term == LATENTS and features:
            sizes = f"largest |features| by modality: {_listed(features)}; {sizes}"
        several = len(alike) > 1 or blames[0].term == LATENTS
        sizes += _suspect(batch) if several else ""
        return _Found(", ".join(b.term for b in alike), rows, sizes)
    more = {} if beta is None else {"beta": beta}
    gradients = Program(partial(_finite_gradients, svi))
    finite = gradients(state, key, batch, more)
    bad = [name for name, good in finite.items() if not good]
    if bad:
        return _Found(f"gradient of {_some(bad, len(finite))}", nobody, sizes)
    return _Found("update of the optimiser", nobody, sizes)


def _some(names: list[str], of: int) -> str:
    """Names of parameters; of many their number, for then no one of them is the cause."""
    return ", ".join(names) if len(names) < 4 else f"{len(names)} of {of} parameters"


def _values(batch: MultimodalData) -> str:
    return f"largest |values| by modality: {_listed(_sizes(batch))}"


def _sizes(batch: MultimodalData) -> dict[str, float]:
    """Largest absolute value by modality."""
    sizes = {}
    for name in batch.names:
        seen = np.where(batch.observed(name), batch.values[name], 0)
        sizes[name] = float(np.abs(seen.astype(float)).max(initial=0.0))
    return sizes


def _suspect(batch: MultimodalData) -> str:
    """A modality with values out of all proportion, where nothing else tells which."""
    sizes = _sizes(batch)
    name = max(sizes, key=sizes.get)
    others = [size for other, size in sizes.items() if other != name]
    if sizes[name] <= SUSPECT * max(1.0, *others, 0.0):
        return ""
    return f"; modality {name!r}, with by far the largest, may be the cause"


def _listed(sizes: Mapping[str, float]) -> str:
    """From the largest on, at most five."""
    ordered = sorted(sizes.items(), key=lambda pair: -pair[1])
    text = ", ".join(f"{name} {size:.3g}" for name, size in ordered[:5])
    return text + (f" and {len(ordered) - 5} more" if len(ordered) > 5 else "")


def _finite_gradients(svi: SVI, state: SVIState, key, batch, more: dict) -> dict:
    """By parameter, whether its gradient is finite."""

    def loss(free: dict) -> Array:
        params = svi.constrain_fn(free)
        return svi.loss.loss(key, params, svi.model, svi.guide, batch, **more)

    gradient = jax.grad(loss)(svi.optim.get_params(state.optim_state))
    return {name: is_finite(g) for name, g in gradient.items()}


def message(
    culprit: Culprit, place: str, skips: bool, row_name: Callable[[int], str]
) -> str:
    """The sentences of a `NonFiniteError`; `place` says when."""
    kind = next(k for k in REMEDIES if culprit.term.startswith(k))
    skip = "" if skips else "; nonfinite='skip' leaves such steps out"
    sizes = f" ({culprit.sizes})" if culprit.sizes else ""
    return (
        f"fit: {place}: {culprit.term} is not finite{_where(culprit.rows, row_name)}"
        f"{sizes}. What usually helps: {REMEDIES[kind]}{skip}"
    )


def _where(rows: Int[np.ndarray, " rows"], row_name: Callable[[int], str]) -> str:
    if not len(rows):
        return ""
    named = ", ".join(map(row_name, np.unique(rows)[:3].tolist()))
    more = len(np.unique(rows)) - 3
    several = "rows" if len(np.unique(rows)) > 1 else "row"
    return f" in {several} {named}" + (f" and {more} more" if more > 0 else "")
