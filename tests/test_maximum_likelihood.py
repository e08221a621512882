import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from consilience import LinearGaussian, MultimodalData, maximum_likelihood

ROWS, WIDTHS, FEATURES = 97, {"rna": 5, "adt": 3}, 8
RNG_SEED = 0


def draw(rows=ROWS, latent_dim=2, scale=0.7):
    rng = np.random.default_rng(RNG_SEED)
    W, b = rng.normal(size=(FEATURES, latent_dim)), rng.normal(size=FEATURES)
    x = rng.normal(size=(rows, latent_dim)) @ W.T + b
    return x + scale * rng.normal(size=x.shape)


def make_data(x):
    rna, adt = np.split(x, [WIDTHS["rna"]], -1)
    return MultimodalData.from_arrays({"rna": rna, "adt": adt}, allow_empty_rows=True)


def with_holes(x, rate=0.3):
    rng = np.random.default_rng(RNG_SEED + 1)
    x = np.where(rng.random(x.shape) < rate, np.nan, x)
    x[:11, :5] = np.nan
    return x


def by_em(x):
    """The same rows and an empty one, which says nothing but leaves no closed form."""
    return make_data(np.concatenate([x, np.full((1, FEATURES), np.nan)]))


@jax.jit
def mean_log_likelihood(model, data):
    return model.log_likelihood(data).mean()


gradient_of = jax.jit(jax.grad(mean_log_likelihood))


def assert_same_law(found, expected, tolerance):
    """Equal up to a rotation of the latents."""
    parts = []
    for model in (found, expected):
        W = np.concatenate([model.loadings[n] for n in WIDTHS])
        parts.append((W @ W.T, *(model.biases[n] for n in WIDTHS), model.scale))
    for a, b in zip(*parts, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance)


def best_mean_log_likelihood(x, latent_dim, scale=None):
    """Mean log N(x; mean, C) of the eigenvalues of C nearest to those of the data."""
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    variance = values[latent_dim:].mean() if scale is None else scale**2
    ours = np.full(len(values), variance)
    ours[:latent_dim] = np.maximum(values[:latent_dim], variance)
    return -0.5 * (np.log(2 * np.pi * ours) + values / ours).sum()


# In closed form


@pytest.mark.parametrize("latent_dim", [1, 2, 7])
def test_closed_form_reaches_the_best_likelihood(x64, latent_dim):
    data = make_data(draw())
    model = maximum_likelihood(data, latent_dim)
    assert model.latent_dim == latent_dim
    found = mean_log_likelihood(model, data)
    expected = best_mean_log_likelihood(draw(), latent_dim)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(("latent_dim", "scale"), [(1, 0.1), (8, 1.3), (11, 0.1)])
def test_closed_form_with_a_known_scale(x64, latent_dim, scale):
    data = make_data(draw())
    model = maximum_likelihood(data, latent_dim, scale)
    assert model.latent_dim == latent_dim
    assert model.scale == scale
    found = mean_log_likelihood(model, data)
    expected = best_mean_log_likelihood(draw(), latent_dim, scale)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_closed_form_has_no_gradient(x64):
    data = make_data(draw())
    gradient = gradient_of(maximum_likelihood(data, 2), data)
    for g in jax.tree.leaves(gradient):
        np.testing.assert_allclose(g, np.zeros(g.shape), atol=1e-10)


def test_closed_form_beats_every_model_nearby(x64):
    data = make_data(draw())
    model = maximum_likelihood(data, 2)
    best, rng = mean_log_likelihood(model, data), np.random.default_rng(2)
    for size in (1e-3, 1e-2, 1e-1):
        for _ in range(7):
            near = jax.tree.map(lambda p: p + size * rng.normal(size=p.shape), model)  # noqa: B023
            assert mean_log_likelihood(near, data) < best


def test_closed_form_keeps_the_modalities_apart():
    data = make_data(draw())
    model = maximum_likelihood(data, 2)
    assert {n: W.shape for n, W in model.loadings.items()} == {
        "rna": (5, 2),
        "adt": (3, 2),
    }
    for name in WIDTHS:
        expected = np.asarray(data.values[name]).mean(0)
        np.testing.assert_allclose(model.biases[name], expected, atol=1e-5)


def test_standardized_data_have_the_likelihood_of_their_first_units(x64):
    data = make_data(draw())
    scaled = data.standardize()
    found = mean_log_likelihood(maximum_likelihood(scaled, 2), scaled)
    x, scale = draw(), draw().std(0)
    expected = (
        best_mean_log_likelihood((x - x.mean(0)) / scale, 2) - np.log(scale).sum()
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_one_feature_and_a_known_scale(x64):
    x = draw()[:, :1]
    data = MultimodalData.from_arrays({"a": x})
    found = mean_log_likelihood(maximum_likelihood(data, 1, 0.5), data)
    expected = -0.5 * (np.log(2 * np.pi * x.var()) + 1)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


# By expectation maximisation


def test_em_on_complete_rows_agrees_with_the_closed_form(x64):
    found = maximum_likelihood(by_em(draw()), 2, tolerance=1e-14)
    assert_same_law(found, maximum_likelihood(make_data(draw()), 2), 1e-5)


@pytest.mark.parametrize(("latent_dim", "scale"), [(2, 0.7), (11, 0.5)])
def test_em_with_a_known_scale_agrees_with_the_closed_form(x64, latent_dim, scale):
    data = by_em(draw())
    model = maximum_likelihood(data, latent_dim, scale, tolerance=1e-9)
    assert model.latent_dim == latent_dim
    assert model.scale == scale
    found = mean_log_likelihood(model, data.take(slice(0, ROWS)))
    expected = best_mean_log_likelihood(draw(), latent_dim, scale)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("scale", [None, 0.7])
def test_em_on_incomplete_rows_ends_where_the_gradient_does(x64, scale):
    data = make_data(with_holes(draw()))
    model = maximum_likelihood(data, 2, scale, tolerance=1e-14)
    gradient = gradient_of(model, data)
    if scale is not None:
        gradient = dataclasses.replace(gradient, scale=jnp.zeros(()))
    for g in jax.tree.leaves(gradient):
        np.testing.assert_allclose(g, np.zeros(g.shape), atol=1e-5)


def test_em_on_incomplete_rows_beats_every_model_nearby(x64):
    data = make_data(with_holes(draw()))
    model = maximum_likelihood(data, 2, tolerance=1e-14)
    best, rng = mean_log_likelihood(model, data), np.random.default_rng(2)
    for size in (1e-2, 1e-1):
        for _ in range(7):
            near = jax.tree.map(lambda p: p + size * rng.normal(size=p.shape), model)  # noqa: B023
            assert mean_log_likelihood(near, data) < best


@pytest.mark.parametrize("scale", [None, 1e-3])
def test_em_of_little_noise_does_not_hang_on_the_precision(scale):
    """In single precision σ² would be lost in WᵀW."""
    x = with_holes(draw(scale=1e-3)).astype(np.float32)
    found = maximum_likelihood(make_data(x), 2, scale)
    with jax.enable_x64(True):
        expected = maximum_likelihood(make_data(x), 2, scale)
    assert found.scale.dtype == jnp.float32
    for ours, theirs in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    if scale is None:
        assert 0.8e-3 < found.scale < 1.1e-3  # 97 · 5.6 entries, 22 parameters


def test_em_ends_where_a_step_gains_nothing_but_rounding():
    """A tolerance that no double can reach."""
    data = make_data(with_holes(draw()))
    assert maximum_likelihood(data, 2, tolerance=0.0).latent_dim == 2


def test_em_in_single_precision():
    data = make_data(with_holes(draw()))
    found = mean_log_likelihood(maximum_likelihood(data, 2), data)
    with jax.enable_x64(True):
        data = make_data(with_holes(draw()))
        best = mean_log_likelihood(maximum_likelihood(data, 2, tolerance=1e-12), data)
    np.testing.assert_allclose(found, best, atol=1e-3)


# Refusals


@pytest.mark.parametrize(
    ("latent_dim", "scale"), [(0, None), (8, None), (11, None), (0, 1.0), (-1, 1.0)]
)
def test_bad_latent_dim(latent_dim, scale):
    expected = "1 to 7 .*" if latent_dim > 0 else "a positive integer"
    message = rf"latent_dim: expected {expected},? got {latent_dim}$"
    with pytest.raises(ValueError, match=message):
        maximum_likelihood(make_data(draw()), latent_dim, scale)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("make", [make_data, by_em])
def test_bad_scale(make, scale):
    with pytest.raises(
        ValueError, match=f"scale: expected a .*number above 0, got {scale}"
    ):
        maximum_likelihood(make(draw()), 2, scale)


def test_modalities_that_are_no_vectors():
    data = MultimodalData.from_arrays({"a": np.ones((3, 5)), "b": np.ones((3, 2, 7))})
    message = r"modality 'b': expected vectors, got events of \(2, 7\)"
    with pytest.raises(ValueError, match=message):
        maximum_likelihood(data, 1)


def test_em_that_has_not_settled():
    data = make_data(with_holes(draw()))
    message = r"max_steps: .* more than 1e-09 nats a row after 10 steps"
    with pytest.raises(ValueError, match=message):
        maximum_likelihood(data, 2, tolerance=1e-9, max_steps=10)


def test_a_feature_that_was_never_measured():
    x = with_holes(draw())
    x[:, 6] = np.nan
    message = "modality 'adt', column 1: expected measurements, got none in any row"
    with pytest.raises(ValueError, match=message):
        maximum_likelihood(make_data(x), 2)


def test_data_without_noise_have_no_maximum():
    x = draw(scale=0.0)
    with pytest.raises(ValueError, match=r"scale: .* no noise"):
        maximum_likelihood(make_data(x), 2)


def test_it_is_a_linear_gaussian():
    assert isinstance(maximum_likelihood(make_data(draw()), 2), LinearGaussian)
