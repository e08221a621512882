"""Scaling in float64: any size, any distance from zero, in memory and on disk."""

import warnings

import jax
import numpy as np
import pytest

import consilience as cs
from consilience.datasets import moments, precision
from consilience.datasets.streaming import StreamedData

RNG = np.random.default_rng(5)
N = 60
FLUXES = 1e-26 * RNG.gamma(2.0, size=(N, 3))
LARGE = 1e25 * RNG.normal(size=(N, 2))
OUTLIER = RNG.normal(size=(N, 2))
OUTLIER[7, 1] = 1e20
FAR = 1e8 + RNG.normal(size=(N, 2))
HOLES = np.where(RNG.random((N, 3)) < 0.2, np.nan, RNG.normal(size=(N, 3)))
COUNTS = RNG.poisson(40.0, (N, 3)) * 10 ** RNG.integers(0, 4, (N, 3))
ROUNDS = "float32 rounds what float64 tells apart: "


def both(values, **settings):
    """In memory and on disk, said alike."""
    said, made = [], []
    for kind in (cs.MultimodalData, StreamedData):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made.append(kind.from_arrays(values, **settings))
        said.append([str(w.message) for w in caught])
    assert said[0] == said[1]
    return *made, said[0]


def assert_same(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def units(x):
    """By hand, in float64."""
    return (x - np.nanmean(x, 0)) / np.nanstd(x, 0)


@pytest.mark.parametrize("x", [FLUXES, LARGE, OUTLIER, FAR, HOLES])
@pytest.mark.parametrize("block", [2**24, 7 * 8 * 3])
def test_any_size_has_mean_zero_and_scale_one(x, block, monkeypatch):
    monkeypatch.setattr(moments, "BLOCK", block)
    memory, disk, _ = both({"a": x})
    scaled = memory.standardize()
    y = np.where(np.isnan(x), 0.0, units(x))
    # one rounding to float32 of the values, one of the result
    np.testing.assert_allclose(scaled.values["a"], y, rtol=1e-6, atol=1e-6)
    streamed = disk.standardize()
    assert_same(streamed.standardization, scaled.standardization)
    assert_same(streamed.take(slice(None)), scaled)
    back = scaled.unstandardize(scaled.values)["a"]
    size = np.nanmax(np.abs(x), 0)
    seen = ~np.isnan(x)
    np.testing.assert_allclose((back / size)[seen], (x / size)[seen], atol=1e-6)
    expected = -np.where(seen, np.log(np.nanstd(x, 0)), 0.0).sum(1)
    np.testing.assert_allclose(scaled.log_jacobian(), expected, rtol=1e-5)
    memory.standardize(like=streamed.schema).conform(streamed.schema)


def test_logarithms_are_scaled_alike_in_memory_and_on_disk():
    memory, disk, _ = both({"a": COUNTS, "b": FLUXES})
    ours, theirs = (d.standardize(log=["a", "b"]) for d in (memory, disk))
    assert_same(ours, theirs.take(slice(None)))
    np.testing.assert_allclose(ours.values["a"], units(np.log1p(COUNTS)), atol=2e-6)
    np.testing.assert_allclose(ours.values["b"], units(FLUXES), atol=2e-6)


def test_what_float32_merges_is_said_and_kept_until_it_is_scaled():
    names = {"feature_names": {"a": ["u", "v"]}}
    memory, disk, said = both({"a": FAR}, covariates={"t": FAR[:, 0]}, **names)
    assert len(said) == 1
    merged = len(np.unique(FAR[:, 0].astype("f4")))
    assert f"modality 'a', column 0 ('u'): {merged} of {N} distinct" in said[0]
    assert f"covariate 't', its only column: {merged} of {N} distinct" in said[0]
    assert "(2 such columns)" in said[0]
    np.testing.assert_array_equal(memory.values["a"], FAR)
    hidden = memory.restrict(memory.present).take(np.arange(N)[::-1])
    parts = cs.MultimodalData.concatenate([hidden.take([0, 1]), hidden.take([2])])
    np.testing.assert_array_equal(parts.values["a"], FAR[::-1][:3])
    scaled = memory.standardize()
    assert len(np.unique(scaled.values["a"][:, 0])) == N
    truth = scaled.standardization.apply({"a": FAR})["a"]  # as predictive densities do
    np.testing.assert_array_equal(truth, scaled.values["a"])
    np.testing.assert_array_equal(disk.take([3, 1]).values["a"], FAR[[3, 1]])
    # without scaling, a program sees what float32 has, as before
    seen = jax.jit(lambda data: data.filled("a"))(memory)
    np.testing.assert_array_equal(seen, FAR.astype("f4"))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ([16777217.0, 1.0, 2.0], "16777217 becomes 16777216"),
        ([16777217.0, 16777216.0, 2.0], "2 of 3 distinct values are left"),
        ([1e-50, 2e-50, 3e-50], "1 of 3 distinct values are left"),
        ([1e-40, 2e-40, 3e-40], "1 of 3 distinct values are left"),
        ([1e-46, 1.0, 2.1], ".* becomes 0[.]"),
    ],
)
def test_small_tables_say_what_is_rounded(x, said):
    with pytest.warns(UserWarning, match=f"{ROUNDS}modality 'a', column 0: {said}"):
        cs.MultimodalData.from_arrays({"a": np.array(x)[:, None]})


def test_what_varies_far_from_zero_is_scaled():
    x = 1e13 + np.random.default_rng(0).normal(
        60.0, 2.0, (50, 1)
    )  # float64 has steps of 0.002 there
    with pytest.warns(UserWarning, match=ROUNDS):
        data = cs.MultimodalData.from_arrays({"a": x})
    z = x - x.mean(0)
    want = z / np.sqrt((z**2).mean(0))
    np.testing.assert_allclose(data.standardize().values["a"], want, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "x",
    [
        RNG.normal(size=(5000, 2)),
        101_325 + 500 * RNG.normal(size=(5000, 2)),
        1.7e9 + 1e6 * RNG.normal(size=(5000, 2)),
        RNG.poisson(1e6, (5000, 2)).astype(float),
        np.full((50, 2), 0.1) + 1e-15 * RNG.normal(size=(50, 2)),
        FAR.astype("f4"),
        COUNTS,
    ],
)
def test_ordinary_numbers_are_not_worth_a_word(x):
    assert not both({"a": x}, covariates={"c": x[:, 0]})[2]


def test_a_column_that_varies_by_rounding_alone_is_constant_beside_one_that_is_held():
    x = np.stack([FAR[:, 0], 1 + 2e-16 * RNG.normal(size=N)], 1)
    memory, disk, said = both({"a": x})
    assert "such columns" not in said[0]
    assert memory.standardize().standardization.scale["a"][1] == 1
    assert disk.standardize().standardization.scale["a"][1] == 1


def test_double_precision_rounds_nothing(x64):
    assert not both({"a": FAR})[2]
    rounding = precision.Rounding(np.arange(N), (2,))
    rounding.add(0, FAR, np.ones(FAR.shape, bool))
    assert rounding.found() is None


@pytest.mark.parametrize("value", [16777217.0, 1e-50])
def test_every_row_is_looked_at_for_values_that_change(value):
    """Also rows that are not among those in which merged values are looked for."""
    x = np.arange(4000.0)[:, None]
    x[2501] = value
    said = both({"a": x})[2]
    assert len(said) == 1
    assert f"modality 'a', column 0: {value:.17g} becomes" in said[0]


@pytest.mark.parametrize("kind", ["f4", float])
def test_a_column_varies_unless_all_its_values_are_one(kind):
    x = np.array([1e7, 1e7 + 1, 1e7 + 2, 1e7 + 3])[:, None].astype(kind)
    data = [d.standardize() for d in both({"a": x})[:2]]
    for scaled in data:
        np.testing.assert_allclose(scaled.standardization.scale["a"], [1.25**0.5])
    assert_same(data[0].standardization, data[1].standardization)


def test_what_varies_too_little_for_squares_is_refused(x64):
    for data in both({"a": np.array([[1e-170], [3e-170]])})[:2]:
        with pytest.raises(ValueError, match=r"column 0: .* got 0; .* another unit"):
            data.standardize()


def test_a_scale_that_is_not_finite_is_refused(x64):
    x = np.array([[1e200], [-1e200], [3.0]])
    for data in both({"a": x}, feature_names={"a": ["u"]})[:2]:
        with pytest.raises(
            ValueError,
            match=r"modality 'a', column 0 \('u'\): .*got inf; .*another unit",
        ):
            data.standardize()


def test_new_rows_that_do_not_fit_when_scaled_are_refused():
    train = cs.MultimodalData.from_arrays({"a": FLUXES}).standardize()
    rows = cs.MultimodalData.from_arrays({"a": np.full((2, 3), 1e20)})
    with pytest.raises(
        ValueError, match="values that fit float32 when scaled, got 1e\\+20"
    ):
        rows.standardize(like=train)


def test_scaling_of_the_training_rows_passes_through_jit():
    train = cs.MultimodalData.from_arrays({"a": HOLES}).standardize()
    rows = cs.MultimodalData.from_arrays({"a": HOLES + 1})
    traced = jax.jit(lambda data: data.standardize(like=train))(rows)
    np.testing.assert_allclose(
        traced.values["a"], rows.standardize(like=train).values["a"], atol=1e-6
    )
    traced.conform(train)  # its scaling came back in float32, and is the same
