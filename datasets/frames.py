"""The way out: arrays by modality as pandas frames, CSV and Parquet."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Shaped

from consilience.datasets.data import MultimodalData
from consilience.datasets.writing import replacing

if TYPE_CHECKING:
    import pandas

INDEX = "sample"


def to_frames(
    values: Mapping[str, Shaped[Array | np.ndarray, "rows ..."]], like: MultimodalData
) -> dict[str, "pandas.DataFrame"]:
    """Arrays `[N, D]` or `[N]` by modality with the names of rows and columns of `like`.

    Rows without names are numbered; columns without are called after their modality.

    Raises:
        ValueError: a modality is unknown, or an array has another shape.
    """
    return {name: to_frame(name, x, like) for name, x in values.items()}


def to_frame(
    name: str, values: Shaped[Array | np.ndarray, "rows ..."], like: MultimodalData
) -> "pandas.DataFrame":
    """One modality of `to_frames`."""
    import pandas

    i, values = like.index(name), np.asarray(values)
    shape = (like.size, *like.event_shapes[i])
    if len(shape) > 2:
        raise ValueError(
            f"values[{name!r}]: expected a modality of one axis for a table, got "
            f"measurements of shape {shape[1:]}; save them with np.savez"
        )
    if values.shape != shape:
        draws = "; take one of the draws, or their mean"
        raise ValueError(
            f"values[{name!r}]: expected the shape {shape}, got {values.shape}"
            + draws * (values.shape[1:] == shape)
        )
    width = int(np.prod(shape[1:]))
    names = like.feature_names[i] if like.feature_names else ()
    columns = names or (
        [name] if not shape[1:] else [f"{name}_{j}" for j in range(width)]
    )
    index = pandas.Index(like.row_names or range(like.size), name=INDEX)
    return pandas.DataFrame(values.reshape(len(values), width), index, list(columns))


def write_frame(
    frame: "pandas.DataFrame", path: str | Path, *, overwrite: bool = False
) -> None:
    """Write a frame with its index, as `.csv`, `.tsv` or `.parquet` by the file's name.

    Numbers of CSV and TSV have all their digits: reading gives the same ones.

    Raises:
        ValueError: the extension is another.
        FileExistsError: the file is there and `overwrite` is False.
        ImportError: Parquet, without pyarrow.
        OSError: the file cannot be written; no regular file stands there.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(
            f"path: expected a file {', '.join(WRITERS)}, got {path.name!r}"
        )
    if path.exists() and not overwrite:
        raise FileExistsError(f"path: expected a new file, got {path}, which is there")
    with replacing(path) as partial:
        WRITERS[path.suffix](frame, partial)


def write_frames(
    frames: Mapping[str, "pandas.DataFrame"],
    folder: str | Path,
    suffix: str = ".csv",
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write one file a modality into a folder, which `read` understands again.

    Raises:
        ValueError: a name that is none for a file; else as in `write_frame`.
        FileExistsError, ImportError, OSError: as in `write_frame`.
    """
    for name in frames:
        if not name or Path(name).name != name:
            raise ValueError(f"frames: expected names for files, got {name!r}")
    paths = {name: Path(folder) / f"{name}{suffix}" for name in frames}
    for name, path in paths.items():
        write_frame(frames[name], path, overwrite=overwrite)
    return list(paths.values())


def _write_parquet(frame: "pandas.DataFrame", path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{path.name}: Parquet needs pyarrow; pip install 'consilience[parquet]'"
        ) from error
    frame.to_parquet(path, write_page_checksum=True)


WRITERS = {
    ".csv": lambda frame, path: frame.to_csv(path),
    ".tsv": lambda frame, path: frame.to_csv(path, sep="\t"),
    ".parquet": _write_parquet,
}
