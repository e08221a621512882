"""A small model and guide of a user's, for attacks that need some."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro.distributions import constraints
from numpyro.infer import SVI

import consilience as cs

WIDTHS = {"a": 2, "b": 1}


def model(data, subset=None):
    """x_s = z w_s + b_s + noise."""
    with data.plate():
        z = numpyro.sample("z", dist.Normal(0, 1).expand([1]).to_event(1))
        for name, width in WIDTHS.items():
            w = numpyro.param(f"w.{name}", jnp.full((1, width), 0.5))
            b = numpyro.param(f"b.{name}", jnp.zeros(width))
            cs.observe(data, name, dist.Normal(z @ w + b, 1.0), subset)


def guide(data, subset=None):
    """A mean linear in what S has, one scale."""
    S = data.subset(subset)
    v = {n: numpyro.param(f"v.{n}", jnp.full((w, 1), 0.1)) for n, w in WIDTHS.items()}
    scale = numpyro.param("scale", jnp.full(1, 0.5), constraint=constraints.positive)
    said = [data.filled(n) @ v[n] * S[:, [i]] for i, n in enumerate(data.names)]
    with data.plate():
        numpyro.sample("z", dist.Normal(sum(said), scale).to_event(1))


def parameters() -> dict:
    """As they start."""
    found = {f"w.{n}": jnp.full((1, w), 0.5) for n, w in WIDTHS.items()}
    found |= {f"b.{n}": jnp.zeros(w) for n, w in WIDTHS.items()}
    found |= {f"v.{n}": jnp.full((w, 1), 0.1) for n, w in WIDTHS.items()}
    return found | {"scale": jnp.full(1, 0.5)}


@functools.cache
def svi() -> SVI:
    """One for all, so that it compiles once."""
    return SVI(model, guide, optax.adam(1e-2), cs.MaskedELBO())


@functools.cache
def rows(rows: int = 8) -> cs.MultimodalData:
    """Rows with names, of which two lack a modality."""
    rng = np.random.default_rng(5)
    values = {n: rng.normal(size=(rows, w)) for n, w in WIDTHS.items()}
    values["b"][2] = np.nan
    values["a"][3] = np.nan
    return cs.MultimodalData.from_arrays(
        values,
        row_names=[f"s{i}" for i in range(rows)],
        feature_names={"a": ["x", "y"]},
    )


def fit(data=None, key: int = 0, **settings) -> cs.Fitted:
    """Two epochs."""
    settings = {"num_epochs": 2, "batch_size": 4, "progress": False} | settings
    return cs.fit(
        jax.random.key(key), svi(), rows() if data is None else data, **settings
    )


@functools.cache
def fitted() -> cs.Fitted:
    """One fit for all attacks of a process."""
    return fit()


def ours(latent_dim: int = 1) -> cs.Fitted:
    """Of our own constructors, which a file can hold."""
    made = SVI(
        cs.multimodal_model(
            cs.standard_normal(latent_dim),
            cs.LearnedNormalLikelihood(),
            cs.LinearDecoder,
        ),
        cs.amortized_guide(latent_dim, num_features=3),
        optax.adam(1e-2),
        cs.MaskedELBO(),
    )
    return cs.fit(
        jax.random.key(0), made, rows(), num_epochs=1, batch_size=4, progress=False
    )


@functools.cache
def ours_once() -> cs.Fitted:
    """One for all."""
    return ours()
