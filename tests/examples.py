"""Small models and data that several tests share."""

import itertools

import jax
import numpy as np
import numpyro

import consilience as cs

WIDTHS = {"a": 2, "b": 3, "c": 5}
SUBSETS = list(itertools.product([False, True], repeat=3))


def linear_gaussian(rng_key, latent_dim=2):
    keys = jax.random.split(rng_key, 2 * len(WIDTHS))
    loadings = {
        n: jax.random.normal(k, (w, latent_dim))
        for k, (n, w) in zip(keys, WIDTHS.items(), strict=False)
    }
    biases = {
        n: jax.random.normal(k, (w,))
        for k, (n, w) in zip(keys[3:], WIDTHS.items(), strict=False)
    }
    return cs.LinearGaussian(loadings, biases, 0.7)


def exact_guide(truth):
    def guide(data, subset=None):
        with data.plate():
            numpyro.sample("z", truth.posterior(data, data.subset(subset)))

    return guide


def incomplete(rng_key, truth, num_rows=7):
    data, _ = truth.simulate(rng_key, num_rows)
    keep = cs.missing_completely_at_random(rng_key, data.present, 0.3)
    values = {n: np.array(v) for n, v in data.values.items()}
    values["c"][0, 1:4] = np.nan
    keep = keep.at[0, 2].set(True)
    return cs.MultimodalData.from_arrays(values, present=np.array(keep))
