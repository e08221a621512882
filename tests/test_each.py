"""Networks of many modalities: stacked where they have one shape, the same otherwise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpyro import handlers
from numpyro.infer import SVI

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
def test_many_of_one_shape_are_computed_together_and_give_the_same(rng_key, same_input):
    """A site each whatever the company; each output is that of the network alone."""
    widths = [4] * STACK_FROM
    widths.insert(2, 6)
    given = calls(rng_key, widths)
    if same_input:
        first = given[0].x
        given = [c if c.x.shape[1] == 6 else c._replace(x=first) for c in given]
    outputs, sites = traced(given)
    assert set(sites) == {f"net.{call.name}$params" for call in given}
    for found, call in zip(outputs, given, strict=True):
        expected, _ = traced([call], sites)
        np.testing.assert_allclose(found, expected[0], rtol=1e-5, atol=1e-6)
    kernels = [sites[f"net.m{i}$params"]["layers"][0]["kernel"] for i in (0, 1)]
    assert jnp.abs(kernels[0] - kernels[1]).max() > 0


def test_a_fit_of_nine_reads_the_same_numbers_however_they_come(rng_key):
    """As integers, in another order, some of them only: the networks stay who they are."""
    generator = np.random.default_rng(0)
    values = {f"m{i}": generator.integers(0, 3, (7, 2)).astype(float) for i in range(9)}
    data = cs.MultimodalData.from_arrays(values)
    model = cs.multimodal_model(cs.standard_normal(2), cs.NormalLikelihood())
    guide = cs.amortized_guide(2, partial(cs.MLPEncoder, hidden=(5,)), num_features=4)
    svi = SVI(model, guide, optax.adam(1e-2), cs.MaskedELBO())
    fitted = cs.fit(rng_key, svi, data, num_epochs=2, progress=False)

    def draws(values, *given):
        rows = cs.MultimodalData.from_arrays(values)
        subset = rows.subset_of(*given) if given else None
        programs = (fitted.guide, fitted.params)
        return cs.posterior(rng_key, *programs, rows, subset, num_samples=3)["z"]

    some = [f"m{i}" for i in range(5)]
    plain = draws(values, *some)
    whole = {n: v.astype(int) if n in ("m7", "m8") else v for n, v in values.items()}
    for other in (whole, dict(reversed(values.items())), {n: values[n] for n in some}):
        np.testing.assert_allclose(draws(other, *some), plain, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"params: .* encoder.new\$params"):
        draws({**values, "new": values["m0"]})


def test_ten_modalities_through_the_guide_with_entries_missing_in_one(rng_key):
    generator = np.random.default_rng(0)
    values = {f"m{i}": generator.normal(size=(7, 3)) for i in range(10)}
    values["m4"][0, 1] = np.nan
    data = cs.MultimodalData.from_arrays(values)
    guide = cs.amortized_guide(2, partial(cs.MLPEncoder, hidden=(5,)), num_features=4)
    trace = handlers.trace(handlers.seed(guide, rng_key)).get_trace(data)
    kernels = {
        n: trace[f"encoder.{n}$params"]["value"]["net"]["layers"][0]["kernel"].shape
        for n in data.names
    }
    assert kernels == {n: (6, 5) if n == "m4" else (3, 5) for n in data.names}
