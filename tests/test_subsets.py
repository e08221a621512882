"""Laws of the random subset, against enumeration of all subsets."""

import itertools
from math import comb

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import consilience as cs

DRAWS = 5000
PRESENT = np.array(
    [
        [True, True, True, True],
        [True, False, True, True],
        [False, True, False, True],
        [False, False, True, False],
        [False, False, False, False],
    ]
)


def hierarchical(size, available):
    return 1 / ((available + 1) * comb(available, size))


def uniform_non_empty(size, available):
    return 1 / (2**available - 1) if size else float(available == 0)


def unimodal(size, available):
    return 1 / available if available and size == 1 else float(size == available == 0)


def independent(probability):
    def law(size, available):
        return probability**size * (1 - probability) ** (available - size)

    return law


def by_size(weights):
    def law(size, available):
        total = sum(weights[: available + 1])
        if not total:
            return float(size == available)
        return weights[size] / total / comb(available, size)

    return law


LAWS = {
    "hierarchical": (cs.Hierarchical(), hierarchical),
    "independent": (cs.Independent(), independent(0.5)),
    "independent-0.3": (cs.Independent(0.3), independent(0.3)),
    "independent-1": (cs.Independent(1.0), independent(1.0)),
    "uniform_non_empty": (cs.UniformNonEmpty(), uniform_non_empty),
    "unimodal": (cs.Unimodal(), unimodal),
    "by_size": (
        cs.BySize((0.0, 0.1, 0.6, 0.0, 0.3)),
        by_size((0.0, 0.1, 0.6, 0.0, 0.3)),
    ),
    "by_size-2": (cs.BySize((0.0, 0.0, 1.0, 0.0, 0.0)), by_size((0, 0, 1, 0, 0))),
}


def draw(law, rng_key):
    """Subsets `[5, DRAWS, 4]` of every row of PRESENT."""
    present = np.repeat(PRESENT, DRAWS, 0)
    subsets = np.asarray(law(rng_key, jnp.array(present)))
    assert subsets.dtype == bool
    assert not (subsets & ~present).any()  # S ⊆ O
    return subsets.reshape(len(PRESENT), DRAWS, -1)


@pytest.mark.parametrize("name", LAWS)
def test_frequencies_of_all_subsets(name, rng_key):
    """Every subset of every O within 4.5 standard errors; what cannot be never is."""
    law, probability = LAWS[name]
    subsets = draw(law, rng_key)
    for available, drawn in zip(PRESENT, subsets, strict=True):
        total = 0.0
        for members in itertools.product([False, True], repeat=4):
            exact = 0.0
            if not np.any(members & ~available):
                exact = probability(sum(members), int(available.sum()))
            share = (drawn == members).all(-1).mean()
            error = np.sqrt(exact * (1 - exact) / DRAWS)
            assert abs(share - exact) <= 4.5 * error + 1e-12, (available, members)
            total += exact
        assert total == pytest.approx(1.0)


def test_registry_is_covered():
    covered = {type(law) for law, _ in LAWS.values()} | {cs.Fixed}
    assert covered == set(cs.SUBSETS.values())


@pytest.mark.parametrize("name", LAWS)
def test_listed_subsets_have_their_probabilities(name):
    """Exactly; what is listed twice, because parts are absent, adds up."""
    law, probability = LAWS[name]
    S, weight = map(np.asarray, law.listed(jnp.array(PRESENT)))
    assert not (S & ~PRESENT).any()
    for row, available in enumerate(PRESENT[:-1]):
        for members in itertools.product([False, True], repeat=4):
            exact = 0.0
            if not np.any(members & ~available):
                exact = probability(sum(members), int(available.sum()))
            found = weight[(S[:, row] == members).all(-1), row].sum()
            assert found == pytest.approx(exact, abs=1e-6), (available, members)


@pytest.mark.parametrize("name", LAWS)
def test_rows_are_drawn_independently(name, rng_key):
    """Sizes of neighbouring rows are uncorrelated: one row's λ is not another's."""
    size = draw(LAWS[name][0], rng_key)[0].sum(-1).astype(float)
    one, other = size[::2] - size.mean(), size[1::2] - size.mean()
    product = one * other
    assert abs(product.mean()) <= 4.5 * product.std() / np.sqrt(len(product)) + 1e-12


def test_fixed_is_what_it_says_as_far_as_present(rng_key):
    members = np.array([True, False, True, False])
    subsets = draw(cs.Fixed(tuple(members.tolist())), rng_key)
    expected = (PRESENT & members)[:, None]
    np.testing.assert_array_equal(subsets, np.broadcast_to(expected, subsets.shape))


@pytest.mark.parametrize("name", LAWS)
def test_law_is_a_function_of_its_key(name, rng_key):
    law, present = LAWS[name][0], jnp.array(PRESENT)
    same = jax.jit(law)(rng_key, present)
    np.testing.assert_array_equal(law(rng_key, present), same)


def test_bound_restricts_a_law_of_the_users(rng_key):
    elbo = cs.MaskedELBO(subsets=lambda key, present: jnp.ones_like(present))
    drawn, weight = elbo.subset_views(rng_key, jnp.array(PRESENT))
    np.testing.assert_array_equal(drawn[0], PRESENT)
    np.testing.assert_array_equal(weight, 1.0)


@pytest.mark.parametrize("probability", [-0.1, 1.1, np.nan])
def test_independent_refuses_what_is_no_probability(probability):
    with pytest.raises(ValueError, match=r"probability: expected .* \[0, 1\]"):
        cs.Independent(probability)


def test_fixed_refuses_another_number_of_modalities(rng_key):
    with pytest.raises(ValueError, match=r"members: expected 4 booleans.* got 3"):
        cs.Fixed((True, False, True))(rng_key, jnp.array(PRESENT))
