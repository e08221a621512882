"""Draws of latents and of completions, against closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import WIDTHS, exact_guide, incomplete, linear_gaussian

import consilience as cs

DRAWS = 4000
KEY = jax.random.key(5)
TRUTH = linear_gaussian(KEY)
GUIDE = exact_guide(TRUTH)


@jax.jit
def exact_moments(data, subset):
    p_z = TRUTH.posterior(data, subset)
    return p_z.mean, p_z.covariance_matrix


@pytest.fixture(scope="module")
def data():
    return incomplete(KEY, TRUTH)


def assert_moments(draws, mean, covariance):
    """Means and covariances `[N, D]`, `[N, D, D]` of draws `[K, N, D]`, 4.5 s.e. each."""
    draws, mean, covariance = map(np.asarray, (draws, mean, covariance))
    centred = draws - mean
    products = centred[..., :, None] * centred[..., None, :]
    for sample, expected in ((draws, mean), (products, covariance)):
        error = sample.std(0) / np.sqrt(len(sample))
        assert np.all(np.abs(sample.mean(0) - expected) <= 4.5 * error + 1e-6)


@pytest.mark.parametrize("chunk_size", [1000, 3])
@pytest.mark.parametrize("names", [None, ("a", "c")])
def test_posterior_draws_have_the_posteriors_moments(chunk_size, names, data):
    """Whatever the subset, and in the order of the rows however they are cut."""
    subset = None if names is None else data.subset_of(*names)
    draws = cs.posterior(
        KEY, GUIDE, {}, data, subset, num_samples=DRAWS, chunk_size=chunk_size
    )
    assert list(draws) == ["z"]
    assert draws["z"].shape == (DRAWS, data.size, 2)
    assert_moments(draws["z"], *exact_moments(data, subset))


def test_draws_are_a_function_of_the_key_and_differ_by_row(data):
    prior = dataclasses.replace(data, present=jnp.zeros_like(data.present))

    def draw(key):
        draws = cs.posterior(key, GUIDE, {}, prior, num_samples=2, chunk_size=3)
        return np.asarray(draws["z"])

    np.testing.assert_array_equal(draw(KEY), draw(KEY))
    numbers = np.concatenate([draw(KEY), draw(jax.random.key(6))])
    assert len(np.unique(numbers)) == numbers.size


def test_all_latents_are_returned(data):
    def guide(data, subset=None):
        noise = numpyro.sample("noise", dist.LogNormal(0.0, 0.1))
        with data.plate():
            numpyro.sample("z", dist.Normal(jnp.zeros(2), noise).to_event(1))
            numpyro.sample("w", dist.Normal(jnp.zeros((3, 5)), noise).to_event(2))

    draws = cs.posterior(KEY, guide, {}, data, num_samples=11)
    shapes = {name: draw.shape for name, draw in draws.items()}
    assert shapes == {"z": (11, 7, 2), "w": (11, 7, 3, 5), "noise": (11,)}


@pytest.fixture(scope="module")
def completions(data):
    """Completions given modality a alone: draws, and means for each draw of z."""
    given, sizes = data.subset_of("a"), {"num_samples": DRAWS, "chunk_size": 3}
    return [
        cs.generate(KEY, TRUTH, GUIDE, {}, data, given, mean=mean, **sizes)
        for mean in (False, True)
    ]


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("name", WIDTHS)
def test_completions_have_the_predictive_moments(name, mean, data, completions):
    """N(W μ_S + b, W Σ_S Wᵀ + σ² I), absent modalities too; a mean has no σ²."""
    generated = completions[int(mean)][name]
    assert generated.shape == (DRAWS, data.size, WIDTHS[name])
    mean_z, covariance_z = exact_moments(data, data.subset_of("a"))
    W = TRUTH.loadings[name]
    covariance = W @ covariance_z @ W.T
    covariance += (not mean) * TRUTH.scale**2 * jnp.eye(len(W))
    assert_moments(generated, mean_z @ W.T + TRUTH.biases[name], covariance)


@pytest.mark.parametrize("mean", [False, True])
def test_generation_from_the_prior(mean, data):
    sizes = {"num_samples": DRAWS, "mean": mean}
    generated = cs.generate_from_prior(KEY, TRUTH, {}, data, **sizes)
    rubbish = {name: jnp.full_like(x, jnp.nan) for name, x in data.values.items()}
    other = dataclasses.replace(data, values=rubbish)
    again = cs.generate_from_prior(KEY, TRUTH, {}, other, **sizes)
    for name, W in TRUTH.loadings.items():
        np.testing.assert_array_equal(generated[name], again[name])
        covariance = W @ W.T + (not mean) * TRUTH.scale**2 * jnp.eye(len(W))
        loc = jnp.broadcast_to(TRUTH.biases[name], generated[name].shape[1:])
        assert_moments(generated[name], loc, jnp.stack([covariance] * data.size))


def constant_model(data, subset=None):
    """Zero in every place, and a class; what is generated shows its units."""
    with data.plate():
        numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        for name in WIDTHS:
            zero = jnp.zeros((data.size, WIDTHS[name]))
            cs.observe(data, name, dist.Normal(zero, 1e-6), subset)
        if "d" in data.names:
            cs.observe(
                data, "d", dist.Categorical(jnp.ones((data.size, 4)) / 4), subset
            )


def prior_guide(data, subset=None):
    with data.plate():
        numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))


def test_generated_values_come_in_the_first_units(data):
    scaled = data.standardize()
    ways = [
        cs.generate(KEY, constant_model, prior_guide, {}, scaled),
        cs.generate_from_prior(KEY, constant_model, {}, scaled, mean=True),
    ]
    for generated in ways:
        for name, loc in scaled.standardization.loc.items():
            expected = np.broadcast_to(loc, generated[name].shape)
            np.testing.assert_allclose(generated[name], expected, atol=3e-5)


def test_classes_are_drawn_but_have_no_mean(data):
    values = {**data.values, "d": np.arange(7) % 4}
    classes = cs.MultimodalData.from_arrays(values)
    drawn = cs.generate_from_prior(KEY, constant_model, {}, classes, num_samples=99)
    assert set(np.unique(drawn["d"])) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match=r"mean: modality 'd': .* mean=False"):
        cs.generate(KEY, constant_model, prior_guide, {}, classes, mean=True)


WAYS = {
    "posterior": lambda data, **kw: cs.posterior(KEY, GUIDE, {}, data, **kw),
    "generate": lambda data, **kw: cs.generate(KEY, TRUTH, GUIDE, {}, data, **kw),
    "from prior": lambda data, **kw: cs.generate_from_prior(KEY, TRUTH, {}, data, **kw),
}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("way", WAYS)
def test_refusals(way, data):
    call = WAYS[way]
    with pytest.raises(ValueError, match="num_samples: expected a positive integer"):
        call(data, num_samples=0)
    with pytest.raises(TypeError, match="data: expected MultimodalData, got dict"):
        call(data.values)
    if way == "from prior":
        return
    with pytest.raises(ValueError, match="chunk_size: expected a positive integer"):
        call(data, chunk_size=0)
    with pytest.raises(
        ValueError, match=r"subset: expected booleans of shape \(7, 3\)"
    ):
        call(data, subset=("a", "b"))
