"""A step that is not finite: found, named, kept away from the parameters."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro.infer import SVI, Trace_ELBO
from numpyro.optim import SGD

import consilience as cs
from consilience.training.archive import read_archive
from consilience.training.encodings import flatten
from consilience.training.order import epoch_order

KEY = jax.random.key(3)
BAD, ROWS, BATCH = 7, 12, 4


def data_with(kind="none"):
    """Two modalities, the second missing in row 0; `kind` is what is wrong with row BAD."""
    generator = np.random.default_rng(0)
    values = {
        "a": generator.normal(size=(ROWS, 2)),
        "b": generator.normal(size=(ROWS, 3)),
    }
    values["b"][0] = np.nan
    covariates = {k: np.zeros(ROWS) for k in ("likelihood", "rate")}
    if kind in covariates:
        covariates[kind][BAD] = 1.0
    names = [f"sample_{i}" for i in range(ROWS)]
    return cs.MultimodalData.from_arrays(values, covariates=covariates, row_names=names)


def program(start=0.0, transform=lambda w: w):
    """Model and guide; flagged rows have a likelihood or a rate that is not finite."""

    def model(data, subset=None):
        w = transform(numpyro.param("w", jnp.array(start)))
        with data.plate():
            z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
            for name, (width,) in zip(data.names, data.event_shapes, strict=True):
                mean = w * z[:, :1] + jnp.zeros(width)
                if name == "b":
                    mean = mean + jnp.inf * data.covariates["likelihood"][:, None] ** 2
                    mean = jnp.where(
                        data.covariates["likelihood"][:, None] > 0, mean, w
                    )
                cs.observe(data, name, dist.Normal(mean, 1.0), subset)

    def guide(data, subset=None):
        loc = numpyro.param("loc", jnp.zeros(2))
        with data.plate():
            scale = jnp.where(data.covariates["rate"] > 0, jnp.inf, 1.0)[:, None]
            z = dist.Normal(jnp.broadcast_to(loc, (data.size, 2)), scale)
            z = dist.Normal(loc, jnp.ones((data.size, 2))) if data is None else z
            numpyro.sample("z", z.to_event(1))

    return model, guide


def svi_of(bound=None, rate=1e-3, **settings):
    return SVI(*program(**settings), SGD(rate), bound or cs.MaskedELBO())


def first_step_with(row):
    key = jax.random.split(KEY, 4)[1]
    order = np.concatenate([epoch_order(key, e, ROWS, BATCH) for e in range(2)])
    return int(np.argmax((order == row).any(-1)))


def fit(svi, data, **settings):
    sizes = {"num_epochs": 4, "batch_size": BATCH, "progress": False}
    return cs.fit(KEY, svi, data, **sizes | settings)


def test_a_row_outside_the_numbers_is_named_with_step_and_modality(tmp_path):
    svi, data = svi_of(), data_with("likelihood")
    kept = cs.Checkpoints(tmp_path, every_steps=1)
    with pytest.raises(cs.NonFiniteError) as caught:
        fit(svi, data, checkpoints=kept)
    error, step = caught.value, first_step_with(BAD)
    assert error.step == step
    assert error.term == "log p(b | z)"
    np.testing.assert_array_equal(error.rows, [BAD])
    epoch = step // 3 + 1
    assert re.search(f"after {step} steps?, in epoch {epoch} of 4", str(error))
    assert "log p(b | z) is not finite in row 7 ('sample_7')" in str(error)
    assert "standardise or log-transform" in str(error)
    assert f"the last checkpoint in {tmp_path}; resume=True goes on" in str(error)


def by_hand(svi, data, steps):
    """The state after some steps of a loop of one's own."""
    key_init, key_order, *_ = jax.random.split(KEY, 4)
    order = np.concatenate([epoch_order(key_order, e, ROWS, BATCH) for e in range(2)])
    state = svi.init(key_init, data.batch(np.arange(BATCH)))
    for rows in order[:steps]:
        state, _ = svi.update(state, data.batch(rows))
    return state


def test_the_state_before_the_step_is_kept_in_memory_and_on_disk(tmp_path):
    svi, data = svi_of(), data_with("likelihood")
    with pytest.raises(cs.NonFiniteError) as caught:
        fit(svi, data, checkpoints=cs.Checkpoints(tmp_path, every_steps=1))
    good = by_hand(svi_of(), data, first_step_with(BAD))
    for name, value in svi.optim.get_params(good.optim_state).items():
        np.testing.assert_allclose(caught.value.fitted.params[name], value, rtol=1e-5)
    step = first_step_with(BAD)
    described, arrays = read_archive(tmp_path / f"step-{step:09}.npz", "checkpoint")
    for name, value in flatten({"state": caught.value.fitted.state}).items():
        if not jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(arrays[name], value)
    assert described["header"]["done"] == step
    # another optimiser goes on from there, past the same row if it is left out
    gentle = SVI(svi.model, svi.guide, SGD(1e-5), svi.loss)
    kept = cs.Checkpoints(tmp_path, every_steps=1, resume=True)
    with pytest.raises(cs.NonFiniteError) as again:
        fit(gentle, data, checkpoints=kept)
    assert again.value.step == step


def test_a_rate_is_named():
    with pytest.raises(cs.NonFiniteError) as caught:
        fit(svi_of(), data_with("rate"))
    assert caught.value.step == first_step_with(BAD)
    np.testing.assert_array_equal(caught.value.rows, [BAD])
    assert caught.value.term == "z ~ q(z | x_S)"


@pytest.mark.parametrize("bad", ["a", "c"])
def test_no_likelihood_is_blamed_for_latents_that_are_not_finite(bad, rng_key):
    """Counts of 3e6 that an encoder sees as they are make z infinite, not p(x | z)."""
    generator = np.random.default_rng(0)
    names = {"a": "a", "b": "b", "c": "c"} | {
        bad: "c",
        "c": bad,
    }  # its place is no cause
    values = {
        names["a"]: generator.normal(size=(8, 3)),
        names["b"]: generator.normal(size=(8, 2)),
        bad: generator.poisson(3e6, size=(8, 4)),
    }
    data = cs.MultimodalData.from_arrays({name: values[name] for name in "abc"})
    likelihoods = {name: cs.LearnedNormalLikelihood() for name in "abc"}
    likelihoods[bad] = cs.PoissonLikelihood()
    model = cs.multimodal_model(cs.standard_normal(2), likelihoods)
    guide = cs.amortized_guide(2, cs.MLPEncoder)
    svi = SVI(model, guide, SGD(1e-3), cs.MaskedELBO())
    with pytest.raises(cs.NonFiniteError) as caught:
        fit(svi, data)
    assert caught.value.term == "z ~ q(z | x_S)"
    assert re.search(
        rf"largest \|features\| by modality: {bad} .*e\+06, ", str(caught.value)
    )
    assert re.search(
        rf"\|values\| by modality: {bad} 3e\+06, . [12]", str(caught.value)
    )


def test_a_gradient_is_named():
    """√|w| at 0: the bound is finite, its gradient is not."""
    svi = svi_of(transform=lambda w: jnp.sqrt(jnp.abs(w)))
    with pytest.raises(
        cs.NonFiniteError, match=r"gradient of w is not finite \(.*\)\. What"
    ) as e:
        fit(svi, data_with())
    assert e.value.step == 0
    assert e.value.rows.size == 0


def test_by_far_the_largest_values_are_suspected():
    data = data_with()
    large = {**data.values, "a": 1e25 * np.asarray(data.values["a"])}
    data = dataclasses.replace(data, values=large)
    said = "modality 'a', with by far the largest, may be the cause"
    with pytest.raises(cs.NonFiniteError, match=said):
        fit(svi_of(Trace_ELBO()), data)
    for svi, rows in (
        (svi_of(Trace_ELBO(), start=1e30), data_with()),
        (svi_of(), data),
    ):
        with pytest.raises(cs.NonFiniteError) as caught:
            fit(svi, rows)  # the values are ordinary, or the term names the modality
        assert "by far" not in str(caught.value)


def test_an_update_is_named():
    with pytest.raises(cs.NonFiniteError, match="update of the optimiser") as caught:
        fit(svi_of(rate=1e38, start=1.0), data_with())
    assert caught.value.step == 0


def test_parameters_are_to_blame_when_every_row_is():
    """A parameter of 1e30: its square overflows everywhere."""
    with pytest.raises(cs.NonFiniteError) as caught:
        fit(svi_of(start=1e30), data_with())
    assert caught.value.term == "log p(a | z), log p(b | z)"  # nothing tells which
    assert caught.value.rows.size == 0
    assert " in row" not in str(caught.value)


def test_bounds_of_others_stop_as_well():
    svi = svi_of(Trace_ELBO())
    with pytest.raises(cs.NonFiniteError, match=r"after . steps?,.*bound is not") as e:
        fit(svi, data_with("likelihood"))
    assert e.value.step == first_step_with(BAD)


def test_skipped_steps_are_counted_and_change_nothing():
    data = data_with("likelihood")
    with pytest.warns(UserWarning, match=r"fit: \d of 12 steps were skipped, since"):
        fitted = fit(svi_of(), data, nonfinite="skip")
    key = jax.random.split(KEY, 4)[1]
    expected = [
        int((np.asarray(epoch_order(key, e, ROWS, BATCH)) == BAD).any(-1).sum())
        for e in range(4)
    ]
    np.testing.assert_array_equal(fitted.history.skipped, expected)
    assert np.isfinite(fitted.history.bound).all()
    assert all(np.isfinite(x).all() for x in fitted.params.values())


def test_an_update_is_named_where_steps_are_skipped():
    """A step that was skipped before is not the one to blame."""
    svi = svi_of(rate=1e38, start=1e-6)
    with pytest.raises(cs.NonFiniteError, match="update of the optimiser") as caught:
        fit(svi, data_with(), nonfinite="skip")
    assert "nonfinite='skip'" not in str(caught.value)


def test_without_cause_nothing_is_skipped():
    fitted = fit(svi_of(), data_with(), nonfinite="skip")
    stopped = fit(svi_of(), data_with())
    assert fitted.history.skipped.sum() == 0
    for name, value in fitted.params.items():
        np.testing.assert_allclose(value, stopped.params[name], rtol=1e-6)


def test_an_epoch_of_skipped_steps_alone_stops():
    """The first step leads to parameters from which no other one is finite."""
    svi = svi_of(rate=1e30, start=1e-6)
    with pytest.raises(
        cs.NonFiniteError, match=r"in epoch 2 of 4, of which every"
    ) as e:
        fit(svi, data_with(), nonfinite="skip")
    assert e.value.step == 3
    with pytest.warns(UserWarning, match="2 of 3 steps were skipped"):
        fitted = fit(svi, data_with(), nonfinite="skip", num_epochs=1)
    assert fitted.history.skipped.tolist() == [2]


def test_constrained_parameters_must_be_finite():
    """log σ is finite where σ is not."""

    def model(data, subset=None):
        positive = dist.constraints.positive
        scale = numpyro.param("scale", jnp.array(1.0), constraint=positive)
        with data.plate():
            z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
            for name, (width,) in zip(data.names, data.event_shapes, strict=True):
                law = dist.Normal(z[:, :1] + jnp.zeros(width), scale)
                cs.observe(data, name, law, subset)

    svi = SVI(model, program()[1], SGD(1e3), cs.MaskedELBO())
    data = dataclasses.replace(data_with(), covariates={"rate": jnp.zeros(ROWS)})
    for nonfinite in ("stop", "skip"):
        with pytest.raises(
            cs.NonFiniteError, match="update of the optimiser"
        ) as caught:
            fit(svi, data, nonfinite=nonfinite)
        assert caught.value.step == 0
        assert np.isfinite(caught.value.fitted.params["scale"])
