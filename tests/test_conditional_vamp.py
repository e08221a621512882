"""The VampPrior's conditional form in the masked bound (Remark 3)."""

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
from numpyro.infer import SVI

import consilience as cs
from consilience.inference.conditional_vamp import conditional_vamp

LATENT, PSEUDO = 2, 4
NAMES, MEMBERS = ("a", "b", "c"), (True, False, False)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    values = {name: generator.normal(size=(10, 3)) for name in NAMES}
    values["b"][2] = np.nan  # absent in the data, and in a pseudo-input
    values["c"][5] = np.nan
    return cs.MultimodalData.from_arrays(values)


def programs(data, aggregation=cs.SelfAttention, conditional=True, **settings):
    encoder = partial(cs.MLPEncoder, hidden=(8,))
    guide = cs.amortized_guide(LATENT, encoder, aggregation, num_features=8)
    prior = cs.vamp_prior(guide, data.take(np.arange(PSEUDO)))
    model = cs.multimodal_model(prior, cs.NormalLikelihood(), cs.LinearDecoder)
    given = prior if conditional else None
    elbo = cs.MaskedELBO(subsets=cs.Fixed(MEMBERS), conditional_prior=given, **settings)
    return SVI(model, guide, optax.adam(1e-2), elbo), prior


def q_of(guide, params, rows):
    seeded = handlers.substitute(handlers.seed(guide, 0), data=params)
    return handlers.trace(seeded).get_trace(rows)["z"]["fn"]


def hybrids(rows, pseudo):
    """x_S of each row; what else it has from one pseudo-input, if that has it."""
    members = np.array(MEMBERS)
    present = np.asarray(rows.present) & (members | np.asarray(pseudo.present))
    values = {
        name: rows.values[name] * member + pseudo.values[name] * (not member)
        for name, member in zip(NAMES, members, strict=True)
    }
    return dataclasses.replace(rows, values=values, present=jnp.array(present))


@pytest.mark.parametrize("aggregation", [cs.SelfAttention, cs.MixtureOfExperts])
def test_it_is_the_mean_over_hybrids_of_rows_and_pseudo_inputs(
    aggregation, rng_key, data
):
    svi, prior = programs(data, aggregation)
    params = cs.fit(rng_key, svi, data, num_epochs=5, progress=False).params
    rows = data.bare()
    S = rows.present & np.array(MEMBERS)
    features = handlers.trace(
        handlers.substitute(handlers.seed(svi.guide, 0), data=params)
    ).get_trace(rows)["features"]["value"]
    z = jax.random.normal(rng_key, (rows.size, LATENT))
    found = conditional_vamp(
        jax.random.key(0), prior, params, features, rows, S
    ).log_prob(z)
    learned = {name: params[f"prior.pseudo.{name}"] for name in NAMES}
    pseudo = prior.with_values(learned)
    each = [
        q_of(svi.guide, params, hybrids(rows, pseudo.take([k]))).log_prob(z)
        for k in range(PSEUDO)
    ]
    expected = logsumexp(jnp.stack(each), 0) - np.log(PSEUDO)
    np.testing.assert_allclose(found, expected, rtol=2e-5)


def test_it_enters_the_cross_rate_and_nothing_else(rng_key, data):
    """With and without it, at the same draws: the difference is E log r − log q."""
    svi, prior = programs(data, estimator=cs.Pathwise())
    params = svi.get_params(svi.init(rng_key, data))
    other = programs(data, conditional=False, estimator=cs.Pathwise())[0]
    rows = data.bare()
    found, plain = (
        np.asarray(rows_of(s.loss, svi, params, rows, rng_key)) for s in (svi, other)
    )
    whole = np.all(np.asarray(data.present) == np.array(MEMBERS), -1)
    assert not whole.any()  # every row lacks something in S
    assert np.all(np.abs(found - plain) > 1e-6)
    everything = cs.MaskedELBO(subsets=cs.Fixed((True,) * 3), conditional_prior=prior)
    same = cs.MaskedELBO(subsets=cs.Fixed((True,) * 3))
    with_it, without = (
        rows_of(e, svi, params, rows, rng_key) for e in (everything, same)
    )
    np.testing.assert_allclose(with_it, without, rtol=1e-6)


def rows_of(elbo, svi, params, rows, rng_key):
    run = lambda p: elbo.rows(rng_key, p, svi.model, svi.guide, rows)[0]  # noqa: E731
    return jax.jit(run)(params)


def test_pseudo_inputs_learn_from_it(rng_key, data):
    """Of modalities that S lacks alone: their gradient differs from the plain bound's."""
    svi, _ = programs(data)
    plain, _ = programs(data, conditional=False)
    params = svi.get_params(svi.init(rng_key, data))
    gradients = []
    for s in (svi, plain):
        loss = partial(s.loss.loss, rng_key)
        run = partial(loss, model=s.model, guide=s.guide, data=data.bare())
        gradient = jax.jit(jax.grad(lambda p, run=run: run(param_map=p)))
        gradients.append(gradient(params))
    for name, member in zip(NAMES, MEMBERS, strict=True):
        ours, theirs = (g[f"prior.pseudo.{name}"] for g in gradients)
        assert np.isfinite(ours).all()
        assert (np.abs(ours - theirs).max() > 1e-5) != member


def test_closed_forms_are_refused_and_estimated_where_allowed(rng_key, data):
    svi, _ = programs(data, estimator=cs.AnalyticKL())
    state = svi.init(rng_key, data)
    with pytest.raises(TypeError, match="AnalyticKL: site 'z'"):
        svi.evaluate(state, data)
    svi, _ = programs(data, estimator=cs.AnalyticKL(otherwise=cs.STL()))
    assert np.isfinite(svi.evaluate(svi.init(rng_key, data), data))


def test_what_is_no_prior_of_the_model_is_refused(rng_key, data, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(TypeError, match="conditional_prior: expected what vamp_prior"):
        cs.MaskedELBO(conditional_prior=cs.standard_normal(LATENT))
    svi, _ = programs(data)
    other = programs(data)[0].guide

    def init(model, guide, elbo):
        svi = SVI(model, guide, optax.adam(1e-2), elbo)
        svi.evaluate(svi.init(rng_key, data), data)

    with pytest.raises(ValueError, match=r"conditional_prior: .* of another guide"):
        init(svi.model, other, svi.loss)
    two = {name: np.asarray(data.filled(name)) for name in NAMES[:2]}
    wrong = cs.vamp_prior(svi.guide, cs.MultimodalData.from_arrays(two).take([0]))
    with pytest.raises(ValueError, match="conditional_prior: expected pseudo-inputs"):
        init(svi.model, svi.guide, cs.MaskedELBO(conditional_prior=wrong))
    plain = cs.multimodal_model(
        cs.standard_normal(LATENT), cs.NormalLikelihood(), cs.LinearDecoder
    )
    with pytest.raises(ValueError, match=r"without the parameters prior\.pseudo\.a"):
        init(plain, svi.guide, svi.loss)


def test_a_guide_without_features_is_refused(rng_key, data):
    def guide(data, subset=None):
        loc = numpyro.param("loc", jnp.zeros(LATENT))
        with data.plate():
            numpyro.sample("z", dist.Normal(loc, 1.0).to_event(1))

    prior = cs.vamp_prior(guide, data.take([0]))
    model = cs.multimodal_model(
        cs.standard_normal(LATENT), cs.NormalLikelihood(), cs.LinearDecoder
    )
    elbo = cs.MaskedELBO(conditional_prior=prior)
    svi = SVI(model, guide, optax.adam(1e-2), elbo)
    state = svi.init(rng_key, data)
    with pytest.raises(ValueError, match="expected the deterministic site 'features'"):
        svi.evaluate(state, data)
