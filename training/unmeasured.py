"""What all training rows tell before training: never measured, and far off."""

import dataclasses
import warnings
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from consilience.datasets.checks import observed_entries
from consilience.datasets.data import MultimodalData
from consilience.datasets.names import few
from consilience.training.rows import Rows, blocks

SUSPECT, GAP = 1e7, 1000.0


class Survey:
    """Looks at training rows block by block, and says what it found in one warning.

    Args:
        data: all rows.
    """

    def __init__(self, data: Rows):
        self._data, schema = data, data.schema
        shapes = dict(zip(schema.names, schema.event_shapes, strict=True))
        self.measured = {n: np.zeros(shape, bool) for n, shape in shapes.items()}
        self._largest = {n: np.zeros(shape) for n, shape in shapes.items()}
        scaled = schema.standardization.loc if schema.standardization else {}
        self._counted = [n for n in schema.names if n not in scaled]
        self._labels = {
            n: labels._replace(rows=data.row_names)
            for n, labels in schema.labels().items()
        }

    def add(self, block: MultimodalData) -> None:
        """Look at some rows."""
        for name, measured in self.measured.items():
            observed = observed_entries(block, name)
            measured |= observed.any(0)
            if name in self._counted:
                x = np.asarray(block.values[name])
                top = np.max(x, 0, initial=0, where=observed)
                self._largest[name] = np.maximum(self._largest[name], top)

    def schema(self, row: MultimodalData) -> MultimodalData:
        """One row whose masks say what was measured in any row."""
        measured = {n: jnp.asarray(m[None]) for n, m in self.measured.items()}
        present = [m.any() for m in self.measured.values()]
        entries = {n: measured[n] for n in row.entries}
        return dataclasses.replace(row, entries=entries, present=jnp.array([present]))

    def warn(self) -> None:
        """Say what was never measured, and which counts are out of all proportion."""
        said = [*self._never(), *self._outliers()]
        if said:
            warnings.warn(f"fit: {'; '.join(said)}", stacklevel=3)

    def _never(self) -> Iterator[str]:
        for name, measured in self.measured.items():
            unknown = np.argwhere(~measured)
            if not measured.any():
                yield (
                    f"modality {name!r} is absent from all training rows, so that nothing "
                    "of it is learned; what is generated of it is NaN"
                )
            elif len(unknown):
                columns = few([self._labels[name].column(place) for place in unknown])
                yield (
                    f"modality {name!r}: {columns} was never measured in the training "
                    "rows, so that nothing of it is learned; what is generated of it is NaN"
                )

    def _outliers(self) -> Iterator[str]:
        for name in self._counted:
            for column in np.argwhere(self._largest[name] >= SUSPECT):
                rows, x = self._column(name, tuple(column))
                if (found := beyond(x)) is not None:
                    i, next_one = found
                    place = self._labels[name].place(np.array([rows[i], *column]))
                    yield (
                        f"modality {name!r}, {place}: {x[i]:.0f} is more than {GAP:.0f} "
                        f"times the next smaller number of its column, {next_one:.0f}; if "
                        "it stands for a missing one, make it NaN or give entries=..., "
                        "and if it is a count, it outweighs all others"
                    )

    def _column(self, name: str, column: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Rows that have a column, and its values."""
        rows, values = [], []
        for start, block in blocks(self._data):
            observed = observed_entries(block, name)[:, *column]
            rows.append(start + np.flatnonzero(observed))
            values.append(np.asarray(block.values[name])[:, *column][observed])
        return np.concatenate(rows), np.concatenate(values).astype(float)


def beyond(counts: np.ndarray) -> tuple[int, float] | None:
    """The first count above a gap in a column of counts, and the number below the gap.

    A gap is a factor of 1000 between neighbours in order of size, up to 10⁷ or more.
    Counts have long tails, but tails without gaps: with a tail of P(x > t) ~ 1/t, heavier
    than those of transcripts, the largest is 1000 times the next with probability 1/1000,
    and single cells have no counts of 10⁷. Codes for missing (2³¹ − 1, 10⁹ − 1) have it.

    None for what are no counts: fractions, negative numbers.
    """
    if (counts < 0).any() or (counts != np.round(counts)).any():
        return None
    ordered = np.sort(counts)
    below = np.maximum(ordered[:-1], 1.0)
    gaps = np.flatnonzero((ordered[1:] > GAP * below) & (ordered[1:] >= SUSPECT))
    if not len(gaps):
        return None
    value = ordered[gaps[0] + 1]
    return int(np.flatnonzero(counts == value)[0]), float(ordered[gaps[0]])
