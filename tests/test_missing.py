import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from consilience import MultimodalData, missing_completely_at_random

ROWS = 20_011
PATTERNS = reference.subsets(3)


def hide(rng_key, pattern, rate):
    present = jnp.broadcast_to(jnp.array(pattern), (ROWS, len(pattern)))
    return np.asarray(missing_completely_at_random(rng_key, present, rate))


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9, 0.999])
def test_never_adds_and_never_empties(rng_key, rate):
    present = jnp.array(np.repeat(PATTERNS, 101, 0))
    left = missing_completely_at_random(rng_key, present, rate)
    assert not (left & ~present).any()
    np.testing.assert_array_equal(left.any(-1), present.any(-1))


def test_nothing_is_hidden_at_rate_zero(rng_key):
    np.testing.assert_array_equal(hide(rng_key, PATTERNS[5], 0.0)[0], PATTERNS[5])


@pytest.mark.parametrize("pattern", PATTERNS[1:], ids=str)
@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_hidden_share(rng_key, pattern, rate):
    """Of k modalities k·rate go, less the one that stays with probability rateᵏ."""
    k = pattern.sum()
    hidden = (pattern & ~hide(rng_key, pattern, rate)).sum(-1)
    margin = 4 * reference.standard_error(hidden)
    assert abs(hidden.mean() - (k * rate - rate**k)) <= margin


@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_law_of_what_is_left(rng_key, rate):
    """Subsets of k of n are equally likely; those of one also catch the empty ones."""
    pattern = np.array([True, False, True, True])
    left = hide(rng_key, pattern, rate)
    for kept in reference.subsets(3)[1:]:
        probability = (1 - rate) ** kept.sum() * rate ** (3 - kept.sum())
        probability += rate**3 / 3 if kept.sum() == 1 else 0.0
        share = (left[:, pattern] == kept).all(-1).mean()
        margin = 4 * np.sqrt(probability * (1 - probability) / ROWS)
        assert abs(share - probability) <= margin


def test_rows_are_independent(rng_key):
    left = hide(rng_key, [True, True], 0.5)[:, 0].astype(float)
    products = (left[:-1] - left.mean()) * (left[1:] - left.mean())
    assert abs(products.mean()) <= 4 * reference.standard_error(products)


def test_same_key_same_bits(rng_key):
    first, second = (hide(rng_key, [True, True, True], 0.5) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    other = hide(jax.random.key(7), [True, True, True], 0.5)
    assert (first != other).any()


def test_goes_with_restrict(rng_key):
    data = MultimodalData.from_arrays({"a": np.ones((97, 3)), "b": np.ones((97, 5))})
    left = data.restrict(missing_completely_at_random(rng_key, data.present, 0.5))
    np.testing.assert_array_equal(left.values["a"].any(-1), left.present[:, 0])
    assert 0 < (~left.present).sum() < 97


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan")])
def test_bad_rates(rng_key, rate):
    with pytest.raises(ValueError, match=rf"rate: .* \[0, 1\), got {rate}"):
        missing_completely_at_random(rng_key, jnp.ones((2, 3), bool), rate)
