"""Things of another kind where programs, classes or instances are wanted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
from flax import linen, nnx
from numpyro.infer import SVI, Trace_ELBO

import consilience as cs
from attack.case import Case, mechanism
from attack.linear import guide, model, rows, svi


class Linen(linen.Module):
    """A network of another library."""

    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(x)


likelihood = cs.LearnedNormalLikelihood


def ours(model_=None, guide_=None):
    """What shows only when data come is refused by a fit."""
    model_ = model_ or cs.multimodal_model(cs.standard_normal(2), likelihood())
    return fitted_with(model_, guide_ or cs.amortized_guide(2))


PARTS = {
    "prior: a distribution": (
        lambda: cs.multimodal_model(dist.Normal(0, 1), likelihood()),
        "prior",
    ),
    "prior: a constructor": (
        lambda: cs.multimodal_model(cs.standard_normal, likelihood()),
        "prior",
    ),
    "prior: None": (lambda: cs.multimodal_model(None, likelihood()), "prior"),
    "prior: a number": (lambda: cs.multimodal_model(2, likelihood()), "prior"),
    "likelihoods: a class": (
        lambda: cs.multimodal_model(cs.standard_normal(2), likelihood),
        "likelihoods",
    ),
    "likelihoods: a distribution": (
        lambda: cs.multimodal_model(cs.standard_normal(2), dist.Normal(0, 1)),
        "likelihoods",
    ),
    "likelihoods: a name": (
        lambda: cs.multimodal_model(cs.standard_normal(2), "normal"),
        "likelihoods",
    ),
    "likelihoods: classes by name": (
        lambda: cs.multimodal_model(
            cs.standard_normal(2), {"a": likelihood, "b": likelihood()}
        ),
        "likelihoods",
    ),
    "likelihoods: none": (
        lambda: ours(cs.multimodal_model(cs.standard_normal(2), {})),
        "likelihoods",
    ),
    "decoders: linen": (
        lambda: cs.multimodal_model(cs.standard_normal(2), likelihood(), Linen),
        "decoders",
    ),
    "decoders: built": (
        lambda: cs.multimodal_model(
            cs.standard_normal(2), likelihood(), nnx.Linear(2, 2, rngs=nnx.Rngs(0))
        ),
        "decoders",
    ),
    "decoders: a number": (
        lambda: cs.multimodal_model(cs.standard_normal(2), likelihood(), 3),
        "decoders",
    ),
    "encoders: linen": (lambda: cs.amortized_guide(2, Linen), "encoders"),
    "encoders: a built linen": (lambda: cs.amortized_guide(2, Linen()), "encoders"),
    "encoders: a name": (lambda: cs.amortized_guide(2, "mlp"), "encoders"),
    "aggregation: a name": (
        lambda: cs.amortized_guide(2, aggregation="sum_pooling"),
        "aggregation",
    ),
    "aggregation: a head": (
        lambda: ours(guide_=cs.amortized_guide(2, aggregation=cs.NormalHead())),
        "aggregation",
    ),
    "aggregation: an encoder": (
        lambda: ours(guide_=cs.amortized_guide(2, aggregation=cs.MLPEncoder)),
        "aggregation|MLPEncoder",
    ),
    "head: a class": (
        lambda: ours(
            guide_=cs.amortized_guide(
                2, aggregation=functools.partial(cs.SumPooling, head=cs.NormalHead)
            )
        ),
        "head",
    ),
    "component: a class": (lambda: cs.MixtureHead(3, cs.NormalHead), "component"),
    "subsets: a class": (lambda: cs.MaskedELBO(subsets=cs.Hierarchical), "subsets"),
    "subsets: a name": (lambda: cs.MaskedELBO(subsets="hierarchical"), "subsets"),
    "estimator: a class": (lambda: cs.MaskedELBO(estimator=cs.STL), "estimator"),
    "estimator: a name": (lambda: cs.MaskedELBO(estimator="stl"), "estimator"),
    "estimator: of another bound": (
        lambda: cs.MaskedELBO(estimator=cs.DReG()),
        "estimator",
    ),
    "weights: a number": (lambda: cs.MaskedELBO(weights=2.0), "weights"),
    "weights: negative": (lambda: cs.MaskedELBO(weights={"a": -1.0}), "weights"),
    "weights: text": (lambda: cs.MaskedELBO(weights={"a": "2"}), "weights"),
    "weights: NaN": (lambda: cs.MaskedELBO(weights={"a": float("nan")}), "weights"),
    "by size: negative": (lambda: cs.BySize((1.0, -1.0)), "weights"),
    "by size: zeros": (lambda: cs.BySize((0.0, 0.0)), "weights"),
    "by size: NaN": (lambda: cs.BySize((1.0, float("nan"))), "weights"),
    "fixed: numbers": (lambda: cs.Fixed((1, 0)), "members"),
    "schedule: another": (lambda: cs.adam(1e-3, 10, schedule="cosinus"), "schedule"),
    "schedule: without steps": (lambda: cs.adam(1e-3, schedule="cosine"), "num_steps"),
    "pseudo-inputs: an array": (
        lambda: cs.vamp_prior(cs.amortized_guide(2), np.ones((3, 2))),
        "pseudo_inputs|data",
    ),
    "checkpoints: no limit": (lambda: cs.Checkpoints("run", None, None), "every"),
    "checkpoints: no folder": (lambda: cs.Checkpoints(None), "folder"),
    "checkpoints: a number for a folder": (lambda: cs.Checkpoints(3), "folder"),
}


@mechanism("settings: parts of another kind", len(PARTS), quick=6, seconds=300)
def parts(rng, seed):
    """Refused where they are given."""
    name = list(PARTS)[seed % len(PARTS)]
    call, word = PARTS[name]
    return Case(name, lambda folder: call(), None, (word, "expected"))


def fitted_with(
    model_=model, guide_=guide, optimizer=None, bound=None, data=None, key=None
):
    """Fit with these in place of good ones."""
    made = SVI(model_, guide_, optimizer or optax.adam(1e-2), bound or cs.MaskedELBO())
    key = jax.random.key(0) if key is None else key
    return cs.fit(
        key,
        made,
        rows() if data is None else data,
        num_epochs=1,
        batch_size=4,
        progress=False,
    )


FITS = {
    "rng_key: a number": (lambda: fitted_with(key=0), "rng_key"),
    "rng_key: a text": (lambda: fitted_with(key="0"), "rng_key"),
    "rng_key: a float": (lambda: fitted_with(key=1.5), "rng_key"),
    "rng_key: an array": (lambda: fitted_with(key=jnp.zeros(3)), "rng_key"),
    "rng_key: two keys": (
        lambda: fitted_with(key=jax.random.split(jax.random.key(0))),
        "rng_key",
    ),
    "no SVI": (lambda: cs.fit(jax.random.key(0), model, rows(), num_epochs=1), "svi"),
    "model and guide for SVI": (
        lambda: cs.fit(jax.random.key(0), (model, guide), rows(), num_epochs=1),
        "svi",
    ),
    "data: a dict": (lambda: fitted_with(data={"a": np.ones((4, 2))}), "data"),
    "data: an array": (lambda: fitted_with(data=np.ones((4, 2))), "data"),
    "data: a path": (lambda: fitted_with(data="folder"), "data"),
    "data and SVI exchanged": (
        lambda: cs.fit(jax.random.key(0), rows(), svi(), num_epochs=1),
        "svi|data",
    ),
    "a bound for a class": (
        lambda: fitted_with(bound=cs.MaskedELBO),
        "bound|elbo|loss|svi",
    ),
    "an optimiser for a class": (
        lambda: fitted_with(optimizer=optax.adam),
        "optim|svi",
    ),
    "an optimiser of numbers": (lambda: fitted_with(optimizer=1e-3), "optim|svi"),
    "fit within jit": (
        lambda: jax.jit(lambda k: fitted_with(key=k).state.rng_key)(jax.random.key(0)),
        "jit|traced|fit",
    ),
    "fit within vmap": (
        lambda: jax.vmap(lambda k: fitted_with(key=k).history.bound)(
            jax.random.split(jax.random.key(0))
        ),
        "jit|vmap|traced|fit|rng_key",
    ),
    "data within jit": (
        lambda: jax.jit(lambda d: fitted_with(data=d).history.bound)(rows()),
        "jit|traced|fit|data",
    ),
}


@mechanism("settings: what fit is called with", len(FITS), quick=3, seconds=300)
def fits(rng, seed):
    name = list(FITS)[seed % len(FITS)]
    call, word = FITS[name]
    return Case(name, lambda folder: call(), None, (word, "[Ee]xpected"))


@mechanism("settings: keys of both kinds", 2, quick=0, seconds=300)
def keys(rng, seed):
    """A raw key is the same key."""

    def run(folder):
        if seed:
            return fitted_with(key=jax.random.PRNGKey(0)), fitted_with()
        return fitted_with(bound=Trace_ELBO()), fitted_with(bound=Trace_ELBO())

    def right(found):
        a, b = (f.history.bound for f in found)
        np.testing.assert_allclose(a, b, rtol=1e-5)

    return Case(
        ("NumPyro's own bound", "PRNGKey(0) and key(0)")[seed % 2],
        run,
        right,
        ("rng_key",),
    )
