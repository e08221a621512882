"""What `fit` returns: model, guide and parameters, with the functions that use them."""

import dataclasses
import inspect
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.checks import observed_entries
from consilience.datasets.data import MultimodalData
from consilience.datasets.names import few
from consilience.inference.attention import attention_weights
from consilience.inference.attributes import Attribute, checked
from consilience.inference.contract import require_data
from consilience.inference.datatree import to_datatree
from consilience.inference.likelihood import LogLikelihood, log_likelihood
from consilience.inference.posterior import generate, generate_from_prior, posterior
from consilience.training.history import History
from consilience.training.pickling import copied, reduced
from consilience.training.provenance import of_fit
from consilience.training.saving import save

if TYPE_CHECKING:
    from xarray import DataTree

PREDICTIVE = {"posterior_predictive", "prior_predictive"}  # groups of a DataTree


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A trained model and guide. Methods check data and call the pure functions.

    Attributes:
        svi: model, guide, optimiser and bound.
        state: the last state; `svi.update(state, data)` goes on from it.
        history: the bound by epoch.
        schema: one training row, which says what data must look like: modalities, shapes,
            columns, scaling, entry masks. Its masks say what was measured in any row.
        best_state: the state with the highest validation bound, None without validation.
    """

    svi: SVI
    state: SVIState
    history: History
    schema: MultimodalData
    best_state: SVIState | None = None

    def __reduce__(self) -> tuple:
        """As `save` has it: without the optimiser; see `consilience.training.pickling`."""
        return reduced(self)

    def __copy__(self) -> "Fitted":
        return dataclasses.replace(self)

    def __deepcopy__(self, memo: dict) -> "Fitted":
        return copied(self, memo)

    @property
    def best(self) -> "Fitted":
        """The same fit with the parameters of the highest validation bound.

        Raises:
            ValueError: there were no validation rows.
        """
        if self.best_state is None:
            raise ValueError(
                "best: expected a fit with validation rows, fit(..., validation=...)"
            )
        return dataclasses.replace(self, state=self.best_state)

    @property
    def model(self) -> Callable:
        """p(x, z)."""
        return self.svi.model

    @property
    def guide(self) -> Callable:
        """q(z | x_S)."""
        return self.svi.guide

    @property
    def params(self) -> dict:
        """Trained parameters of model and guide, constrained, by site."""
        return self.svi.get_params(self.state)

    def save(self, path: str | os.PathLike) -> None:
        """See `consilience.training.saving.save`; `consilience.load` is its inverse."""
        save(self, path)

    def evaluate(
        self,
        function: Callable,
        rng_key: Key[Array, ""],
        data: MultimodalData,
        *more,
        **settings,
    ):
        """Any function of this fit: `function(rng_key, model, guide, params, data, ...)`.

        As in `fitted.evaluate(cs.check_posterior, rng_key, test.take(rows), subset)`, or
        with `cs.rates`, `cs.calibration`, `cs.conditional_log_likelihood`, your own. Of
        `model`, `guide` and `params` it gets those that it has as parameters.

        Raises:
            TypeError: `function` is none.
            ValueError: `data` does not conform to the training data.
        """
        if not callable(function):
            raise TypeError(
                f"function: expected one that this fit is given to, such as cs.rates, got "
                f"{function!r}"
            )
        takes = inspect.signature(function).parameters
        ours = {"model": self.model, "guide": self.guide, "params": self.params}
        programs = [ours[name] for name in takes if name in ours]
        return function(rng_key, *programs, self._conform(data), *more, **settings)

    def log_likelihood(
        self, rng_key: Key[Array, ""], data: MultimodalData, subset=None, **settings
    ) -> LogLikelihood:
        """See `consilience.inference.log_likelihood`."""
        return self.evaluate(log_likelihood, rng_key, data, subset, **settings)

    def posterior(
        self, rng_key: Key[Array, ""], data: MultimodalData, subset=None, **settings
    ) -> dict[str, Array]:
        """See `consilience.inference.posterior`."""
        return self.evaluate(posterior, rng_key, data, subset, **settings)

    def generate(
        self, rng_key: Key[Array, ""], data: MultimodalData, subset=None, **settings
    ) -> dict[str, Array]:
        """See `consilience.inference.generate`. NaN of what training never measured."""
        return self.known(self.evaluate(generate, rng_key, data, subset, **settings))

    def generate_from_prior(
        self, rng_key: Key[Array, ""], data: MultimodalData, **settings
    ) -> dict[str, Array]:
        """See `consilience.inference.generate_from_prior`, and `generate` of NaN."""
        return self.known(self.evaluate(generate_from_prior, rng_key, data, **settings))

    def known(
        self, values: Mapping[str, Shaped[Array | np.ndarray, "..."]]
    ) -> dict[str, Shaped[Array | np.ndarray, "..."]]:
        """Arrays `[..., *event]` by modality, NaN in columns that training never measured.

        Nothing of these was learned, so that any number there would be made up.
        """
        known = dict(values)
        for name, measured in self._measured():
            if not measured.all():
                known[name] = jnp.where(measured, known[name], jnp.nan)
        return known

    def _measured(self) -> Iterator[tuple[str, np.ndarray]]:
        """By modality, `[*event]`, whether any training row has it."""
        for name in self.schema.names:
            yield name, observed_entries(self.schema, name)[0]

    def to_datatree(
        self,
        rng_key: Key[Array, ""],
        data: MultimodalData,
        subset=None,
        *,
        attrs: Mapping[str, Attribute] | None = None,
        **settings,
    ) -> "DataTree":
        """See `consilience.inference.to_datatree`.

        The root's attributes have the bound's class and settings as well, the number of
        epochs and the last bound of the history; those of `attrs` take their place.
        Predictions are NaN in columns that training never measured.
        """
        attrs = of_fit(self.svi.loss, self.history) | checked(attrs)
        settings["attrs"] = attrs
        tree = self.evaluate(to_datatree, rng_key, data, subset, **settings)
        if all(measured.all() for _, measured in self._measured()):
            return tree
        for group in PREDICTIVE.intersection(tree.children):
            found = tree[group].to_dataset()
            known = self.known({name: found[name].values for name in found})
            tree[group] = found.assign(
                {name: (found[name].dims, np.asarray(x)) for name, x in known.items()}
            )
        return tree

    def attention_weights(
        self, data: MultimodalData, subset=None, **settings
    ) -> Float[Array, "rows layers heads modalities modalities"]:
        """See `consilience.inference.attention_weights`."""
        return attention_weights(
            self.guide, self.params, self._conform(data), subset, **settings
        )

    def _conform(self, data: MultimodalData) -> MultimodalData:
        require_data(data)
        rows = data.conform(self.schema)
        for name, measured in self._measured():
            if not measured.all():
                rows = _hidden(rows, name, measured)
        return rows


def _hidden(rows: MultimodalData, name: str, measured: np.ndarray) -> MultimodalData:
    """Rows without what no part was trained on: missing; says so once."""
    before = rows.observed(name)
    observed, i = before & measured, rows.index(name)
    if not isinstance(before, jax.core.Tracer) and bool((before != observed).any()):
        columns = few([rows.labels()[name].column(c) for c in np.argwhere(~measured)])
        warnings.warn(
            f"data: modality {name!r}: {columns} was never measured in the training rows, "
            "so that nothing of it is learned; taken as missing",
            stacklevel=4,
        )
    some = observed.reshape(rows.size, -1).any(-1)
    present = jnp.asarray(rows.present)
    entries = {name: observed} if name in rows.entries else {}
    return dataclasses.replace(
        rows,
        present=present.at[:, i].set(present[:, i] & some),
        entries=rows.entries | entries,
    )
