"""Products and mixtures of experts, against densities multiplied and added on a grid."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import reference
from flax import nnx
from numpyro import handlers
from numpyro.infer import SVI
from scipy import stats

import consilience as cs
from consilience.guides.heads import CALM
from consilience.guides.roles import Aggregation
from consilience.inference.programs import run
from consilience.nn.sets import random_non_empty

ROWS, FEATURES, LATENT = 7, 11, 3
GRID = np.linspace(-20.0, 20.0, 4001)
SUBSETS = list(itertools.product([False, True], repeat=3))


def features(rng_key, num_modalities=3):
    return 0.7 * jax.random.normal(rng_key, (ROWS, num_modalities, FEATURES))


def posterior(aggregation, h, subset):
    return aggregation.distribution(aggregation.pool(aggregation.embed(h), subset))


def on_grid(aggregation, h):
    """Log q(z | x_S) `[grid, rows]` as a function of S, D = 1."""

    @jax.jit
    def log_density(members):
        subset = jnp.broadcast_to(members, h.shape[:2])
        q = posterior(aggregation, h, subset)
        return q.log_prob(jnp.asarray(GRID)[:, None, None])

    return lambda members: np.asarray(log_density(jnp.array(members)))


def normalised(log_density):
    density = np.exp(log_density - log_density.max(0))
    return density / np.trapezoid(density, GRID, axis=0)


PRIOR = -0.5 * GRID[:, None] ** 2


def natural_experts(aggregation, h):
    """Log-densities of the experts, up to constants, from natural parameters."""
    eta, precision = np.asarray(aggregation.embed(h))[..., :2].transpose(2, 1, 0)
    return eta[:, None] * GRID[:, None] - 0.5 * precision[:, None] * GRID[:, None] ** 2


def make(rng_key, name, **settings):
    return getattr(cs, name)(FEATURES, 1, rngs=nnx.Rngs(rng_key), **settings)


@pytest.mark.parametrize("prior_expert", [True, False])
def test_product_of_experts_multiplies_densities(rng_key, prior_expert, x64):
    """Π_s N(z; μ_s, σ_s²), times N(z; 0, 1) with a prior expert or for no expert."""
    h = features(rng_key)
    aggregation = make(rng_key, "ProductOfExperts", prior_expert=prior_expert)
    ours, experts = on_grid(aggregation, h), natural_experts(aggregation, h)
    for members in SUBSETS:
        prior = PRIOR if prior_expert or not any(members) else 0.0 * PRIOR
        product = normalised(prior + experts[np.array(members)].sum(0))
        np.testing.assert_allclose(
            np.exp(ours(members)), np.broadcast_to(product, (4001, ROWS)), atol=1e-6
        )


@pytest.mark.parametrize("prior_expert", [True, False])
def test_tempered_product_pools_log_densities_linearly(rng_key, prior_expert, x64):
    """Π_s q_s^a_s with exponents that sum to one, the prior expert's included."""
    h = features(rng_key)
    settings = {"tempered": True, "prior_expert": prior_expert}
    aggregation = make(rng_key, "ProductOfExperts", **settings)
    ours, experts = on_grid(aggregation, h), natural_experts(aggregation, h)
    odds = np.exp(np.asarray(aggregation.score(h))[..., 0]).T
    for members in SUBSETS:
        inside = odds * np.array(members)[:, None]
        of_prior = float(prior_expert or not any(members))
        total = inside.sum(0) + of_prior
        pooled = (of_prior * PRIOR + (inside[:, None] * experts).sum(0)) / total
        np.testing.assert_allclose(np.exp(ours(members)), normalised(pooled), atol=1e-6)


@pytest.mark.parametrize("head", [cs.NormalHead(), cs.LaplaceHead()])
def test_mixture_of_experts_averages_densities(rng_key, head, x64):
    aggregation, h = make(rng_key, "MixtureOfExperts", head=head), features(rng_key)
    ours = on_grid(aggregation, h)
    experts = np.exp([ours(row) for row in np.eye(3, dtype=bool)])
    standard = np.exp(head.family().log_prob(GRID))[:, None]
    for members in SUBSETS:
        mixture = experts[np.array(members)].mean(0) if any(members) else standard
        np.testing.assert_allclose(
            np.exp(ours(members)), np.broadcast_to(mixture, (4001, ROWS)), atol=1e-12
        )


def test_mixture_of_products_averages_all_products(rng_key, x64):
    """Uniform over the 2^|S| − 1 non-empty S' ⊆ S, each a product with the prior."""
    aggregation = make(rng_key, "MixtureOfProductsOfExperts")
    h = features(rng_key)
    ours, experts = on_grid(aggregation, h), natural_experts(aggregation, h)
    for members in SUBSETS:
        inside = [
            normalised(PRIOR + experts[row].sum(0))
            for row in reference.subsets(3)[1:]
            if not np.any(row & ~np.array(members))
        ]
        mixture = np.mean(inside, 0) if inside else normalised(PRIOR)
        np.testing.assert_allclose(
            np.exp(ours(members)), np.broadcast_to(mixture, (4001, ROWS)), atol=1e-6
        )


NOTHING_IS_THE_PRIOR = {
    "product_of_experts": 0.0,
    "product_without_prior": 0.0,
    "tempered_product": 0.0,
    "corrected_product": 0.0,
    "corrected_product_by_attention": 0.0,
    "mixture_of_experts": 1e-6,  # a mixture of priors: log-sum-exp rounds
    "mixture_of_products": 1e-6,
}


@pytest.mark.parametrize("name", NOTHING_IS_THE_PRIOR)
def test_no_experts_are_the_prior(rng_key, name):
    aggregation = cs.AGGREGATIONS[name](FEATURES, LATENT, rngs=nnx.Rngs(rng_key))
    q = posterior(aggregation, features(rng_key), jnp.zeros((ROWS, 3), bool))
    z = jax.random.normal(rng_key, (ROWS, LATENT))
    prior = dist.Normal(jnp.zeros(LATENT), 1.0).to_event(1)
    tolerance = NOTHING_IS_THE_PRIOR[name]
    np.testing.assert_allclose(q.log_prob(z), prior.log_prob(z), rtol=tolerance)
    np.testing.assert_allclose(q.mean, 0.0, atol=tolerance)
    np.testing.assert_allclose(q.variance, 1.0, rtol=tolerance)


@pytest.mark.parametrize("scale", [0.0, 1.0, np.nan])
@pytest.mark.parametrize("name", ["ProductOfExperts", "MixtureOfProductsOfExperts"])
def test_a_floor_without_sense_is_refused(rng_key, name, scale):
    with pytest.raises(ValueError, match=r"min_scale: expected a number in \(0, 1\)"):
        make(rng_key, name, min_scale=scale)


def test_product_of_experts_keeps_its_floor(rng_key):
    """However sharp one expert gets, its scale stays above min_scale."""
    h, subset = jnp.full((2, 1, FEATURES), 1e4), jnp.ones((2, 1), bool)
    aggregation = cs.ProductOfExperts(FEATURES, LATENT, rngs=nnx.Rngs(rng_key))
    q = posterior(aggregation, h, subset)
    assert np.isfinite(q.mean).all()
    assert 0.99e-3 <= np.sqrt(q.variance).min() < 1e-2


def test_experts_without_prior_stay_finite_where_they_know_nothing(rng_key):
    aggregation = make(rng_key, "ProductOfExperts", prior_expert=False)
    aggregation.experts.linear.bias[...] = jnp.array([0.0, -1e4])
    q = posterior(aggregation, 0 * features(rng_key), jnp.ones((ROWS, 3), bool))
    assert np.isfinite(q.log_prob(jnp.zeros((ROWS, 1)))).all()


def prior_of_two(logits=(0.3, -0.5)):
    components = dist.Normal(jnp.array([[-2.0], [1.0]]), jnp.array([[0.5], [1.5]]))
    return dist.MixtureSameFamily(
        dist.Categorical(logits=jnp.array(logits)), components.to_event(1)
    )


def test_product_under_a_mixture_prior_is_the_normalised_product(rng_key, x64):
    h = features(rng_key)
    aggregation = make(rng_key, "MixturePriorProductOfExperts", prior=prior_of_two)
    ours, experts = on_grid(aggregation, h), natural_experts(aggregation, h)
    log_prior = np.asarray(prior_of_two().log_prob(GRID[:, None]))[:, None]
    for members in SUBSETS:
        product = normalised(log_prior + experts[np.array(members)].sum(0))
        np.testing.assert_allclose(
            np.exp(ours(members)), np.broadcast_to(product, (4001, ROWS)), atol=1e-6
        )


def test_mixture_prior_is_shared_between_model_and_guide(rng_key):
    """One site for its means; the empty subset is the trained prior, not N(0, I)."""
    prior = cs.gaussian_mixture(2, 3)
    pooling = partial(cs.MixturePriorProductOfExperts, prior=prior)
    encoder = partial(cs.MLPEncoder, hidden=(5,))
    guide = cs.amortized_guide(2, encoder, pooling, 5)
    model = cs.multimodal_model(prior, cs.NormalLikelihood(), cs.LinearDecoder)
    values = {n: np.random.default_rng(0).normal(size=(7, 3)) for n in "ab"}
    data = cs.MultimodalData.from_arrays(values)
    svi = SVI(model, guide, optax.adam(1e-2), cs.MaskedELBO())
    fitted = cs.fit(rng_key, svi, data, num_epochs=3, progress=False)
    z = jax.random.normal(rng_key, (7, 2))
    empty = run(guide, fitted.params, rng_key, {}, data, 0 * data.present > 0)["z"][
        "fn"
    ]
    learned = run(model, fitted.params, rng_key, {}, data)["z"]["fn"]
    np.testing.assert_allclose(empty.log_prob(z), learned.log_prob(z), rtol=1e-4)
    with pytest.raises(
        TypeError, match="prior: expected a mixture of independent Norm"
    ):
        posterior(
            make(rng_key, "MixturePriorProductOfExperts", prior=cs.standard_normal(1)),
            features(rng_key),
            jnp.ones((ROWS, 3), bool),
        )


# The correction.


@pytest.mark.parametrize("size", [-1e3, 1e3])
def test_extreme_corrections_keep_the_scale_finite(rng_key, size):
    aggregation = make(rng_key, "CorrectedProductOfExperts")
    aggregation.gate[...] = jnp.full(2, size)
    h, subset = features(rng_key), jnp.ones((ROWS, 3), bool)
    q = posterior(aggregation, h, subset)
    plain = posterior(aggregation.experts, h, subset)
    ratio = np.sqrt(q.variance / plain.variance)
    assert np.all((ratio > np.exp(-5.01)) & (ratio < np.exp(5.01)))


@pytest.mark.parametrize(
    "correction",
    [
        cs.ProductOfExperts,
        cs.MixtureOfExperts,
        partial(cs.SumPooling, head=cs.LaplaceHead()),
        partial(cs.SumPooling, head=cs.CholeskyHead()),
    ],
)
def test_a_correction_of_another_kind_is_refused(rng_key, correction):
    with pytest.raises(
        TypeError, match="correction: expected a constructor such as Sum"
    ):
        make(rng_key, "CorrectedProductOfExperts", correction=correction)


@pytest.mark.parametrize("head", [cs.CholeskyHead(), cs.MixtureHead(), cs.NormalHead])
def test_experts_refuse_heads_that_do_not_mix(rng_key, head):
    with pytest.raises(TypeError, match=r"head: expected an instance such as Norm"):
        make(rng_key, "MixtureOfExperts", head=head)


@pytest.mark.parametrize("correction", [cs.SumPooling, cs.SelfAttention])
def test_corrected_experts_are_the_product_at_first(rng_key, correction):
    """To the last bit; and the first step can leave it."""
    h, subset = features(rng_key), jnp.ones((ROWS, 3), bool)
    aggregation = make(rng_key, "CorrectedProductOfExperts", correction=correction)
    ours, experts = (
        posterior(aggregation, h, subset),
        posterior(aggregation.experts, h, subset),
    )
    np.testing.assert_array_equal(ours.mean, experts.mean)
    np.testing.assert_array_equal(ours.variance, experts.variance)
    graph, state = nnx.split(aggregation)

    def density(state):
        q = posterior(nnx.merge(graph, state), h, subset)
        return q.log_prob(jnp.ones((ROWS, 1))).sum()

    assert np.abs(jax.grad(density)(state)["gate"][...]).min() > 0


def test_corrected_experts_can_become_any_normal(rng_key):
    """Whatever mean and scale: the correction that gives them is shift and log-factor."""
    h, subset = features(rng_key), jnp.ones((ROWS, 3), bool)
    wanted = jnp.array([[-3.0, jnp.log(0.01)]])

    class Solved(Aggregation):
        def __init__(self, num_features, latent_dim, *, rngs):
            self.head = cs.NormalHead()
            self.experts = cs.ProductOfExperts(
                num_features, latent_dim, rngs=nnx.Rngs(rng_key)
            )

        def embed(self, h):
            return self.experts.embed(h)

        def pool(self, embedded, subset):
            q = self.distribution(self.experts.pool(embedded, subset))
            scale = jnp.sqrt(q.variance)
            shift = (wanted[:, :1] - q.mean) / scale
            factor = 5.0 * jnp.arctanh((wanted[:, 1:] - jnp.log(scale)) / 5.0)
            return CALM * jnp.concatenate([shift, factor], -1)

        def distribution(self, parameters):
            return self.experts.distribution(parameters)

    aggregation = make(rng_key, "CorrectedProductOfExperts", correction=Solved)
    aggregation.gate[...] = jnp.ones(2)
    q = posterior(aggregation, h, subset)
    np.testing.assert_allclose(q.mean, -3.0, rtol=1e-4)
    np.testing.assert_allclose(np.sqrt(q.variance), 0.01, rtol=1e-4)


# Many modalities.


def test_mixture_of_products_refuses_many_modalities_with_advice(rng_key):
    aggregation = make(rng_key, "MixtureOfProductsOfExperts")
    h = features(rng_key, 13)
    with pytest.raises(
        ValueError, match=r"at most 12 modalities .* got 13.*max_components"
    ):
        posterior(aggregation, h, jnp.ones((ROWS, 13), bool))
    drawn = make(rng_key, "MixtureOfProductsOfExperts", max_components=5)
    with (
        pytest.warns(UserWarning, match="PRNG key"),
        pytest.raises(ValueError, match="expected a random key, got none"),
    ):
        posterior(drawn, h, jnp.ones((ROWS, 13), bool))
    with pytest.raises(ValueError, match="max_components: expected a positive integer"):
        make(rng_key, "MixtureOfProductsOfExperts", max_components=0)
    seeded = handlers.seed(partial(posterior, drawn), rng_key)
    q = seeded(h, jnp.ones((ROWS, 13), bool))
    assert q.mixing_distribution.logits.shape == (ROWS, 5)


def test_random_subsets_are_uniform_over_the_non_empty_ones(rng_key):
    """χ² of the counts of 7 and of 3 subsets, at the level 1e-4."""
    subset = jnp.array([[True] * 3, [True, False, True], [False] * 3])
    keys = jax.random.split(rng_key, 7000)
    drawn = jax.jit(jax.vmap(random_non_empty, (0, None), 1))(keys, subset)
    codes = np.asarray(drawn) @ np.array([1, 2, 4])
    for row, allowed in ((0, range(1, 8)), (1, (1, 4, 5))):
        counts = [np.sum(codes[row] == code) for code in allowed]
        assert sum(counts) == 7000
        assert stats.chisquare(counts).pvalue > 1e-4
    assert not codes[2].any()


def test_subsampled_density_is_unbiased(rng_key):
    """E q̂(z) = q(z), within 4.5 standard errors; its logarithm is too low."""
    h, subset = features(rng_key), jnp.ones((ROWS, 3), bool)
    whole = make(rng_key, "MixtureOfProductsOfExperts")
    drawn = make(rng_key, "MixtureOfProductsOfExperts", max_components=2)
    z = jnp.zeros((ROWS, 1))

    def density(key):
        q = handlers.seed(partial(posterior, drawn), key)(h, subset)
        return jnp.exp(q.log_prob(z))

    estimates = np.asarray(jax.jit(jax.vmap(density))(jax.random.split(rng_key, 4000)))
    exact = np.exp(posterior(whole, h, subset).log_prob(z))
    error = estimates.std(0) / np.sqrt(len(estimates))
    assert np.all(np.abs(estimates.mean(0) - exact) <= 4.5 * error)
    assert np.log(estimates).mean() < np.log(exact).mean()
