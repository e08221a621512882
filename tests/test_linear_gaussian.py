"""The oracle itself, against dense Gaussians, simulation and published numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from numpyro import handlers
from numpyro.infer import Predictive
from numpyro.infer.util import log_density
from scipy import stats

from consilience import LinearGaussian, MultimodalData, illustrative_example
from consilience.models.linear_gaussian import counted

WIDTHS, LATENT, SCALE = {"rna": 5, "adt": 3, "image": 7}, 2, 0.6
SUBSETS = reference.subsets(3)
log_likelihood = jax.jit(LinearGaussian.log_likelihood)
posterior = jax.jit(LinearGaussian.posterior)


def make_model(scale=SCALE):
    rng = np.random.default_rng(0)
    return LinearGaussian(
        {n: jnp.asarray(rng.normal(size=(d, LATENT))) for n, d in WIDTHS.items()},
        {n: jnp.asarray(rng.normal(size=d)) for n, d in WIDTHS.items()},
        scale,
    )


def dense(model, names=WIDTHS):
    """W, b and scale of the stacked modalities, for the reference."""
    W = np.concatenate([model.loadings[n] for n in names])
    b = np.concatenate([model.biases[n] for n in names])
    return W, b, float(model.scale)


def every_subset(missing=True, seed=0):
    """Rows of which each has another subset, four times each, and what x they hold."""
    rng = np.random.default_rng(seed)
    x = {n: rng.normal(0.0, 2.0, (32, d)) for n, d in WIDTHS.items()}
    if missing:
        for values in x.values():
            values[rng.random(values.shape) < 0.3] = np.nan
        x["rna"][30] = np.nan
    data = MultimodalData.from_arrays(x, allow_empty_rows=True)
    return data, jnp.asarray(np.tile(SUBSETS, (4, 1)))


def stacked(data, subset):
    """Values and what counts of them as dense `[N, P]`, read off independently."""
    x = np.concatenate([data.values[n] for n in data.names], -1)
    keep = [
        np.asarray(data.observed(n)) & np.asarray(subset)[:, [i]]
        for i, n in enumerate(data.names)
    ]
    return x, np.concatenate(keep, -1)


@pytest.fixture(params=["single", "double"])
def precision(request):
    """Tolerances in single and double precision."""
    double = request.param == "double"
    with jax.enable_x64(double):
        yield {"rtol": 1e-10, "atol": 1e-10} if double else {"rtol": 1e-5, "atol": 1e-5}


# Conditioning


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
def test_log_likelihood_of_every_subset(precision, missing):
    model, (data, subset) = make_model(), every_subset(missing)
    expected = reference.linear_gaussian_log_likelihood(
        *stacked(data, subset), *dense(model)
    )
    found = log_likelihood(model, data, subset)
    np.testing.assert_allclose(found, expected, **precision)
    np.testing.assert_array_equal(np.asarray(found)[0], 0)


@pytest.mark.parametrize("missing", [False, True], ids=["complete", "missing"])
def test_posterior_of_every_subset(precision, missing):
    model, (data, subset) = make_model(), every_subset(missing)
    means, covariances = reference.linear_gaussian_posterior(
        *stacked(data, subset), *dense(model)
    )
    found = posterior(model, data, subset)
    assert found.batch_shape == (32,)
    assert found.event_shape == (LATENT,)
    np.testing.assert_allclose(found.loc, means, **precision)
    np.testing.assert_allclose(found.covariance_matrix, covariances, **precision)


def test_without_a_subset_all_that_is_present_counts():
    model, (data, _) = make_model(), every_subset()
    data = data.restrict(jnp.asarray(np.tile(SUBSETS, (4, 1))), allow_empty_rows=True)
    np.testing.assert_array_equal(
        log_likelihood(model, data), log_likelihood(model, data, data.present)
    )
    np.testing.assert_array_equal(
        posterior(model, data).loc, posterior(model, data, data.present).loc
    )


def test_the_empty_posterior_is_the_prior():
    model, (data, _) = make_model(), every_subset()
    found = posterior(model, data, data.subset_of())
    np.testing.assert_array_equal(found.loc, np.zeros((32, LATENT)))
    identity = np.broadcast_to(np.eye(LATENT), (32, LATENT, LATENT))
    np.testing.assert_allclose(found.covariance_matrix, identity, atol=1e-6)


def test_bayes_theorem_holds_at_any_latent(x64):
    """Log p(x_S) = log p(z) + log p(x_S | z) − log p(z | x_S)."""
    model, (data, subset) = make_model(), every_subset()
    z = np.random.default_rng(2).normal(size=(32, LATENT))
    x, keep = stacked(data, subset)
    W, b, scale = dense(model)
    given_z = np.where(keep, stats.norm(z @ W.T + b, scale).logpdf(x), 0).sum(-1)
    joint = stats.norm.logpdf(z).sum(-1) + given_z
    found = joint - posterior(model, data, subset).log_prob(jnp.asarray(z))
    np.testing.assert_allclose(found, log_likelihood(model, data, subset), atol=1e-10)


def test_order_of_the_modalities_is_that_of_the_data(x64):
    model, (data, subset) = make_model(), every_subset()
    names = data.names[::-1]
    turned = MultimodalData.from_arrays(
        {n: np.where(data.observed(n), data.values[n], np.nan) for n in names},
        allow_empty_rows=True,
    )
    found = log_likelihood(model, turned, subset[:, ::-1])
    np.testing.assert_allclose(found, log_likelihood(model, data, subset), rtol=1e-10)


def test_jit_gives_what_eager_gives():
    model, (data, subset) = make_model(), every_subset()
    expected = model.log_likelihood(data, subset)
    found = log_likelihood(model, data, subset)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_log_likelihood_is_over_the_units_of_unscaled_data(x64):
    model, (data, subset) = make_model(), every_subset()
    scaled = data.standardize()
    scale = np.concatenate([scaled.standardization.scale[n] for n in WIDTHS])
    loc = np.concatenate([scaled.standardization.loc[n] for n in WIDTHS])
    W, b, noise = dense(model)
    x, keep = stacked(data, subset)
    # the model of (x − loc) / scale, as a dense Gaussian over x itself
    covariance = scale[:, None] * (W @ W.T + noise**2 * np.eye(15)) * scale
    expected = reference.gaussian_log_density(x, keep, b * scale + loc, covariance)
    found = log_likelihood(model, scaled, subset)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_gradient_is_finite_where_nothing_counts():
    data, subset = every_subset()
    value = lambda model: model.log_likelihood(data, subset).sum()  # noqa: E731
    gradient = jax.jit(jax.grad(value))(make_model(jnp.asarray(SCALE)))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_counted_features():
    data, subset = every_subset()
    np.testing.assert_array_equal(counted(data, subset), stacked(data, subset)[1])


# As a program


def test_program_is_the_joint_density(x64):
    model, (data, subset) = make_model(), every_subset()
    z = np.random.default_rng(2).normal(size=(32, LATENT))
    joint = jax.jit(lambda z: log_density(model, (data, subset), {}, {"z": z})[0])
    given_x = posterior(model, data, subset).log_prob(jnp.asarray(z))
    expected = (log_likelihood(model, data, subset) + given_x).sum()
    np.testing.assert_allclose(joint(z), expected, rtol=1e-10)


def test_program_has_one_site_per_modality():
    data, _ = every_subset(missing=False)
    with handlers.seed(rng_seed=0), handlers.trace() as sites:
        make_model()(data)
    assert list(sites) == ["data", "z", *WIDTHS]
    assert sites["z"]["fn"].batch_shape == (32,)


def test_predictive_draws_from_the_model():
    model, (data, _) = make_model(), every_subset()
    draws = Predictive(model, num_samples=503)(jax.random.key(0), data.without_values())
    W, b, scale = dense(model)
    for i, (name, width) in enumerate(WIDTHS.items()):
        assert draws[name].shape == (503, 32, width)
        rows = slice(sum([*WIDTHS.values()][:i]), sum([*WIDTHS.values()][: i + 1]))
        residual = (draws[name] - (draws["z"] @ W[rows].T + b[rows])) / scale
        assert_moments(residual.reshape(-1, width), np.zeros(width), np.eye(width))


# Simulation


@pytest.fixture(scope="module")
def simulated():
    """Many rows of the model, and their latents."""
    return make_model().simulate(jax.random.key(20240131), 20_011)


def assert_moments(draws, mean, covariance, errors=4.5):
    """Means and products of independent draws within standard errors of their truth."""
    draws = np.asarray(draws, float) - mean
    products = np.einsum("ni,nj->nij", draws, draws)
    for found, expected in ((draws, 0 * mean), (products, covariance)):
        margin = errors * found.std(0, ddof=1) / np.sqrt(len(found))
        np.testing.assert_array_less(np.abs(found.mean(0) - expected), margin)


def test_simulate_draws_the_joint_gaussian(simulated):
    model, (data, z) = make_model(), simulated
    assert data.names == tuple(WIDTHS)
    assert data.present.all()
    joint = np.concatenate([z, *(data.values[n] for n in data.names)], -1)
    assert_moments(joint, *reference.linear_gaussian_joint(*dense(model)))


def test_simulate_repeats_and_varies(rng_key):
    model = make_model()
    first, again = (model.simulate(rng_key, 7) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    other, _ = model.simulate(jax.random.key(1), 7)
    assert (other.values["rna"] != first[0].values["rna"]).all()


def test_simulated_modalities_have_their_own_noise(rng_key):
    loadings = {n: jnp.zeros((3, 2)) for n in ("a", "b")}
    model = LinearGaussian(loadings, {n: jnp.zeros(3) for n in loadings}, 1.0)
    data, _ = model.simulate(rng_key, 7)
    assert (data.values["a"] != data.values["b"]).all()


# Information

NAMES = [("rna",), ("adt", "image"), ("rna", "adt", "image")]


def test_mutual_information_is_the_expected_rate(simulated):
    model, (data, _) = make_model(), simulated
    for names in NAMES:
        x, keep = (a[:2003] for a in stacked(data, data.subset_of(*names)))
        exact = reference.linear_gaussian_posterior(x, keep, *dense(model))
        kl = np.array([reference.gaussian_kl(*q) for q in zip(*exact, strict=True)])
        margin = 4.5 * reference.standard_error(kl)
        assert abs(model.mutual_information(*names) - kl.mean()) <= margin


def test_entropy_is_the_expected_negative_log_likelihood(simulated):
    model, (data, _) = make_model(), simulated
    for names in NAMES:
        x, keep = (a[:2003] for a in stacked(data, data.subset_of(*names)))
        surprise = -reference.linear_gaussian_log_likelihood(x, keep, *dense(model))
        margin = 4.5 * reference.standard_error(surprise)
        assert abs(model.entropy(*names) - surprise.mean()) <= margin


def test_entropy_is_that_of_the_dense_gaussian(x64):
    model = make_model()
    for names in NAMES:
        W, _, scale = dense(model, names)
        covariance = W @ W.T + scale**2 * np.eye(len(W))
        expected = stats.multivariate_normal(cov=covariance).entropy()
        np.testing.assert_allclose(model.entropy(*names), expected, rtol=1e-10)


def test_no_name_means_every_modality():
    model = make_model()
    assert model.mutual_information() == model.mutual_information(*WIDTHS)
    assert model.entropy() == model.entropy(*WIDTHS)


@pytest.mark.parametrize(
    ("target", "given"),
    [
        (("rna",), ("rna",)),
        (("rna",), ("adt",)),
        (("rna", "adt"), ("adt", "image")),
        (("rna", "adt", "image"), ("rna", "adt", "image")),
        (("image",), ()),
    ],
)
def test_reconstruction_is_the_expected_log_density(simulated, target, given):
    model, (data, _) = make_model(), simulated
    x, keep = stacked(data, data.subset_of(*given))
    W, b, scale = dense(model)
    # all rows have one covariance, so that of the first serves for all means
    _, covariance = reference.linear_gaussian_posterior(x[:1], keep[:1], W, b, scale)
    gain = covariance[0] @ (W * keep[0][:, None]).T / scale**2
    noise = np.random.default_rng(0).multivariate_normal(
        np.zeros(LATENT), covariance[0], len(x)
    )
    z = (x - b) @ gain.T + noise
    names = np.repeat([*WIDTHS], [*WIDTHS.values()])
    log_prob = (
        stats.norm(z @ W.T + b, scale).logpdf(x)[:, np.isin(names, target)].sum(-1)
    )
    margin = 4.5 * reference.standard_error(log_prob)
    assert abs(model.reconstruction(target, given) - log_prob.mean()) <= margin


# The published example (Hirt et al. 2024, Table 1)

EXAMPLE, UNIMODAL = ("x1", "x2"), [("x1", "x2"), ("x2", "x1")]


def test_example_expected_log_likelihood():
    assert -illustrative_example().entropy() == pytest.approx(-5.698, abs=5e-4)


def test_example_full_reconstruction():
    found = illustrative_example().reconstruction(EXAMPLE, EXAMPLE)
    assert found == pytest.approx(-2.838, abs=5e-4)


def test_example_full_rate():
    found = illustrative_example().mutual_information()
    assert found == pytest.approx(2.860, abs=5e-4)


def test_example_cross_reconstruction():
    model = illustrative_example()
    found = [model.reconstruction((target,), (given,)) for target, given in UNIMODAL]
    assert np.mean(found) == pytest.approx(-52.75, abs=5e-3)


def test_example_cross_rate():
    model = illustrative_example()
    found = [
        model.mutual_information() - model.mutual_information(given)
        for _, given in UNIMODAL
    ]
    assert np.mean(found) == pytest.approx(1.429, abs=5e-4)


def test_example_has_the_published_loadings():
    W, b, scale = dense(illustrative_example(), EXAMPLE)
    np.testing.assert_array_equal(W, [[1, 1, 0], [1, 0, 10]])
    np.testing.assert_array_equal([*b, scale], [0, 0, 1])


def test_mismatched_parts_are_refused():
    W, b = jnp.ones((3, 2)), jnp.ones(3)
    with pytest.raises(ValueError, match="same modalities, got a and b"):
        LinearGaussian({"a": W}, {"b": b}, 1.0)
    with pytest.raises(
        ValueError, match=r"modality 'b': expected .* got \(3, 1\) and \(3,\)"
    ):
        LinearGaussian({"a": W, "b": W[:, :1]}, {"a": b, "b": b}, 1.0)


def test_unknown_modalities_are_refused():
    model = LinearGaussian({"a": jnp.ones((3, 2))}, {"a": jnp.ones(3)}, 1.0)
    with pytest.raises(ValueError, match="expected one of the modalities a, got 'c'"):
        model.mutual_information("c")
    data = MultimodalData.from_arrays({"c": np.ones((5, 3))})
    with pytest.raises(ValueError, match="expected one of the modalities a, got 'c'"):
        model.log_likelihood(data)


# Little noise: errors are those of the numbers that come in, which are rounded too


EPS = float(np.finfo(np.float32).eps)
QUIET = [1e-1, 1e-2, 3e-3, 1e-3]


def narrow_model(scale):
    """Five latents behind one to three features: subsets say little of them."""
    rng = np.random.default_rng(3)
    widths = {"rna": 1, "adt": 2, "image": 3}
    return LinearGaussian(
        {n: jnp.asarray(rng.normal(size=(d, 5))) for n, d in widths.items()},
        {n: jnp.asarray(rng.normal(size=d)) for n, d in widths.items()},
        scale,
    )


def quiet_rows(make, scale):
    """A model of little noise, rows of it with holes, each of another subset; float32."""
    model = make(jnp.float32(scale))
    data, _ = model.simulate(jax.random.key(1), 32)
    x = {n: np.array(v) for n, v in data.values.items()}
    x["image"][::3, 1:3] = np.nan
    return model, MultimodalData.from_arrays(x), jnp.asarray(np.tile(SUBSETS, (4, 1)))


def dense_row(x, keep, W, b, scale):
    """log p of a row, and how much a relative error of 1 in every number changes it."""
    x, W, b = (np.asarray(a[keep], float) for a in (x, W, b))
    C = W @ W.T + scale**2 * np.eye(len(W))
    inverse, away = np.linalg.inv(C), x - b
    pull = inverse @ away
    value = -0.5 * (away @ pull + np.linalg.slogdet(2 * np.pi * C)[1])
    slope = np.outer(pull, pull) - inverse
    moved = (
        np.abs(pull) @ (np.abs(x) + np.abs(b)) + (np.abs(slope @ W) * np.abs(W)).sum()
    )
    return value, moved + scale**2 * np.abs(np.trace(slope))


@pytest.mark.parametrize("make", [make_model, narrow_model])
@pytest.mark.parametrize("scale", QUIET)
def test_little_noise_costs_no_digits(make, scale):
    """8 roundings of each number, and of the value itself."""
    model, data, subset = quiet_rows(make, scale)
    W, b, sigma = dense(model)
    rows = zip(*stacked(data, subset), strict=True)
    value, moved = np.transpose([dense_row(*row, W, b, sigma) for row in rows])
    error = np.abs(np.asarray(log_likelihood(model, data, subset), float) - value)
    assert np.all(error <= 8 * EPS * (moved + 1 + np.abs(value)))


@pytest.mark.parametrize("make", [make_model, narrow_model])
@pytest.mark.parametrize("scale", QUIET)
def test_little_noise_keeps_the_posterior(make, scale):
    """In units of its own scale, of numbers that are off by 8 roundings."""
    model, data, subset = quiet_rows(make, scale)
    W, b, sigma = dense(model)
    x, keep = stacked(data, subset)
    found = posterior(model, data, subset)
    for row, counts, loc, tril in zip(
        x, keep, found.loc, found.scale_tril, strict=True
    ):
        A = np.where(counts[:, None], W, 0).astype(float)
        precision = np.eye(A.shape[1]) + A.T @ A / sigma**2
        away = np.where(counts, row.astype(float) - b, 0)
        mean = np.linalg.solve(precision, A.T @ away / sigma**2)
        root = np.linalg.cholesky(precision)
        numbers = np.where(
            counts, np.abs(row) + np.abs(b) + np.abs(W) @ np.abs(mean), 0
        )
        far = np.linalg.norm(root.T @ (np.asarray(loc, float) - mean))
        assert far <= 8 * EPS * (np.linalg.norm(numbers) / sigma + 1 + np.sum(mean**2))
        ratio = root.T @ np.asarray(tril, float)  # orthogonal
        margin = 8 * EPS * (1 + np.linalg.norm(A) / sigma)
        np.testing.assert_allclose(ratio.T @ ratio, np.eye(len(mean)), atol=margin)
        assert np.all(np.diagonal(tril) > 0)
        np.testing.assert_array_equal(tril, np.tril(tril))


@pytest.mark.parametrize("make", [make_model, narrow_model])
@pytest.mark.parametrize("scale", QUIET)
def test_little_noise_keeps_information_and_reconstruction(make, scale):
    model = make(jnp.float32(scale))
    W, _, sigma = dense(model, ("rna", "image"))
    W = W.astype(float)
    precision = np.eye(W.shape[1]) + W.T @ W / sigma**2
    expected = 0.5 * np.linalg.slogdet(precision)[1]
    margin = 8 * EPS * (1 + np.linalg.norm(W) / sigma)
    assert abs(model.mutual_information("rna", "image") - expected) <= margin
    noise = 0.5 * len(W) * np.log(2 * np.pi * np.e * sigma**2)
    size = 1 + abs(expected) + abs(noise)
    assert abs(model.entropy("rna", "image") - expected - noise) <= margin + EPS * size
    other, _, _ = dense(model, ("adt",))
    spread = np.trace(other @ np.linalg.inv(precision) @ other.T) / sigma**2
    expected = -0.5 * len(other) * np.log(2 * np.pi * np.e * sigma**2) - spread
    found = model.reconstruction(("adt",), ("rna", "image"))
    assert abs(found - expected) <= 2 * margin * (1 + abs(expected))
