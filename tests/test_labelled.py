"""Models in which a modality says which component of the prior a row comes from."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.infer import SVI, Predictive
from numpyro.infer.util import log_density
from scipy import stats

import consilience as cs

ROWS, LATENT, CLASSES, SCALE = 400, 2, 3, 0.5
KEY = jax.random.key(0)
LOC = 6.0 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
SPREAD = np.array([[1.0, 0.5], [0.5, 1.0], [0.3, 2.0]])
SHARES = np.array([0.2, 0.3, 0.5])
PRIOR = {
    "prior.logits": jnp.log(SHARES),
    "prior.loc": jnp.asarray(LOC),
    "prior.scale": jnp.asarray(SPREAD),
}


def example(rows=ROWS):
    """Rows, their sources, and the linear map of x."""
    rng = np.random.default_rng(0)
    u = rng.choice(CLASSES, size=rows, p=SHARES)
    z = LOC[u] + SPREAD[u] * rng.normal(size=(rows, LATENT))
    kernel = rng.normal(size=(LATENT, 4))
    x = z @ kernel + SCALE * rng.normal(size=(rows, 4))
    return cs.MultimodalData.from_arrays({"x": x, "u": u}), z, kernel


def model_of(prior=None, likelihoods=None, decoders=None, label="u"):
    return cs.multimodal_model(
        prior or cs.gaussian_mixture(LATENT, CLASSES),
        likelihoods or {"x": cs.NormalLikelihood(SCALE)},
        decoders or {"x": cs.LinearDecoder},
        label=label,
    )


def true_params(kernel):
    linear = {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(4)}
    return PRIOR | {"decoder.x$params": {"linear": linear}}


def log_joint(data, z, kernel, subset=None):
    seeded = handlers.seed(model_of(), KEY)
    values = true_params(kernel) | {"z": jnp.asarray(z)}
    return log_density(seeded, (data, subset), {}, values)[0]


def test_joint_density_is_that_of_rows_whose_component_is_known():
    data, z, kernel = example(20)
    u = np.asarray(data.values["u"])
    of_x = stats.norm(z @ kernel, SCALE).logpdf(data.values["x"]).sum()
    of_z = stats.norm(LOC[u], SPREAD[u]).logpdf(z).sum()
    expected = of_x + of_z + np.log(SHARES[u]).sum()
    np.testing.assert_allclose(log_joint(data, z, kernel), expected, rtol=1e-5)


def test_a_table_of_one_column_is_a_label():
    data, z, kernel = example(20)
    x, u = (np.asarray(data.values[name]) for name in data.names)
    column = cs.MultimodalData.from_arrays({"x": x, "u": u[:, None]})
    expected = log_joint(data, z, kernel)
    np.testing.assert_allclose(log_joint(column, z, kernel), expected, rtol=1e-6)


def test_a_label_that_does_not_count_leaves_the_mixture():
    data, z, kernel = example(20)
    components = stats.norm(LOC, SPREAD).logpdf(z[:, None]).sum(-1)
    of_z = np.log(np.exp(components) @ SHARES).sum()
    of_x = stats.norm(z @ kernel, SCALE).logpdf(data.values["x"]).sum()
    found = log_joint(data, z, kernel, data.subset_of("x"))
    np.testing.assert_allclose(found, of_x + of_z, rtol=1e-5)
    values = {name: np.asarray(data.values[name]) for name in data.names}
    hidden = cs.MultimodalData.from_arrays(values, present={"u": np.zeros(20, bool)})
    np.testing.assert_allclose(log_joint(hidden, z, kernel), of_x + of_z, rtol=1e-5)


def test_likelihood_of_labels_alone_is_their_share():
    data, _, kernel = example(50)
    alone = data.restrict(data.subset_of("u"))

    def guide(data, subset=None):
        """p(z | u) itself."""
        u = data.values["u"]
        law = dist.Normal(jnp.asarray(LOC)[u], jnp.asarray(SPREAD)[u])
        with data.plate():
            numpyro.sample("z", law.to_event(1))

    found = cs.log_likelihood(
        KEY, model_of(), guide, true_params(kernel), alone, num_samples=8
    )
    expected = np.log(SHARES[np.asarray(data.values["u"])])
    np.testing.assert_allclose(found.value, expected, atol=1e-4)


def test_labels_are_generated_with_the_shares_of_components():
    data, _, kernel = example(50)
    predictive = Predictive(model_of(), params=true_params(kernel), num_samples=200)
    drawn = predictive(KEY, data.without_values())
    u, z = np.asarray(drawn["u"]).ravel(), np.asarray(drawn["z"]).reshape(-1, LATENT)
    share = np.bincount(u, minlength=CLASSES) / u.size
    assert (abs(share - SHARES) < 4 * np.sqrt(SHARES / u.size)).all()
    means = np.array([z[u == c].mean(0) for c in range(CLASSES)])
    error = SPREAD / np.sqrt(SHARES[:, None] * u.size)
    assert (abs(means - LOC) < 4 * error).all()


def test_labelled_clusters_find_sources_and_a_fit_predicts_missing_labels(tmp_path):
    data, z, _ = example()
    missing = np.arange(ROWS) % 4 == 0
    known = data.restrict(jnp.stack([jnp.ones(ROWS, bool), ~missing], 1))
    x = np.asarray(data.values["x"])
    points = (x - x.mean(0)) @ np.linalg.svd(x - x.mean(0))[2][:LATENT].T
    labels = np.asarray(data.values["u"])[~missing]
    start = cs.semitied_clusters(points[~missing], CLASSES, labels)
    turned = points @ np.asarray(start.unmixing).T
    assert cs.mean_correlation(z, points).strong < 0.9
    assert cs.mean_correlation(z, turned).strong > 0.95
    prior = cs.semitied_mixture(LATENT, CLASSES, start)
    encoders = {
        "x": partial(cs.MLPEncoder, hidden=(16,)),
        "u": partial(cs.MLPEncoder, hidden=(16,), num_classes=CLASSES),
    }
    guide = cs.amortized_guide(LATENT, encoders, cs.SumPooling, 16)
    # A constant rate of 1e-2 leaps out of the optimum at times, by rounding alone.
    optimizer = cs.adam(1e-2, 600, schedule="cosine", clip_norm=1e4)
    svi = SVI(model_of(prior), guide, optimizer, cs.MaskedELBO())
    fit = cs.fit(KEY, svi, known, num_epochs=150, batch_size=100)
    without = data.restrict(data.subset_of("x")).take(np.flatnonzero(missing))
    at = fit.posterior(KEY, without, num_samples=16)["z"]
    found = cs.responsibilities(prior, fit.params, at).mean(0)
    truth = np.asarray(data.values["u"])[missing]
    assert (np.asarray(found.argmax(-1)) == truth).mean() > 0.95
    fit.save(tmp_path / "model.npz")
    again = cs.load(tmp_path / "model.npz")
    drawn = np.asarray(again.generate(KEY, without, num_samples=64)["u"])
    shares = np.stack([(drawn == c).mean(0) for c in range(CLASSES)], 1)
    np.testing.assert_allclose(shares.mean(0), found.mean(0), atol=0.03)
    assert (shares.argmax(-1) == truth).mean() > 0.95


def test_label_is_refused_where_it_says_no_component():
    data = example(20)[0]

    def run(rows=data, **settings):
        with handlers.seed(rng_seed=0):
            model_of(**settings)(rows)

    with pytest.raises(ValueError, match=r"label: expected .* x, u, got 'word'"):
        run(label="word")
    with pytest.raises(TypeError, match="label: expected a prior that is a mixture"):
        run(prior=cs.standard_normal(LATENT))
    values = {name: np.asarray(data.values[name], float) for name in data.names}
    one = r"label: expected one integer a row in modality '{}', got {} of shape \({}\)"
    with pytest.raises(ValueError, match=one.format("u", "float32", "")):
        run(rows=cs.MultimodalData.from_arrays(values))
    hot = {"x": values["x"], "u": np.eye(CLASSES, dtype=int)[data.values["u"]]}
    with pytest.raises(ValueError, match=one.format("u", "int32", "3,")):
        run(rows=cs.MultimodalData.from_arrays(hot))
    both = {"x": cs.NormalLikelihood(), "u": cs.CategoricalLikelihood(CLASSES)}
    with pytest.raises(ValueError, match="likelihoods: expected the modalities x, got"):
        run(likelihoods=both)


def test_labels_beyond_the_components_are_refused_before_training():
    data = example(20)[0]
    values = {"x": data.values["x"], "u": np.arange(20) % 4}
    wrong = cs.MultimodalData.from_arrays(values)
    encoders = {"x": cs.MLPEncoder, "u": partial(cs.MLPEncoder, num_classes=4)}
    guide = cs.amortized_guide(LATENT, encoders, cs.SumPooling, 8)
    svi = SVI(model_of(), guide, optax.adam(1e-2), cs.MaskedELBO())
    with pytest.raises(
        ValueError, match=r"modality 'u', row 3: expected values in the"
    ):
        cs.fit(KEY, svi, wrong, num_epochs=1)


def test_masked_bound_at_the_exact_posterior_is_the_likelihood():
    """p(z | x, u) is a Gaussian of precision diag(1/s_u²) + K Kᵀ / σ²."""
    data, _, kernel = example(30)
    x, u = (np.asarray(data.values[name]) for name in data.names)
    noise, prior = np.eye(4) * SCALE**2, SPREAD[u] ** -2.0
    precision = prior[:, :, None] * np.eye(LATENT) + kernel @ kernel.T / SCALE**2
    pulled = prior * LOC[u] + x @ kernel.T / SCALE**2
    mean = np.linalg.solve(precision, pulled[..., None])[..., 0]
    law = dist.MultivariateNormal(
        jnp.asarray(mean), precision_matrix=jnp.asarray(precision)
    )

    def guide(data, subset=None):
        with data.plate():
            numpyro.sample("z", law)

    elbo = cs.MaskedELBO(subsets=cs.Fixed((True, True)), estimator=cs.Pathwise())
    found = -elbo.loss(KEY, true_params(kernel), model_of(), guide, data)
    spread = [kernel.T @ np.diag(s**2) @ kernel + noise for s in SPREAD]
    of_x = [
        stats.multivariate_normal(LOC[c] @ kernel, spread[c]).logpdf(each)
        for c, each in zip(u, x, strict=True)
    ]
    expected = np.sum(of_x) + np.log(SHARES[u]).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-4)
