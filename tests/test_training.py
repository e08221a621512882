"""Training: the order of rows, reproducibility, scales, and a known optimum."""

from dataclasses import replace
from functools import partial, wraps

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from examples import WIDTHS, exact_guide, incomplete, linear_gaussian
from numpyro.infer import SVI
from numpyro.optim import SGD, Adam

import consilience as cs
from consilience.training.order import epoch_order
from consilience.training.start import initial_state

KEY = jax.random.key(11)
TRUTH = linear_gaussian(KEY)
TRACES = []

log_p = jax.jit(TRUTH.log_likelihood)


def init(svi, data):
    return jax.jit(svi.init)(KEY, data)


@pytest.fixture(scope="module")
def data():
    return incomplete(KEY, TRUTH)


@pytest.fixture(scope="module")
def pair():
    """Two modalities, to keep networks few."""
    values = {"a": TRUTH.biases["b"] + np.eye(7, 3), "b": np.eye(7, 5)}
    return cs.MultimodalData.from_arrays(values, np.arange(14).reshape(7, 2) % 3 > 0)


@pytest.fixture(scope="module")
def svi():
    """Linear networks; the model counts how often Python runs it."""
    normal, prior = cs.NormalLikelihood(), cs.standard_normal(2)
    inner = cs.multimodal_model(prior, normal, cs.LinearDecoder)
    encoders = partial(cs.MLPEncoder, hidden=())
    guide = cs.amortized_guide(2, encoders, cs.ProductOfExperts, num_features=5)

    def model(data, subset=None):
        TRACES.append(data.size)
        inner(data, subset)

    return SVI(model, guide, Adam(1e-2), cs.MaskedELBO())


@pytest.fixture(scope="module")
def exact():
    """Nothing to learn: every bound is the log-likelihood, whatever S and the draw."""
    return SVI(TRUTH, exact_guide(TRUTH), SGD(0.1), cs.MaskedELBO())


def assert_same(a, b, **tolerance):
    check = np.testing.assert_allclose if tolerance else np.testing.assert_array_equal
    jax.tree.map(partial(check, **tolerance), a, b)


@pytest.mark.parametrize(("rows", "batch"), [(7, 3), (7, 7), (6, 3), (11, 4), (5, 1)])
def test_epoch_takes_every_row_once_and_fills_up_from_the_next(rows, batch):
    now, following, again = (epoch_order(KEY, e, rows, batch) for e in (4, 5, 4))
    assert now.shape == (-(-rows // batch), batch)
    assert sorted(now.ravel()[:rows].tolist()) == list(range(rows))
    rest = now.size - rows
    np.testing.assert_array_equal(now.ravel()[rows:], following.ravel()[:rest])
    np.testing.assert_array_equal(now, again)
    other = epoch_order(jax.random.key(1), 4, 31, batch)
    assert np.any(other != epoch_order(KEY, 4, 31, batch))
    assert np.any(epoch_order(KEY, 5, 31, batch) != epoch_order(KEY, 4, 31, batch))


def test_a_fit_goes_on_from_another(svi, pair):
    """From all its parameters, or from some; what is no parameter is refused."""
    settings = {"num_epochs": 1, "batch_size": 3, "progress": False}
    first = cs.fit(KEY, svi, pair, **settings)
    batch = pair.batch(np.arange(3))
    state = initial_state(jax.random.key(5), svi, batch, first.params)
    assert_same(svi.get_params(state), first.params)
    name = next(n for n in first.params if n.startswith("encoder"))
    some = initial_state(jax.random.key(5), svi, batch, {name: first.params[name]})
    assert_same(svi.get_params(some)[name], first.params[name])
    own = initial_state(jax.random.key(5), svi, batch, None)
    other = next(n for n in first.params if n.startswith("aggregation"))
    assert_same(svi.get_params(some)[other], svi.get_params(own)[other])
    with pytest.raises(
        ValueError, match=r"start: .* got nothing; there are aggregation"
    ):
        cs.fit(KEY, svi, pair, start={"nothing": 1.0}, **settings)
    wrong = jax.tree.map(lambda x: x[..., :1], first.params[name])
    with pytest.raises(ValueError, match=r"start: encoder.*expected the shapes"):
        cs.fit(KEY, svi, pair, start={name: wrong}, **settings)


@pytest.mark.slow
def test_same_key_same_bits_and_another_key_another_result(svi, pair):
    fit = partial(
        cs.fit, svi=svi, data=pair, num_epochs=2, batch_size=3, progress=False
    )
    one, two, other = fit(KEY), fit(KEY), fit(jax.random.key(12))
    assert_same(one.params, two.params)
    for name in set(one.history._fields) - {"seconds"}:
        assert_same(getattr(one.history, name), getattr(two.history, name))
    assert one.history.bound.shape == (2,)
    assert one.history.validation.shape == (0,)
    for ours, theirs in zip(
        *map(jax.tree.leaves, (one.params, other.params)), strict=True
    ):
        assert np.any(ours != theirs)


def test_compiles_once_for_each_shape(svi, pair):
    def traces(num_epochs):
        TRACES.clear()
        sizes = {"num_epochs": num_epochs, "batch_size": 3}
        cs.fit(KEY, svi, pair, progress=False, **sizes)
        return TRACES.copy()

    _, short, long = traces(1), traces(1), traces(5)
    assert short == long
    assert set(short) == {3, pair.size}  # the start, and the check of all rows


@pytest.mark.slow
def test_seeds_side_by_side_are_single_runs(svi, pair):
    """`jax.vmap` over `svi.init` and 20 times `svi.update`: three seeds, one program."""

    def run(key):
        def step(state, _):
            return svi.update(state, pair)

        state, losses = jax.lax.scan(step, svi.init(key, pair), length=20)
        return svi.get_params(state), losses

    keys = jax.random.split(KEY, 3)
    together, single = jax.jit(jax.vmap(run))(keys), jax.jit(run)
    for i, key in enumerate(keys):
        mine = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        assert_same(mine, single(key), rtol=1e-3, atol=1e-4)


def test_batches_of_an_epoch_have_the_loss_of_all_rows_as_their_mean(exact):
    """Every batch stands for all rows: scale N/B, exactly."""
    data = incomplete(KEY, TRUTH).take(range(6))
    loss = partial(cs.MaskedELBO().loss, KEY, {}, TRUTH, exact_guide(TRUTH))
    batches = jax.jit(jax.vmap(lambda rows: loss(data.batch(rows))))
    losses = batches(epoch_order(KEY, 0, 6, 3))
    assert np.abs(losses[0] - losses[1]) > 1.0
    total = -log_p(data).sum()
    np.testing.assert_allclose(losses.mean(), total, rtol=1e-5)


@pytest.mark.parametrize("chunk_size", [2000, 3])
def test_validation_bound_is_a_mean_over_rows(chunk_size, exact, data):
    state = init(exact, data)
    bound = cs.validation_bound(KEY, exact, state, data, chunk_size=chunk_size)
    np.testing.assert_allclose(bound, log_p(data).mean(), rtol=1e-5)


def test_history_holds_the_bounds_of_both_sets(exact, data):
    held_out = data.take([4, 4, 4, 4, 4, 3, 3])
    fitted = cs.fit(
        KEY,
        exact,
        data,
        num_epochs=2,
        batch_size=7,
        validation=held_out,
        progress=False,
    )
    bounds = fitted.history.bound, fitted.history.validation
    for bound, rows in zip(bounds, (data, held_out), strict=True):
        expected = log_p(rows).mean()
        np.testing.assert_allclose(bound, [expected] * 2, rtol=1e-5)
    _, loss = jax.jit(exact.update)(fitted.state, data)  # the user's own loop goes on
    np.testing.assert_allclose(loss, -7 * fitted.history.bound[0], rtol=1e-5)


def test_beta_reaches_the_bound_through_update(exact, data):
    """A schedule's value, traced, in place of the setting."""
    state = init(exact, data)
    update = jax.jit(lambda beta: exact.update(state, data, beta=beta)[1])
    set_so = SVI(TRUTH, exact.guide, SGD(0.1), cs.MaskedELBO(beta=0.25))
    init(set_so, data)
    _, loss = jax.jit(set_so.update)(state, data)
    np.testing.assert_allclose(update(0.25), loss, rtol=1e-5)
    zero, one, two = map(update, (0.0, 1.0, 2.0))
    np.testing.assert_allclose(two - one, one - zero, rtol=1e-3)
    assert one > zero


def current(params):
    loadings = {name: params[f"W.{name}"] for name in WIDTHS}
    biases = {name: params[f"b.{name}"] for name in WIDTHS}
    return cs.LinearGaussian(loadings, biases, TRUTH.scale)


def learned():
    """A linear Gaussian model whose parameters model and guide share by name."""
    params = {}
    for name, width in WIDTHS.items():
        start = partial(jax.random.normal, shape=(width, 2))
        params[f"W.{name}"] = numpyro.param(f"W.{name}", start)
        params[f"b.{name}"] = numpyro.param(f"b.{name}", jnp.zeros(width))
    return current(params)


def learned_model(data, subset=None):
    learned()(data, subset)


def learned_guide(data, subset=None):
    exact_guide(learned())(data, subset)


@pytest.mark.slow
def test_reaches_the_maximum_likelihood(rng_key):
    """The closed-form optimum of probabilistic PCA.

    With the exact posterior the bound is log p for every S and draw, hence the whole
    gradient, score included, is free of noise.
    """
    data, _ = TRUTH.simulate(rng_key, 61)
    best = cs.maximum_likelihood(data, 2, TRUTH.scale).log_likelihood(data).mean()
    elbo = cs.MaskedELBO(estimator=cs.Pathwise())
    rate = optax.cosine_decay_schedule(0.2, 400)
    svi = SVI(learned_model, learned_guide, optax.adam(rate), elbo)
    fitted = cs.fit(rng_key, svi, data, num_epochs=400, batch_size=61, progress=False)
    reached = current(fitted.params).log_likelihood(data).mean()
    assert reached <= best + 1e-4
    assert reached >= best - 1e-4
    np.testing.assert_allclose(fitted.history.bound[-1], best, atol=2e-4)
    assert fitted.history.bound[0] < best - 1.0


def others():
    one = np.zeros((3, 2))
    same = {name: np.zeros((3, width)) for name, width in WIDTHS.items()}
    wide = {name: np.zeros((3, 2)) for name in WIDTHS}
    return {
        "names": cs.MultimodalData.from_arrays({"a": one}),
        "shapes": cs.MultimodalData.from_arrays(wide),
        "scale": cs.MultimodalData.from_arrays(same).standardize(),
    }


REFUSED = [
    ({"num_epochs": 0}, "num_epochs: expected a positive integer, got 0"),
    ({"num_epochs": 2.5}, r"num_epochs: .* got 2\.5"),
    ({"batch_size": 0}, "batch_size: expected a positive integer, got 0"),
    ({"validation": "names"}, r"validation: expected names \('a', 'b', 'c'\)"),
    ({"validation": "shapes"}, r"validation: expected event_shapes"),
    (
        {"validation": "scale"},
        r"validation: expected the standardisation of the training rows.*like=train",
    ),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("wrong", "match"), REFUSED)
def test_refusals(wrong, match, exact, data):
    if "validation" in wrong:
        wrong = {"validation": others()[wrong["validation"]]}
    with pytest.raises(ValueError, match=match):
        cs.fit(KEY, exact, data, **{"num_epochs": 1} | wrong)


def test_programs_that_break_the_contract_are_refused_before_the_first_step(data):
    def outside(data, subset=None):
        numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1).expand([7]))

    svi = SVI(TRUTH, outside, SGD(0.1), cs.MaskedELBO())
    with pytest.raises(ValueError, match="site 'z': expected batch shape"):
        cs.fit(KEY, svi, data, num_epochs=1, progress=False)


def schema(data):
    """One row, whose masks say that every column was measured in some row."""
    row = data.take([0])
    entries = jax.tree.map(jnp.ones_like, row.entries)
    return replace(row, entries=entries, present=jnp.ones_like(row.present))


FUNCTIONS = {
    "log_likelihood": "model guide params",
    "posterior": "guide params",
    "generate": "model guide params",
    "to_datatree": "model guide params",
}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_methods_of_the_result_pass_everything_on(name, exact, data, monkeypatch):
    fitted = cs.Fitted(
        exact, init(exact, data), cs.History(np.ones(1), np.ones(0)), schema(data)
    )
    seen = wraps(getattr(cs, name))(lambda *a, **kw: (a, kw))  # of the same signature
    monkeypatch.setattr(f"consilience.training.fitted.{name}", seen)
    monkeypatch.setattr(cs.Fitted, "known", lambda self, values: values)
    positional, settings = getattr(fitted, name)(KEY, data, data.present, chunk_size=3)
    own = [getattr(fitted, argument) for argument in FUNCTIONS[name].split()]
    *first, rows, subset = positional
    expected = (KEY, *own)
    assert all(a is b or a == b for a, b in zip(first, expected, strict=True))
    assert_same(rows, data)
    assert subset is data.present
    settings.pop("attrs", None)  # those of a fit: tests/test_datatree.py
    assert settings == {"chunk_size": 3}


def test_result_generates_from_the_prior(exact, data):
    fitted = cs.Fitted(
        exact, init(exact, data), cs.History(np.ones(1), np.ones(0)), schema(data)
    )
    ours = fitted.generate_from_prior(KEY, data, num_samples=2)
    assert_same(ours, cs.generate_from_prior(KEY, TRUTH, {}, data, num_samples=2))
