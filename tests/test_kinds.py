"""Arguments of another kind are refused at the call, and what to write is said."""

from functools import partial

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from flax import nnx
from numpyro.infer import SVI

import consilience as cs

VALUES = {"a": np.ones((6, 3)), "b": np.arange(12.0).reshape(6, 2)}
DATA = cs.MultimodalData.from_arrays(VALUES)
NORMAL = cs.NormalLikelihood()


class Linen(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        return flax.linen.Dense(3)(x)


def svi(model=None, guide=None, bound=None):
    model = model or cs.multimodal_model(cs.standard_normal(2), NORMAL)
    guide = guide or cs.amortized_guide(2)
    return SVI(model, guide, optax.adam(1e-3), bound or cs.MaskedELBO())


def fit(key, svi, data=DATA):
    return cs.fit(key, svi, data, num_epochs=1, progress=False)


def model_of(likelihoods, **parts):
    return cs.multimodal_model(cs.standard_normal(2), likelihoods, **parts)


def built(make, *sizes):
    return make(*sizes, rngs=nnx.Rngs(0))


KEY = "rng_key: expected a random key, such as "
ARGUMENTS = [
    (lambda k: fit(0, svi()), KEY + r"jax\.random\.key\(0\), got 0"),
    (lambda k: cs.posterior(7, svi().guide, {}, DATA), KEY + r"jax\.random\.key\(7\)"),
    (lambda k: cs.posterior(jnp.ones(2), svi().guide, {}, DATA), KEY + ".* float32 of"),
    (lambda k: DATA.split(None, 0.5), KEY + ".*got None"),
    (
        lambda k: fit(jax.random.split(k, 3), svi()),
        r"rng_key: expected one random key, got an array of keys of shape \(3,\)",
    ),
    (lambda k: fit(k, svi().model), r"svi: expected numpyro.*got the function model"),
    (
        lambda k: fit(k, svi(bound=cs.MaskedELBO)),
        r"svi\.loss: .*; write MaskedELBO\(\)",
    ),
    (lambda k: cs.posterior(k, {}, DATA, {}), r"guide: expected a function .*got \{\}"),
    (
        lambda k: cs.multimodal_model(dist.Normal(0, 1), NORMAL),
        r"prior: .* got the distribution Normal; write a function that returns it",
    ),
    (lambda k: cs.multimodal_model(dist.Normal, NORMAL), "prior: .* the class Normal$"),
    (
        lambda k: cs.multimodal_model(cs.standard_normal, NORMAL),
        r"prior: .*call it with its sizes, standard_normal\(latent_dim",
    ),
    (
        lambda k: model_of(cs.NormalLikelihood),
        r"likelihoods: .*write NormalLikelihood\(",
    ),
    (
        lambda k: model_of({"a": partial(cs.StudentTLikelihood, df=3), "b": NORMAL}),
        r"likelihoods: expected an instance, .*write StudentTLikelihood\(\.\.\.\)",
    ),
    (
        lambda k: model_of(dist.Normal(0, 1)),
        "likelihoods: .*distribution Normal itself",
    ),
    (
        lambda k: model_of(NORMAL, decoders=built(cs.MLPDecoder, 2, (3,))),
        "decoders: expected a constructor.*got a built MLPDecoder; pass MLPDecoder",
    ),
    (
        lambda k: model_of(NORMAL, decoders=Linen),
        "decoders: .*class Linen, .*flax.linen",
    ),
    (
        lambda k: cs.amortized_guide(2, {"a": Linen()}),
        r"encoders: .*Linen.*flax\.linen",
    ),
    (lambda k: cs.amortized_guide(2, partial(Linen)), r"encoders: .*write it with nnx"),
    (
        lambda k: cs.amortized_guide(2, None, built(cs.SumPooling, 4, 2)),
        "aggregation: expected a constructor.*got a built SumPooling",
    ),
    (lambda k: cs.SumPooling(4, 2, head=cs.NormalHead, rngs=nnx.Rngs(0)), "head: .*"),
    (lambda k: cs.mvae(2, NORMAL, cs.Networks), r"networks: .*write Networks\(\)"),
    (
        lambda k: fit(k, svi(guide=cs.amortized_guide(2, lambda *_, rngs: jnp.tanh))),
        r"make: expected a constructor of flax\.nnx modules",
    ),
    (
        lambda k: fit(k, svi(guide=cs.amortized_guide(2, None, cs.MLPEncoder))),
        r"aggregation: expected a constructor that is called with \(128, 2, rngs=\.\.\.\) ",
    ),
    (
        lambda k: cs.load("f", model=3),
        r"model: expected a function \(data, subset=None\)",
    ),
    (
        lambda k: fit(k, svi()).evaluate("rates", k, DATA),
        "function: expected .*'rates'",
    ),
]


pytestmark = pytest.mark.usefixtures("untyped")


@pytest.mark.parametrize(("call", "match"), ARGUMENTS)
def test_arguments_of_another_kind_are_refused(call, match, rng_key):
    with pytest.raises(TypeError, match=match):
        call(rng_key)


def test_fit_inside_a_transformation_is_refused(rng_key):
    def trained(key):
        return fit(key, svi()).params

    match = r"fit: expected a call outside jax\.jit, jax\.vmap"
    for call in (
        lambda: jax.jit(trained)(rng_key),
        lambda: jax.jit(lambda: trained(rng_key))(),
        lambda: jax.vmap(trained)(jax.random.split(rng_key, 2)),
    ):
        with pytest.raises(TypeError, match=match):
            call()


def test_legacy_keys_give_the_same_draws():
    typed, legacy = jax.random.key(3), jax.random.PRNGKey(3)
    for key in (legacy, np.asarray(legacy)):
        for part, expected in zip(
            DATA.split(key, 0.5), DATA.split(typed, 0.5), strict=True
        ):
            np.testing.assert_array_equal(part.values["b"], expected.values["b"])


def test_python_says_what_is_missing():
    with pytest.raises(TypeError, match="missing 3 required positional arguments"):
        cs.posterior(jax.random.key(0))
