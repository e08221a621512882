"""Learning rates, clipping, and β by step: closed forms, and what reaches the training."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from bounds import made, started
from examples import exact_guide, incomplete, linear_gaussian
from numpyro.infer import SVI
from numpyro.optim import SGD

import consilience as cs
from consilience.inference.importance_weighted import WeightedELBO
from consilience.training.schedules import SCHEDULES, _rate, check_beta

KEY = jax.random.key(21)
LR, STEPS, WARMUP = 0.3, 50, 10


# Learning rates


def share(schedule, t):
    """Of the highest rate, t of the way from the warm-up's end to the last step."""
    return {
        "constant": 1.0,
        "cosine": (1 + np.cos(np.pi * t)) / 2,
        "linear": 1 - t,
        "exponential": 100.0**-t,
    }[schedule]


@pytest.mark.parametrize("warmup", [0, WARMUP])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_rates_are_their_closed_forms(schedule, warmup):
    rate = _rate(LR, STEPS, schedule, warmup)
    rate = rate if callable(rate) else lambda step: LR
    for step in (0, 1, WARMUP // 2, WARMUP, (STEPS + WARMUP) // 2, STEPS - 1, STEPS):
        if step < warmup:
            expected = LR * step / warmup
        else:
            expected = LR * share(schedule, (step - warmup) / (STEPS - warmup))
        np.testing.assert_allclose(rate(step), expected, rtol=1e-5, atol=1e-8)


def by_hand(clip_norm, weight_decay):
    rate = optax.join_schedules(
        [
            optax.linear_schedule(0.0, LR, WARMUP),
            optax.cosine_decay_schedule(LR, STEPS - WARMUP),
        ],
        [WARMUP],
    )
    clip = [] if clip_norm is None else [optax.clip_by_global_norm(clip_norm)]
    decay = (
        optax.add_decayed_weights(weight_decay) if weight_decay else optax.identity()
    )
    return optax.chain(
        *clip, optax.scale_by_adam(), decay, optax.scale_by_learning_rate(rate)
    )


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_adam_is_optax_by_hand_to_the_last_bit(clip_norm, weight_decay):
    settings = {"clip_norm": clip_norm, "weight_decay": weight_decay}
    ours = cs.adam(LR, STEPS, schedule="cosine", warmup=WARMUP, **settings)
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(0.7)}

    def walk(optimizer):
        def step(carry, scale):
            params, state = carry
            gradient = jax.tree.map(lambda x: scale * jnp.sin(x), params)
            updates, state = optimizer.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        start = (params, optimizer.init(params))
        return jax.lax.scan(step, start, jnp.linspace(0.1, 3, 20))[1]

    jax.tree.map(np.testing.assert_array_equal, walk(ours), walk(by_hand(**settings)))


WRONG = [
    ({"learning_rate": 0}, "learning_rate: expected a number above 0, got 0"),
    ({"learning_rate": "0.1"}, "learning_rate: expected a number above 0, got '0.1'"),
    ({"learning_rate": np.nan}, "learning_rate: expected a number above 0, got nan"),
    ({"schedule": "cos"}, "constant, cosine, linear, exponential, got 'cos'"),
    ({"schedule": "cosine"}, "num_steps: expected a number for 'cosine', got None"),
    ({"num_steps": 0}, "num_steps: expected a positive integer, got 0"),
    ({"warmup": -1}, "warmup: expected a whole number of 0 or more, got -1"),
    ({"warmup": True}, "warmup: expected a whole number of 0 or more, got True"),
    ({"warmup": 5, "num_steps": 5}, "warmup: expected fewer than the 5 steps, got 5"),
    ({"clip_norm": 0.0}, r"clip_norm: expected a number above 0, got 0\.0"),
    ({"weight_decay": -1}, "weight_decay: expected a number of 0 or more, got -1"),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("wrong", "match"), WRONG)
def test_adam_refuses(wrong, match):
    with pytest.raises(ValueError, match=match):
        cs.adam(**{"learning_rate": 1e-3} | wrong)


# Clipping, and any optimiser


def norm(tree):
    return float(optax.tree.norm(tree))


def test_clipping_clips():
    """One step of SGD: as long as it may be if the gradient is longer, else untouched."""
    rate, clip_norm = 2**-8, 40.0
    plain = tiny.svi(optax.sgd(rate))
    chain = optax.chain(optax.clip_by_global_norm(clip_norm), optax.sgd(rate))
    clipped = tiny.svi(chain)
    start = tiny.free_start()

    def step(svi, data):
        fitted = tiny.fit(svi, data, num_epochs=1, batch_size=tiny.ROWS)
        return jax.tree.map(jnp.subtract, tiny.free(fitted), start)

    near, far = tiny.data(-1.0), tiny.data(5.0)
    assert norm(step(plain, near)) < 0.9 * rate * clip_norm
    jax.tree.map(np.testing.assert_array_equal, step(clipped, near), step(plain, near))
    long, short = step(plain, far), step(clipped, far)
    assert norm(long) > 2 * rate * clip_norm
    np.testing.assert_allclose(norm(short), rate * clip_norm, rtol=1e-5)
    scale = rate * clip_norm / norm(long)
    for name in start:  # the same direction
        np.testing.assert_allclose(short[name], scale * long[name], rtol=1e-4)


def mixed():
    """Much at once: a schedule, clipping and decay for some parameters, noise, a mean."""
    clipped = cs.adam(
        0.05, 6, schedule="linear", warmup=2, clip_norm=20.0, weight_decay=0.1
    )

    def kinds(params):
        return {n: "clipped" if n.startswith("v") else "plain" for n in params}

    return optax.chain(
        optax.add_noise(1e-4, 0.55, jax.random.key(1)),
        optax.multi_transform({"clipped": clipped, "plain": optax.lion(1e-2)}, kinds),
        optax.ema(0.5),
    )


def test_any_optimiser_and_beta_are_those_of_svi_update():
    """`fit` adds nothing to NumPyro's own loop: parameters, bounds, β of each epoch."""
    beta = cs.warm_up(4, 2.0)
    svi = tiny.svi(mixed())
    fitted = tiny.fit(svi, beta=beta)
    state, bounds = tiny.walk(svi, 3, beta)
    for ours, theirs in zip(
        jax.tree.leaves(tiny.free(fitted)),
        jax.tree.leaves(svi.optim.get_params(state.optim_state)),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    of_epochs = np.asarray(bounds, float).reshape(3, 2).mean(1)
    np.testing.assert_allclose(fitted.history.bound, of_epochs, rtol=1e-5)
    np.testing.assert_allclose(fitted.history.beta, [0.5, 1.5, 2.0], rtol=1e-6)
    assert fitted.history.step.tolist() == [2, 4, 6]


# β by step


def test_beta_schedules_are_their_closed_forms():
    warm = cs.warm_up(100, beta=0.8, start=0.2)
    given = {0: 0.2, 1: 0.206, 50: 0.5, 99: 0.794, 100: 0.8, 101: 0.8, 10**6: 0.8}
    for step, value in given.items():
        np.testing.assert_allclose(warm(jnp.array(step)), value, rtol=1e-6)
    down = jax.vmap(cs.warm_up(10, beta=0.0, start=1.0))
    np.testing.assert_allclose(down(jnp.array([0, 5, 20])), [1.0, 0.5, 0.0])
    cycle = cs.cyclical(100, beta=2.0, rise=0.25)
    given = {0: 0.0, 1: 0.08, 12: 0.96, 25: 2.0, 99: 2.0, 100: 0.0, 225: 2.0, 510: 0.8}
    for step, value in given.items():
        np.testing.assert_allclose(cycle(jnp.array(step)), value, rtol=1e-6)


BETAS = [
    (lambda: cs.warm_up(0), "num_steps: expected a positive integer, got 0"),
    (lambda: cs.warm_up(5, beta=-1), "beta: expected a number of 0 or more, got -1"),
    (
        lambda: cs.warm_up(5, start="0"),
        "start: expected a number of 0 or more, got '0'",
    ),
    (lambda: cs.cyclical(2.5), r"period: expected a positive integer, got 2\.5"),
    (lambda: cs.cyclical(5, rise=1.5), "rise: expected a share above 0 and up to 1"),
    (lambda: cs.cyclical(5, rise=0), "rise: expected a number above 0, got 0"),
    (
        lambda: check_beta(lambda step: 0.1 * step - 1, 5),
        r"beta\(0\): expected a number of 0 or more, got -1\.0",
    ),
    (
        lambda: check_beta(lambda step: 3.0 - step, 5),
        r"beta\(4\): expected a number of 0 or more, got -1\.0",
    ),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("make", "match"), BETAS)
def test_beta_schedules_refuse(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("beta", "match"),
    [
        (0.5, r"got 0\.5; a constant is the bound's own setting"),
        (lambda step: 0.0 if step < 3 else 1.0, "whose step JAX can trace; it said"),
        (lambda: 1.0, "whose step JAX can trace; it said"),
        (lambda step: jnp.ones(7), r"that returns one number, got .*7"),
        (lambda step: step > 3, "that returns one number, got .*bool"),
        (cs.warm_up, "whose step JAX can trace; it said: num_steps: expected"),
        (lambda step: "1", "beta: expected a function of the step"),
    ],
)
def test_what_is_no_schedule_is_refused_before_anything_compiles(beta, match):
    with pytest.raises(TypeError, match=match):
        tiny.fit(beta=beta)


# The rate


@cache
def method(bound):
    """Of one sample, for bounds that average in the logarithm."""
    one = issubclass(cs.BOUNDS[bound], WeightedELBO)
    return made(bound, **({"num_samples": 1} if one else {}))


SOME = ("importance_weighted_masked", "mixture_of_experts")
EVERY = [b if b in SOME else pytest.param(b, marks=pytest.mark.long) for b in cs.BOUNDS]


@pytest.mark.parametrize("bound", EVERY)
def test_the_rate_of_every_bound_is_beta_times_its_divergences(bound):
    """Reconstruction − β R at a draw, hence the reconstruction where β is 0."""
    model, guide, elbo = method(bound)
    data = incomplete(KEY, linear_gaussian(KEY))
    params = started(method(bound), data, KEY)
    betas = jnp.array([0.0, 0.5, 1.0, 2.0])

    @jax.jit
    @jax.vmap
    def parts(beta):
        found = elbo.objective(KEY, params, model, guide, data, beta=beta)
        return found.reconstruction / data.size, -found.loss / data.size

    reconstruction, bounds = (np.asarray(x, float) for x in parts(betas))
    np.testing.assert_allclose(reconstruction, reconstruction[0], rtol=1e-6)
    np.testing.assert_allclose(bounds[0], reconstruction[0], rtol=1e-6)
    rate = reconstruction - bounds
    assert abs(rate[2]) > 0.01
    np.testing.assert_allclose(rate, rate[2] * betas, rtol=1e-4, atol=2e-5)


def divergence(q, p):
    """KL between Normals with covariances, in NumPy: [N]."""
    mean, cov, of_mean, of_cov = (
        np.asarray(x, float)
        for x in (q.loc, q.covariance_matrix, p.loc, p.covariance_matrix)
    )
    precision = np.linalg.inv(of_cov)
    away = of_mean - mean
    trace = np.trace(precision @ cov, axis1=-2, axis2=-1)
    square = np.einsum("...i,...ij,...j->...", away, precision, away)
    ratio = np.linalg.slogdet(of_cov)[1] - np.linalg.slogdet(cov)[1]
    return 0.5 * (trace + square - mean.shape[-1] + ratio)


def of_masked(to_prior, to_other):
    return to_prior("S") + to_other("S")


def of_mixture(to_prior, to_other):
    return to_prior("S")


def of_total_correlation(to_prior, to_other):
    return to_other("S")


ANALYTIC = {
    "masked": (cs.MaskedELBO, of_masked),
    "mixture": (cs.MixtureELBO, of_mixture),
    "total_correlation": (cs.TotalCorrelationELBO, of_total_correlation),
}


FIRST = [
    n if n == "masked" else pytest.param(n, marks=pytest.mark.long) for n in ANALYTIC
]


@pytest.mark.parametrize("name", FIRST)
def test_rates_in_the_history_are_closed_forms(name):
    """An exact guide, so that each divergence is one of Normals; S = {a, c}."""
    truth = linear_gaussian(KEY)
    data = incomplete(KEY, truth)
    bound, of_terms = ANALYTIC[name]
    elbo = bound(subsets=cs.Fixed((True, False, True)), estimator=cs.AnalyticKL())
    svi = SVI(truth, exact_guide(truth), SGD(0.1), elbo)
    settings = {"num_epochs": 2, "batch_size": data.size, "progress": False}
    history = cs.fit(KEY, svi, data, beta=cs.warm_up(4, 2.0), **settings).history
    q = {
        "S": truth.posterior(data, data.subset_of("a", "c")),
        "O": truth.posterior(data),
    }
    prior = truth.posterior(data, data.subset_of())
    rate = of_terms(
        lambda s: divergence(q[s], prior), lambda s: divergence(q["O"], q[s])
    ).mean()
    np.testing.assert_allclose(history.beta, [0.0, 0.5])
    np.testing.assert_allclose(history.rate, rate * history.beta, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(
        history.reconstruction - history.bound, history.rate, rtol=1e-12
    )
