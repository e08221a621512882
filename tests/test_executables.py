"""Programs see what globals and closures hold now; what is compiled twice is kept once."""

import gc
import threading
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from flax import nnx
from jax.extend.core import Jaxpr
from numpyro.infer import SVI

import consilience as cs
from consilience.nn import executables
from consilience.nn.executables import Program

KEY = jax.random.key(0)
DATA = cs.MultimodalData.from_arrays({"a": np.arange(12.0).reshape(6, 2)})
compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **__: (
        compiled.append(name) if name.endswith("backend_compile_duration") else None
    )
)


def count(work):
    before = len(compiled)
    work()
    return len(compiled) - before


def times(factor):
    return lambda x: {"y": x * factor}


def test_it_is_the_function():
    x = {"a": jnp.arange(3.0), "b": 2.0}
    found = Program(lambda x, key: (x["a"] * x["b"], key))(x, KEY)
    assert np.array_equal(found[0], [0, 2, 4])
    assert found[1] == KEY


def test_it_traces_once_for_each_shape_in_its_life():
    seen = []
    program = Program(lambda x: seen.append(x.shape) or x + 1)
    for size in (2, 3, 2, 3):
        assert np.array_equal(program(jnp.zeros(size)), np.ones(size))
    assert seen == [(2,), (3,)]


def test_what_reads_as_before_is_not_compiled_again():
    x = jnp.arange(3.0)
    Program(times(7.25))(x)
    assert count(lambda: Program(times(7.25))(x)) == 0
    found = []
    assert count(lambda: found.append(Program(times(7.5))(x)["y"])) == 1
    assert np.array_equal(found[0], x * 7.5)


@pytest.mark.parametrize("constant", [np.arange(3.0, dtype=np.float32), 1e-8])
def test_a_changed_value_of_a_closure_is_seen(constant):
    x = jnp.ones(3)
    for value in (constant, constant * 2):
        assert np.allclose(Program(times(value))(x)["y"], value, rtol=1e-6, atol=0)


def test_one_text_may_have_several_structures():
    x, y = jnp.ones(2), jnp.zeros(2)
    pair = Program(lambda d: {"sum": d["x"] + 3.125})({"x": x})
    other = Program(lambda d: [d["y"] + 3.125])({"y": y})
    assert np.array_equal(pair["sum"], x + 3.125)
    assert np.array_equal(other[0], y + 3.125)


def test_an_argument_that_is_not_read_keeps_its_place():
    first = Program(lambda x, y: x + 3.5)(jnp.ones(2), jnp.zeros(2))
    second = Program(lambda x, y: y + 3.5)(jnp.ones(2), jnp.zeros(2))
    assert first[0] == 4.5
    assert second[0] == 3.5


def test_python_functions_that_a_program_calls_are_not_mixed_up():
    def calling(value):
        shape = jax.ShapeDtypeStruct((), jnp.float32)
        return Program(
            lambda x: jax.pure_callback(lambda x: np.float32(x + value), shape, x)
        )

    assert [float(calling(v)(jnp.zeros(()))) for v in (1, 2)] == [1, 2]


def test_the_eldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(executables, "MOST", 3)
    for factor in range(20, 26):
        Program(times(factor + 0.5))(jnp.ones(2))
    assert len(executables._EXECUTABLES) == 3
    assert count(lambda: Program(times(25.5))(jnp.ones(2))) == 0
    assert count(lambda: Program(times(20.5))(jnp.ones(2))) == 1


def test_what_was_traced_is_given_back():
    """JAX keeps a program that it lowers with all its arguments for as long as it can."""

    def held():
        gc.collect()
        return sum(isinstance(each, Jaxpr) for each in gc.get_objects())

    def trace(factor):
        Program(lambda x, y: x * factor)(jnp.ones(2), jnp.ones(2))

    trace(0.1)
    before = held()
    for factor in range(9):
        trace(factor + 0.2)
    assert held() <= before + 1


def test_a_function_that_calls_others_again_and_again_traces_each_once():
    seen = []

    def work(factor, x):
        seen.append(factor)
        return x * factor

    @executables.traced_once()
    def calling():
        for factor in (1.5, 2.5, 1.5, 2.5, 1.5):
            found = Program(partial(work, factor))(jnp.ones(2))
            assert found[0] == factor
        Program(partial(work, np.ones(2)))(jnp.ones(2))  # has no hash

    for _ in range(2):
        seen.clear()
        calling()
        assert len(seen) == 3
    seen.clear()
    for _ in range(2):
        Program(partial(work, 1.5))(jnp.ones(2))
    assert len(seen) == 2


def test_inside_jit_and_vmap_it_is_traced_with_them():
    program = Program(times(2.0))
    assert np.array_equal(jax.jit(program)(jnp.ones(2))["y"], [2, 2])
    assert np.array_equal(jax.vmap(program)(jnp.ones((2, 2)))["y"], [[2, 2], [2, 2]])
    assert jax.grad(lambda x: program(x)["y"])(1.0) == 2


def test_donated_memory_is_taken():
    x = jnp.ones(1000)
    found = Program(lambda a, b: b + a, donate=[1])(1.0, x)
    assert found[0] == 2
    assert x.is_deleted()


scale = 1.0


def model(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros((data.size, 1)), 1).to_event(1))
        cs.observe(data, "a", dist.Normal(z + jnp.zeros(2), scale), subset)


def guide(data, subset=None):
    loc = numpyro.param("loc", jnp.zeros(1))
    with data.plate():
        law = dist.Normal(jnp.broadcast_to(loc, (data.size, 1)), scale).to_event(1)
        numpyro.sample("z", law)


def made(*_, rngs):
    return nnx.Linear(1, round(2 * scale), rngs=rngs)


USES = {
    "fit": lambda svi, fitted: cs.fit(KEY, svi, DATA, num_epochs=1, progress=False),
    "posterior": lambda svi, fitted: fitted.posterior(KEY, DATA, num_samples=3),
    "generate": lambda svi, fitted: fitted.generate(KEY, DATA),
    "prior": lambda svi, fitted: fitted.generate_from_prior(KEY, DATA),
    "likelihood": lambda svi, fitted: fitted.log_likelihood(KEY, DATA, num_samples=5),
    "datatree": lambda svi, fitted: [
        x.values
        for group in fitted.to_datatree(
            KEY, DATA, num_samples=2, num_predictive=2, num_prior=2
        ).subtree
        for x in group.data_vars.values()
    ],
    "rates": lambda svi, fitted: fitted.evaluate(
        cs.row_rates, KEY, DATA, DATA.present, num_samples=3
    ),
    "validation": lambda svi, fitted: cs.validation_bound(KEY, svi, fitted.state, DATA),
    "module": lambda *_: jax.eval_shape(
        lambda: numpyro.handlers.trace(
            numpyro.handlers.seed(lambda: cs.module("m", made), KEY)
        ).get_trace()["m$params"]["value"]
    ),
}


@cache
def trained():
    svi = SVI(model, guide, optax.adam(0.1), cs.MixtureELBO())
    return svi, cs.fit(KEY, svi, DATA, num_epochs=1, progress=False)


@pytest.mark.parametrize("use", USES)
def test_an_edited_global_is_seen(use, monkeypatch):
    """What is found after the edit is what a fresh process would find."""
    svi, fitted = trained()
    before = numbers(USES[use](svi, fitted))
    monkeypatch.setitem(globals(), "scale", 2.0)
    after = numbers(USES[use](svi, fitted))
    assert before != after
    monkeypatch.setitem(globals(), "scale", 1.0)
    assert numbers(USES[use](svi, fitted)) == before


def numbers(found):
    """Everything that was found, as text, for NaN equals NaN there."""
    if isinstance(found, cs.Fitted):
        found = [found.history.bound, found.params]
    return str([_number(x) for x in jax.tree.leaves(found)])


def _number(x):
    return x.shape if isinstance(x, jax.ShapeDtypeStruct) else np.asarray(x).tolist()


def test_the_bound_of_an_edited_model_is_the_new_one(monkeypatch):
    """As NumPyro's `svi.run` sees it: log p(x) of the data changes with the global."""
    svi = SVI(model, guide, optax.adam(1e-9), cs.MixtureELBO())
    bounds = []
    for value in (1.0, 5.0):
        monkeypatch.setitem(globals(), "scale", value)
        fitted = cs.fit(KEY, svi, DATA, num_epochs=1, progress=False)
        svi_run = svi.run(KEY, 1, DATA, progress_bar=False)
        bounds.append((fitted.history.bound[0], -svi_run.losses[0] / DATA.size))
    (first, first_of_numpyro), (second, second_of_numpyro) = bounds
    assert first < second  # with a scale of 5 the values up to 11 are less surprising
    # 6 rows, one draw each: the two differ by the draw's noise only
    assert abs(second - second_of_numpyro) < abs(first - second)
    assert first_of_numpyro < second_of_numpyro


def test_two_threads_fit_at_once():
    """Each has its own sites, and what it would have found alone."""

    def fit(name, key):
        rows = cs.MultimodalData.from_arrays({name: np.arange(12.0).reshape(6, 2)})
        program = cs.multimodal_model(cs.standard_normal(2), cs.NormalLikelihood())
        svi = SVI(program, cs.amortized_guide(2), optax.adam(1e-3), cs.MaskedELBO())
        return cs.fit(key, svi, rows, num_epochs=2, progress=False).params

    names = ("a", "b", "c")
    keys = dict(zip(names, jax.random.split(KEY, 3), strict=True))
    alone = {name: fit(name, keys[name]) for name in names}
    found, start = {}, threading.Barrier(len(names))

    def work(name):
        start.wait()
        found[name] = fit(name, keys[name])

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        assert found[name].keys() == alone[name].keys()
        jax.tree.map(np.testing.assert_array_equal, found[name], alone[name])


def test_estimates_inside_jit_are_those_outside():
    rows = DATA.standardize()
    svi = SVI(
        cs.multimodal_model(cs.standard_normal(2), cs.NormalLikelihood()),
        cs.amortized_guide(2),
        optax.adam(0.1),
        cs.MaskedELBO(),
    )
    fitted = cs.fit(KEY, svi, rows, num_epochs=1, progress=False)
    posterior = partial(fitted.posterior, num_samples=4)
    np.testing.assert_allclose(
        jax.jit(posterior)(KEY, rows)["z"], posterior(KEY, rows)["z"], atol=1e-5
    )
    generate = jax.jit(fitted.generate)
    np.testing.assert_allclose(
        generate(KEY, rows)["a"], fitted.generate(KEY, rows)["a"], rtol=1e-5, atol=1e-5
    )
