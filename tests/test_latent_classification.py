"""Latent classification where the best accuracy is known."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from scipy.stats import norm

import consilience as cs

KEY = jax.random.key(4)


def guide(data, subset=None):
    """z = (label's sign as far as a is given) + noise of scale 2, and two more draws."""
    given = data.subset(subset)[:, :1]
    loc = jnp.where(given, data.values["a"], 0.0)
    with data.plate():
        numpyro.sample(
            "z", dist.Normal(jnp.pad(loc, ((0, 0), (1, 0))), 2.0).to_event(1)
        )
        numpyro.sample("w", dist.Normal(jnp.zeros((data.size, 2, 3)), 1.0).to_event(2))


def rows(num_rows, seed):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, num_rows)
    values = {"a": 4.0 * labels[:, None] - 2, "b": np.zeros((num_rows, 1))}
    present = np.stack([generator.random(num_rows) < 0.8, np.ones(num_rows, bool)], 1)
    return cs.MultimodalData.from_arrays(values, present=present), labels


TRAIN, TEST = rows(400, 0), rows(300, 1)


@pytest.fixture(scope="module")
def found():
    return cs.latent_classification(KEY, guide, {}, TRAIN, TEST, num_samples=5)


def test_accuracy_is_that_of_two_normals(found):
    """P(z on the right side of 0) = Φ(2 / 2) where a is given, ½ where it is not."""
    assert found.given == (("a",), ("b",), ("a", "b"))
    lacking = int((~TEST[0].present[:, 0]).sum())
    assert found.left_out.tolist() == [lacking, 0, 0]
    lacking = int((~TRAIN[0].present[:, 0]).sum())
    assert found.left_out_of_training.tolist() == [lacking, 0, 0]
    assert abs(found.value[0] - norm.cdf(1)) <= 4.5 * found.standard_error[0]
    assert abs(found.value[1] - 0.5) <= 4.5 * found.standard_error[1]
    share = float(TEST[0].present[:, 0].mean())
    mixed = share * norm.cdf(1) + (1 - share) * 0.5
    assert abs(found.value[2] - mixed) <= 4.5 * found.standard_error[2]
    assert (found.standard_error < 0.03).all()


def test_tables_and_other_sites(found):
    table = found.to_dataframe()
    assert table.given.tolist() == ["a", "b", "a + b"]
    assert table.value.tolist() == found.value.tolist()
    private = cs.latent_classification(
        KEY, guide, {}, TRAIN, TEST, [("b",)], site="w", chunk_size=90
    )
    assert abs(private.value[0] - 0.5) <= 4.5 * private.standard_error[0]


def test_labels_may_be_names_however_they_are_held(found):
    """As `clustering_scores` takes them: strings of NumPy, and objects as in pandas."""
    names = np.array(["one", "other"])
    for kind in (str, object):
        train, test = (
            (data, names[labels].astype(kind)) for data, labels in (TRAIN, TEST)
        )
        again = cs.latent_classification(KEY, guide, {}, train, test, num_samples=5)
        np.testing.assert_array_equal(again.value, found.value)
        assert cs.clustering_scores(train[1], TRAIN[1]).accuracy == 1.0
    mixed = np.array(["one", None] * 200, object)
    with pytest.raises(ValueError, match="train: labels: expected whole numbers or na"):
        cs.latent_classification(KEY, guide, {}, (TRAIN[0], mixed), TEST)
    with pytest.raises(ValueError, match="labels: expected whole numbers or names"):
        cs.clustering_scores(mixed, TRAIN[1])


def test_refusals():
    call = cs.latent_classification
    with pytest.raises(ValueError, match="site: expected one of w, z, got 'x'"):
        call(KEY, guide, {}, TRAIN, TEST, [("a",)], site="x")
    with pytest.raises(ValueError, match=r"test: labels: .* shape \(300,\)"):
        call(KEY, guide, {}, TRAIN, (TEST[0], TRAIN[1]))
    one = (TRAIN[0], np.zeros(400, int))
    with pytest.raises(ValueError, match=r"train: expected 2 classes or more .* \[0\]"):
        call(KEY, guide, {}, one, TEST, [("a",)])
