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
# # A latent neural process is the masked bound
#
# Take the points of a curve as modalities: each is one number y_s, measured at an input x_s
# that is always known. A context is a subset S of them, the targets are the rest, and the
# masked bound's second term,
#
# $$E_{q(z|C \cup T)}[\log p(y_T|x_T, z)] - KL(q(z|C \cup T) \| q(z|C)),$$
#
# *is* the objective of latent neural processes (Garnelo et al. 2018; Hirt et al. 2024,
# appendix B); the first term trains the context's own likelihood besides. So we write a
# model and a guide in NumPyro, one network for all points, and use `MaskedELBO` as it is.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro import handlers
from numpyro.infer import SVI

import consilience as cs

fast = "CONSILIENCE_FAST" in os.environ  # a few seconds, to check that everything runs
epochs, POINTS, LATENT, NOISE = (2 if fast else 150), 16, 4, 0.1
keys = jax.random.split(jax.random.key(0), 6)

# %% [markdown]
# ## Curves
# Sines of random amplitude and phase, at 16 random inputs each. A third of the points were
# never measured, different ones for each curve: nothing special, just absent modalities.


# %%
def curves(rng_key, num_rows):
    keys = jax.random.split(rng_key, 4)
    x = jax.random.uniform(keys[0], (num_rows, POINTS), minval=-2, maxval=2)
    amplitude = jax.random.uniform(keys[1], (num_rows, 1), minval=0.5, maxval=1.5)
    phase = jax.random.uniform(keys[2], (num_rows, 1), minval=0, maxval=np.pi)
    y = amplitude * jnp.sin(2 * x + phase)
    y = y + NOISE * jax.random.normal(keys[3], y.shape)
    values = {f"y{s:02}": np.asarray(y[:, s : s + 1]) for s in range(POINTS)}
    return cs.MultimodalData.from_arrays(values, covariates={"x": np.asarray(x)})


train, test = curves(keys[0], 2000 if not fast else 200), curves(keys[1], 200)
train = train.restrict(cs.missing_completely_at_random(keys[2], train.present, 0.33))

# %% [markdown]
# ## Model and guide
# The decoder takes (x, z) and gives the mean of y; the encoder takes (x, y), one network for
# all points; `SumPooling` pools whatever subset is there.


# %%
def make_decoder(*, rngs):
    return cs.MLP(1 + LATENT, (64, 64), 1, rngs=rngs)


def make_encoder(*, rngs):
    return cs.MLP(2, (64,), 64, rngs=rngs)


def model(data, subset=None):
    decoder = cs.module("decoder", make_decoder)
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(LATENT), 1.0).to_event(1))
        for s, name in enumerate(data.names):
            given = jnp.concatenate([data.covariates["x"][:, s : s + 1], z], -1)
            cs.observe(data, name, dist.Normal(decoder(given), NOISE), subset)


def guide(data, subset=None):
    encoder = cs.module("encoder", make_encoder)
    pooling = cs.module("aggregation", cs.SumPooling, 64, LATENT)
    y = jnp.concatenate([data.filled(name) for name in data.names], -1)
    h = encoder(jnp.stack([data.covariates["x"], y], -1))
    embedded = numpyro.deterministic("features", pooling.embed(h))
    with data.plate():
        parameters = pooling.pool(embedded, data.subset(subset))
        numpyro.sample("z", pooling.distribution(parameters))


rate = optax.cosine_decay_schedule(3e-3, 16 * epochs)
svi = SVI(model, guide, optax.adam(rate), cs.MaskedELBO())
fitted = cs.fit(
    keys[3],
    svi,
    train,
    num_epochs=epochs,
    batch_size=128,
    validation=test,
    progress=False,
)
print(f"validation bound {fitted.history.validation[-1]:.1f} nats a curve")

# %% [markdown]
# ## More context, less doubt
# Blue: curves through posterior draws given the black points; grey: points that were not
# given. With two points of context many curves remain, with eight almost one.

# %%
grid = jnp.linspace(-2, 2, 100)
with handlers.substitute(data=fitted.params):
    decoder = cs.module("decoder", make_decoder)
row = test.take([1])
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharey=True, layout="constrained")
for ax, count in zip(axes, (2, 4, 8), strict=True):
    context = row.subset_of(*row.names[:count])
    z = fitted.posterior(keys[4], row, context, num_samples=60)["z"][:, 0]
    shape = (len(z), len(grid))
    points = jnp.broadcast_to(grid, shape)[..., None]
    z = jnp.broadcast_to(z[:, None], (*shape, LATENT))
    drawn = decoder(jnp.concatenate([points, z], -1))[..., 0]
    ax.plot(grid, drawn.T, color="#0072B2", alpha=0.15, lw=1)
    x, y = row.covariates["x"][0], [float(row.values[n][0, 0]) for n in row.names]
    ax.scatter(x[count:], y[count:], color="0.6", s=12, zorder=3, label="not given")
    ax.scatter(x[:count], y[:count], color="black", s=20, zorder=4, label="context")
    ax.set(title=f"{count} points of context", xlabel="x")
axes[0].set_ylabel("y")
_ = axes[0].legend(loc="upper left", fontsize=8)

# %% [markdown]
# ## How good are the predictions?
# log p(targets | context) = log p(all) − log p(context), each by importance sampling: an
# honest likelihood, which neural processes usually report as the biased
# log 1/K Σ p(y_T | z_k), z_k ~ q(z | C).

# %%
everything = fitted.log_likelihood(keys[5], test).value
for count in (2, 4, 8):
    context = test.subset_of(*test.names[:count])
    rest = everything - fitted.log_likelihood(keys[5], test, context).value
    per_target = rest / (POINTS - count)
    print(f"{count} points: {per_target.mean():6.2f} nats a target")
