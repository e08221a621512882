"""What no training row has is said, and not filled in; counts that stand alone are named."""

import jax
import numpy as np
import optax
import pytest
from numpyro.infer import SVI

import consilience as cs
from consilience.datasets.streaming import StreamedData
from consilience.training.unmeasured import Survey, beyond

RNG = np.random.default_rng(4)
REALS = RNG.normal(size=(9, 3))
REALS[:, 1] = np.nan
GONE = np.full((9, 2), np.nan)
COUNTS = RNG.poisson(3.0, (9, 2))
NAMES = {"feature_names": {"reals": ["x", "y", "z"]}}


def container(kind=cs.MultimodalData, **values):
    values = {"reals": REALS, "gone": GONE, "counts": COUNTS} | values
    return kind.from_arrays(values, **NAMES)


@pytest.fixture(scope="module")
def fitted():
    likelihoods = {
        "reals": cs.NormalLikelihood(),
        "gone": cs.NormalLikelihood(),
        "counts": cs.PoissonLikelihood(),
    }
    model = cs.multimodal_model(cs.standard_normal(2), likelihoods)
    svi = SVI(model, cs.amortized_guide(2), optax.adam(1e-3), cs.MaskedELBO())
    with pytest.warns(UserWarning, match="never measured") as caught:
        found = cs.fit(
            jax.random.key(0), svi, container(), num_epochs=1, progress=False
        )
    (said,) = [str(w.message) for w in caught]
    assert "fit: modality 'reals': column 1 ('y') was never measured in the" in said
    assert "modality 'gone' is absent from all training rows" in said
    return found


@pytest.mark.slow
def test_it_is_not_filled_in(fitted, tmp_path):
    fitted.save(tmp_path / "fit.npz")
    key, data = jax.random.key(1), container()
    for fit in (fitted, cs.load(tmp_path / "fit.npz")):
        means = fit.generate(key, data, num_samples=3, mean=True)
        means = {name: np.asarray(x).mean(0) for name, x in means.items()}
        np.testing.assert_array_equal(np.isnan(means["reals"]).all(0), [0, 1, 0])
        assert np.isnan(means["gone"]).all()
        assert np.isfinite(means["counts"]).all()
        with pytest.warns(UserWarning, match="left missing"):
            complete = cs.complete(data, means)
        np.testing.assert_array_equal(np.isnan(complete["reals"]), np.isnan(REALS))
        assert np.isnan(complete["gone"]).all()
    drawn = fitted.generate_from_prior(key, data, num_samples=2)
    assert np.isnan(drawn["reals"][..., 1]).all()
    assert np.isfinite(drawn["reals"][..., [0, 2]]).all()


@pytest.mark.slow
def test_trees_and_errors_leave_it_out(fitted):
    sizes = {"num_samples": 4, "num_predictive": 3, "num_prior": 2}
    settings = sizes | {"prior_predictive": True}
    tree = fitted.to_datatree(jax.random.key(3), container(), **settings)
    for group in ("posterior_predictive", "prior_predictive"):
        found = tree[group].to_dataset()
        assert np.isnan(found["gone"]).all()
        np.testing.assert_array_equal(
            np.isnan(found["reals"]).any(("chain", "draw", "datapoint")), [0, 1, 0]
        )
        assert found["reals"].coords["reals_dim_0"].values.tolist() == ["x", "y", "z"]
    drawn = tree["posterior_predictive"]["reals"].values[0]
    error = cs.reconstruction_error(container(), {"reals": drawn})["reals"]
    expected = (drawn - REALS)[..., [0, 2]] ** 2
    np.testing.assert_allclose(error.value, expected.mean(), rtol=1e-5)


@pytest.mark.slow
def test_new_rows_that_have_it_are_taken_as_if_they_had_not(fitted):
    full = container(
        reals=np.where(np.isnan(REALS), 9.0, REALS), gone=np.ones(GONE.shape)
    )
    key = jax.random.key(2)
    with pytest.warns(UserWarning, match="data: .* was never measured in the training"):
        found = fitted.posterior(key, full, num_samples=3)["z"]
    expected = fitted.posterior(key, container(), num_samples=3)["z"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [cs.MultimodalData, StreamedData])
def test_a_count_that_stands_alone_is_named(kind):
    counts = COUNTS.copy()
    counts[4, 1] = 2_000_000_000
    values = {"counts": counts}
    data = kind.from_arrays(values, row_names=[f"s{i}" for i in range(9)])
    survey = Survey(data)
    survey.add(data.take(slice(0, 3)))
    survey.add(data.take(slice(3, 9)))
    match = r"'counts', row 4 \('s4'\), column 1: 2000000000 is more than 1000 times"
    with pytest.warns(UserWarning, match=match):
        survey.warn()


def test_scaled_counts_are_no_longer_counts():
    counts = np.where(np.arange(9) == 4, 2_000_000_000, 3)[:, None]
    data = cs.MultimodalData.from_arrays({"a": counts}).standardize(log=["a"])
    survey = Survey(data)
    survey.add(data)
    survey.warn()


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([0, 3, 1, 2_000_000_000], (3, 3.0)),
        ([0, 0, 2**31 - 1, 0, 2**31 - 1], (2, 0.0)),
        ([5, 10**9 - 1, 20_000, 7], (1, 20_000.0)),
        ([0, 0, 0, 10**6], None),  # the only cell that has a transcript
        ([1, 10**3, 10**6, 10**8], None),  # a long tail without a gap
        ([10**9, 2 * 10**9, 3 * 10**9], None),  # all of one size
        ([-1.0, 2e9, 3.0], None),
        ([0.5, 2e9, 3.0], None),
        ([2_000_000_000], None),
    ],
)
def test_gaps_tell_codes_from_counts(counts, found):
    assert beyond(np.array(counts, float)) == found


def test_heavy_tails_have_no_gaps():
    """Single cells and bulk tissue: log-normal means over many decades, gamma-Poisson."""
    rng = np.random.default_rng(0)
    for depth, spread in ((0.1, 2.0), (300.0, 2.5)):
        means = depth * rng.lognormal(0.0, spread, 500)
        rates = rng.gamma(0.3, means / 0.3, (200, 500))
        counts = rng.poisson(np.minimum(rates, 1e8)).astype(float)
        assert counts.max() > 100
        assert all(beyond(column) is None for column in counts.T)
