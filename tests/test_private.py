"""Private latents: one for each modality beside the shared one."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from examples import (
    SUBSETS,
    exact_private_guide,
    incomplete,
    linear_gaussian,
    private_linear_gaussian,
)
from flax import nnx
from numpyro import handlers
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO

import consilience as cs
from consilience.experiments.linear_models import private_program
from consilience.inference.programs import run

ROWS, FEATURES, LATENT, PRIVATE = 7, 11, 3, 2
DIMS = {"a": 1, "b": 2, "c": 1}
MAKES = cs.EQUIVARIANT_AGGREGATIONS
EXACT = {"offset": jnp.zeros(2), "private_offset": jnp.zeros((3, 1))}


@pytest.fixture(scope="module")
def data():
    key = jax.random.key(1)
    return incomplete(key, linear_gaussian(key), ROWS)


def small_guide(aggregation="sum_pooling", dims=DIMS, **settings):
    make = MAKES[aggregation]
    encoder = partial(cs.MLPEncoder, hidden=(5,))
    return cs.shared_private_guide(LATENT, dims, encoder, make, FEATURES, **settings)


def small_model(**settings):
    prior = cs.standard_normal(LATENT)
    likelihood = cs.NormalLikelihood()
    return cs.shared_private_model(
        prior, DIMS, likelihood, cs.LinearDecoder, **settings
    )


def trace(program, data, *subset, params=None, given=None):
    key = jax.random.key(2)
    return run(program, params or {}, key, given or {}, data, *subset)


def initial(model, guide, data, elbo=None):
    svi = SVI(model, guide, optax.adam(1e-3), elbo or cs.MaskedELBO())
    return svi, jax.jit(svi.init)(jax.random.key(3), data)


# The aggregations.


@pytest.fixture(
    scope="module",
    params=itertools.product(MAKES, [1, 2, 5]),
    ids=lambda case: f"{case[0]}-{case[1]}",
)
def outcome(request):
    name, count = request.param
    keys = jax.random.split(jax.random.key(5), 5)
    make = MAKES[name]
    graph, state = nnx.split(make(FEATURES, LATENT, PRIVATE, rngs=nnx.Rngs(keys[0])))
    h = jax.random.normal(keys[1], (ROWS, count, FEATURES))
    z = jax.random.normal(keys[2], (ROWS, LATENT))
    subset = jax.random.bernoulli(keys[3], 0.5, h.shape[:2])
    subset = subset.at[0].set(False).at[1].set(True)
    order = jax.random.permutation(keys[4], count)

    @jax.jit
    def run(state, h, subset, filler):
        def total(state, h):
            pooling = nnx.merge(graph, state)
            embedded = jax.tree.map(
                lambda x: jnp.where(subset[..., None], x, filler), pooling.embed(h)
            )
            w = jnp.stack(pooling.private(embedded, z, subset))
            w = jnp.where(subset[..., None], w, 0.0)
            q = pooling.distribution(pooling.pool(embedded, subset))
            return w.sum() + q.log_prob(z).sum(), (w, q.log_prob(z))

        (_, values), gradients = jax.value_and_grad(total, (0, 1), has_aux=True)(
            state, h
        )
        return *values, gradients

    other = jnp.where(subset[..., None], h, 1e6)
    return jax.tree.map(
        np.asarray,
        {
            "plain": run(state, h, subset, 0.0),
            "permuted": run(state, h[:, order], subset[:, order], 0.0)[:2],
            "filled": [
                run(state, x, subset, f) for x in (h, other) for f in (0.0, np.nan)
            ],
            "order": order,
            "subset": subset,
        },
    )


def test_permuting_features_permutes_private_laws_and_leaves_the_shared(outcome):
    w, log_q, _ = outcome["plain"]
    permuted, same = outcome["permuted"]
    np.testing.assert_allclose(
        permuted, w[:, :, outcome["order"]], rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(same, log_q, rtol=1e-4)


def test_absent_modalities_change_no_bit_and_all_is_finite(outcome):
    for filled in outcome["filled"]:
        jax.tree.map(np.testing.assert_array_equal, filled, outcome["plain"])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(outcome["plain"]))
    of_h = outcome["plain"][2][1]
    assert not of_h[~outcome["subset"]].any()
    assert of_h[outcome["subset"]].any()


# The model.


def test_sites_and_shapes(data):
    found = trace(small_model(), data)
    assert found["z"]["value"].shape == (ROWS, LATENT)
    assert found["w"]["value"].shape == (ROWS, 3, 2)
    assert found["a"]["fn"].batch_shape == (ROWS,)


def test_decoders_see_their_own_private_latent_and_no_dimension_too_many(data):
    model = small_model()
    params = handlers.trace(handlers.seed(model, 0)).get_trace(data)
    params = {n: s["value"] for n, s in params.items() if s["type"] == "param"}

    def means(w):
        found = trace(
            model, data, params=params, given={"z": jnp.ones((ROWS, LATENT)), "w": w}
        )
        return jnp.stack(
            [
                found[n]["fn"].base_dist.base_dist.mean.sum()
                if n == "c"
                else found[n]["fn"].base_dist.mean.sum()
                for n in data.names
            ]
        )

    moved = jax.jacobian(means)(jnp.ones((ROWS, 3, 2)))[:, 0] != 0
    used = np.arange(2) < np.array([[1], [2], [1]])
    expected = np.eye(3, dtype=bool)[..., None] & used
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("name", cs.PRIVATE_PRIORS)
def test_absent_private_latents_get_their_prior_to_the_last_bit(data, name):
    prior = cs.PRIVATE_PRIORS[name]()
    model, guide = small_model(private_prior=prior), small_guide(private_prior=prior)
    svi, state = initial(model, guide, data)
    params = svi.get_params(state)
    q = trace(guide, data, data.subset_of("b"), params=params)
    p = trace(model, data, params=params, given={"z": q["z"]["value"]})
    ours, theirs = (x["w"]["fn"].base_dist for x in (q, p))
    for a, b in ((ours.loc, theirs.loc), (ours.scale, theirs.scale)):
        equal = np.asarray(a) == np.broadcast_to(b, a.shape)
        assert equal[:, [0, 2]].all()
        present = np.asarray(data.present[:, 1])
        assert equal[~present, 1].all()
        assert not equal[present, 1].any()


def test_absent_private_latents_cost_nothing(data):
    """KL of "w" where S is empty: zero, whatever the learned prior is."""
    prior = cs.learned_private()
    model, guide = small_model(private_prior=prior), small_guide(private_prior=prior)
    nobody = data.restrict(jnp.zeros_like(data.present), allow_empty_rows=True)
    svi, state = initial(model, guide, data)
    params = svi.get_params(state)
    q = trace(guide, nobody, params=params)
    values = {n: q[n]["value"] for n in ("z", "w")}
    p = trace(model, nobody, params=params, given=values)
    log_q, log_p = (x["w"]["fn"].log_prob(values["w"]) for x in (q, p))
    np.testing.assert_array_equal(log_q, log_p)


@pytest.mark.parametrize("estimator", [cs.STL(), cs.Pathwise()])
def test_an_absent_private_latent_moves_no_parameter_of_its_prior(data, estimator):
    """Not even as noise: its score cancels in every draw."""
    prior = cs.learned_private(hidden=())
    model, guide = small_model(private_prior=prior), small_guide(private_prior=prior)
    svi, state = initial(model, guide, data)
    params = svi.get_params(state)
    without_b = data.restrict(data.subset_of("a", "c"), allow_empty_rows=True)
    elbo = cs.MaskedELBO(estimator=estimator)

    def loss(params, key):
        return elbo.loss(key, params, model, guide, without_b)

    keys = jax.random.split(jax.random.key(4), 5)
    gradient = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, keys)
    bias = gradient["private_prior$params"]["layers"][0]["bias"].reshape(5, 2, 3, 2)
    np.testing.assert_allclose(bias[:, :, 1], 0.0, atol=1e-5)
    assert np.abs(bias[:, :, 0]).max() > 1e-2


def test_private_priors_that_guide_and_model_do_not_share_are_refused(data):
    learned = cs.learned_private()

    def laplace(z, names, width):
        return dist.Laplace(jnp.zeros((len(z), len(names), width)), 1.0)

    with pytest.raises(
        TypeError, match=r"private_prior: expected a Normal .* got Laplace"
    ):
        trace(small_guide(private_prior=laplace), data)
    with pytest.raises(
        ValueError, match=r"private_prior: .* private_prior\$params in the m"
    ):
        cs.MaskedELBO().loss(
            jax.random.key(0),
            {},
            small_model(private_prior=learned),
            small_guide(),
            data,
        )
    with pytest.raises(
        ValueError, match="min_scale: expected a number above 0, got -5"
    ):
        cs.learned_private(min_scale=-5.0)


@pytest.mark.parametrize(
    "build",
    [
        lambda: cs.amortized_guide(3, aggregation=partial(cs.EquivariantSumPooling)),
        lambda: cs.shared_private_guide(3, 2, aggregation=cs.SumPooling),
    ],
)
def test_aggregations_of_the_other_guide_are_refused(build):
    with pytest.raises(TypeError, match=r"aggregation: expected one of .*AGGREGATIONS"):
        build()


@pytest.mark.parametrize("name", MAKES)
def test_natural_heads_keep_private_scales_below_one(name):
    h = 9 * jax.random.normal(jax.random.key(0), (50, 3, FEATURES))
    z, subset = jnp.ones((50, LATENT)), jnp.ones((50, 3), bool)

    def largest(head):
        make = MAKES[name]
        built = make(FEATURES, LATENT, PRIVATE, head=head, rngs=nnx.Rngs(0))
        return built.private(built.embed(h), z, subset)[1].max()

    assert largest(cs.NaturalHead()) < 1 < largest(cs.NormalHead())


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("head", [cs.LaplaceHead(), cs.CholeskyHead(), cs.NormalHead])
def test_heads_of_other_families_are_refused_for_private_latents(name, head):
    with pytest.raises(TypeError, match=r"head: expected .*NormalHead"):
        MAKES[name](5, 3, 2, head=head, rngs=nnx.Rngs(0))


def law_of_private(guide, params, data, z):
    """Means of w given a fixed z, as a function of the values."""

    def means(values):
        rows = dataclasses.replace(data, values=values)
        return trace(guide, rows, params=params, given={"z": z})["w"][
            "fn"
        ].base_dist.loc

    return means


@pytest.mark.parametrize(
    ("name", "leaks"), [("product_of_experts", False), ("sum_pooling", True)]
)
def test_a_private_latent_hears_of_its_own_modality_only_under_pe_poe(
    data, name, leaks
):
    """∂ E[w_a | z, x_S] / ∂x_b, exactly zero for PE-PoE: w_a ⫫ x_b | z, x_a."""
    guide = small_guide(name)
    svi, state = initial(small_model(), guide, data)
    means = law_of_private(guide, svi.get_params(state), data, jnp.ones((ROWS, LATENT)))
    moved = jax.jacobian(lambda v: means(v)[:, 0].sum())(data.values)
    assert np.abs(moved["a"]).max() > 0
    assert (np.abs(moved["b"]).max() > 0) == leaks


def test_an_invariant_guide_leaks_into_private_latents(data):
    """A joint Normal over (z, w) that is pooled invariantly: the law of w_a moves with
    x_b even where z is held, which is not so in the exact posterior."""
    size = LATENT + 3 * PRIVATE
    encoder = partial(cs.MLPEncoder, hidden=(5,))
    pooling = partial(cs.SumPooling, head=cs.CholeskyHead())
    guide = cs.amortized_guide(size, encoder, pooling, FEATURES)
    prior, likelihood = cs.standard_normal(size), cs.NormalLikelihood()
    model = cs.multimodal_model(prior, likelihood, cs.LinearDecoder)
    svi, state = initial(model, guide, data)
    params, z = svi.get_params(state), jnp.ones((ROWS, LATENT))

    def conditional_mean(values):
        q = trace(guide, dataclasses.replace(data, values=values), params=params)["z"][
            "fn"
        ]
        L = q.scale_tril
        own = slice(LATENT, LATENT + PRIVATE)  # w_a | z, from the Cholesky factor
        whitened = jax.vmap(jnp.linalg.solve)(
            L[:, :LATENT, :LATENT], z - q.loc[:, :LATENT]
        )
        return (
            q.loc[:, own] + jnp.einsum("nwd,nd->nw", L[:, own, :LATENT], whitened)
        ).sum()

    moved = jax.grad(conditional_mean)(data.values)
    assert np.abs(moved["b"]).max() > 1e-4


# The bound.


@pytest.mark.parametrize("estimator", [cs.STL(), cs.Pathwise()])
def test_exact_posterior_gives_the_log_likelihood(rng_key, estimator):
    """Corollary 2 and Remark 24: L_S + L_\\S = log p(x) for every S and draw."""
    truth = private_linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    programs = private_program(truth, 2), exact_private_guide(truth)

    def rows(members):
        law = lambda key, present: present & members  # noqa: E731
        elbo = cs.MaskedELBO(subsets=law, estimator=estimator)
        return elbo.rows(rng_key, EXACT, *programs, data)[0]

    bounds = jax.jit(jax.vmap(rows))(jnp.array(SUBSETS))
    exact = jnp.broadcast_to(truth.log_likelihood(data), bounds.shape)
    np.testing.assert_allclose(bounds, exact, atol=2e-4)


@pytest.mark.parametrize("stl", [True, False])
def test_stl_has_no_variance_at_the_exact_posterior(rng_key, stl, x64):
    """S = O: no learned conditional prior is left; pathwise keeps its noise."""
    truth = private_linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 5)
    programs = private_program(truth, 2), exact_private_guide(truth)
    estimator = cs.STL() if stl else cs.Pathwise()
    elbo = cs.MaskedELBO(subsets=cs.Fixed((True,) * 3), estimator=estimator)

    def loss(params, key):
        return elbo.loss(key, params, *programs, data)

    params = jax.tree.map(lambda a: a.astype(float), EXACT)
    keys = jax.random.split(rng_key, 20)
    gradients = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, keys)
    for value in gradients.values():
        largest = np.abs(value).max()
        assert largest < 1e-10 if stl else largest > 0.1


def test_likelihood_estimates_agree_with_the_closed_form(rng_key):
    truth = private_linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    subset = data.subset_of("a", "c")
    programs = private_program(truth, 2), exact_private_guide(truth)
    estimate = cs.log_likelihood(
        rng_key, *programs, EXACT, data, subset, num_samples=50
    )
    exact = truth.log_likelihood(data, subset)
    np.testing.assert_allclose(estimate.value, exact, atol=2e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", MAKES)
def test_training_raises_the_bound_and_everything_downstream_runs(data, name):
    svi = SVI(small_model(), small_guide(name), optax.adam(1e-3), cs.MaskedELBO())
    fitted = cs.fit(jax.random.key(0), svi, data, num_epochs=60, progress=False)
    bound = fitted.history.bound
    assert bound[-10:].mean() > bound[:10].mean()
    draws = fitted.posterior(jax.random.key(1), data, num_samples=5)
    assert draws["w"].shape == (5, ROWS, 3, 2)
    tree = fitted.to_datatree(jax.random.key(2), data, num_samples=5)
    dims = ("chain", "draw", "datapoint", "w_dim_0", "w_dim_1")
    assert tree.posterior["w"].dims == dims


def test_the_same_programs_run_under_numpyro(data, rng_key):
    model, guide = small_model(), small_guide()
    svi, state = initial(model, guide, data, Trace_ELBO())
    state, loss = jax.jit(svi.update)(state, data)
    assert np.isfinite(loss)
    params = svi.get_params(state)
    new = Predictive(model, params=params, num_samples=2)(rng_key, data)
    assert new["w"].shape == (2, ROWS, 3, 2)
    mcmc = MCMC(
        NUTS(handlers.substitute(model, data=params)),
        num_warmup=10,
        num_samples=10,
        progress_bar=False,
    )
    mcmc.run(rng_key, data.take(np.arange(2)))
    assert mcmc.get_samples()["w"].shape == (10, 2, 3, 2)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        (0, "private_dim: expected a positive integer, got 0"),
        (
            {"a": 1, "b": 0, "c": 1},
            r"private_dim\['b'\]: expected a positive integer, got 0",
        ),
        ({"a": 1, "b": 1}, "private_dim: expected the modalities a, b, c, got a, b"),
    ],
)
def test_refusals(data, dims, message):
    with pytest.raises(ValueError, match=message):
        trace(small_guide(dims=dims), data)
    with pytest.raises(ValueError, match=message):
        trace(
            cs.shared_private_model(
                cs.standard_normal(LATENT), dims, cs.NormalLikelihood()
            ),
            data,
        )
