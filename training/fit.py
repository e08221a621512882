"""Training: epochs on the device, minibatches, a validation bound."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, Key
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState
from tqdm import tqdm

from consilience.datasets.data import MultimodalData
from consilience.inference.contract import inspect, require_data
from consilience.inference.support import check_support
from consilience.nn.sizes import check_positive
from consilience.training.fitted import Fitted
from consilience.training.history import History


def fit(
    rng_key: Key[Array, ""],
    svi: SVI,
    data: MultimodalData,
    *,
    num_epochs: int,
    batch_size: int = 256,
    validation: MultimodalData | None = None,
    start: Mapping | None = None,
    progress: bool = True,
) -> Fitted:
    """Train with `svi.update` over shuffled minibatches, one epoch a device program.

    Each epoch is a permutation of all rows; its last batch is filled from the next
    epoch's permutation, so that every batch is full and its scale exact. The order is a
    function of key and epoch alone: same key, same machine, same bits.

    Args:
        rng_key: random key of parameters, order and noise.
        svi: NumPyro's SVI of model, guide, optimiser and bound.
        data: training rows.
        num_epochs: passes over `data`.
        batch_size: rows a step; all of them if there are fewer.
        validation: held-out rows, whose bound is measured after each epoch with one
            fixed key.
        start: initial values by parameter, such as `params` of another fit; those that
            it does not name start as the programs have it.
        progress: show a progress bar.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: a count is not positive; values are outside the support of their
            likelihood; `validation` does not conform to `data`; `start` names
            parameters that there are not, or of other shapes.
        FloatingPointError: the bound of an epoch is not finite.
    """
    check_positive(num_epochs=num_epochs, batch_size=batch_size)
    require_data(data)
    schema = data.take([0])
    if validation is not None:
        require_data(validation)
        validation = validation.conform(schema, "validation")
    key_init, key_order, key_validation, key_support = jax.random.split(rng_key, 4)
    data, size = data.bare(), min(batch_size, data.size)
    state = initial_state(key_init, svi, data.batch(jnp.arange(size)), start)
    params = svi.get_params(state)
    _inspect(svi.loss)(svi.model, svi.guide, params, data)
    check_support(key_support, svi.model, svi.guide, params, data)
    bounds, validated = [], []
    with tqdm(range(num_epochs), disable=not progress, unit="epoch") as bar:
        for epoch in bar:
            state, bound = _epoch(svi, state, data, key_order, epoch, size)
            bounds.append(_finite(float(bound) / data.size, epoch))
            shown = {"bound": f"{bounds[-1]:.2f}"}
            if validation is not None:
                validated.append(
                    validation_bound(key_validation, svi, state, validation)
                )
                shown["validation"] = f"{validated[-1]:.2f}"
            bar.set_postfix(shown)
    return Fitted(svi, state, History(np.array(bounds), np.array(validated)), schema)


@partial(jax.jit, static_argnames=("svi", "size"), donate_argnames="state")
def _epoch(
    svi: SVI,
    state: SVIState,
    data: MultimodalData,
    key: Key[Array, ""],
    epoch,
    size: int,
) -> tuple[SVIState, Float[Array, ""]]:
    """One pass over the rows; the mean bound of its steps."""

    def step(state, rows):
        state, loss = svi.update(state, data.batch(rows))
        return state, -loss

    state, bounds = lax.scan(step, state, epoch_order(key, epoch, data.size, size))
    return state, bounds.mean()


def epoch_order(
    rng_key: Key[Array, ""], epoch: int | Array, num_rows: int, batch_size: int
) -> Int[Array, "steps batch"]:
    """Row indices of an epoch's batches; the last is filled from the next permutation."""
    steps = math.ceil(num_rows / batch_size)
    now, following = (
        jax.random.permutation(jax.random.fold_in(rng_key, epoch + i), num_rows)
        for i in (0, 1)
    )
    order = jnp.concatenate([now, following])
    return order[: steps * batch_size].reshape(steps, batch_size)


def validation_bound(
    rng_key: Key[Array, ""],
    svi: SVI,
    state: SVIState,
    data: MultimodalData,
    *,
    chunk_size: int = 2000,
) -> float:
    """The bound per row over `data` in nats, in the units that the model was trained in.

    Global latents are counted with each chunk of rows in proportion to its size.
    """
    params, total = svi.get_params(state), 0.0
    for start in range(0, data.size, chunk_size):
        index = jnp.arange(start, min(start + chunk_size, data.size))
        key = jax.random.fold_in(rng_key, start)
        rows = data.batch(index)  # scaled up to all rows, hence a mean of the chunks
        total += len(index) / data.size * float(_bound(svi, key, params, rows))
    return total / data.size


@partial(jax.jit, static_argnames="svi")
def _bound(svi, rng_key, params, data) -> Float[Array, ""]:
    return -svi.loss.loss(rng_key, params, svi.model, svi.guide, data)


def initial_state(
    rng_key: Key[Array, ""], svi: SVI, batch: MultimodalData, start: Mapping | None
) -> SVIState:
    """State of SVI before the first step.

    Raises:
        ValueError: `start` names parameters that there are not, or of other shapes.
    """
    if start is None:
        return jax.jit(svi.init)(rng_key, batch)
    ours = jax.eval_shape(lambda *a: svi.get_params(svi.init(*a)), rng_key, batch)
    for name, values in start.items():
        if name not in ours:
            raise ValueError(
                f"start: expected parameters of model and guide, got {name}; there are "
                f"{', '.join(sorted(ours))}"
            )
        if _shapes(values) != _shapes(ours[name]):
            raise ValueError(
                f"start: {name}: expected the shapes {_shapes(ours[name])}, got "
                f"{_shapes(values)}"
            )
    init = jax.jit(lambda key, batch, start: svi.init(key, batch, init_params=start))
    return init(rng_key, batch, dict(start))


def _shapes(tree) -> object:
    return jax.tree.map(jnp.shape, tree)


def _inspect(loss) -> Callable:
    """A bound's own check of model and guide; for others, without strata."""
    return getattr(loss, "inspect", partial(inspect, stratified=False))


def _finite(bound: float, epoch: int) -> float:
    if not math.isfinite(bound):
        raise FloatingPointError(
            f"fit: the bound of epoch {epoch} is {bound}; expected a finite number. A "
            "smaller learning rate, standardised data or a larger min_scale usually help"
        )
    return bound
