"""A fit knows the data it was made for."""

import warnings

import jax
import numpy as np
import optax
import pytest
from numpyro.infer import SVI

import consilience as cs

ROWS = np.random.default_rng(0).normal(size=(7, 3))
HOLES = np.where(np.arange(21).reshape(7, 3) % 5 == 1, np.nan, ROWS)
NAMES = {"a": ("x", "y", "z")}


def container(values, **settings):
    return cs.MultimodalData.from_arrays({"a": values}, **settings)


def fit(data):
    model = cs.multimodal_model(cs.standard_normal(2), cs.NormalLikelihood())
    svi = SVI(model, cs.amortized_guide(2), optax.adam(1e-3), cs.MaskedELBO())
    return cs.fit(jax.random.key(0), svi, data, num_epochs=1, progress=False)


def test_complete_rows_suit_a_fit_with_entry_masks():
    fitted = fit(container(HOLES))
    found = fitted.posterior(jax.random.key(1), container(ROWS), num_samples=3)
    assert np.isfinite(found["z"]).all()


def test_a_full_entry_mask_prepares_for_missing_entries():
    fitted = fit(container(ROWS, entries={"a": np.ones((7, 3), bool)}))
    found = fitted.log_likelihood(jax.random.key(1), container(HOLES), num_samples=30)
    assert np.isfinite(found.value).all()


def test_any_function_may_be_evaluated_of_a_fit():
    """It gets model, guide and parameters, and data with the entry masks of training."""
    fitted = fit(container(HOLES))
    key, data = jax.random.key(1), container(ROWS)
    subset = data.subset_of("a")
    found = fitted.evaluate(
        cs.row_rates, key, data, subset, num_samples=2, chunk_size=7
    )
    assert np.isfinite(found.value.rate).all()
    whole = fitted.evaluate(
        lambda key, model, params, data, more, x: (model, params, data, more, x),
        key,
        data,
        3,
        x=5,
    )
    assert whole[0] is fitted.model
    assert whole[1].keys() == fitted.params.keys()
    assert bool(whole[2].entries["a"].all())
    assert whole[3:] == (3, 5)
    rows = cs.Chains(2, 5, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ten steps are no reference
        found = fitted.evaluate(cs.reference_posterior, key, data, chains=rows)
    assert found.draws.shape == (7, 2, 5, 2)


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (container(ROWS), container(HOLES), "'a' misses single entries"),
        (container(ROWS).standardize(), container(ROWS), "standardisation.*got none"),
        (
            container(ROWS).standardize(),
            container(2 * ROWS).standardize(),
            "standardisation.*got another",
        ),
        (container(ROWS), container(ROWS[:, :2]), "event_shapes"),
        (
            container(ROWS, feature_names=NAMES),
            container(ROWS, feature_names={"a": ("x", "w", "y")}),
            "expected the columns of the training rows, got none called z",
        ),
    ],
)
def test_other_data_are_refused(train, test, said):
    with pytest.raises(ValueError, match=f"data: .*{said}"):
        fit(train).posterior(jax.random.key(1), test, num_samples=3)


def test_restrict_leaves_no_row_empty_by_accident():
    data = container(ROWS)
    with pytest.raises(ValueError, match=r"row 0 \(7 in all\) loses its last"):
        data.restrict(np.zeros((7, 1), bool) & data.present)
    empty = data.restrict(~data.present, allow_empty_rows=True)
    assert not empty.present.any()
    with pytest.raises(ValueError, match="keep: expected booleans of shape"):
        data.restrict(data.present[:3])


def test_a_single_index_takes_one_row():
    assert container(ROWS).take(3).size == 1
