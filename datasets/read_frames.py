"""Arrays and pandas frames in memory."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from consilience.datasets.contents import Arrays, Contents, Modalities, chosen
from consilience.datasets.tables import Table, sample_ids, table

if TYPE_CHECKING:
    import pandas


def is_frame(source: object) -> bool:
    """Whether it is a pandas frame, which need not be imported to know."""
    return _class_of(source) == ("pandas", "DataFrame")


def _class_of(source: object) -> tuple[str, str]:
    return type(source).__module__.partition(".")[0], type(source).__name__


def read_mapping(source: Mapping, modalities: Modalities) -> Contents:
    """Modality → array, rows in one order; or modality → frame, rows by their index.

    Raises:
        TypeError: frames and arrays are mixed.
    """
    if not source:
        raise ValueError("source: expected at least one modality, got none")
    wanted = chosen(modalities, source, "the source")
    parts = {name: source[key] for name, key in wanted.items()}
    framed = [name for name, part in parts.items() if is_frame(part)]
    if not framed:
        for name, part in parts.items():
            if _class_of(part) == ("pandas", "Series"):
                raise TypeError(
                    f"source[{name!r}]: expected a DataFrame, got a Series; use to_frame()"
                )
        return Contents("the source", arrays=Arrays(parts))
    for name in parts:
        if name not in framed:
            raise TypeError(
                f"source: expected DataFrames only, or arrays only, got a DataFrame for "
                f"{framed[0]!r} and {type(parts[name]).__name__} for {name!r}, whose rows "
                "have no names to match"
            )
    _check_kinds(parts)
    return Contents(
        "the source", tables={n: frame_table(n, f) for n, f in parts.items()}
    )


def frame_table(name: str, frame: "pandas.DataFrame") -> Table:
    """One modality; the index has the ids of samples."""
    place = f"source[{name!r}]"
    return table(place, index_ids(place, frame), frame.columns, frame)


def index_ids(place: str, frame: "pandas.DataFrame") -> tuple[str, ...]:
    """Ids of samples from an index of text or whole numbers.

    Raises:
        TypeError: the index holds something else.
    """
    index_kind(place, frame)
    return sample_ids(place, frame.index)


def index_kind(place: str, frame: "pandas.DataFrame") -> str:
    """Whether the index has text or whole numbers."""
    index = frame.index
    if index.nlevels == 1 and getattr(index.dtype, "kind", "O") in "iu":
        return "whole numbers"
    if index.nlevels == 1 and all(isinstance(name, str) for name in index):
        return "text"
    raise TypeError(
        f"{place}: expected an index of sample ids, text or whole numbers, got "
        f"{index.dtype if index.nlevels == 1 else 'a MultiIndex'}"
    )


def _check_kinds(frames: Mapping[str, "pandas.DataFrame"]) -> None:
    kinds = {n: index_kind(f"source[{n!r}]", frame) for n, frame in frames.items()}
    first = next(iter(kinds))
    for name, kind in kinds.items():
        if kind != kinds[first]:
            raise TypeError(
                f"source[{name!r}]: expected sample ids of one type, got {kind} in its "
                f"index and {kinds[first]} in that of {first!r}; use "
                "frame.index.astype(str) on both"
            )
