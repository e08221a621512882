"""The encoder that nobody chose: one rule for Python and the command line."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers

import consilience as cs
from consilience.cli.defaults import resolve
from consilience.datasets.contents import Arrays
from consilience.guides.encoders import WIDE, usual_encoder, usual_settings

LOGGED = partial(cs.MLPEncoder, log1p=True)
COUNTS = np.random.default_rng(0).poisson(50, size=(5, 3))
NUMBERS = COUNTS.astype(float)


def features(guide, values, key):
    data = cs.MultimodalData.from_arrays({"a": values})
    trace = handlers.trace(handlers.seed(guide, key)).get_trace(data)
    return trace["features"]["value"]


GUIDES = [
    lambda *encoders: cs.amortized_guide(2, *encoders),
    lambda *encoders: cs.shared_private_guide(2, 1, *encoders),
    lambda *encoders: cs.mvae(2, cs.PoissonLikelihood(), cs.Networks(*encoders)).guide,
]


@pytest.mark.parametrize("guide", GUIDES)
def test_counts_are_logged_and_numbers_are_not(guide, rng_key):
    for values, chosen in ((COUNTS, LOGGED), (NUMBERS, cs.MLPEncoder)):
        usual, expected = guide(), guide(chosen)
        found = [features(each, values, rng_key) for each in (usual, expected)]
        jax.tree.map(np.testing.assert_array_equal, *found)


def test_one_choice_is_one_object():
    """Networks are built once for each constructor."""
    assert usual_encoder(jnp.int32, (3,)) is usual_encoder(np.uint8, (7,))
    assert usual_encoder(jnp.float32, (3,)) is cs.MLPEncoder
    wide = usual_encoder(jnp.int32, (WIDE // 2, 2))
    assert wide.keywords == {"log1p": True, "layer_norm": True}


def test_the_command_line_has_the_same():
    wide = np.zeros((5, WIDE)) + 0.5
    values = {"a": COUNTS, "b": NUMBERS + 0.5, "c": wide}
    unset = ["likelihoods", "encoders", "decoders", "subsets", "label", "weights"]
    unset += ["preset", "prior", "bound", "aggregation", "epochs"]
    keys = dict.fromkeys(unset)
    config = keys | {"log": "none", "standardize": "none", "batch_size": 5}
    found = resolve(config, Arrays(values), 5)["encoders"]
    for name, array in values.items():
        counts = name == "a"
        expected = usual_settings(counts=counts, event_shape=array.shape[1:])
        assert found[name] == {"name": "mlp"} | expected
        made = usual_encoder(array.dtype, array.shape[1:])
        assert getattr(made, "keywords", {}) == expected
