"""The amortised guide: what it encodes, what it pools, what it refuses."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpyro import handlers
from numpyro.infer import SVI

import consilience as cs
from consilience.guides.amortized import encoder_input

ROWS, LATENT, FEATURES = 7, 3, 11
SMALL = partial(cs.MLPEncoder, hidden=(5,))


@pytest.fixture
def data():
    """Floats with a missing entry, images, and indices; incomplete rows."""
    generator = np.random.default_rng(2)
    floats = generator.normal(size=(ROWS, 2)).astype(np.float32)
    floats[3, 1] = np.nan
    values = {
        "floats": floats,
        "images": generator.normal(size=(ROWS, 3, 5)).astype(np.float32),
        "words": generator.integers(0, 4, size=(ROWS, 2)),
    }
    present = np.ones((ROWS, 3), bool)
    present[1, 0] = present[2, 1] = present[4, 2] = False
    return cs.MultimodalData.from_arrays(values, present)


def guide(aggregation=cs.ProductOfExperts, **encoders):
    words = partial(SMALL, num_classes=4, masked=False)
    each = {"floats": SMALL, "images": SMALL, "words": words}
    return cs.amortized_guide(LATENT, each | encoders, aggregation, FEATURES)


def sites(program, data, *subset, params=None):
    """Values by site; the mean of "z" in place of a draw."""
    program = handlers.substitute(program, data=params or {})
    seeded = handlers.seed(program, jax.random.key(1))
    trace = handlers.trace(seeded).get_trace(data, *subset)
    values = {name: site["value"] for name, site in trace.items()}
    return values | {"z": trace["z"]["fn"].mean}


def shapes(program, data):
    return jax.eval_shape(lambda: sites(program, data))


@pytest.mark.parametrize("name", cs.AGGREGATIONS)
def test_sites_and_shapes(name, data):
    found = shapes(guide(cs.AGGREGATIONS[name]), data)
    assert found["z"].shape == (ROWS, LATENT)
    leaves = jax.tree.leaves(found["features"])
    assert {leaf.shape[:2] for leaf in leaves} == {(ROWS, 3)}
    expected = {f"encoder.{name}$params" for name in data.names}
    expected |= {"aggregation$params", "features", "z", "data"}
    assert set(found) - {"attention"} == expected
    assert ("attention" in found) == ("attention" in name)


def test_entry_mask_is_stacked_to_zero_filled_values(data):
    x = encoder_input(data, "floats")
    assert x.shape == (ROWS, 2, 2)
    np.testing.assert_array_equal(x[..., 1], data.observed("floats"))
    np.testing.assert_array_equal(x[..., 0], data.filled("floats"))
    np.testing.assert_array_equal(encoder_input(data, "images"), data.filled("images"))


def test_first_layers_follow_the_data(data):
    found = shapes(guide(), data)
    widths = {
        name: found[f"encoder.{name}$params"]["net"]["layers"][0]["kernel"].shape
        for name in data.names
    }
    assert widths == {"floats": (4, 5), "images": (15, 5), "words": (8, 5)}


def test_an_encoder_of_the_users_own_takes_its_place(data):
    """It is built with shape and width, and what it gives reaches its own column."""

    class Constant(nnx.Module):
        def __init__(self, event_shape, num_features, *, rngs):
            assert (event_shape, num_features) == ((3, 5), FEATURES)

        def __call__(self, x):
            return jnp.full((len(x), FEATURES), 2.0)

    features = jax.jit(lambda data: sites(guide(images=Constant), data)["features"])
    first = features(data)
    images = data.values["images"] + 1.0
    other = dataclasses.replace(data, values=data.values | {"images": images})
    np.testing.assert_array_equal(first, features(other))
    assert np.all(first[:, 1] == first[0, 1])
    assert np.any(first[:, 0] != first[0, 0])


def test_indices_are_classes_without_an_order(data):
    """Two classes swapped in the data and in the first layer: nothing has changed."""
    site, order = "encoder.words$params", jnp.array([2, 1, 0, 3])
    initial = jax.jit(lambda data: sites(guide(), data))(data)
    params = {name: v for name, v in initial.items() if name.endswith("$params")}
    words = jnp.where(data.observed("words"), order[data.values["words"]], 0)
    other = dataclasses.replace(data, values=data.values | {"words": words})

    def swap(path, leaf):
        first = jax.tree_util.keystr(path) == "['net']['layers'][0]['kernel']"
        return leaf.reshape(2, 4, 5)[:, order].reshape(8, 5) if first else leaf

    swapped = params | {site: jax.tree.map_with_path(swap, params[site])}
    features = jax.jit(lambda d, p: sites(guide(), d, params=p)["features"])
    present = np.asarray(data.present)
    np.testing.assert_allclose(
        features(other, swapped)[present], features(data, params)[present], rtol=1e-5
    )
    assert np.any(features(other, params) != features(data, params))


def test_features_do_not_depend_on_the_subset_but_the_posterior_does(data):
    run = jax.jit(lambda subset: sites(guide(), data, subset))
    whole, none = run(data.present), run(jnp.zeros_like(data.present))
    np.testing.assert_array_equal(whole["features"], none["features"])
    assert np.all(np.any(whole["z"] != none["z"], -1))
    asked_for_more = run(jnp.ones_like(data.present))
    np.testing.assert_array_equal(asked_for_more["z"], whole["z"])


def built(constructor, *sizes):
    return constructor(*sizes, rngs=nnx.Rngs(0))


REFUSED = [
    (
        lambda: cs.amortized_guide(2, built(cs.MLPEncoder, (3,), 4)),
        TypeError,
        "encoders: expected a constructor.*got a built MLPEncoder",
    ),
    (
        lambda: cs.amortized_guide(2, {"a": built(cs.MLPEncoder, (3,), 4)}),
        TypeError,
        "encoders: expected a constructor.*got a built MLPEncoder",
    ),
    (
        lambda: cs.amortized_guide(2, aggregation=built(cs.SumPooling, 4, 2)),
        TypeError,
        "aggregation: expected a constructor.*got a built SumPooling",
    ),
    (
        lambda: cs.amortized_guide(2, aggregation="sum_pooling"),
        TypeError,
        "aggregation: expected a constructor.*got 'sum_pooling'",
    ),
    (
        lambda: cs.amortized_guide(2, encoders="mlp"),
        TypeError,
        "encoders: expected something to call.*got 'mlp'",
    ),
    (lambda: cs.amortized_guide(0), ValueError, "latent_dim: .* got 0"),
    (lambda: cs.amortized_guide(2.0), ValueError, r"latent_dim: .* got 2\.0"),
    (lambda: cs.amortized_guide(2, num_features=0), ValueError, "num_features: .* 0"),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("make", "error", "match"), REFUSED)
def test_refusals(make, error, match):
    with pytest.raises(error, match=match):
        make()


def test_encoders_by_name_must_be_those_of_the_data(data):
    partly = cs.amortized_guide(LATENT, {"floats": SMALL, "sounds": SMALL})
    with pytest.raises(
        ValueError, match=r"encoders: .* floats, images, words, got floats, sounds"
    ):
        shapes(partly, data)


def test_guide_refuses_data_without_values(data):
    with pytest.raises(ValueError, match=r"'floats': expected values to encode"):
        shapes(guide(), data.without_values())


def test_a_fit_of_nine_reads_the_same_numbers_however_they_come(rng_key):
    """As integers, in another order, some of them only: the networks stay who they are."""
    generator = np.random.default_rng(0)
    values = {f"m{i}": generator.integers(0, 3, (7, 2)).astype(float) for i in range(9)}
    data = cs.MultimodalData.from_arrays(values)
    model = cs.multimodal_model(cs.standard_normal(2), cs.NormalLikelihood())
    guide = cs.amortized_guide(2, partial(cs.MLPEncoder, hidden=(5,)), num_features=4)
    svi = SVI(model, guide, optax.adam(1e-2), cs.MaskedELBO())
    fitted = cs.fit(rng_key, svi, data, num_epochs=2, progress=False)

    def draws(values, *given):
        rows = cs.MultimodalData.from_arrays(values)
        subset = rows.subset_of(*given) if given else None
        programs = (fitted.guide, fitted.params)
        return cs.posterior(rng_key, *programs, rows, subset, num_samples=3)["z"]

    some = [f"m{i}" for i in range(5)]
    plain = draws(values, *some)
    whole = {n: v.astype(int) if n in ("m7", "m8") else v for n, v in values.items()}
    for other in (whole, dict(reversed(values.items())), {n: values[n] for n in some}):
        np.testing.assert_allclose(draws(other, *some), plain, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"params: .* encoder.new\$params"):
        draws({**values, "new": values["m0"]})
