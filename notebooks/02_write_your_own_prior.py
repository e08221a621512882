# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Write your own prior
#
# A prior is a function without arguments that returns a NumPyro distribution over `z`. What
# it declares with `numpyro.param` is learned with the rest. We write three, a mixture, a
# VampPrior and one of our own, train them on real digits (four quadrants of each), and ask
# which one explains held-out digits best and which one finds the ten classes by itself.

# %%
import dataclasses
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro import handlers
from numpyro.distributions import constraints
from numpyro.infer import SVI
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import consilience as cs

fast = "CONSILIENCE_FAST" in os.environ  # a few seconds, to check that everything runs
epochs, LATENT, COMPONENTS = (2 if fast else 170), 6, 10
keys = jax.random.split(jax.random.key(0), 8)

# Data, guide, and a helper that trains any prior.
whole = cs.quadrants_and_word()
digit = np.asarray(whole.covariates["label"])
quadrants = {n: np.asarray(whole.values[n]) for n in whole.names if n != "word"}
data = cs.MultimodalData.from_arrays(quadrants, covariates={"digit": digit})
train, test = data.split(keys[0], 0.8)

guide = cs.amortized_guide(LATENT, partial(cs.MLPEncoder, hidden=(128,)), cs.SumPooling)


def trained(prior, start=None):
    model = cs.multimodal_model(prior, cs.NormalLikelihood(0.2))
    rate = optax.cosine_decay_schedule(2e-3, 12 * epochs)
    svi = SVI(model, guide, optax.adam(rate), cs.MaskedELBO())
    settings = {"num_epochs": epochs, "batch_size": 128, "progress": False}
    rows = dataclasses.replace(train, covariates={})  # digits only judge the priors
    return cs.fit(keys[1], svi, rows, start=start, **settings)


first = trained(cs.standard_normal(LATENT))
print(f"bound at the end: {first.history.bound[-1]:.2f} nats a row")

# %% [markdown]
# ## A mixture
# Ten components. They start at the clusters that k-means finds in the posterior means of the
# first fit, whose networks go on; from random starts components often collapse into one.
# So that no prior has an advantage, all four go on from there.
# (`cs.gaussian_mixture(LATENT, 10, start=means)` is the same, ready-made.)

# %%
means = first.posterior(keys[2], train, num_samples=50)["z"].mean(0)
start = KMeans(COMPONENTS, n_init=10, random_state=0).fit(means).cluster_centers_


def mixture():
    logits = numpyro.param("prior.logits", jnp.zeros(COMPONENTS))
    loc = numpyro.param("prior.loc", jnp.array(start))
    ones = jnp.ones((COMPONENTS, LATENT))
    scale = numpyro.param("prior.scale", 0.5 * ones, constraint=constraints.positive)
    components = dist.Normal(loc, scale).to_event(1)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)


fits = {
    "standard": trained(cs.standard_normal(LATENT), first.params),
    "mixture": trained(mixture, first.params),
}

# %% [markdown]
# ## A VampPrior
# The mean of the guide's own posteriors at pseudo-inputs, which are learned like everything
# else. The guide runs inside the prior; only its parameters, which it shares, are seen
# outside. (`cs.vamp_prior(guide, train.take(rows))` is the same, ready-made.)

# %%
first_rows = train.take(np.arange(100)).bare()


def vamp():
    pseudo = {n: numpyro.param(f"prior.{n}", v) for n, v in first_rows.values.items()}
    inputs = dataclasses.replace(first_rows, values=pseudo)
    with handlers.block(hide_fn=lambda site: site["type"] != "param"):
        trace = handlers.trace(handlers.seed(guide, 0)).get_trace(inputs)
    logits = jnp.zeros(inputs.size)
    return dist.MixtureSameFamily(dist.Categorical(logits=logits), trace["z"]["fn"])


fits["VampPrior"] = trained(vamp, first.params)

# %% [markdown]
# ## One of our own
# Heavy tails: a Student-t whose degrees of freedom and scales are learned.


# %%
def heavy_tails():
    freedom = numpyro.param(
        "prior.df", jnp.full(LATENT, 5.0), constraint=constraints.positive
    )
    scale = numpyro.param(
        "prior.scale", jnp.ones(LATENT), constraint=constraints.positive
    )
    return dist.StudentT(freedom, 0.0, scale).to_event(1)


fits["Student-t"] = trained(heavy_tails, first.params)

# %% [markdown]
# ## Which one explains held-out digits best?
# Importance-sampled log-likelihoods, and differences to the standard prior, row by row.

# %%
log_p = {name: fit.log_likelihood(keys[3], test).value for name, fit in fits.items()}
for name, value in log_p.items():
    gain = np.asarray(value - log_p["standard"])
    error = gain.std() / len(gain) ** 0.5
    print(
        f"{name:10} log p = {value.mean():6.2f} nats, {gain.mean():+5.2f} ± {error:.2f}"
    )

# %% [markdown]
# ## Which one finds the classes?
# `responsibilities` are p(c | z), averaged here over posterior draws. The adjusted Rand
# index is 1 for the true classes and 0 for chance; beside it k-means, on pixels and on
# means of z.

# %%
fit = fits["mixture"]
draws = fit.posterior(keys[4], data, num_samples=50)["z"]
share = np.asarray(cs.responsibilities(mixture, fit.params, draws).mean(0))
pixels = np.concatenate([np.asarray(v) for v in data.values.values()], -1)
found = {"p(c | z)": share.argmax(-1)}
for name, points in {"k-means, pixels": pixels, "k-means, z": draws.mean(0)}.items():
    found[name] = KMeans(10, n_init=10, random_state=0).fit_predict(points)
for name, clusters in found.items():
    print(f"{name:16} {adjusted_rand_score(digit, clusters):.2f}")

# %% [markdown]
# Each cluster with the digits that are in it:

# %%
import matplotlib.pyplot as plt

table = np.zeros((COMPONENTS, 10))
np.add.at(table, (share.argmax(-1), digit), 1)
order = np.lexsort((-table.max(1), table.argmax(1)))
figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
image = axes.imshow(table[order], cmap="viridis")
axes.set(xlabel="digit", ylabel="component", xticks=range(10), yticks=[])
_ = figure.colorbar(image, label="rows")
