"""A model counts what was measured, as the data have it, and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO
from numpyro.optim import Adam

import consilience as cs
from consilience.inference.contract import inspect
from consilience.inference.dataflow import labels_of

ROWS, CLASSES = 7, 4


def data_with(missing=True):
    """Entries of `a` and of the indices `c` are missing, and rows of `a`; `b` is whole."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(ROWS, 3)), generator.normal(size=(ROWS, 2))
    entries = {"c": generator.random((ROWS, 2)) > 0.3} if missing else None
    if missing:
        a[2, 1], a[4] = np.nan, np.nan
    values = {"a": a, "b": b, "c": generator.integers(0, CLASSES, size=(ROWS, 2))}
    return cs.MultimodalData.from_arrays(values, entries=entries)


def guide(data, subset=None):
    with data.plate():
        numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))


def model_with(site):
    """The site of each modality is made by `site(data, name, law, subset)`."""

    def model(data, subset=None):
        with data.plate():
            z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
            eta = z.sum(-1, keepdims=True)
            for name, (width,) in zip(data.names, data.event_shapes, strict=True):
                mean = eta + jnp.zeros(width)
                law = dist.Normal(mean, numpyro.param(f"{name}.scale", 1.0))
                if name == "c":
                    law = dist.Categorical(logits=mean[..., None] * jnp.arange(CLASSES))
                site(data, name, law, subset)

    return model


def measured(data, name):
    return data.present[:, data.index(name)]


def raw(data, name, law, subset):
    numpyro.sample(name, law.to_event(1), obs=data.values[name])


def filled(data, name, law, subset):
    numpyro.sample(name, law.to_event(1), obs=data.filled(name))


def by_row(data, name, law, subset):
    with handlers.mask(mask=measured(data, name)):
        raw(data, name, law, subset)


def by_nan(data, name, law, subset):
    law = law.mask(~jnp.isnan(data.values[name]))
    numpyro.sample(name, law.to_event(1), obs=data.values[name])


def by_anothers_mask(data, name, law, subset):
    mask = data.observed("c")[:, :1] if name == "a" else data.observed(name)
    numpyro.sample(name, law.mask(mask).to_event(1), obs=data.values[name])


def imputed(data, name, law, subset):
    value = jnp.where(data.observed(name), data.values[name], 1)
    numpyro.sample(name, law.to_event(1), obs=value)


COUNTING = [raw, filled, by_row, by_nan, by_anothers_mask, imputed]


@pytest.mark.parametrize("site", COUNTING)
def test_what_stands_in_a_missing_place_is_no_measurement(site):
    with pytest.raises(
        ValueError, match=r"'a': single entries are .*cs\.observe\(data, 'a'"
    ):
        inspect(model_with(site), guide, {}, data_with())
    inspect(model_with(site), guide, {}, data_with(missing=False))


def masked(data, name, law, subset):
    law = law.mask(data.observed(name))
    numpyro.sample(name, law.to_event(1), obs=data.values[name])


def masked_twice(data, name, law, subset):
    with handlers.mask(mask=measured(data, name)):
        masked(data, name, law, subset)


def multiplied(data, name, law, subset):
    law = law.mask(data.observed(name))
    value = data.values[name] * data.observed(name)
    numpyro.sample(name, law.to_event(1), obs=value.astype(data.values[name].dtype))


def laid_out(data, name, law, subset):
    """As a network that wants axes in another order would have values."""
    value = jnp.swapaxes(jnp.swapaxes(data.values[name], 0, 1), 0, 1)
    numpyro.sample(name, law.mask(data.observed(name)).to_event(1), obs=value)


RIGHT = [masked, masked_twice, multiplied, laid_out]


@pytest.mark.parametrize("site", RIGHT)
def test_masks_of_ones_own_count_the_same(site, rng_key):
    data, bound = data_with(), cs.MaskedELBO()
    params = {f"{name}.scale": jnp.array(0.7) for name in data.names}
    ours, own = (
        bound.loss(rng_key, params, model_with(each), guide, data)
        for each in (cs.observe, site)
    )
    np.testing.assert_allclose(own, ours, rtol=1e-6)


@pytest.mark.parametrize("site", [raw, filled])
def test_absent_rows_count_in_bounds_that_do_not_know_them(site, rng_key):
    values = {n: np.array(x) for n, x in data_with(missing=False).values.items()}
    data = cs.MultimodalData.from_arrays(values, {"a": np.arange(ROWS) != 4})
    svi = SVI(model_with(site), guide, Adam(1e-3), Trace_ELBO())
    with pytest.raises(
        ValueError, match=r"'a': it is absent in some rows; .*counted here"
    ):
        cs.fit(rng_key, svi, data, num_epochs=1, progress=False)
    params = {f"{name}.scale": jnp.array(0.7) for name in data.names}
    with pytest.raises(ValueError, match="'a': it is absent in some rows"):
        cs.reference_posterior(rng_key, model_with(site), params, data)
    inspect(model_with(site), guide, {}, data)  # bounds of ours leave them out
    for right in (by_row, masked, cs.observe):
        inspect(model_with(right), guide, {}, data, by_row=True)


def shifted(data, name, law, subset):
    numpyro.sample(name, law.to_event(1), obs=data.values[name] + 1)


def reversed_rows(data, name, law, subset):
    numpyro.sample(name, law.to_event(1), obs=data.values[name][::-1])


def constant(data, name, law, subset):
    numpyro.sample(name, law.to_event(1), obs=jnp.ones_like(data.values[name]))


@pytest.mark.parametrize("site", [shifted, reversed_rows, constant])
def test_other_values_than_the_datas_are_refused(site):
    with pytest.raises(ValueError, match=r"site 'a': expected the data's own values"):
        inspect(model_with(site), guide, {}, data_with(missing=False))


def test_a_law_of_another_width_is_refused():
    def narrow(data, name, law, subset):
        one = dist.Normal(law.mean[:, :1], 1.0) if name == "a" else law
        numpyro.sample(name, one.to_event(1), obs=data.values[name])

    match = r"site 'a': expected a distribution of shape \(7, 3\), got \(7, 1\)"
    with pytest.raises(ValueError, match=match):
        inspect(model_with(narrow), guide, {}, data_with(missing=False))


def test_labels_go_through_every_kind_of_program():
    def function(a, b, c):
        def turn(carry, x):
            return carry + x * b, carry

        swept, _ = jax.lax.scan(turn, a, jnp.arange(3.0))
        chosen = jax.lax.cond(c > 0, lambda x: x, lambda x: 2 * x, a)
        looped = jax.lax.while_loop(lambda x: x < 3, lambda x: x + b, c)
        return swept, chosen, looped, jax.jit(jax.nn.relu)(b), jnp.zeros(2)

    labels = tuple(frozenset((n,)) for n in "abc")
    found = labels_of(function, labels, 1.0, 2.0, 3.0)
    assert [sorted(each) for each in found] == [[*"ab"], [*"ac"], [*"bc"], ["b"], []]
