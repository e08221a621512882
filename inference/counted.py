"""Which of the data the observed sites of a model count: all that was measured, no more.

A site counts what stands in a missing place if its log-density depends on it: if there is
a way from the site's value to the density on which nothing chooses by the masks. Masks
are told from other numbers by data flow, so that a mask of one's own is seen as well.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import jax

from consilience.datasets.data import MultimodalData
from consilience.inference.dataflow import Labels, labels_of, union

CHOICES = ("select_n", "mul", "and", "dot_general", "gather", "scatter", "scatter-add")
COPIES = (
    "select_n",
    "convert_element_type",
    "reshape",
    "broadcast_in_dim",
    "squeeze",
    "transpose",
    "slice",
    "dynamic_slice",
    "copy",
)
# Labels are pairs of one of these and a modality.
VALUES, ENTRIES, PRESENT = "values", "entries", "present"
AT_MISSING, AT_ABSENT = "at missing entries", "at absent rows"  # a value read there
MASK_OF = {AT_MISSING: ENTRIES, AT_ABSENT: PRESENT}


def check_counted(
    trace_of: Callable[[MultimodalData], dict], data: MultimodalData, *, by_row: bool
) -> None:
    """Refuse a model that observes other values than the data's, or what is missing.

    Args:
        trace_of: the model's trace at latents that do not depend on the data.
        data: rows.
        by_row: whether the sites themselves must leave out rows without the modality,
            for a bound that does not.

    Raises:
        ValueError: naming the modality.
    """
    found = _flow(trace_of, data)
    for name in data.names:
        value, density = found[name]
        if (VALUES, name) not in value:
            raise ValueError(
                f"model: observed site {name!r}: expected the data's own values, "
                f"obs=data.values[{name!r}], got others; {_remedy(name)}. Transform "
                "values before they become data"
            )
        if name in data.entries and (AT_MISSING, name) in density:
            raise ValueError(
                f"model: modality {name!r}: single entries are missing; expected a "
                "likelihood of those that were measured, got one that counts what stands "
                f"in the others' place, zeros; {_remedy(name)}"
            )
        if by_row and (AT_ABSENT, name) in density:
            raise ValueError(
                f"model: modality {name!r}: it is absent in some rows; expected a site "
                "that leaves them out, since all that the model observes is counted "
                f"here, got one that counts what stands there, zeros; {_remedy(name)}"
            )


def _remedy(name: str) -> str:
    ours = f"cs.observe(data, {name!r}, distribution, subset)"
    return f"write {ours} in place of numpyro.sample"


def _flow(trace_of: Callable, data: MultimodalData) -> dict:
    """By modality: labels of the site's value, and of its density at any value."""

    def densities(values, entries, present, anything):
        own = {"values": values, "entries": entries, "present": present}
        trace = trace_of(dataclasses.replace(data, **own))
        sites = {name: trace[name] for name in data.names}
        _check_sizes(sites, data)
        return {
            n: (s["value"], s["fn"].log_prob(anything[n].reshape(s["value"].shape)))
            for n, s in sites.items()
        }

    arguments = (data.values, data.entries, data.present, data.values)
    labels = (
        {name: frozenset(((VALUES, name),)) for name in data.values},
        {name: frozenset(((ENTRIES, name),)) for name in data.entries},
        frozenset((PRESENT, name) for name in data.names),
        {n: frozenset(((AT_MISSING, n), (AT_ABSENT, n))) for n in data.values},
    )
    return labels_of(densities, labels, *arguments, rule=_rule)


def _rule(primitive: str, operands: Sequence[Labels]) -> Labels:
    """A choice by a mask ends what is read there; other arithmetic makes other values."""
    labels = union(primitive, operands)
    chosen = any(kind in (ENTRIES, PRESENT) for kind, _ in labels)
    if primitive in CHOICES and chosen:
        return frozenset(label for label in labels if not _masked(label, operands))
    if primitive in COPIES:
        return labels
    return frozenset(label for label in labels if label[0] != VALUES)


def _masked(label: tuple[str, str], operands: Sequence[Labels]) -> bool:
    """Whether an operand that does not depend on what is read is its mask."""
    kind, name = label
    mask = (MASK_OF.get(kind), name)
    return any(mask in each and label not in each for each in operands)


def _check_sizes(sites: dict, data: MultimodalData) -> None:
    for name, site in sites.items():
        shape = (data.size, *data.event_shapes[data.index(name)])
        law = tuple(site["fn"].batch_shape) + tuple(site["fn"].event_shape)
        for what, found in (
            ("distribution", law),
            ("obs", jax.numpy.shape(site["value"])),
        ):
            if math.prod(found) != math.prod(shape):
                raise ValueError(
                    f"model: observed site {name!r}: expected a {what} of shape {shape}, "
                    f"got {found}"
                )
