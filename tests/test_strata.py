"""Guides that are mixtures: drawn component by component, or implicitly."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from jax.nn import logsumexp
from numpyro.infer import SVI, Trace_ELBO

import consilience as cs
from consilience.inference.reductions import average, average_of_logs, log_average

NAMES, WIDTH, SCALE = ("a", "b"), 2, 0.8
LOADINGS = {"a": jnp.array([1.0, -0.5]), "b": jnp.array([0.3, 2.0])}
WEIGHTS, LOCS = jnp.array([0.2, 0.5, 0.3]), jnp.array([-2.0, 0.5, 3.0])
SUBSETS = list(itertools.product([False, True], repeat=2))
ESTIMATORS = [cs.STL(), cs.Pathwise(), cs.STL(stratified=False)]
PARAMS = {"shift": jnp.array([0.1, 0.0, -0.2]), "tilt": jnp.array([0.3, 0.0, 0.0])}


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    values = {n: generator.normal(size=(5, WIDTH)) for n in NAMES}
    values["b"][1] = np.nan
    return cs.MultimodalData.from_arrays(values)


def model(data, subset=None):
    """A prior of three unit Normals in one dimension, and linear measurements."""
    with data.plate():
        z = numpyro.sample(
            "z",
            dist.MixtureSameFamily(
                dist.Categorical(probs=WEIGHTS),
                dist.Normal(LOCS[:, None], 1.0).to_event(1),
            ),
        )
        for name in data.names:
            cs.observe(data, name, dist.Normal(z * LOADINGS[name], SCALE), subset)


def posterior(data, subset):
    """Exact: each component is conjugate; its weight is its evidence. Also log p(x_S)."""
    precision, pull, log_norm = jnp.ones(5), jnp.zeros(5), jnp.zeros(5)
    square = jnp.zeros(5)
    for name in NAMES:
        count = subset[:, data.index(name)]
        x, W = data.filled(name), LOADINGS[name]
        precision += jnp.where(count, W @ W / SCALE**2, 0.0)
        pull += jnp.where(count, x @ W / SCALE**2, 0.0)
        square += jnp.where(count, (x**2).sum(-1) / SCALE**2, 0.0)
        log_norm -= jnp.where(count, 0.5 * WIDTH * jnp.log(2 * jnp.pi * SCALE**2), 0.0)
    locs = (LOCS + pull[:, None]) / precision[:, None]
    evidence = 0.5 * (
        precision[:, None] * locs**2
        - LOCS**2
        - square[:, None]
        - jnp.log(precision)[:, None]
    )
    logits = jnp.log(WEIGHTS) + evidence
    scale = jnp.broadcast_to(precision[:, None] ** -0.5, locs.shape)
    return logits, locs, scale, logsumexp(logits, -1) + log_norm


def guide(data, subset=None, family=cs.ReparameterizedMixture):
    shift = numpyro.param("shift", jnp.zeros(3))
    tilt = numpyro.param("tilt", jnp.zeros(3))
    logits, locs, scale, _ = posterior(data, data.subset(subset))
    components = dist.Normal((locs + shift)[..., None], scale[..., None]).to_event(1)
    with data.plate():
        numpyro.sample("z", family(dist.Categorical(logits=logits + tilt), components))


EXACT = jax.tree.map(jnp.zeros_like, PARAMS)


def law(members):
    return lambda key, present: present & members


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_exact_mixture_posterior_gives_the_log_likelihood(data, estimator, rng_key):
    """L_S + L_\\S = log p(x) for every S and draw: a mean of equal strata."""

    def rows(members):
        elbo = cs.MaskedELBO(subsets=law(members), estimator=estimator)
        return elbo.rows(rng_key, EXACT, model, guide, data)[0]

    bounds = jax.jit(jax.vmap(rows))(jnp.array(SUBSETS))
    exact = jnp.broadcast_to(posterior(data, data.present)[-1], bounds.shape)
    np.testing.assert_allclose(bounds, exact, atol=1e-4)


@pytest.mark.parametrize("stratified", [True, False])
def test_stl_has_no_variance_at_the_exact_mixture_posterior(
    data, rng_key, stratified, x64
):
    """Outer weights keep their gradient: Σ_k ∇π_k · constant = 0."""
    estimator = cs.STL(stratified=stratified)
    elbo = cs.MaskedELBO(subsets=cs.Fixed((True, True)), estimator=estimator)

    def loss(params, key):
        return elbo.loss(key, params, model, guide, data)

    keys = jax.random.split(rng_key, 20)
    exact = jax.tree.map(lambda a: a.astype(float), EXACT)
    for value in jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(exact, keys).values():
        np.testing.assert_allclose(
            value, 0.0, atol=1e-6
        )  # float32 constants of the model


@pytest.mark.slow
@pytest.mark.long
def test_all_ways_to_draw_a_mixture_agree_in_expectation(data, rng_key):
    """Value and gradient of one bound, pairwise within 4.5 standard errors."""

    def sample(estimator):
        elbo = cs.MaskedELBO(subsets=law(jnp.array([True, False])), estimator=estimator)

        def loss(params, key):
            return elbo.loss(key, params, model, guide, data)

        keys = jax.random.split(rng_key, 20_000)
        value, gradient = jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0)))(
            PARAMS, keys
        )
        return np.concatenate([value[:, None], *gradient.values()], -1)

    samples = [sample(e) for e in (*ESTIMATORS, cs.Pathwise(stratified=False))]
    for a, b in itertools.combinations(samples, 2):
        error = np.sqrt((a.var(0) + b.var(0)) / len(a))
        assert np.all(np.abs(a.mean(0) - b.mean(0)) <= 4.5 * error)


def test_numpyros_own_mixture_may_be_drawn_by_components_only(data, rng_key):
    """It has no pathwise gradient itself; its components have."""
    plain = partial(guide, family=dist.MixtureSameFamily)
    values = [
        jax.jit(lambda key, g=g: cs.MaskedELBO().loss(key, PARAMS, model, g, data))(
            rng_key
        )
        for g in (guide, plain)
    ]
    assert np.isfinite(values).all()
    for loss in (cs.MaskedELBO(estimator=cs.STL(stratified=False)), Trace_ELBO()):
        svi = SVI(model, plain, optax.adam(1e-3), loss)
        with pytest.raises(
            TypeError, match=r"'z'.*stratified, such as STL\(\), or draw"
        ):
            cs.fit(rng_key, svi, data, num_epochs=1, progress=False)


def test_strata_of_weight_zero_are_not_read():
    """Values are [samples, strata, views, rows]."""
    weights = jnp.array([[0.25], [0.75], [0.0]])
    log_weights = jnp.log(jnp.broadcast_to(weights, (3, 2)))[None, :, None]
    value = jnp.array([[4.0, 1.0], [8.0, 1.0], [jnp.nan, jnp.inf]])[None, :, None]
    np.testing.assert_allclose(average(value, log_weights), [[7.0, 1.0]])
    gradient = jax.grad(lambda w: average(value, w).sum())(log_weights)
    np.testing.assert_allclose(gradient[0, :, 0, 0], [1.0, 6.0, 0.0])
    found = log_average(value, log_weights, None, 1.0)
    np.testing.assert_allclose(found[0, 0], np.log(np.exp(4) / 4 + 0.75 * np.exp(8)))
    found = average_of_logs(value, log_weights, None, 1.0)
    np.testing.assert_allclose(found, [[7.0, 1.0]])
    for reduce in (log_average, average_of_logs):
        gradient = jax.grad(lambda v, r=reduce: r(v, log_weights, None, 1.0).sum())
        assert np.isfinite(gradient(value)).all()


def test_a_later_site_that_is_a_mixture_is_drawn_implicitly(data, rng_key):
    """Only the first site has strata: plain mixtures further on are refused."""

    def two(program, family):
        def both(data, subset=None):
            program(data, subset)
            components = dist.Normal(jnp.zeros((data.size, 3, 1)), 1.0).to_event(1)
            mixing = dist.Categorical(logits=jnp.zeros((data.size, 3)))
            with data.plate():
                numpyro.sample("w", family(mixing, components))

        return both

    other = two(model, dist.MixtureSameFamily)

    @partial(jax.jit, static_argnames="family")
    def loss(key, family):
        return cs.MaskedELBO().loss(key, EXACT, other, two(guide, family), data)

    whole = jax.jit(lambda key: cs.MaskedELBO().loss(key, EXACT, model, guide, data))
    both = loss(rng_key, cs.ReparameterizedMixture)
    np.testing.assert_allclose(both, whole(rng_key), rtol=1e-4)
    with pytest.raises(TypeError, match="'w': expected a distribution that can be"):
        loss(rng_key, dist.MixtureSameFamily)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixture_of_products", "sum_pooling_mixture"])
def test_every_mixture_guide_trains(name, rng_key):
    """On the exact oracle: the bound rises towards log p(x)."""
    truth = cs.illustrative_example()
    data, _ = truth.simulate(rng_key, 500)
    encoder = partial(cs.MLPEncoder, hidden=(16,))
    guide = cs.amortized_guide(3, encoder, cs.AGGREGATIONS[name], 16)
    svi = SVI(truth, guide, optax.adam(5e-3), cs.MaskedELBO())
    fitted = cs.fit(rng_key, svi, data, num_epochs=60, batch_size=100, progress=False)
    bound, best = fitted.history.bound, float(truth.log_likelihood(data).mean())
    assert bound[:3].mean() < bound[-10:].mean() < best + 0.5
