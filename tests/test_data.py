import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer.util import log_density
from scipy import stats

from consilience import MultimodalData

ROWS, NAMES = 11, ("rna", "count", "image")  # not in alphabetical order
SHAPES = {"rna": (5,), "count": (7,), "image": (2, 13)}
GENES = tuple("abcde")


def arrays(num_rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "rna": rng.normal(3.0, 2.0, (num_rows, 5)).astype(np.float32),
        "count": rng.integers(1, 9, (num_rows, 7)),
        "image": rng.normal(size=(num_rows, 2, 13)).astype(np.float32),
    }


def incomplete(num_rows=ROWS, seed=0, **kwargs):
    """Row 0 lacks the rna, row 1 one gene, row 2 one count and the image."""
    values = arrays(num_rows, seed)
    values["rna"][0] = np.nan
    values["rna"][1, 3] = np.nan
    values["image"][2] = np.nan
    entries = np.ones((num_rows, 7), bool)
    entries[2, 4] = False
    return MultimodalData.from_arrays(
        values,
        covariates={"depth": np.linspace(1.0, 2.0, num_rows)},
        entries={"count": entries},
        row_names=[f"cell{i}" for i in range(num_rows)],
        feature_names={"rna": GENES},
        **kwargs,
    )


def leaves_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# Reading


def test_nan_becomes_masks_and_zeros():
    data = incomplete()
    present = np.ones((ROWS, 3), bool)
    present[0, 0] = present[2, 2] = False
    np.testing.assert_array_equal(data.present, present)
    missing = np.zeros((ROWS, 5), bool)
    missing[0] = missing[1, 3] = True
    np.testing.assert_array_equal(data.entries["rna"], ~missing)
    expected = np.where(missing, 0, arrays()["rna"])
    np.testing.assert_array_equal(data.values["rna"], expected)
    assert not data.values["image"][2].any()


def test_entries_only_where_a_present_row_lacks_some():
    assert set(incomplete().entries) == {"rna", "count"}
    values = arrays()
    values["rna"][0] = np.nan
    assert MultimodalData.from_arrays(values).entries == {}


def test_schema():
    data = incomplete()
    assert data.names == NAMES
    assert data.event_shapes == tuple(SHAPES.values())
    assert data.feature_names == (GENES, (), ())
    assert data.row_names[-1] == "cell10"
    assert (data.size, data.num_modalities, data.total) == (ROWS, 3, None)


def test_integers_with_entries():
    data = incomplete()
    assert data.values["count"][2, 4] == 0
    assert (data.values["count"] == 0).sum() == 1
    assert (~data.entries["count"]).sum() == 1
    assert not data.entries["count"][2, 4]


def test_entries_and_nan_both_mean_missing():
    values = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]])
    entries = np.array([[True, True, False], [True, True, True]])
    data = MultimodalData.from_arrays({"a": values}, entries={"a": entries})
    np.testing.assert_array_equal(data.entries["a"], [[1, 0, 0], [1, 1, 1]])
    np.testing.assert_array_equal(data.values["a"], [[1, 0, 0], [4, 5, 6]])


def test_entries_all_false_make_a_modality_absent():
    x = np.arange(6).reshape(2, 3) + 1
    entries = np.array([[False] * 3, [True] * 3])
    data = MultimodalData.from_arrays({"a": x, "b": x}, entries={"a": entries})
    np.testing.assert_array_equal(data.present, [[False, True], [True, True]])
    np.testing.assert_array_equal(data.entries["a"], entries)


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_masked_arrays(dtype):
    mask = np.zeros((3, 2), bool)
    mask[0] = mask[1, 1] = True
    x = np.ma.array(np.arange(1, 7).reshape(3, 2), mask=mask, dtype=dtype)
    data = MultimodalData.from_arrays({"a": x, "b": np.ones((3, 5))})
    np.testing.assert_array_equal(data.present[:, 0], [False, True, True])
    np.testing.assert_array_equal(data.entries["a"], ~mask)
    np.testing.assert_array_equal(data.values["a"], x.filled(0))


def test_masked_array_may_hold_anything_under_its_mask():
    x = np.ma.array([[np.inf, 1.0], [np.nan, 2.0]], mask=[[1, 0], [0, 0]])
    data = MultimodalData.from_arrays({"a": x})
    np.testing.assert_array_equal(data.entries["a"], [[False, True], [False, True]])


@pytest.mark.parametrize(
    "given",
    [
        np.array([[True, False], [False, True], [True, True]]),
        {"b": [False, True, True], "a": [True, False, True]},
    ],
    ids=["array", "mapping"],
)
def test_present_hides_whatever_stands_there(given):
    a = np.array([[1.0, 2.0], [np.inf, np.nan], [3.0, 4.0]])
    b = np.array([[5.0], [6.0], [7.0]])
    data = MultimodalData.from_arrays({"a": a, "b": b}, given)
    expected = [[True, False], [False, True], [True, True]]
    np.testing.assert_array_equal(data.present, expected)
    np.testing.assert_array_equal(data.values["a"], [[1, 2], [0, 0], [3, 4]])
    np.testing.assert_array_equal(data.values["b"], [[0], [6], [7]])
    assert data.entries == {}


def test_present_mapping_leaves_the_others_to_nan():
    a, b = np.array([[1.0], [np.nan]]), np.array([[1.0], [2.0]])
    data = MultimodalData.from_arrays({"a": a, "b": b}, {"b": [False, True]})
    np.testing.assert_array_equal(data.present, [[True, False], [False, True]])


def test_empty_rows_only_when_allowed():
    x = np.array([[1.0], [np.nan]])
    data = MultimodalData.from_arrays({"a": x}, allow_empty_rows=True)
    np.testing.assert_array_equal(data.present, [[True], [False]])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.float64, jnp.float32),
        (np.float16, jnp.float32),
        (np.float32, jnp.float32),
        (bool, jnp.int32),
        (np.uint8, jnp.int32),
        (np.int64, jnp.int32),
    ],
)
def test_casting(given, expected):
    x = np.array([[0, 1], [1, 1], [1, 0]])
    values, covariates = {"a": x.astype(given)}, {"c": x[:, 0].astype(given)}
    data = MultimodalData.from_arrays(values, covariates=covariates)
    assert data.values["a"].dtype == data.covariates["c"].dtype == expected
    np.testing.assert_array_equal(data.values["a"], x)


@pytest.mark.parametrize(
    ("given", "expected"), [(np.float32, jnp.float64), (np.uint8, jnp.int64)]
)
def test_casting_in_double_precision(x64, given, expected):
    data = MultimodalData.from_arrays({"a": np.ones((3, 2), given)})
    assert data.values["a"].dtype == expected


def test_large_numbers_fit_in_double_precision(x64):
    big, huge = np.array([[2**40]]), np.array([[1e300]])
    data = MultimodalData.from_arrays({"a": big, "b": huge})
    assert int(data.values["a"][0, 0]) == 2**40
    assert float(data.values["b"][0, 0]) == 1e300


@pytest.mark.parametrize(
    "make", [lambda x: x.tolist(), jnp.asarray, np.asfortranarray, lambda x: x[:]]
)
def test_any_array_like(make):
    x = arrays()["rna"]
    np.testing.assert_array_equal(
        MultimodalData.from_arrays({"a": make(x)}).values["a"], x
    )


def test_pairs_in_place_of_a_mapping():
    data = MultimodalData.from_arrays(list(arrays().items()))
    assert data.names == NAMES


def test_measurements_without_axes():
    data = MultimodalData.from_arrays({"age": [30.0, np.nan, 41.0], "sex": [0, 1, 1]})
    assert data.event_shapes == ((), ())
    np.testing.assert_array_equal(data.observed("age"), [True, False, True])
    np.testing.assert_array_equal(data.filled("age"), [30, 0, 41])


def test_data_keep_no_hold_of_the_arrays_given():
    values, present = arrays(), np.ones((ROWS, 3), bool)
    entries = {"count": np.arange(77).reshape(ROWS, 7) > 0}
    covariates = {"c": np.ones(ROWS, np.float32)}
    data = MultimodalData.from_arrays(values, present, covariates, entries=entries)
    before = jax.tree.map(np.array, data)
    for array in (*values.values(), present, *entries.values(), *covariates.values()):
        array[...] = 0
    leaves_equal(before, data)


# Asking


def test_index_and_its_error():
    assert [incomplete().index(name) for name in NAMES] == [0, 1, 2]
    with pytest.raises(ValueError, match=r"rna, count, image, got 'protein'"):
        incomplete().index("protein")


def test_subset_is_never_more_than_present():
    data = incomplete()
    asked = jnp.zeros((ROWS, 3), bool).at[:3].set(True)
    np.testing.assert_array_equal(data.subset(None), data.present)
    np.testing.assert_array_equal(data.subset(asked)[:3], data.present[:3])
    assert not data.subset(asked)[3:].any()


def test_subset_of_names():
    data = incomplete()
    expected = np.array(data.present)
    expected[:, 1] = False
    np.testing.assert_array_equal(data.subset_of("image", "rna"), expected)
    assert not data.subset_of().any()
    with pytest.raises(ValueError, match=r"expected one of .* got 'protein'"):
        data.subset_of("rna", "protein")


@pytest.mark.parametrize("name", NAMES)
def test_observed_has_the_shape_of_the_values(name):
    observed = incomplete().observed(name)
    assert observed.shape == (ROWS, *SHAPES[name])
    missing = {"rna": 5 + 1, "count": 1, "image": 2 * 13}
    assert (~observed).sum() == missing[name]


@pytest.mark.parametrize("name", NAMES)
def test_filled_is_zero_where_nothing_was_observed(name):
    data = incomplete()
    garbage = {n: jnp.where(data.observed(n), x, 9) for n, x in data.values.items()}
    spoiled = dataclasses.replace(data, values=garbage)
    np.testing.assert_array_equal(spoiled.filled(name), data.values[name])
    assert spoiled.filled(name).dtype == data.values[name].dtype


def test_without_values_keeps_the_rows():
    data = incomplete().without_values()
    assert data.values == {}
    np.testing.assert_array_equal(data.present, incomplete().present)
    assert data.row_names == incomplete().row_names


def test_plate_of_a_data_set_does_not_scale():
    with incomplete().plate() as rows:
        assert len(rows) == ROWS
        site = numpyro.sample("x", dist.Normal(), rng_key=jax.random.key(0))
    assert site.shape == (ROWS,)


def test_plate_scales_a_batch_to_the_whole_data_set():
    def model(data):
        with data.plate():
            x = data.filled("rna")
            numpyro.sample("rna", dist.Normal(0.0, 2.0).expand([5]).to_event(1), obs=x)

    data = MultimodalData.from_arrays(arrays())
    batch = data.batch(jnp.array([4, 0, 9]))
    expected = stats.norm(0, 2).logpdf(arrays()["rna"][[4, 0, 9]]).sum() * ROWS / 3
    seeded = handlers.seed(model, jax.random.key(0))  # plates draw indices we never use
    found, _ = log_density(seeded, (batch,), {}, {})
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# Changing rows


@pytest.mark.parametrize(
    "index",
    [
        np.array([7, 2, 2]),
        jnp.array([7, 2, 2]),
        [7, 2, 2],
        slice(1, 8, 3),
        np.arange(ROWS) % 4 == 1,
        np.array([-1]),
    ],
    ids=["array", "jax", "list", "slice", "mask", "negative"],
)
def test_take_selects_rows_with_their_names(index):
    data = incomplete()
    taken = data.take(index)
    rows = np.arange(ROWS)[index]
    np.testing.assert_array_equal(taken.values["image"], data.values["image"][rows])
    np.testing.assert_array_equal(taken.entries["rna"], data.entries["rna"][rows])
    np.testing.assert_array_equal(taken.present, data.present[rows])
    np.testing.assert_array_equal(
        taken.covariates["depth"], data.covariates["depth"][rows]
    )
    assert taken.row_names == tuple(f"cell{i}" for i in rows)
    assert taken.feature_names == data.feature_names
    assert taken.total is None


def test_take_of_a_batch_is_a_data_set_of_its_own():
    batch = incomplete().batch(jnp.array([4, 0, 9]))
    assert batch.take([1]).total is None


def test_batch_stands_for_the_whole():
    data = incomplete()
    batch = data.batch(jnp.array([4, 0, 9]))
    assert (batch.size, batch.total) == (3, ROWS)
    assert (batch.row_names, batch.feature_names) == ((), ())
    leaves_equal(batch.values, data.take([4, 0, 9]).values)


def test_batch_of_a_batch_stands_for_the_same_whole():
    batch = incomplete().batch(jnp.array([4, 0, 9]))
    assert batch.batch(jnp.array([2, 1])).total == ROWS


def test_bare_has_the_arrays_and_no_names():
    data = incomplete()
    leaves_equal(data.bare().values, data.values)
    assert (data.bare().row_names, data.bare().feature_names) == ((), ())


def test_split_shuffles_every_row_into_one_part(rng_key):
    data = incomplete(23)
    first, second = data.split(rng_key, 0.3)
    assert (first.size, second.size) == (7, 16)
    assert sorted(first.row_names + second.row_names) == sorted(data.row_names)
    assert first.row_names != data.row_names[:7]
    rows = [data.row_names.index(n) for n in second.row_names]
    leaves_equal(second.values, data.take(rows).values)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.99, 1.0, -0.2, 1.3])
def test_split_refuses_an_empty_part(rng_key, fraction):
    with pytest.raises(ValueError, match=f"fraction: expected .* got {fraction}"):
        incomplete().split(rng_key, fraction)


def test_concatenate_undoes_take():
    data = incomplete()
    parts = [data.take(slice(0, 4)), data.take(slice(4, 5)), data.take(slice(5, ROWS))]
    joint = MultimodalData.concatenate(parts)
    leaves_equal(joint.values, data.values)
    leaves_equal(joint.covariates, data.covariates)
    np.testing.assert_array_equal(joint.present, data.present)
    for name in NAMES:
        np.testing.assert_array_equal(joint.observed(name), data.observed(name))
    assert joint.row_names == data.row_names
    assert joint.feature_names == data.feature_names


def test_concatenate_complete_with_incomplete_entries():
    complete = MultimodalData.from_arrays({"a": np.ones((2, 3))})
    partial = MultimodalData.from_arrays({"a": [[1.0, np.nan, 2.0]]})
    joint = MultimodalData.concatenate([complete, partial])
    expected = [[True] * 3, [True] * 3, [True, False, True]]
    np.testing.assert_array_equal(joint.entries["a"], expected)


def test_concatenate_drops_row_names_that_one_part_lacks():
    named = MultimodalData.from_arrays({"a": np.ones((2, 3))}, row_names=["p", "q"])
    bare = MultimodalData.from_arrays({"a": np.ones((5, 3))})
    joint = MultimodalData.concatenate([named, bare])
    assert (joint.size, joint.row_names) == (7, ())


def test_concatenate_scaled_parts_keeps_the_scaling():
    data = incomplete().standardize()
    joint = MultimodalData.concatenate([data.take([0, 1]), data.take([5])])
    leaves_equal(joint.standardization, data.standardization)


def test_restrict_removes_values_too():
    data = incomplete()
    keep = jnp.ones((ROWS, 3), bool).at[4, 1].set(False).at[:, 2].set(False)
    left = data.restrict(keep)
    np.testing.assert_array_equal(left.present, data.present & keep)
    assert not left.values["image"].any()
    assert not left.values["count"][4].any()
    np.testing.assert_array_equal(left.values["count"][5], data.values["count"][5])
    assert not left.observed("count")[4].any()


# Scaling


def observed_moments(data, name):
    x = np.where(data.observed(name), data.values[name], np.nan)
    return np.nanmean(x, 0), np.nanstd(x, 0)


@pytest.mark.parametrize("name", ["rna", "image"])
def test_standardized_entries_have_mean_zero_and_scale_one(name):
    loc, scale = observed_moments(incomplete().standardize(), name)
    np.testing.assert_allclose(loc, np.zeros(SHAPES[name]), atol=1e-5)
    np.testing.assert_allclose(scale, np.ones(SHAPES[name]), atol=1e-5)


@pytest.mark.parametrize("name", ["rna", "image"])
def test_standardization_holds_the_moments_of_what_was_observed(name):
    data = incomplete()
    loc, scale = observed_moments(data, name)
    fitted = data.standardize().standardization
    np.testing.assert_allclose(fitted.loc[name], loc, atol=1e-5)
    np.testing.assert_allclose(fitted.scale[name], scale, rtol=1e-5)


def test_standardize_leaves_integers_and_zeros_alone():
    data, scaled = incomplete(), incomplete().standardize()
    np.testing.assert_array_equal(scaled.values["count"], data.values["count"])
    assert not scaled.values["rna"][0].any()
    assert scaled.values["rna"][1, 3] == 0
    assert set(scaled.standardization.loc) == {"rna", "image"}


def test_standardize_only_named_modalities():
    data, scaled = incomplete(), incomplete().standardize(["image"])
    np.testing.assert_array_equal(scaled.values["rna"], data.values["rna"])
    assert set(scaled.standardization.scale) == {"image"}


def test_standardize_like_the_training_rows():
    train, test = incomplete(23, seed=1), incomplete(seed=2)
    fitted = train.standardize().standardization
    scaled = test.standardize(like=train.standardize())
    x = test.values["rna"]
    expected = np.where(
        test.observed("rna"), (x - fitted.loc["rna"]) / fitted.scale["rna"], 0
    )
    np.testing.assert_allclose(scaled.values["rna"], expected, atol=1e-6)
    leaves_equal(scaled.standardization, fitted)


def test_unstandardize_inverts():
    data, scaled = incomplete(), incomplete().standardize()
    back = scaled.unstandardize(scaled.values)
    for name in NAMES:
        seen = np.asarray(data.observed(name))
        found, expected = np.asarray(back[name]), np.asarray(data.values[name])
        np.testing.assert_allclose(found[seen], expected[seen], rtol=1e-5, atol=1e-5)


def test_unstandardize_leading_axes():
    scaled = incomplete().standardize()
    draws = scaled.unstandardize({"rna": jnp.ones((3, ROWS, 5))})["rna"]
    fitted = scaled.standardization
    expected = np.broadcast_to(fitted.loc["rna"] + fitted.scale["rna"], (3, ROWS, 5))
    np.testing.assert_allclose(draws, expected, rtol=1e-6)


def test_unstandardize_unscaled_data_changes_nothing():
    data = incomplete()
    leaves_equal(data.unstandardize(data.values), data.values)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_standardize_does_not_depend_on_the_unit(unit):
    x = arrays()["rna"]
    scaled = MultimodalData.from_arrays({"a": x * unit}).standardize().values["a"]
    np.testing.assert_allclose(scaled, (x - x.mean(0)) / x.std(0), atol=1e-5)


def test_standardize_far_from_zero(x64):
    x = arrays()["rna"].astype(np.float64)
    scaled = MultimodalData.from_arrays({"a": 1e9 + x}).standardize().values["a"]
    np.testing.assert_allclose(scaled, (x - x.mean(0)) / x.std(0), atol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e7, 1e-12])
def test_standardize_a_constant_column_to_zero(constant):
    x = np.full((97, 3), constant)
    scaled = MultimodalData.from_arrays({"a": x}).standardize()
    np.testing.assert_array_equal(scaled.standardization.scale["a"], np.ones(3))
    assert np.abs(scaled.values["a"]).max() <= 1e-6 * abs(constant)


def test_standardize_a_column_that_was_never_observed():
    x = arrays()["rna"]
    x[:, 2] = np.nan
    scaled = MultimodalData.from_arrays({"a": x}).standardize()
    assert not scaled.values["a"][:, 2].any()
    assert scaled.standardization.scale["a"][2] == 1


def test_log_jacobian_is_a_change_of_variables(x64):
    data = incomplete()
    scaled = data.standardize()
    fitted = scaled.standardization
    expected = np.zeros(ROWS)
    standard = np.zeros(ROWS)
    for name in ("rna", "image"):
        seen = np.asarray(data.observed(name))
        x, y = np.asarray(data.values[name]), np.asarray(scaled.values[name])
        ours = stats.norm(fitted.loc[name], fitted.scale[name]).logpdf(x)
        expected += np.where(seen, ours, 0).reshape(ROWS, -1).sum(-1)
        standard += np.where(seen, stats.norm.logpdf(y), 0).reshape(ROWS, -1).sum(-1)
    found = standard + scaled.log_jacobian()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_log_jacobian_of_a_subset_counts_its_modalities_only():
    scaled = incomplete().standardize()
    subset = scaled.subset_of("rna", "count")
    terms = -np.log(scaled.standardization.scale["rna"])
    expected = np.where(scaled.observed("rna"), terms, 0).sum(-1)
    np.testing.assert_allclose(scaled.log_jacobian(subset), expected, rtol=1e-5)
    assert expected[0] == 0
    assert not scaled.log_jacobian(scaled.subset_of("count")).any()


def test_log_jacobian_of_unscaled_data_is_zero():
    assert not incomplete().log_jacobian().any()


# As a pytree


def test_names_keep_their_order_through_a_round_trip():
    data = incomplete()
    for copy in (jax.tree.map(lambda x: x, data), jax.jit(lambda d: d)(data)):
        assert copy.names == NAMES
        assert copy.row_names == data.row_names
        assert copy.feature_names == data.feature_names
        leaves_equal(copy, data)
        np.testing.assert_array_equal(copy.observed("rna"), data.observed("rna"))


def test_leaves_have_readable_paths():
    paths = jax.tree_util.tree_leaves_with_path(incomplete().standardize())
    found = {jax.tree_util.keystr(path) for path, _ in paths}
    expected = {
        *(f".values['{name}']" for name in NAMES),
        ".present",
        *(f".entries['{name}']" for name in ("rna", "count")),
        ".covariates['depth']",
        *(f".standardization.loc['{name}']" for name in ("rna", "image")),
        *(f".standardization.scale['{name}']" for name in ("rna", "image")),
    }
    assert found == expected


def test_jit_gives_what_eager_gives():
    def everything(data):
        filled = {name: data.filled(name) for name in data.names}
        restricted = data.restrict(data.subset_of("rna"), allow_empty_rows=True)
        return filled, restricted, data.log_jacobian()

    data = incomplete().standardize()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
        jax.jit(everything)(data),
        everything(data),
    )


def test_jit_compiles_once_for_data_of_one_schema():
    traces = []

    @jax.jit
    def total(data):
        traces.append(data.names)
        return data.filled("rna").sum()

    total(incomplete(seed=1))
    total(incomplete(seed=2))
    assert traces == [NAMES]


def test_batch_takes_a_traced_index():
    data = incomplete()
    batch = jax.jit(lambda data, index: data.batch(index))(data, jnp.array([9, 4, 2]))
    leaves_equal(batch, data.batch(jnp.array([9, 4, 2])))
    assert (batch.names, batch.total) == (NAMES, ROWS)


def test_scan_over_batches():
    data = incomplete()
    order = jax.random.permutation(jax.random.key(1), ROWS)[:10].reshape(5, 2)

    def step(carry, index):
        batch = data.batch(index)
        return carry + batch.filled("rna").sum(0), batch

    total, batches = jax.lax.scan(step, jnp.zeros(5), order)
    rows = np.asarray(order).reshape(-1)
    expected = np.asarray(data.filled("rna"))[rows].sum(0)
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    assert batches.values["image"].shape == (5, 2, 2, 13)


def test_data_may_be_carried_by_a_scan():
    data = incomplete().bare()

    def hide(data, column):
        return data.restrict(jnp.arange(3) != column), None

    left, _ = jax.lax.scan(
        lambda d, c: hide(d, jnp.broadcast_to(c, (ROWS, 1))), data, jnp.array([0, 2])
    )
    np.testing.assert_array_equal(left.present, data.subset_of("count"))


def test_vmap_over_stacked_data_sets():
    parts = [incomplete(seed=s).standardize().bare() for s in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *parts)

    def summary(data):
        assert data.size == ROWS
        return data.filled("rna").sum(-1) + data.log_jacobian()

    found = jax.vmap(summary)(stacked)
    expected = [summary(part) for part in parts]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
