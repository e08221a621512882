"""Priors that take the guide or covariates, clusters, consistency."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from jax.nn import logsumexp
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Trace_ELBO
from numpyro.infer.util import log_density
from scipy import stats

import consilience as cs
from consilience.models.priors import law_of

LATENT, PSEUDO = 2, 4


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    values = {"a": generator.normal(size=(20, 3)), "b": generator.normal(size=(20, 2))}
    values["b"][2] = np.nan
    return cs.MultimodalData.from_arrays(values)


@pytest.fixture
def guide():
    encoder = partial(cs.MLPEncoder, hidden=(8,))
    return cs.amortized_guide(LATENT, encoder, num_features=5)


def fitted(rng_key, prior, guide, data, elbo=None):
    model = cs.multimodal_model(prior, cs.NormalLikelihood(), cs.LinearDecoder)
    svi = SVI(model, guide, optax.adam(1e-2), elbo or cs.MaskedELBO())
    return cs.fit(rng_key, svi, data, num_epochs=5, progress=False)


def law(prior, params, covariates=None):
    seeded = handlers.seed(partial(law_of, prior, covariates or {}), 0)
    return handlers.substitute(seeded, data=params)()


def test_vamp_prior_is_the_mean_of_posteriors_at_the_pseudo_inputs(
    rng_key, guide, data
):
    """With the guide's own trained parameters, and pseudo-inputs that have moved."""
    prior = cs.vamp_prior(guide, data.take(np.arange(PSEUDO)))
    params = fitted(rng_key, prior, guide, data).params
    start = {n: np.asarray(v)[:PSEUDO] for n, v in data.values.items()}
    learned = {n: params[f"prior.pseudo.{n}"] for n in data.names}
    assert all(np.abs(learned[n] - start[n]).max() > 1e-3 for n in data.names)
    rows = dataclasses.replace(data.take(np.arange(PSEUDO)), values=learned)
    seeded = handlers.substitute(handlers.seed(guide, 0), data=params)
    q = handlers.trace(seeded).get_trace(rows)["z"]["fn"]
    z = jax.random.normal(rng_key, (7, 1, LATENT))
    expected = logsumexp(q.log_prob(z), -1) - np.log(PSEUDO)
    np.testing.assert_allclose(
        law(prior, params).log_prob(z[:, 0]), expected, rtol=1e-5
    )


def test_what_is_missing_in_a_pseudo_input_stays_missing(rng_key, guide, data):
    """Row 2 has no b: its pseudo-value gets no gradient."""
    prior = cs.vamp_prior(guide, data.take(np.arange(PSEUDO)))
    params = fitted(rng_key, prior, guide, data).params
    moved = np.abs(params["prior.pseudo.b"] - np.asarray(data.filled("b"))[:PSEUDO])
    np.testing.assert_array_equal(moved.max(-1) > 0, [True, True, False, True])


def test_vamp_prior_has_the_full_gradient_under_stl(rng_key, guide, data):
    """The prior's density moves the encoder: without it, gradients differ."""
    prior = cs.vamp_prior(guide, data.take(np.arange(PSEUDO)))

    def held():
        return jax.tree.map(jax.lax.stop_gradient, prior())

    gradients = []
    for p in (prior, held):
        model = cs.multimodal_model(p, cs.NormalLikelihood(), cs.LinearDecoder)
        svi = SVI(model, guide, optax.adam(1e-2), cs.MaskedELBO())
        params = svi.get_params(svi.init(rng_key, data))
        loss = partial(svi.loss.loss, rng_key)
        gradient = jax.grad(lambda x, loss=loss, m=model: loss(x, m, guide, data))(
            params
        )
        gradients.append(gradient["encoder.a$params"]["net"]["layers"][0]["kernel"])
        assert np.isfinite(gradients[-1]).all()
    assert np.abs(gradients[0] - gradients[1]).max() > 1e-4


def test_vamp_prior_of_a_mixture_guide_and_other_elbos(rng_key, data):
    guide = cs.amortized_guide(LATENT, aggregation=cs.MixtureOfExperts, num_features=5)
    prior = cs.vamp_prior(guide, data.take(np.arange(PSEUDO)))
    for elbo in (cs.MaskedELBO(), cs.ImportanceWeightedELBO(2), Trace_ELBO()):
        assert np.isfinite(
            fitted(rng_key, prior, guide, data, elbo).history.bound
        ).all()


def test_vamp_prior_generates_and_runs_under_nuts(rng_key, guide, data):
    prior = cs.vamp_prior(guide, data.take(np.arange(PSEUDO)))
    found = fitted(rng_key, prior, guide, data)
    generated = cs.generate_from_prior(rng_key, found.model, found.params, data)
    assert np.isfinite(generated["a"]).all()
    model = handlers.substitute(found.model, data=found.params)
    mcmc = MCMC(NUTS(model), num_warmup=20, num_samples=20, progress_bar=False)
    mcmc.run(rng_key, data.bare())
    assert np.isfinite(mcmc.get_samples()["z"]).all()


def test_vamp_prior_refuses_arrays(guide, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(
        TypeError, match=r"pseudo_inputs: expected MultimodalData.*dict"
    ):
        cs.vamp_prior(guide, {"a": np.zeros((4, 3))})


# Clusters.


def test_responsibilities_are_bayes(rng_key):
    prior = cs.gaussian_mixture(LATENT, 3)
    generator = np.random.default_rng(0)
    params = {
        "prior.logits": generator.normal(size=3),
        "prior.loc": generator.normal(size=(3, LATENT)),
        "prior.scale": np.exp(generator.normal(size=(3, LATENT))),
    }
    z = generator.normal(size=(5, 7, LATENT))
    each = stats.norm(params["prior.loc"], params["prior.scale"]).pdf(z[..., None, :])
    joint = np.exp(params["prior.logits"]) * each.prod(-1)
    expected = joint / joint.sum(-1, keepdims=True)
    found = cs.responsibilities(prior, params, jnp.array(z))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-30)
    with pytest.raises(TypeError, match="prior: expected a mixture, got Independent"):
        cs.responsibilities(cs.standard_normal(LATENT), {}, jnp.array(z))


def test_a_sampled_component_summed_out_gives_the_same_objective(rng_key, guide, data):
    """log Σ_c p(c) p(z | c) p(x | z), c written as a discrete site, row by row."""
    prior = cs.gaussian_mixture(LATENT, 3)
    found = fitted(rng_key, prior, guide, data)
    params, rows = found.params, data.bare()
    z = jax.random.normal(rng_key, (data.size, LATENT))

    def discrete(row, c):
        decoders = cs.multimodal_model(
            lambda: component, cs.NormalLikelihood(), cs.LinearDecoder
        )
        logits = params["prior.logits"]
        numpyro.sample("c", dist.Categorical(logits=logits), obs=c)
        component = dist.Normal(
            params["prior.loc"][c], params["prior.scale"][c]
        ).to_event(1)
        decoders(row)

    total = 0.0
    for n in range(data.size):
        row = rows.take([n])
        values = {**params, "z": z[n : n + 1]}
        each = [log_density(discrete, (row, c), {}, values)[0] for c in range(3)]
        total += logsumexp(jnp.stack(each))
    whole = log_density(found.model, (rows,), {}, {**params, "z": z})[0]
    np.testing.assert_allclose(total, whole, rtol=1e-5)


class Enumerated(dist.MixtureSameFamily):
    """log p(z) with c summed out under q(c|z) = p(c|z): E_q log p(c) p(z|c) / q(c|z)."""

    def log_prob(self, value, intermediates=None):
        log_joint = self.component_log_probs(value)
        log_q = jax.nn.log_softmax(log_joint)
        return (jnp.exp(log_q) * (log_joint - log_q)).sum(-1)


@pytest.mark.parametrize(
    "elbo",
    [cs.MaskedELBO(beta=0.3), cs.MixtureELBO(beta=2.0)],
    ids=("masked", "mixture"),
)
def test_bounds_with_enumerated_components_are_those_of_the_mixture(
    elbo, rng_key, guide, data
):
    """At any β, values and gradients: c is never sampled, nothing is lost."""
    mixture = cs.gaussian_mixture(LATENT, 3)

    def enumerated():
        p = mixture()
        return Enumerated(p.mixing_distribution, p.component_distribution)

    found = []
    for prior in (mixture, enumerated):
        model = cs.multimodal_model(prior, cs.NormalLikelihood(), cs.LinearDecoder)
        svi = SVI(model, guide, optax.adam(1e-2), elbo)
        params = svi.get_params(svi.init(rng_key, data))
        loss = lambda p, model=model: elbo.loss(rng_key, p, model, guide, data)  # noqa: E731
        found.append(jax.value_and_grad(loss)(params))
    for ours, theirs in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-4)
    assert np.abs(found[0][1]["prior.loc"]).max() > 0.1


# Labels.


def with_label(data, label):
    values = {n: np.asarray(v) for n, v in data.values.items()}
    return cs.MultimodalData.from_arrays(
        values, present=np.asarray(data.present), covariates={"label": label}
    )


def test_a_label_conditional_prior_learns_its_means(rng_key, guide, data):
    label = np.arange(data.size) % 3
    labelled = with_label(data, label)
    prior = cs.label_conditional(LATENT, 3)
    found = fitted(rng_key, prior, guide, labelled)
    q = law(prior, found.params, {"label": jnp.array(label)})
    np.testing.assert_array_equal(q.mean, found.params["prior.loc"][label])
    assert q.batch_shape == (data.size,)
    assert np.isfinite(found.log_likelihood(rng_key, labelled).value).all()


@pytest.mark.parametrize("label", [np.zeros(20), np.zeros((20, 2), int)])
def test_label_conditional_refuses_other_covariates(label, rng_key, guide, data):
    with pytest.raises(
        TypeError, match="covariate 'label': expected one integer label"
    ):
        fitted(rng_key, cs.label_conditional(LATENT, 3), guide, with_label(data, label))


def test_label_conditional_says_what_covariates_there_are(rng_key, guide, data):
    with pytest.raises(
        ValueError, match=r"covariate of the data \(none\), got 'label'"
    ):
        fitted(rng_key, cs.label_conditional(LATENT, 3), guide, data)


def test_a_label_as_one_more_modality(rng_key, data):
    """Example 6: it may be missing, and be predicted from the others."""
    label = np.where(np.asarray(data.filled("a"))[:, 0] > 0, 1, 0)
    values = {n: np.asarray(v) for n, v in data.values.items()} | {"label": label}
    present = np.concatenate([data.present, np.ones((20, 1), bool)], 1)
    present[:5, 2] = False
    whole = cs.MultimodalData.from_arrays(values, present=present)
    likelihoods = {
        "a": cs.NormalLikelihood(),
        "b": cs.NormalLikelihood(),
        "label": cs.CategoricalLikelihood(2),
    }
    encoders = {
        "a": cs.MLPEncoder,
        "b": cs.MLPEncoder,
        "label": partial(cs.EmbeddingEncoder, num_classes=2),
    }
    model = cs.multimodal_model(cs.standard_normal(LATENT), likelihoods)
    svi = SVI(
        model, cs.amortized_guide(LATENT, encoders), optax.adam(3e-3), cs.MaskedELBO()
    )
    found = cs.fit(rng_key, svi, whole, num_epochs=200, progress=False)
    generated = found.generate(
        rng_key, whole, whole.subset_of("a", "b"), num_samples=200
    )
    share = np.asarray(generated["label"]).mean(0)
    assert share[label == 1].mean() > share[label == 0].mean() + 0.2


# Consistency.


def test_mmd_of_one_law_is_zero_and_of_two_is_not(rng_key):
    """Unbiased: its mean over 300 keys is 0 within 4.5 standard errors, without a shift."""

    def estimate(key, shift):
        one, other, shared = jax.random.split(key, 3)
        h = jax.random.normal(shared, (30, 2))
        x, y = (h[:, :1] + jax.random.normal(k, (30, 3)) for k in (one, other))
        return cs.maximum_mean_discrepancy((h, x), (h, y + shift))

    keys = jax.random.split(rng_key, 300)
    for shift in (0.0, 1.0):
        found = np.asarray(jax.vmap(partial(estimate, shift=shift))(keys))
        error = found.std() / len(keys) ** 0.5
        assert (abs(found.mean()) <= 4.5 * error) == (shift == 0.0)


def test_the_regulariser_is_added_once_and_needs_its_kind(rng_key, guide, data):
    model = cs.multimodal_model(
        cs.standard_normal(LATENT), cs.NormalLikelihood(), cs.LinearDecoder
    )
    losses = []
    for strength in (0.0, 2.0):
        elbo = cs.ConsistentELBO(cs.MaskedELBO(), strength)
        svi = SVI(model, guide, optax.adam(1e-3), elbo)
        params = svi.get_params(svi.init(rng_key, data))
        losses.append(float(elbo.loss(rng_key, params, model, guide, data)))
        plain = float(cs.MaskedELBO().loss(rng_key, params, model, guide, data))
    mismatch = elbo.mismatch(jax.random.fold_in(rng_key, 1), params, guide, data)
    assert losses[0] == pytest.approx(plain, rel=1e-6)
    assert losses[1] - losses[0] == pytest.approx(2 * 20 * float(mismatch), rel=1e-3)
    gradient = jax.grad(lambda p: elbo.mismatch(rng_key, p, guide, data))(params)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))
    with pytest.raises(ValueError, match=r"strength: expected .* got -1"):
        cs.ConsistentELBO(cs.MaskedELBO(), -1.0)
    with pytest.raises(TypeError, match="elbo: expected a bound with a law of subsets"):
        cs.ConsistentELBO(cs.SubsampledELBO(), 1.0)


def test_the_regulariser_draws_new_subsets_and_needs_features(rng_key, guide, data):
    elbo = cs.ConsistentELBO(cs.MaskedELBO(exhaustive=True), 1.0)
    params = fitted(rng_key, cs.standard_normal(LATENT), guide, data).params
    keys = jax.random.split(rng_key, 3)
    found = [float(elbo.mismatch(key, params, guide, data)) for key in keys]
    assert len(set(found)) == 3

    def plain(data, subset=None):
        with data.plate():
            numpyro.sample("z", dist.Normal(jnp.zeros(LATENT), 1.0).to_event(1))

    with pytest.raises(ValueError, match="expected the deterministic site 'features'"):
        fitted(rng_key, cs.standard_normal(LATENT), plain, data, elbo)
    with pytest.raises(ValueError, match="data: expected 2 rows or more in a batch"):
        fitted(rng_key, cs.standard_normal(LATENT), guide, data.take([0]), elbo)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_responsibilities_need_all_parameters_and_labels_their_range(rng_key):
    prior = cs.gaussian_mixture(LATENT, 3)
    with pytest.raises(ValueError, match=r"params: .* got none for prior\.logits"):
        cs.responsibilities(prior, {}, jnp.zeros((2, LATENT)))
    with pytest.raises(ValueError, match="start: expected at least 3 different points"):
        cs.gaussian_mixture(LATENT, 3, start=jnp.zeros((5, LATENT)))
    seeded = handlers.seed(cs.label_conditional(LATENT, 2), rng_key)
    law = jax.jit(lambda label: seeded({"label": label}).mean)  # as in a step
    mean = np.asarray(law(jnp.array([0, 1, 2, -1])))
    np.testing.assert_array_equal(np.isnan(mean).all(-1), [False, False, True, True])
