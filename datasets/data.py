"""`MultimodalData`: several measurements of the same rows, none of them complete."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from jaxtyping import Array, Bool, Key, Shaped

from consilience.datasets import checks, validation
from consilience.datasets.align import align
from consilience.datasets.moments import fit_scaling, pieces
from consilience.datasets.named_arrays import unnamed
from consilience.datasets.pytree import pytree_dataclass
from consilience.datasets.standardization import Standardization
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_within

_STATIC = ("names", "event_shapes", "row_names", "feature_names", "total")


@pytree_dataclass(static=_STATIC)
@dataclasses.dataclass(frozen=True, eq=False)
class MultimodalData:
    """Rows of several modalities, with what is missing as masks. A frozen pytree.

    Build it with `from_arrays`, which validates; the constructor itself does not.

    Attributes:
        values: measurements by modality, each `[N, *event]`. What stands in a missing
            place is never read. Arrays of JAX; a modality of which float32 would merge
            values stays in float64 on the host (NumPy) until `standardize` scales it or
            a program takes it.
        present: `[N, M]`, True where a modality was measured; columns follow `names`.
        entries: `[N, *event]` by modality, True where a single entry was measured; only
            for modalities that have missing entries.
        covariates: by name, `[N, ...]`; always known (a label, a log library size).
        standardization: how `values` were scaled, None if they were not.
        names: the modalities, in the order of `present`'s columns.
        event_shapes: the shape of one measurement, per modality.
        row_names: one per row, or empty.
        feature_names: per modality, one per column or empty.
        total: size of the data set that these rows are a batch of, else None.
    """

    values: dict[str, Shaped[Array | np.ndarray, "rows ..."]]
    present: Bool[Array, "rows modalities"]
    entries: dict[str, Bool[Array, "rows ..."]] = dataclasses.field(
        default_factory=dict
    )
    covariates: dict[str, Shaped[Array, "rows ..."]] = dataclasses.field(
        default_factory=dict
    )
    standardization: Standardization | None = None
    names: tuple[str, ...] = ()
    event_shapes: tuple[tuple[int, ...], ...] = ()
    row_names: tuple[str, ...] = ()
    feature_names: tuple[tuple[str, ...], ...] = ()
    total: int | None = None

    @classmethod
    def from_arrays(
        cls,
        values: object,
        present: object = None,
        covariates: object = None,
        *,
        entries: object = None,
        row_names: Iterable[str | bytes] | None = None,
        feature_names: Mapping[str, Iterable[str | bytes]] | None = None,
        allow_empty_rows: bool = False,
    ) -> "MultimodalData":
        """Validate arrays, turn NaN into masks and fill what is missing with zeros.

        Args:
            values: a mapping, or pairs: modality name → array `[N, *event]` of numbers;
                NaN means missing, a row of NaN alone that the modality is absent. Or name
                → DataFrame or AnnData, whose rows are matched by their names, as `read`
                does. Sparse matrices are made dense.
            present: `[N, M]` booleans (columns in the order of `values`) or a mapping
                from name to `[N]`; False makes a modality absent whatever it holds.
            covariates: name → array `[N, ...]`, finite. DataFrames and Series are matched
                by their names here, too, and in `present` and `entries`.
            entries: name → booleans `[N, *event]`, False where an entry is missing; for
                integers, which know no NaN.
            row_names: N unique names.
            feature_names: name → one unique name for each of the modality's columns.
            allow_empty_rows: accept rows that have no modality at all. Their posterior
                is q(z | x_∅).

        Warns:
            UserWarning: float32 merges more than a tenth of the distinct values of a
                column, changes whole numbers or makes a value zero; up to 1000 rows are
                looked at.

        Raises:
            TypeError: names cannot be matched: a DataFrame beside an array, a Series
                beside rows without names.
            ValueError: naming modality, row, column, what was expected and what came.
        """
        given = unnamed(values, present, covariates, entries, row_names, feature_names)
        return cls(**validation.validate(**given, allow_empty_rows=allow_empty_rows))

    @property
    def size(self) -> int:
        """Number of rows N."""
        return self.present.shape[0]

    @property
    def num_modalities(self) -> int:
        """Number of modalities M."""
        return len(self.names)

    @property
    def schema(self) -> "MultimodalData":
        """Rows that say what any look like: these; of `StreamedData` the first one."""
        return self

    def plate(self) -> numpyro.plate:
        """The plate of the rows; it scales a batch up to the whole data set."""
        return numpyro.plate("data", self.total or self.size, subsample_size=self.size)

    def subset(
        self, subset: Bool[Array, "rows modalities"] | None = None
    ) -> Bool[Array, "rows modalities"]:
        """What a program conditions on: `subset` as far as present; None means all."""
        return self.present if subset is None else subset & self.present

    def subset_of(self, *names: str) -> Bool[Array, "rows modalities"]:
        """The subset made of the named modalities, in every row that has them.

        Raises:
            ValueError: a name is unknown.
        """
        for name in names:
            self.index(name)
        return self.present & jnp.array([name in names for name in self.names])

    def index(self, name: str) -> int:
        """The column of a modality in `present`.

        Raises:
            ValueError: the name is unknown.
        """
        if name not in self.names:
            known = ", ".join(self.names)
            raise ValueError(f"expected one of the modalities {known}, got {name!r}")
        return self.names.index(name)

    def observed(self, name: str) -> Bool[Array, "rows ..."]:
        """`[N, *event]`, True where an entry of a modality was measured."""
        i = self.index(name)
        column = self.present[:, i].reshape((-1,) + (1,) * len(self.event_shapes[i]))
        entries = self.entries.get(name, True)
        return jnp.broadcast_to(column & entries, (self.size, *self.event_shapes[i]))

    def filled(self, name: str) -> Shaped[Array, "rows ..."]:
        """Values of a modality with zeros wherever they are missing."""
        value = jnp.asarray(self.values[name])
        return jnp.where(self.observed(name), value, jnp.zeros((), value.dtype))

    def without_values(self) -> "MultimodalData":
        """The same rows with nothing observed, for a model to generate."""
        return dataclasses.replace(self, values={})

    def conform(
        self, like: "MultimodalData", argument: str = "data"
    ) -> "MultimodalData":
        """The same rows, with entry masks where `like` has them, for a model of `like`.

        Columns are matched by name where both sides have names: others are left out,
        their order is that of `like`, and one that lacks is missing. `argument` is what
        errors call these rows. Inside `jax.jit` the numbers of the scaling are not known,
        and not compared.

        Warns:
            UserWarning: columns were left out, put in order, or are missing.

        Raises:
            ValueError: modalities, shapes or scaling differ, a modality has none of the
                columns, or entries are missing of one that `like` knows as complete.
        """
        rows = align(self, like, argument, masked=like.entries)
        return dataclasses.replace(rows, entries=checks.conformed(rows, like, argument))

    def restrict(
        self, keep: Bool[Array, "rows modalities"], *, allow_empty_rows: bool = False
    ) -> "MultimodalData":
        """Remove the modalities where `keep` is False, their values too.

        Raises:
            ValueError: `keep` has another shape than `present`, or would leave a row with
                nothing (unless allowed).
        """
        checks.check_keep(self, keep, allow_empty_rows)
        hidden = dataclasses.replace(self, present=self.present & keep)
        values = {name: hidden._filled(name) for name in self.values}
        return dataclasses.replace(hidden, values=values)

    def _filled(self, name: str) -> Shaped[Array | np.ndarray, "rows ..."]:
        """As `filled`, but float64 that stays on the host stays there."""
        value = self.values[name]
        if isinstance(value, jax.Array) or isinstance(self.present, jax.core.Tracer):
            return self.filled(name)
        observed = checks.observed_entries(self, name)
        return np.where(observed, value, np.zeros((), value.dtype))

    def take(
        self, index: int | np.ndarray | Array | Sequence[int] | slice
    ) -> "MultimodalData":
        """Select rows, with their names; the result is a data set of its own."""
        rows = checks.rows_at(self.size, index)
        names = tuple(self.row_names[i] for i in rows) if self.row_names else ()
        picked = dataclasses.replace(self._rows(rows), row_names=names, total=None)
        return dataclasses.replace(picked, feature_names=self.feature_names)

    def batch(self, index: Array | np.ndarray) -> "MultimodalData":
        """Select rows that stand for the whole data set: `total` is set, names go.

        `index` may be traced. The plate of a batch scales its rows by total / size.
        """
        return dataclasses.replace(self._rows(index), total=self.total or self.size)

    def bare(self) -> "MultimodalData":
        """Without row and feature names, which would be hashed at each jitted call."""
        return dataclasses.replace(self, row_names=(), feature_names=())

    @checked_kinds
    def split(
        self, rng_key: Key[Array, ""], fraction: float
    ) -> tuple["MultimodalData", "MultimodalData"]:
        """Shuffle the rows and split them; the first part has `fraction` of them.

        Raises:
            ValueError: a part would be empty.
        """
        check_within("fraction", fraction, 0, 1, "[]")
        first = round(fraction * self.size)
        if not 0 < first < self.size:
            raise ValueError(
                f"fraction: expected both parts of {self.size} rows to have some, got "
                f"{fraction!r}"
            )
        order = np.asarray(jax.random.permutation(rng_key, self.size))
        return self.take(order[:first]), self.take(order[first:])

    def standardize(
        self,
        names: Sequence[str] | None = None,
        like: "MultimodalData | None" = None,
        *,
        log: Sequence[str] = (),
    ) -> "MultimodalData":
        """Scale modalities to mean 0 and standard deviation 1, and remember how.

        Moments are summed and values scaled in float64, whatever is computed in later. A
        column whose values differ by less than 2⁻⁴⁴ of their size counts as constant: it
        is centred, not scaled. Generated values and log-likelihoods come back in the
        first units.

        Args:
            names: modalities to scale; all with floating-point values and those of `log`
                by default.
            like: take its standardisation (that of the training rows) in place of a
                new one, and its columns, by name, as `conform` does.
            log: modalities of which log(1 + x) is scaled: positive measurements over
                several orders of magnitude. Whole numbers become floats here.

        Raises:
            ValueError: already standardised; a modality of integers without `log`; a
                value of −1 or less with it; `like` has none; a standard deviation that
                floats here do not hold; traced rows (of jit, vmap) without `like`.
        """
        checks.check_arguments(self, names, like, log)
        rows = self if like is None else align(self, like.schema, "standardize")
        checks.check_standardize(rows, names, like, log)
        if like is None:
            fitted = fit_scaling(self._blocks(names, log), log, self.labels())
        else:
            fitted = like.standardization
        values = rows._scaled(fitted)
        scaled = dataclasses.replace(rows, values=values, standardization=fitted)
        return scaled.restrict(scaled.present, allow_empty_rows=True)

    def labels(self) -> dict[str, validation.Labels]:
        """What errors call rows and columns, by modality."""
        columns = self.feature_names or ((),) * len(self.names)
        parts = zip(self.names, columns, self.event_shapes, strict=True)
        return {n: validation.Labels(n, self.row_names, c, e) for n, c, e in parts}

    def arrays_of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Values of a modality on the host, and where they were observed."""
        return np.asarray(self.values[name]), checks.observed_entries(self, name)

    def _blocks(self, names: Sequence[str] | None, log: Sequence[str]) -> Iterator:
        floats = [n for n in self.names if _is_float(self.values[n]) or n in log]
        whole = {n: self.arrays_of(n) for n in (floats if names is None else names)}
        for start, stop in pieces(self.size, self.event_shapes):
            yield {n: (x[start:stop], o[start:stop]) for n, (x, o) in whole.items()}

    def _scaled(self, fitted: Standardization) -> dict[str, Array | np.ndarray]:
        """Values as `fitted` has them: on the host, unless they are traced."""
        traced = [x for x in jax.tree.leaves(self) if isinstance(x, jax.core.Tracer)]
        if traced:
            return fitted.apply(self.values)
        scaled = dict(self.values)
        for name in fitted.loc:
            x, observed = self.arrays_of(name)
            cuts = pieces(self.size, self.event_shapes)
            parts = [fitted.scaled(name, x[a:b], observed[a:b]) for a, b in cuts]
            scaled[name] = jax.device_put(np.concatenate(parts))
        return scaled

    def unstandardize(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays `[..., *event]` by modality in the units of the unscaled data."""
        if self.standardization is None:
            return dict(values)
        return self.standardization.invert(values)

    def log_jacobian(
        self, subset: Bool[Array, "rows modalities"] | None = None
    ) -> Shaped[Array, " rows"]:
        """Add to log p(standardised x_S) to have it in the units of the unscaled data.

        Zero where nothing was standardised; only observed entries of `subset` count.
        """
        subset, total = self.subset(subset), jnp.zeros(self.size)
        if self.standardization is None:
            return total
        for i, name in enumerate(self.names):
            values, observed = self.filled(name), self.observed(name)
            term = self.standardization.log_jacobian(name, values, observed)
            total = total + jnp.where(subset[:, i], term, 0.0)
        return total

    @staticmethod
    def concatenate(parts: Sequence["MultimodalData"]) -> "MultimodalData":
        """Put rows of several data sets under each other.

        Raises:
            ValueError: the parts differ in modalities, shapes, covariates or scaling.
        """
        checks.check_alike(parts)
        first = parts[0]
        partial = {name for part in parts for name in part.entries}
        return dataclasses.replace(
            first,
            values={n: _joined([p.values[n] for p in parts]) for n in first.values},
            present=jnp.concatenate([p.present for p in parts]),
            entries={
                n: jnp.concatenate([p.observed(n) for p in parts]) for n in partial
            },
            covariates={
                n: jnp.concatenate([p.covariates[n] for p in parts])
                for n in first.covariates
            },
            row_names=checks.joint_row_names(parts),
            total=None,
        )

    def _rows(self, index: np.ndarray | Array) -> "MultimodalData":
        arrays = (self.values, self.present, self.entries, self.covariates)
        values, present, entries, covariates = jax.tree.map(lambda a: a[index], arrays)
        return dataclasses.replace(
            self.bare(),
            values=values,
            present=present,
            entries=entries,
            covariates=covariates,
        )


def _joined(arrays: Sequence[Array | np.ndarray]) -> Array | np.ndarray:
    """One below the other; in float64 on the host if any of them is."""
    if all(isinstance(x, jax.Array) for x in arrays):
        return jnp.concatenate(arrays)
    return np.concatenate(arrays)


def _is_float(x: Array | np.ndarray) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
