"""Small models and data that several tests share."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

import consilience as cs
from consilience.experiments.linear_models import split_loadings

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


def private_linear_gaussian(rng_key, shared=2, private=1):
    """Loadings [shared | 0 .. private .. 0]: the latent is (z, w_a, w_b, w_c)."""
    dense = linear_gaussian(rng_key, shared + private)
    blocks = split_loadings(dense.loadings, shared)
    return cs.LinearGaussian(blocks, dense.biases, dense.scale)


def exact_private_guide(truth, shared=2, private=1):
    """q(z | x_S) Π_s q(w_s | z, x_S), exact where the offsets are zero."""

    def guide(data, subset=None):
        count = len(data.names)
        exact = truth.posterior(data, data.subset(subset))
        offset = numpyro.param("offset", jnp.zeros(shared))
        private_offset = numpyro.param("private_offset", jnp.zeros((count, private)))
        mean, mean_w = exact.loc[:, :shared], exact.loc[:, shared:]
        of_z = exact.covariance_matrix[:, :shared, :shared]
        precision = exact.precision_matrix[:, shared:]
        split = (len(mean), count, private)
        of_w = jnp.stack(
            [
                precision[:, rows, shared:][:, :, rows]
                for i in range(count)
                for rows in [slice(i * private, (i + 1) * private)]
            ],
            1,
        )
        with data.plate():
            z = numpyro.sample("z", dist.MultivariateNormal(mean + offset, of_z))
            force = jnp.einsum("nwd,nd->nw", precision[:, :, :shared], z - mean)
            shift = jnp.linalg.solve(of_w, force.reshape(split)[..., None])[..., 0]
            loc = mean_w.reshape(split) - shift + private_offset
            q_w = dist.MultivariateNormal(loc, precision_matrix=of_w)
            numpyro.sample("w", q_w.to_event(1))

    return guide
