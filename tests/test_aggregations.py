"""Every aggregation: a function of a set, of present modalities only."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from flax import nnx

import consilience as cs
from consilience.guides.roles import Aggregation

ROWS, FEATURES, LATENT = 7, 11, 3
FILLERS = [(0.0, 0.0), (1e6, 1e6), (0.0, np.nan), (1e6, np.nan)]
CASES = list(itertools.product(cs.AGGREGATIONS, [1, 2, 5]))


def parts(name, key):
    """Parameters of an aggregation, and functions of them."""
    make = cs.AGGREGATIONS[name]
    graph, state = nnx.split(make(FEATURES, LATENT, rngs=nnx.Rngs(key)))

    def embed(state, h):
        return nnx.merge(graph, state).embed(h)

    def density(state, embedded, subset):
        """Log q(· | x_S) at three fixed points `[3, N]`, whatever the family."""
        aggregation = nnx.merge(graph, state)
        q = aggregation.distribution(aggregation.pool(embedded, subset))
        points = jnp.array([-1.0, 0.2, 1.5])[:, None, None]
        shape = (3, len(subset), LATENT)
        dtype = jax.tree.leaves(embedded)[0].dtype
        return q.log_prob(jnp.broadcast_to(points, shape).astype(dtype))

    return state, embed, density


def inputs(key, num_modalities):
    """Features and a random subset; row 0 has nothing, row 1 everything."""
    key_h, key_subset = jax.random.split(key)
    h = jax.random.normal(key_h, (ROWS, num_modalities, FEATURES))
    subset = jax.random.bernoulli(key_subset, 0.5, h.shape[:2])
    return h, subset.at[0].set(False).at[1].set(True)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def outcome(request):
    """All that is asserted of one aggregation at one M, in one compiled function."""
    name, num_modalities = request.param
    key = jax.random.key(3)
    state, embed, density = parts(name, key)
    h, subset = inputs(key, num_modalities)
    order = jax.random.permutation(key, num_modalities)
    others = jnp.stack([subset, ~subset, jnp.ones_like(subset)])

    def value(state, h, subset, filler=None):
        embedded = embed(state, h)
        if filler is not None:
            embedded = fill(embedded, subset, filler)
        return density(state, embedded, subset)

    @jax.jit
    def run(state, h, subset, filler):
        """Densities, and gradients with respect to parameters and features."""

        def total(state, h):
            values = value(state, h, subset, filler)
            return values.sum(), values

        return jax.value_and_grad(total, (0, 1), has_aux=True)(state, h)

    plain = run(state, h, subset, 0.0)
    result = {
        "value": plain[0][1],
        "permuted": run(state, h[:, order], subset[:, order], 0.0)[0][1],
        "loop": [run(state, h, s, 0.0)[0][1] for s in others],
        "views": jax.jit(jax.vmap(value, (None, None, 0)))(state, h, others),
        "gradients": [run(state, h, s, 0.0)[1] for s in others],
        "filled": [run(state, fill(h, subset, a), subset, b) for a, b in FILLERS],
        "absent": ~subset,
    }
    return jax.tree.map(np.asarray, result)


def fill(tree, subset, filler):
    """Something else outside the subset."""
    return jax.tree.map(lambda x: jnp.where(subset[..., None], x, filler), tree)


def test_permuting_features_and_subset_together_changes_nothing(outcome):
    np.testing.assert_allclose(outcome["permuted"], outcome["value"], rtol=1e-5)


def test_what_is_outside_the_subset_changes_no_bit(outcome):
    """Of values and gradients. Features are finite, for encoders read zeros; what they
    are embedded to may even be NaN."""
    first, *others = outcome["filled"]
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, first, other)
    (_, value), (_, of_input) = first
    np.testing.assert_allclose(value, outcome["value"], rtol=1e-5)
    assert not of_input[outcome["absent"]].any()
    assert of_input[~outcome["absent"]].any()


def test_values_and_gradients_are_finite_for_every_subset(outcome):
    for leaf in jax.tree.leaves((outcome["views"], outcome["gradients"])):
        assert np.isfinite(leaf).all()


def test_subset_matters(outcome):
    nothing, everything = outcome["views"][:, :, 0][0], outcome["views"][:, :, 0][1]
    assert np.abs(nothing - everything).max() > 1e-3


def test_vmap_over_subsets_is_a_loop(outcome):
    np.testing.assert_allclose(outcome["views"], outcome["loop"], rtol=1e-5)


@pytest.mark.parametrize("name", cs.AGGREGATIONS)
def test_precision_and_jit_change_rounding_only(name, rng_key, x64):
    state, embed, density = parts(name, rng_key)
    h, subset = inputs(rng_key, 5)

    def value(dtype):
        cast, x = jax.tree.map(lambda a: a.astype(dtype), (state, h))
        return density(cast, embed(cast, x), subset)

    single, double = value(jnp.float32), value(jnp.float64)
    compiled = jax.jit(value, static_argnums=0)(jnp.float64)
    assert (single.dtype, double.dtype) == (jnp.float32, jnp.float64)
    np.testing.assert_allclose(single, double, rtol=2e-5)
    np.testing.assert_allclose(compiled, double, rtol=1e-10)


def test_aggregation_without_pool_cannot_be_used():
    class Half(Aggregation):
        def embed(self, h):
            return h

        def distribution(self, parameters):
            return dist.Normal(parameters, 1.0).to_event(1)

    with pytest.raises(TypeError, match=r"abstract.*'pool'"):
        Half()
