"""The masked bound on models whose posterior is known."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import SUBSETS, WIDTHS, exact_guide, incomplete, linear_gaussian
from numpyro.distributions import constraints
from numpyro.infer import SVI, Trace_ELBO

import consilience as cs


def bounds_of_all_subsets(rng_key, estimator):
    """Bounds of rows `[8, N]` for every fixed S, and the exact log-likelihoods `[N]`."""
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)

    def rows(members):
        law = lambda key, present: present & members  # noqa: E731
        elbo = cs.MaskedELBO(subsets=law, estimator=estimator)
        return elbo.rows(rng_key, {}, truth, exact_guide(truth), data)[0]

    bounds = jax.jit(jax.vmap(rows))(jnp.array(SUBSETS))
    return bounds, truth.log_likelihood(data)


def row_bounds(elbo, rng_key, params, truth, data, guide=None):
    guide = guide or exact_guide(truth)
    return jax.jit(lambda key: elbo.rows(key, params, truth, guide, data)[0])(rng_key)


@pytest.mark.parametrize("estimator", [cs.STL(), cs.Pathwise()])
def test_exact_posterior_gives_the_log_likelihood(rng_key, estimator):
    """Corollary 2: L_S + L_\\S = log p(x) for every S and every draw."""
    bounds, exact = bounds_of_all_subsets(rng_key, estimator)
    np.testing.assert_allclose(bounds, jnp.broadcast_to(exact, bounds.shape), atol=1e-4)


def test_exact_posterior_gives_the_log_likelihood_in_float64(rng_key, x64):
    bounds, exact = bounds_of_all_subsets(rng_key, cs.STL())
    np.testing.assert_allclose(
        bounds, jnp.broadcast_to(exact, bounds.shape), atol=1e-10
    )


def test_random_subsets_and_particles_keep_the_identity(rng_key):
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    rows = row_bounds(cs.MaskedELBO(num_particles=3), rng_key, {}, truth, data)
    np.testing.assert_allclose(rows, truth.log_likelihood(data), atol=1e-4)


def table_guide(truth, names=WIDTHS):
    """The exact posterior, with an offset and a factor of scale for each subset."""

    def guide(data, subset=None):
        subset = data.subset(subset)
        count = 2 ** len(names)
        offset = numpyro.param("offset", jnp.zeros((count, truth.latent_dim)))
        factor = numpyro.param(
            "factor", jnp.ones(count), constraint=constraints.positive
        )
        code = subset @ (2 ** jnp.arange(len(names)))
        exact = truth.posterior(data, subset)
        with data.plate():
            numpyro.sample(
                "z",
                dist.MultivariateNormal(
                    exact.loc + offset[code],
                    scale_tril=exact.scale_tril * factor[code][:, None, None],
                ),
            )

    return guide


PARAMS = {"offset": jnp.zeros((8, 2)), "factor": jnp.ones(8)}


def gradients(rng_key, estimator, draws, size=5):
    """Gradients for every S `[8]` and for draws of data and noise `[draws]`."""
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, draws * size)
    data = jax.tree.map(lambda a: a.reshape(draws, size, *a.shape[1:]), data)

    def loss(params, key, rows, members):
        law = lambda key, present: present & members  # noqa: E731
        elbo = cs.MaskedELBO(subsets=law, estimator=estimator)
        return elbo.loss(key, params, truth, table_guide(truth), rows)

    over_draws = jax.vmap(jax.grad(loss), (None, 0, 0, None))
    over_subsets = jax.vmap(over_draws, (None, None, None, 0))
    keys = jax.random.split(rng_key, draws)
    return jax.jit(over_subsets)(PARAMS, keys, data, jnp.array(SUBSETS))


def code(members):
    return sum(2**i for i, member in enumerate(members) if member)


def test_stl_has_no_variance_at_the_exact_posterior(rng_key):
    """Zero for every draw, but for the score of q(z_O | x_S), which has mean zero."""
    gradient = gradients(rng_key, cs.STL(), 500)
    for name, values in gradient.items():
        for members, value in zip(SUBSETS, values, strict=True):
            noisy = value[:, code(members)]
            rest = value if all(members) else np.delete(value, code(members), axis=1)
            np.testing.assert_allclose(rest, 0.0, atol=2e-3, err_msg=f"{name}{members}")
            error = noisy.std(0) / np.sqrt(len(noisy))
            assert np.all(np.abs(noisy.mean(0)) <= 4.5 * error + 2e-3), (name, members)
            assert all(members) or noisy.std() > 0.1


def test_stl_has_no_variance_at_the_exact_posterior_in_float64(rng_key, x64):
    for value in gradients(rng_key, cs.STL(), 20).values():
        np.testing.assert_allclose(value[-1], 0.0, atol=1e-11)


def test_pathwise_does_have_variance_at_the_exact_posterior(rng_key):
    gradient = gradients(rng_key, cs.Pathwise(), 50)
    assert gradient["factor"][-1, :, 7].std() > 0.5


def test_rest_counts_exactly_nothing_where_the_subset_is_all(rng_key):
    """L_\\S ≡ 0 for S = O: the ordinary bound, in value and gradient."""
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 5)
    params = {**PARAMS, "factor": 1.3 * jnp.ones(8)}
    guide = table_guide(truth)
    masked = cs.MaskedELBO(subsets=cs.Fixed((True,) * 3), estimator=cs.Pathwise())
    plain = Trace_ELBO()

    @partial(jax.jit, static_argnames="elbo")
    def loss(params, elbo):
        return elbo.loss(rng_key, params, truth, guide, data)

    gradient = jax.grad(loss)(params, masked)
    assert not masked.views(rng_key, data.present).weight[1].any()
    assert np.abs(gradient["factor"][:7]).max() == 0
    many = [
        jax.vmap(lambda k, e=e: e.loss(k, params, truth, guide, data))
        for e in (masked, plain)
    ]
    keys = jax.random.split(rng_key, 4000)
    ours, theirs = (np.asarray(jax.jit(m)(keys)) for m in many)
    error = np.sqrt((ours.var() + theirs.var()) / len(keys))
    assert abs(ours.mean() - theirs.mean()) <= 4 * error


def test_bound_of_the_subset_stays_below_its_likelihood(rng_key):
    """E L_S ≤ log p(x_S): S = O isolates it."""
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 11)
    params = {"offset": 0.3 * jnp.ones((8, 2)), "factor": 1.3 * jnp.ones(8)}
    elbo = cs.MaskedELBO(subsets=cs.Fixed((True,) * 3), num_particles=400)
    rows = row_bounds(elbo, rng_key, params, truth, data, table_guide(truth))
    assert np.all(rows < truth.log_likelihood(data))


def test_estimators_agree_in_expectation(rng_key):
    """Three estimates of one bound, and of one gradient, within 4.5 standard errors."""
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 5)
    params = {"loc": 0.2 * jnp.ones(2), "scale": 0.8 * jnp.ones(2)}

    def guide(data, subset=None):
        loc, scale = (
            numpyro.param("loc", params["loc"]),
            numpyro.param("scale", jnp.ones(2)),
        )
        share = data.subset(subset).mean(-1, keepdims=True)
        with data.plate():
            numpyro.sample(
                "z", dist.Normal(loc * share, scale - 0.2 * share).to_event(1)
            )

    def sample(estimator):
        elbo = cs.MaskedELBO(subsets=cs.Fixed((True, False, True)), estimator=estimator)
        loss = partial(elbo.loss, model=truth, guide=guide, data=data)
        both = jax.value_and_grad(lambda params, key: loss(key, params))
        keys = jax.random.split(rng_key, 4000)
        value, gradient = jax.jit(jax.vmap(both, (None, 0)))(params, keys)
        return np.concatenate([value[:, None], gradient["loc"], gradient["scale"]], -1)

    samples = [sample(e) for e in (cs.Pathwise(), cs.STL(), cs.AnalyticKL())]
    for a, b in itertools.combinations(samples, 2):
        difference = a - b  # common random numbers
        error = difference.std(0) / np.sqrt(len(a))
        assert np.all(np.abs(difference.mean(0)) <= 4.5 * error + 1e-4)


def test_analytic_kl_refuses_what_has_no_closed_form(rng_key):
    data, _ = linear_gaussian(rng_key).simulate(rng_key, 5)
    model = cs.multimodal_model(cs.gaussian_mixture(2, 3), cs.NormalLikelihood())
    guide = cs.amortized_guide(2)
    svi = SVI(
        model, guide, numpyro.optim.Adam(1e-3), cs.MaskedELBO(estimator=cs.AnalyticKL())
    )
    state = jax.jit(svi.init)(rng_key, data)
    with pytest.raises(TypeError, match=r"MixtureSameFamily.*otherwise=STL"):
        svi.update(state, data)
    elbo = cs.MaskedELBO(estimator=cs.AnalyticKL(otherwise=cs.STL()))
    params = svi.get_params(state)
    value = jax.jit(lambda p: elbo.loss(rng_key, p, model, guide, data))(params)
    assert np.isfinite(value)


def test_beta_scales_every_kl(rng_key):
    """β acts linearly; the schedule's value overrides the setting."""
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 5)
    guide = table_guide(truth)

    def loss(setting, override=None):
        loss = cs.MaskedELBO(beta=setting).loss
        return jax.jit(
            lambda: loss(rng_key, PARAMS, truth, guide, data, beta=override)
        )()

    zero, one, two = loss(0.0), loss(1.0), loss(2.0)
    np.testing.assert_allclose(two - one, one - zero, rtol=1e-4)
    np.testing.assert_array_equal(loss(1.0, 2.0), two)
    assert one != zero


def test_weights_multiply_their_modality(rng_key):
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 5)
    guide = table_guide(truth)

    def loss(**settings):
        loss = cs.MaskedELBO(**settings).loss
        return jax.jit(lambda: loss(rng_key, PARAMS, truth, guide, data))()

    np.testing.assert_array_equal(loss(), loss(weights={"a": 1.0}))
    change = loss(weights={"b": 3.0}) - loss()
    np.testing.assert_allclose(loss(weights={"b": 5.0}) - loss(), 2 * change, rtol=1e-4)
    with pytest.raises(ValueError, match="modalities a, b, c, got 'd'"):
        loss(weights={"d": 1.0})
