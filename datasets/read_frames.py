"""Arrays, pandas frames and annotated matrices in memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from consilience.datasets.contents import Arrays, Contents, Modalities, chosen
from consilience.datasets.headers import check_index
from consilience.datasets.read_anndata import annotated_table, dense, is_omics
from consilience.datasets.tables import Table, sample_ids, table

if TYPE_CHECKING:
    import pandas

# what tells that an object's rows and columns have names, which an array would lose
NAMED = ("columns", "coords", "column_names", "obs_names", "mod")


def is_frame(source: object) -> bool:
    """Whether it is a pandas frame, which need not be imported to know."""
    return _is_pandas(source, "DataFrame")


def is_series(source: object) -> bool:
    """Whether it is a pandas series."""
    return _is_pandas(source, "Series")


def _is_pandas(source: object, kind: str) -> bool:
    return any(
        (one.__module__.partition(".")[0], one.__name__) == ("pandas", kind)
        for one in type(source).__mro__
    )


def read_mapping(source: Mapping, modalities: Modalities) -> Contents:
    """Modality → array, rows in one order; or → frame or AnnData, rows by their names.

    Raises:
        TypeError: what has names and arrays are mixed, or one is of another kind.
    """
    if not source:
        raise ValueError("source: expected at least one modality, got none")
    wanted = chosen(modalities, source, "the source")
    parts = {name: source[key] for name, key in wanted.items()}
    tables = tables_of("source", parts)
    if tables is not None:
        return Contents("the source", tables=tables)
    return Contents("the source", arrays=Arrays(arrays_of("source", parts)))


def tables_of(argument: str, parts: Mapping[str, object]) -> dict[str, Table] | None:
    """By modality, of DataFrames and AnnDatas; None where all are arrays.

    Raises:
        TypeError: naming what is neither, what to make of it, or arrays beside tables.
    """
    named = {n: p for n, p in parts.items() if is_frame(p) or _is_annotated(p)}
    for name, part in parts.items():
        if name not in named:
            check_array(f"{argument}[{name!r}]", part)
    if not named:
        return None
    first = next(iter(named))
    for name in parts:
        if name not in named:
            raise TypeError(
                f"{argument}: expected DataFrames only, or arrays only, got "
                f"a {type(named[first]).__name__} for {first!r} and "
                f"{type(parts[name]).__name__} for {name!r}, whose rows have no names to "
                "match"
            )
    frames = {n: p for n, p in named.items() if is_frame(p)}
    _check_kinds(argument, frames)
    return {
        name: frame_table(f"{argument}[{name!r}]", part)
        if name in frames
        else annotated_table(f"{argument}[{name!r}]", part)
        for name, part in named.items()
    }


def arrays_of(argument: str, parts: Mapping[str, object]) -> dict[str, object]:
    """Sparse matrices made dense, other arrays as they are."""
    return {n: dense(f"{argument}[{n!r}]", part) for n, part in parts.items()}


def check_array(argument: str, part: object) -> None:
    """Refuse what has names of rows or columns that an array would lose.

    Raises:
        TypeError: saying what to make of it.
    """
    kind = type(part)
    remedy = {
        ("pandas", "Series"): "use to_frame()",
        (
            "mudata",
            "MuData",
        ): "give it to consilience.read by itself, or its parts, mod",
        ("polars", "DataFrame"): "use to_pandas().set_index(...) with the sample ids",
        ("xarray", "DataArray"): "use to_pandas(), or its values if order is all",
    }.get((kind.__module__.partition(".")[0], kind.__name__))
    if remedy or any(hasattr(kind, attribute) for attribute in NAMED):
        raise TypeError(
            f"{argument}: expected a DataFrame, an AnnData or an array, got a "
            f"{kind.__name__}; "
            + (remedy or "make it a pandas DataFrame whose index has the sample ids")
        )


def _is_annotated(part: object) -> bool:
    return is_omics(part) and not hasattr(part, "mod")


def frame_table(place: str, frame: "pandas.DataFrame") -> Table:
    """One modality; the index has the ids of samples."""
    found = table(place, index_ids(place, frame), frame.columns, frame)
    return found._replace(id_name=frame.index.name)


def index_ids(place: str, frame: "pandas.DataFrame | pandas.Series") -> tuple[str, ...]:
    """Ids of samples from an index of text or whole numbers.

    Raises:
        TypeError: the index holds something else.
        ValueError: it is what pandas kept from rows before they were sorted or picked.
    """
    if index_kind(place, frame) == "whole numbers":
        index, columns = frame.index, getattr(frame, "columns", ())
        counted = type(index).__name__ == "RangeIndex"
        check_index(place, index.name, list(index), list(columns), counted=counted)
    return sample_ids(place, frame.index)


def ids_for(place: str, frame, row_names: Sequence[str] | None) -> tuple[str, ...]:
    """As `index_ids`; none where neither rows nor frame have names but their order."""
    counted = frame.index.name is None and list(frame.index) == [*range(len(frame))]
    if row_names is None and counted:
        return ()
    return index_ids(place, frame)


def index_kind(place: str, frame: "pandas.DataFrame | pandas.Series") -> str:
    """Whether the index has text or whole numbers."""
    index = frame.index
    if index.nlevels == 1 and getattr(index.dtype, "kind", "O") in "iu":
        return "whole numbers"
    if index.nlevels == 1 and all(isinstance(name, str | bytes) for name in index):
        return "text"
    raise TypeError(
        f"{place}: expected an index of sample ids, text or whole numbers, got "
        f"{index.dtype if index.nlevels == 1 else 'a MultiIndex'}"
    )


def _check_kinds(argument: str, frames: Mapping[str, "pandas.DataFrame"]) -> None:
    kinds = {n: index_kind(f"{argument}[{n!r}]", frame) for n, frame in frames.items()}
    first = next(iter(kinds), None)
    for name, kind in kinds.items():
        if kind != kinds[first]:
            raise TypeError(
                f"{argument}[{name!r}]: expected sample ids of one type, got {kind} in its "
                f"index and {kinds[first]} in that of {first!r}; use "
                "frame.index.astype(str) on both"
            )
