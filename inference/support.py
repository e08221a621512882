"""Refuses data outside the support of their likelihood before training on them."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.distributions import constraints

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.draws import sampler
from consilience.nn.executables import Program, tracing

REMEDY = (
    "choose a likelihood for such values, give counts and categories as they are, neither "
    "scaled nor logged, or mark what is wrong as missing"
)


def check_support(
    rng_key, model: Callable, guide: Callable, params: dict, data: MultimodalData
) -> None:
    """Compare every measured entry with the support of its likelihood.

    Raises:
        ValueError: naming modality, row, column, value, likelihood and remedy.
    """
    support_check(rng_key, model, guide, params)(data)


def support_check(
    rng_key, model: Callable, guide: Callable, params: dict
) -> Callable[..., None]:
    """`check_support` of many blocks of rows, traced once.

    Its arguments are the rows, the number that errors give the first of them, and what
    errors begin with.
    """
    program = Program(partial(_outside, model, guide))

    def check(data: MultimodalData, first_row: int = 0, where: str = "") -> None:
        outside = over_rows(
            lambda key, *rows: program(key, params, *rows), rng_key, data, None, 2000
        )
        for name, (bad, entry) in outside.items():
            if np.any(bad):
                laws = _laws(rng_key, model, guide, params, data.take([0]).bare())
                family, support = laws[name]
                row = int(np.argmax(bad))
                place = _place(data, name, row, first_row, int(entry[row]))
                values = np.asarray(data.values[name][row])
                raise ValueError(
                    f"{where}modality {name!r}, {place}: expected values in the support of "
                    f"its likelihood, {family}, got {_shown(values, int(entry[row]))}; "
                    f"{support}{REMEDY}"
                )

    return check


def _place(data: MultimodalData, name: str, row: int, first: int, entry: int) -> str:
    columns = dict(zip(data.names, data.feature_names, strict=False)).get(name, ())
    said = f"row {first + row}"
    if data.row_names:
        said += f" ({data.row_names[row]!r})"
    if 0 <= entry < len(columns):
        said += f", column {columns[entry]!r}"
    return said


def _shown(values: np.ndarray, entry: int) -> str:
    """The value that is meant, if one is, and its row."""
    row = np.array2string(values, threshold=8)
    return f"{values.flat[entry]} in {row}" if values.ndim and entry >= 0 else row


def _outside(model, guide, rng_key, params, data, subset) -> dict[str, tuple]:
    """By modality, `[N]` each: whether a measured entry is impossible, and which.

    That is the first one, or −1 where an event has several numbers.
    """
    trace = _trace(rng_key, model, guide, params, data, subset)
    return {name: _impossible(trace[name], data, name) for name in data.names}


def _laws(rng_key, model, guide, params, data) -> dict[str, tuple[str, str]]:
    """By modality, the family of its likelihood, and its support in words."""
    said = {}

    def look():
        trace = _trace(rng_key, model, guide, params, data, data.present)
        for name in data.names:
            fn = trace[name]["fn"]
            support = programs.entrywise(fn).support
            said[name] = programs.name_of(fn), _in_words(support)

    with tracing():
        jax.eval_shape(look)
    return said


def _end(bound: object) -> str | None:
    """A bound in words, where it is one for all entries and known."""
    if bound is None or isinstance(bound, jax.core.Tracer):
        return None
    ends = np.unique(np.asarray(bound))
    return f"{ends[0]:g}" if len(ends) == 1 else None


def _in_words(support: constraints.Constraint) -> str:
    """A clause on the support, empty where its ends are not known."""
    if support is constraints.boolean:
        return "possible are 0 and 1; "
    lower, upper = (
        _end(getattr(support, f"{side}_bound", None)) for side in ("lower", "upper")
    )
    kind = "whole numbers" if support.is_discrete else "numbers"
    if lower is None or (upper is None and hasattr(support, "upper_bound")):
        return ""
    ends = f"from {lower} on" if upper is None else f"from {lower} to {upper}"
    return f"possible are {kind} {ends}; "


def _trace(rng_key, model, guide, params, data, subset) -> dict:
    latents = sampler(rng_key, guide, params, data, subset)(rng_key).latents
    return programs.run(model, params, rng_key, latents, data)


def _impossible(site: dict, data: MultimodalData, name: str) -> tuple:
    fn, observed = programs.entrywise(site["fn"]), data.observed(name)
    supported = fn.support(site["value"])
    if fn.event_dim:
        observed = observed.all(tuple(range(-fn.event_dim, 0)))
    wrong = jnp.broadcast_to(~supported, observed.shape) & observed
    wrong = wrong.reshape(data.size, -1)
    entry = jnp.where(
        fn.event_dim == 0, wrong.argmax(-1), -1
    )  # of one that is a vector
    return wrong.any(-1), entry
