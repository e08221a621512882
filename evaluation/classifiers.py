"""Small classifiers, one a modality, to judge what is generated."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Key, Shaped

from consilience.datasets.data import MultimodalData
from consilience.evaluation.class_features import class_features, training_features
from consilience.evaluation.labels import check_labels
from consilience.inference.contract import require_data
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.nn.mlp import MLP
from consilience.nn.sizes import check_positive
from consilience.training.order import epoch_order


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """Values `[N, *event]` of a modality, in unscaled units → classes `[N]`.

    Attributes:
        classes: the classes `[C]`, sorted.
        features: values `[N, *event]` → `[N, F]`.
        network: features `[N, F]` → logits `[N, C]`.
    """

    classes: Shaped[np.ndarray, " classes"]
    features: Callable
    network: Callable

    def __call__(self, values: Shaped[Array | np.ndarray, "rows ..."]) -> np.ndarray:
        logits = self.network(self.features(values))
        return self.classes[np.asarray(logits).argmax(-1)]


@checked_kinds
def train_classifiers(
    rng_key: Key[Array, ""],
    data: MultimodalData,
    labels: Shaped[Array | np.ndarray, " rows"],
    *,
    hidden: Sequence[int] = (128,),
    num_epochs: int = 100,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
) -> dict[str, Classifier]:
    """Train a multi-layer perceptron for each modality on the rows that have it.

    Inputs: floats, centred by column and scaled by one number a modality, in the units of
    training (so standardise columns of different units); whole numbers as one-hot
    categories. A missing entry is as the mean of its column, or as no category. AdamW with
    cosine decay. For coherence, train on training rows, and see `classifier_accuracy`.

    Args:
        rng_key: random key of initial weights and order.
        data: N training rows.
        labels: their classes `[N]`, whole numbers or names.
        hidden: widths of the hidden layers.
        num_epochs: passes over the rows.
        batch_size: rows a step; all of them if there are fewer.
        learning_rate: of the start.

    Returns:
        modality name → classifier, for all modalities.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: labels are not one a row, or all the same; whole numbers are negative
            or above 1000 (counts, say), for which a classifier of yours is needed; no row
            has a modality.
    """
    require_data(data)
    check_positive(num_epochs=num_epochs, batch_size=batch_size)
    labels = check_labels("labels", labels, data.size)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels: expected 2 classes or more, got {classes.tolist()}")
    features = {name: class_features(data, name) for name in data.names}
    sizes = (num_epochs, min(batch_size, data.size), learning_rate)

    def trained(key: Key[Array, ""], name: str) -> Classifier:
        x = training_features(data, name, features[name])
        key_init, key_order = jax.random.split(key)
        network = MLP(x.shape[1], hidden, len(classes), rngs=nnx.Rngs(key_init))
        graph, weights = nnx.split(network)
        counts = data.present[:, data.index(name)].astype(x.dtype)
        train = Program(partial(_train, graph, sizes))
        weights = train(key_order, weights, x, codes, counts)
        return Classifier(classes, features[name], partial(_logits, graph, weights))

    keys = jax.random.split(rng_key, len(data.names))
    return {n: trained(key, n) for key, n in zip(keys, data.names, strict=True)}


@partial(jax.jit, static_argnames="graph")
def _logits(graph, weights, x: Float[Array, "rows features"]) -> Array:
    return nnx.merge(graph, weights)(x)


def _train(graph, sizes, rng_key, weights, x, codes, counts):
    """Minimise the cross-entropy; rows count 0 or 1, so that shapes are the same."""
    num_epochs, batch_size, learning_rate = sizes
    steps = num_epochs * -(-len(x) // batch_size)
    optimizer = optax.adamw(optax.cosine_decay_schedule(learning_rate, steps))

    def loss(weights, rows):
        logits = nnx.merge(graph, weights)(x[rows])
        each = optax.softmax_cross_entropy_with_integer_labels(logits, codes[rows])
        return (counts[rows] * each).sum() / jnp.maximum(counts[rows].sum(), 1.0)

    def step(carry, rows):
        weights, state = carry
        updates, state = optimizer.update(jax.grad(loss)(weights, rows), state, weights)
        return (optax.apply_updates(weights, updates), state), None

    def epoch(carry, index):
        return lax.scan(step, carry, epoch_order(rng_key, index, len(x), batch_size))

    first = (weights, optimizer.init(weights))
    return lax.scan(epoch, first, jnp.arange(num_epochs))[0][0]
