"""Values outside the support of their likelihood are refused before training."""

import re

import jax
import numpy as np
import optax
import pytest
from numpyro.infer import SVI

import consilience as cs

CASES = [
    (
        cs.CategoricalLikelihood(4),
        np.array([[0, 3], [1, 4]]),
        "row 1.*Categorical.*1 4",
    ),
    (cs.BernoulliLikelihood(), np.array([[0, 1], [2, 1]]), "row 1.*Bernoulli.*2 1"),
    (cs.OneHotLikelihood(), np.array([[0, 1], [1, 1]]), "row 1.*Multinomial.*1 1"),
    (cs.OneHotLikelihood(), np.array([[0, 1], [2, -1]]), "row 1.*Multinomial.*2 -1"),
]


def fit(likelihood, values, **missing):
    data = cs.MultimodalData.from_arrays({"x": values, "y": np.ones((2, 3))}, **missing)
    likelihoods = {"x": likelihood, "y": cs.NormalLikelihood()}
    model = cs.multimodal_model(cs.standard_normal(2), likelihoods, cs.LinearDecoder)
    svi = SVI(model, cs.amortized_guide(2), optax.adam(1e-3), cs.MaskedELBO())
    return cs.fit(jax.random.key(0), svi, data, num_epochs=1, progress=False)


@pytest.mark.parametrize(("likelihood", "values", "said"), CASES)
def test_impossible_values_are_refused_by_name(likelihood, values, said):
    with pytest.raises(ValueError, match=f"modality 'x', {said}"):
        fit(likelihood, values)


def test_what_is_missing_may_be_anything():
    entries = {"x": np.array([[True, True], [False, True]])}
    fitted = fit(cs.BernoulliLikelihood(), np.array([[0, 1], [2, 1]]), entries=entries)
    assert np.isfinite(fitted.history.bound).all()


def test_standardised_binary_values_are_refused():
    data = np.array([[0.0, 1.0], [1.0, 1.0]])
    assert np.isfinite(fit(cs.BernoulliLikelihood(), data).history.bound).all()
    scaled = cs.MultimodalData.from_arrays({"x": data}).standardize().values["x"]
    with pytest.raises(ValueError, match=re.escape("modality 'x', row 0")):
        fit(cs.BernoulliLikelihood(), np.asarray(scaled))


def test_labels_of_floats_are_refused_and_masked_ones_are_whole_numbers():
    labels = np.array([[0.0, np.nan], [1.0, 3.0]])
    with pytest.raises(
        ValueError, match=r"'x': expected whole numbers .*float32; .*np\.ma\.array"
    ):
        fit(cs.CategoricalLikelihood(4), labels)
    whole = np.ma.array(np.nan_to_num(labels).astype(int), mask=np.isnan(labels))
    data = cs.MultimodalData.from_arrays({"x": whole})
    assert data.values["x"].dtype == np.int32
    np.testing.assert_array_equal(data.observed("x"), ~np.isnan(labels))


def test_sample_column_and_remedy_are_named(tmp_path):
    values = np.array([[0, 1], [3, -2]])
    names = {"row_names": ["p", "q"], "feature_names": {"x": ["u", "v"]}}
    match = (
        r"modality 'x', row 1 \('q'\), column 'v': expected values in the support of its "
        r"likelihood, LogPoisson, got -2 in \[ 3 -2\]; possible are whole numbers from 0 "
        r"on; choose a likelihood"
    )
    with pytest.raises(ValueError, match=match):
        fit(cs.PoissonLikelihood(), values, **names)
    with pytest.raises(ValueError, match="possible are whole numbers from 0 to 2; "):
        fit(cs.CategoricalLikelihood(3), np.array([[0, 1], [3, 2]]))
