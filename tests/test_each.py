"""Networks of many modalities: stacked where they have one shape, the same otherwise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers

import consilience as cs
from consilience.nn.each import STACK_FROM, Call, apply_each

MAKE = partial(cs.MLP, hidden=(3,), out_features=2)


def make(in_features, *, rngs):
    return MAKE(in_features, rngs=rngs)


def calls(key, widths):
    keys = jax.random.split(key, len(widths))
    return [
        Call(f"m{i}", make, (w,), jax.random.normal(k, (5, w)))
        for i, (w, k) in enumerate(zip(widths, keys, strict=True))
    ]


def traced(calls, params=None):
    def program():
        return apply_each("net", calls)

    seeded = handlers.seed(program, 0)
    if params is not None:
        seeded = handlers.substitute(seeded, data=params)
    tracer = handlers.trace(seeded)
    with tracer:
        outputs = tracer.fn()
    sites = {n: s["value"] for n, s in tracer.trace.items() if s["type"] == "param"}
    return outputs, sites


def test_few_modalities_have_a_site_each(rng_key):
    _, sites = traced(calls(rng_key, [4] * (STACK_FROM - 1)))
    assert set(sites) == {f"net.m{i}$params" for i in range(STACK_FROM - 1)}


@pytest.mark.parametrize("same_input", [True, False])
def test_many_of_one_shape_are_one_site_and_the_others_stay(rng_key, same_input):
    """And each output is that of the network by itself, in the order asked for."""
    widths = [4] * STACK_FROM
    widths.insert(2, 6)
    given = calls(rng_key, widths)
    if same_input:
        first = given[0].x
        given = [c if c.x.shape[1] == 6 else c._replace(x=first) for c in given]
    outputs, sites = traced(given)
    assert set(sites) == {f"net.m0..m{STACK_FROM}$params", "net.m2$params"}
    stack = sites[f"net.m0..m{STACK_FROM}$params"]
    inside = [c for c in given if c.name != "m2"]
    for position, call in enumerate(inside):
        alone = jax.tree.map(lambda a, i=position: a[i], stack)
        expected, _ = traced([call], {f"net.{call.name}$params": alone})
        found = outputs[int(call.name[1:])]
        np.testing.assert_allclose(found, expected[0], rtol=1e-5, atol=1e-6)
    first, second = (jax.tree.map(lambda a, i=i: a[i], stack) for i in (0, 1))
    assert (
        jnp.abs(first["layers"][0]["kernel"] - second["layers"][0]["kernel"]).max() > 0
    )


def test_ten_modalities_through_model_guide_and_bound(rng_key):
    """Stacked encoders and decoders; entries missing in one modality keep it apart."""
    generator = np.random.default_rng(0)
    values = {f"m{i}": generator.normal(size=(7, 3)) for i in range(10)}
    values["m4"][0, 1] = np.nan
    data = cs.MultimodalData.from_arrays(values)
    model = cs.multimodal_model(cs.standard_normal(2), cs.LearnedNormalLikelihood())
    guide = cs.amortized_guide(2, partial(cs.MLPEncoder, hidden=(5,)), num_features=4)
    trace = handlers.trace(handlers.seed(guide, rng_key)).get_trace(data)
    names = {n for n, s in trace.items() if s["type"] == "param"}
    assert names == {"encoder.m0..m9$params", "encoder.m4$params", "aggregation$params"}
    trace = handlers.trace(handlers.seed(model, rng_key)).get_trace(data)
    decoders = [n for n in trace if n.startswith("decoder")]
    assert decoders == ["decoder.m0..m9$params"]
    shape = trace[decoders[0]]["value"]["net"]["layers"][0]["kernel"].shape
    assert shape[0] == 10
