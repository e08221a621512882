"""Optimisers and schedules that most trainings want; any of Optax's will do as well."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from consilience.nn.sizes import check_numbers, check_positive, check_whole

SCHEDULES = ("constant", "cosine", "linear", "exponential")


def adam(
    learning_rate: float,
    num_steps: int | None = None,
    *,
    schedule: str = "constant",
    warmup: int = 0,
    clip_norm: float | None = None,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba 2015) with a schedule, clipped gradients and decoupled decay.

    Args:
        learning_rate: at its highest.
        num_steps: of the whole training, warm-up included; not needed by "constant".
        schedule: after the warm-up: "constant", or down to 0 by a half "cosine" or
            "linear", or "exponential" to a hundredth.
        warmup: steps over which the rate rises linearly from 0.
        clip_norm: the longest gradient, in nats of the whole data set per unit of the
            unconstrained parameters; a longer one is scaled down to it.
        weight_decay: share of each parameter taken off, times the learning rate.

    Raises:
        ValueError: a number out of its range; an unknown schedule, or one without
            `num_steps`.
    """
    check_numbers(zero=False, learning_rate=learning_rate)
    check_numbers(zero=True, weight_decay=weight_decay)
    _check_schedule(schedule, num_steps, warmup)
    rate = _rate(learning_rate, num_steps, schedule, warmup)
    if weight_decay:
        parts = [optax.adamw(rate, weight_decay=weight_decay)]
    else:
        parts = [optax.adam(rate)]
    if clip_norm is not None:
        check_numbers(zero=False, clip_norm=clip_norm)
        parts.insert(0, optax.clip_by_global_norm(clip_norm))
    return optax.chain(*parts)


def warm_up(num_steps: int, beta: float = 1.0, start: float = 0.0) -> Callable:
    """β by step: from `start` linearly to `beta` over `num_steps`, then constant.

    Raises:
        ValueError: a number out of its range.
    """
    check_positive(num_steps=num_steps)
    check_numbers(zero=True, beta=beta, start=start)

    def schedule(step: Array) -> Array:
        share = jnp.clip(step / num_steps, 0.0, 1.0)
        return start + (beta - start) * share

    return schedule


def cyclical(period: int, beta: float = 1.0, rise: float = 0.5) -> Callable:
    """β by step (Fu et al. 2019): from 0 to `beta` over a share of each period, then flat.

    Raises:
        ValueError: a number out of its range.
    """
    check_positive(period=period)
    check_numbers(zero=True, beta=beta)
    check_numbers(zero=False, rise=rise)
    if rise > 1:
        raise ValueError(f"rise: expected a share above 0 and up to 1, got {rise!r}")

    def schedule(step: Array) -> Array:
        return beta * jnp.clip((step % period) / (rise * period), 0.0, 1.0)

    return schedule


def check_beta(beta: Callable, num_steps: int) -> None:
    """Refuse what is no function of a traced step to one number of 0 or more.

    Raises:
        TypeError: no function, one that cannot be traced, or not of one number.
        ValueError: at a step of the training it is out of its range.
    """
    advice = "expected a function of the step, such as warm_up(1000)"
    if not callable(beta):
        raise TypeError(
            f"beta: {advice}, got {beta!r}; a constant is the bound's own setting, "
            "MaskedELBO(beta=...)"
        )
    try:
        found = jax.eval_shape(beta, jnp.zeros((), int))
    except Exception as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise TypeError(
            f"beta: {advice}, whose step JAX can trace; it said: {said}"
        ) from error
    if jnp.shape(found) or not jnp.issubdtype(jnp.result_type(found), jnp.number):
        raise TypeError(f"beta: {advice}, that returns one number, got {found}")
    steps = np.unique(np.linspace(0, num_steps - 1, 1000).astype(int))
    for step, value in zip(steps, np.asarray(jax.vmap(beta)(steps)), strict=True):
        check_numbers(zero=True, **{f"beta({step})": float(value)})


def _rate(learning_rate, num_steps, schedule, warmup):
    """The learning rate by step, or the number that it always is."""
    if schedule == "constant":
        if not warmup:
            return learning_rate
        after = optax.constant_schedule(learning_rate)
    else:
        steps = num_steps - warmup
        after = {
            "cosine": lambda: optax.cosine_decay_schedule(learning_rate, steps),
            "linear": lambda: optax.linear_schedule(learning_rate, 0.0, steps),
            "exponential": lambda: optax.exponential_decay(learning_rate, steps, 0.01),
        }[schedule]()
    if not warmup:
        return after
    rise = optax.linear_schedule(0.0, learning_rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def _check_schedule(schedule, num_steps, warmup) -> None:
    if schedule not in SCHEDULES:
        raise ValueError(
            f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}"
        )
    check_whole(warmup=warmup)
    if schedule != "constant" and num_steps is None:
        raise ValueError(f"num_steps: expected a number for {schedule!r}, got None")
    if num_steps is not None:
        check_positive(num_steps=num_steps)
        if warmup >= num_steps:
            raise ValueError(
                f"warmup: expected fewer than the {num_steps} steps, got {warmup}"
            )
