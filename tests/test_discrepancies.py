"""Prior holes and inconsistency."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import linear_gaussian

import consilience as cs


@pytest.fixture(scope="module")
def truth():
    return linear_gaussian(jax.random.key(2))


def guide_of(truth, shift=0.0):
    """Exact with x_O; given less, its mean is off by `shift`."""

    def guide(data, subset=None):
        subset = data.subset(subset)
        values = [data.filled(n).mean(-1) for n in data.names]
        numpyro.deterministic("features", jnp.stack(values, -1)[..., None])
        q = truth.posterior(data, subset)
        loc = q.loc + shift * ~subset.all(-1, keepdims=True)
        with data.plate():
            law = dist.MultivariateNormal(loc, scale_tril=q.scale_tril)
            numpyro.sample("z", law)

    return guide


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_what_is_one_law_passes_and_a_shift_does_not(shift, truth, rng_key):
    data, _ = truth.simulate(rng_key, 300)
    programs = (truth, guide_of(truth, shift), {}, data)
    found = [
        cs.prior_hole(rng_key, *programs, data.subset_of("a")),
        cs.inconsistency(rng_key, *programs, data.subset_of("a")),
    ]
    for each in found:
        assert (each.p_value <= 0.01) == (shift > 0)
        assert each.swapped.shape == (199,)
        assert each.p_value == (1 + (each.swapped >= each.value).sum()) / 200


def test_p_values_are_uniform_under_one_law(truth, rng_key):
    """100 data sets: of level 5 %, with the mean that uniform ones have."""
    guide = guide_of(truth)
    found = []
    for key in jax.random.split(rng_key, 100):
        data, _ = truth.simulate(key, 30)
        rows = (truth, guide, {}, data, data.subset_of("a", "b"))
        found.append(cs.inconsistency(key, *rows, num_swaps=19).p_value)
    found = np.array(found)
    assert abs((found <= 0.05).mean() - 0.05) <= 4 * np.sqrt(0.05 * 0.95 / 100)
    assert abs(found.mean() - 0.5) <= 4 / np.sqrt(12 * 100) + 1 / 40


def test_what_it_cannot_compare_is_refused(truth, rng_key):
    data, _ = truth.simulate(rng_key, 2)
    with pytest.raises(ValueError, match="data: expected 3 rows or more, got 2"):
        cs.prior_hole(rng_key, truth, guide_of(truth), {}, data)

    def plain(data, subset=None):
        with data.plate():
            numpyro.sample("z", truth.posterior(data, data.subset(subset)))

    with pytest.raises(ValueError, match="expected the deterministic site 'features'"):
        cs.inconsistency(rng_key, truth, plain, {}, data, data.present)
