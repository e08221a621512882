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
# # Quickstart: from data with holes to a checked posterior
#
# Handwritten digits, cut into four quadrants, and the digit's English word: five
# measurements of one cause. We hide 30 % of them, learn a model of all five, and ask it for
# what is missing.

# %%
import dataclasses
import os
from functools import partial

import jax
import optax
from numpyro.infer import SVI

import consilience as cs

fast = "CONSILIENCE_FAST" in os.environ  # a few seconds, to check that everything runs
keys = jax.random.split(jax.random.key(0), 8)

# %% [markdown]
# ## Data
# `quadrants_and_word()` returns `MultimodalData`. Yours would be
# `cs.MultimodalData.from_arrays({"genes": genes, "proteins": proteins})`, NaN where nothing
# was measured.

# %%
train, test = cs.quadrants_and_word().split(keys[0], 0.8)
train = train.restrict(cs.missing_completely_at_random(keys[1], train.present, 0.3))
print(train.names, train.event_shapes, train.size, "rows")

# %% [markdown]
# ## Model, guide, bound
# A prior over the latent `z`, one likelihood per modality, a guide that pools whatever
# subset is there, and NumPyro's own `SVI` with the masked bound.

# %%
pixels = cs.NormalLikelihood(0.2)
likelihoods = dict.fromkeys(train.names, pixels) | {"word": cs.OneHotLikelihood()}
model = cs.multimodal_model(
    cs.standard_normal(12), likelihoods, partial(cs.MLPDecoder, hidden=(256,))
)
guide = cs.amortized_guide(12, partial(cs.MLPEncoder, hidden=(256,)), cs.SumPooling)
epochs = 3 if fast else 250
rate = optax.cosine_decay_schedule(5e-3, 12 * epochs)
svi = SVI(model, guide, optax.adam(rate), cs.MaskedELBO())
fitted = cs.fit(
    keys[2],
    svi,
    dataclasses.replace(train, covariates={}),  # labels only judge what is learned
    num_epochs=epochs,
    batch_size=128,
    validation=test,
    progress=False,
)
print(f"validation bound {fitted.history.validation[-1]:.1f} nats a row")

# %% [markdown]
# ## How likely are held-out digits?
# By importance sampling, for any subset, with diagnostics that say whether to believe it.

# %%
everything = fitted.log_likelihood(keys[3], test)
for name in test.names:
    one = fitted.log_likelihood(keys[3], test, test.subset_of(name))
    rest = everything.value - one.value
    print(
        f"given {name:12} log p(rest | given) = {rest.mean():7.2f}   "
        f"not to be trusted in {(~one.reliable).mean():4.0%} of rows"
    )

# %% [markdown]
# ## Complete what is missing
# From the word alone, from the upper half, from everything but the word. Blue frames what
# was given; the rest is the posterior's mean, blurred where nothing is certain.

# %%
import numpy as np

from consilience.experiments.pictures import completions

labels = np.asarray(test.covariates["label"])
rows = test.take([int(np.argmax(labels == digit)) for digit in range(10)])
given = [("word",), ("upper_left", "upper_right"), test.names[:4]]
drawn = {
    subset: fitted.generate(
        keys[4], rows, rows.subset_of(*subset), mean=True, num_samples=200
    )
    for subset in given
}
drawn = {
    subset: {n: x.mean(0) for n, x in out.items()} for subset, out in drawn.items()
}
figure = completions(rows.values, drawn)

# %% [markdown]
# ## The posterior, in ArviZ
# A DataTree with posterior, log-likelihoods, predictions, data and masks; it saves with
# `tree.to_netcdf(path)`.

# %%
import arviz as az

tree = fitted.to_datatree(keys[5], rows, num_samples=500)
az.summary(tree.sel(datapoint=3), kind="stats", round_to=2).head()

# %% [markdown]
# ## Is it right? Ask NUTS
# The very same model function runs under NUTS, for any data point, and gives the exact
# posterior to compare with. The guide, one network for all rows and all subsets, comes close
# in most dimensions and misses some by a fraction of a standard deviation: what k̂ measures.

# %%
from numpyro import handlers
from numpyro.infer import MCMC, NUTS

row = rows.take([3])
exact = MCMC(
    NUTS(handlers.substitute(model, data=fitted.params)),
    num_warmup=50 if fast else 500,
    num_samples=50 if fast else 1000,
    progress_bar=False,
)
exact.run(keys[6], row)
draws = {
    "NUTS": exact.get_samples()["z"][:, 0],
    "amortised": fitted.posterior(keys[7], row)["z"][:, 0],
}
for name, z in draws.items():
    z = np.asarray(z, float)[:, :6]
    print(f"{name:10} mean {z.mean(0).round(2)}  sd {z.std(0).round(2)}")
