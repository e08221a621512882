"""Optimisers and schedules that most trainings want; any of Optax's will do as well."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array

from consilience.nn.sizes import check_positive

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
    _check(learning_rate, schedule, num_steps, warmup, clip_norm, weight_decay)
    rate = _rate(learning_rate, num_steps, schedule, warmup)
    kind = optax.adamw(rate, weight_decay=weight_decay)
    parts = [optax.adam(rate) if weight_decay == 0 else kind]
    if clip_norm is not None:
        parts.insert(0, optax.clip_by_global_norm(clip_norm))
    return optax.chain(*parts)


def _rate(learning_rate, num_steps, schedule, warmup):
    if schedule == "constant":
        after = optax.constant_schedule(learning_rate)
    else:
        steps = num_steps - warmup
        after = {
            "cosine": lambda: optax.cosine_decay_schedule(learning_rate, steps),
            "linear": lambda: optax.linear_schedule(learning_rate, 0.0, steps),
            "exponential": lambda: optax.exponential_decay(learning_rate, steps, 0.01),
        }[schedule]()
    if not warmup:
        return learning_rate if schedule == "constant" else after
    rise = optax.linear_schedule(0.0, learning_rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def warm_up(num_steps: int, beta: float = 1.0, start: float = 0.0) -> Callable:
    """β by step: from `start` linearly to `beta` over `num_steps`, then constant.

    Raises:
        ValueError: a number out of its range.
    """
    check_positive(num_steps=num_steps)
    for name, value in {"beta": beta, "start": start}.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: expected a number of 0 or more, got {value!r}")

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
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta: expected a number of 0 or more, got {beta!r}")
    if not 0 < rise <= 1:
        raise ValueError(f"rise: expected a share above 0 and up to 1, got {rise!r}")

    def schedule(step: Array) -> Array:
        return beta * jnp.clip((step % period) / (rise * period), 0.0, 1.0)

    return schedule


def _check(learning_rate, schedule, num_steps, warmup, clip_norm, weight_decay) -> None:
    if schedule not in SCHEDULES:
        raise ValueError(
            f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}"
        )
    if not isinstance(warmup, int) or warmup < 0:
        raise ValueError(
            f"warmup: expected a whole number of 0 or more, got {warmup!r}"
        )
    if schedule != "constant" and num_steps is None:
        raise ValueError(f"num_steps: expected a number for {schedule!r}, got None")
    if num_steps is not None:
        check_positive(num_steps=num_steps)
        if warmup >= num_steps:
            raise ValueError(
                f"warmup: expected fewer than the {num_steps} steps, got {warmup}"
            )
    positive = {"learning_rate": learning_rate}
    positive |= {} if clip_norm is None else {"clip_norm": clip_norm}
    for name, value in positive.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: expected a number above 0, got {value!r}")
    if not 0 <= weight_decay < math.inf:
        raise ValueError(
            f"weight_decay: expected a number of 0 or more, got {weight_decay!r}"
        )
