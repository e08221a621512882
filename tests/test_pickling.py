"""Fits, models and data in other processes, and copies of them."""

import copy
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
import tiny
from numpyro.infer import SVI

import consilience as cs

KEY = jax.random.key(1)


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def ours():
    likelihoods = {
        "a": cs.NormalLikelihood(0.5),
        "b": cs.LearnedNormalLikelihood(),
    }
    decoder = partial(cs.MLPDecoder, hidden=(3,))
    model = cs.multimodal_model(cs.standard_normal(1), likelihoods, decoder)
    guide = cs.amortized_guide(
        1, partial(cs.MLPEncoder, hidden=(3,)), cs.ProductOfExperts, 2
    )
    return SVI(model, guide, optax.adam(1e-2), cs.MaskedELBO(weights={"a": 2.0}))


@pytest.fixture(scope="module")
def fits():
    data = tiny.data().standardize()
    return {
        "ours": tiny.fit(ours(), data, validation=data),
        "own": tiny.fit(data_=data, validation=data),
    }


@pytest.mark.parametrize("name", ["ours", "own"])
@pytest.mark.parametrize(
    "again", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy]
)
def test_a_fit_computes_the_same_bits(fits, name, again):
    fitted, data = fits[name], tiny.data()
    other = again(fitted)
    assert other is not fitted
    same(other.params, fitted.params)
    same(other.best.params, fitted.best.params)
    same(other.history, fitted.history)
    data = data.standardize(like=fitted.schema)
    draw = [f.posterior(KEY, data, num_samples=2)["z"] for f in (other, fitted)]
    same(*draw)
    if name == "ours":
        assert other.svi.loss.weights == {"a": 2.0}


def test_a_deep_copy_trains_on_and_its_history_is_its_own(fits):
    fitted = fits["own"]
    other = copy.deepcopy(fitted)
    rows = tiny.data().standardize().batch(np.arange(5))
    states = [f.svi.update(f.state, rows)[0] for f in (fitted, other)]
    same(*[fitted.svi.optim.get_params(s.optim_state) for s in states])
    assert other.history.bound is not fitted.history.bound


def test_what_comes_out_of_a_pickle_does_not_train_silently(fits):
    other = pickle.loads(pickle.dumps(fits["own"]))
    with pytest.raises(ValueError, match="optimizer: this fit was loaded without one"):
        other.svi.update(other.state, tiny.data().standardize())


def test_functions_that_pickle_does_not_find_are_named_with_the_way_out():
    def model(data, subset=None):
        return tiny.model(data, subset)

    svi = SVI(model, tiny.guide, optax.sgd(1e-3), cs.MaskedELBO())
    with pytest.raises(TypeError, match=r"model: expected functions .* load\(path, mo"):
        pickle.dumps(tiny.fit(svi, num_epochs=1))


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy])
def test_models_guides_and_bounds_are_copied_and_pickled(again):
    svi = ours()
    assert again(svi.model) is svi.model
    assert again(svi).model is svi.model
    assert dict(again(svi.loss).weights) == {"a": 2.0}


@pytest.mark.parametrize(
    "make",
    [
        lambda: cs.standard_normal(3),
        lambda: cs.gaussian_mixture(2, 3),
        lambda: cs.multimodal_model(
            cs.standard_normal(2), {"a": cs.NormalLikelihood(0.5)}, cs.LinearDecoder
        ),
        lambda: cs.amortized_guide(1, cs.MLPEncoder, cs.ProductOfExperts, 2),
    ],
)
def test_what_our_functions_return_is_pickled_with_how_it_was_made(make):
    made = make()
    other = pickle.loads(pickle.dumps(made))
    assert other.make is made.make
    assert other.arguments.keys() == made.arguments.keys()
    assert repr(other) == repr(made)


SCRIPT = """
import pickle, sys
import numpy as np
fitted, data, key = pickle.load(open(sys.argv[1], "rb"))
np.save(sys.argv[2], fitted.posterior(key, data, num_samples=2)["z"])
"""


@pytest.mark.slow
def test_another_process_computes_the_same(fits, tmp_path):
    """As `multiprocessing` and joblib hand things over."""
    data = tiny.data().standardize()
    (tmp_path / "given").write_bytes(pickle.dumps((fits["ours"], data, KEY)))
    arguments = [str(tmp_path / "given"), str(tmp_path / "z.npy")]
    subprocess.run([sys.executable, "-c", SCRIPT, *arguments], check=True)
    z = fits["ours"].posterior(KEY, data, num_samples=2)["z"]
    np.testing.assert_allclose(np.load(tmp_path / "z.npy"), z, rtol=1e-5)


def test_copies_of_streamed_rows_open_their_file_themselves(tmp_path):
    rows = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "b.npy", rows + 50)
    streamed = cs.stream(tmp_path)
    others = [copy.deepcopy(streamed), pickle.loads(pickle.dumps(streamed))]
    expected = streamed.take(np.arange(4)).values
    del streamed
    (tmp_path / "c").touch()
    with open(tmp_path / "c") as file:  # takes the number that became free
        for other in others:
            same(other.take(np.arange(4)).values, expected)
        assert not file.closed
    assert Path(tmp_path / "c").exists()
