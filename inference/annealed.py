"""Annealed importance sampling: likelihoods where the guide alone is not good enough."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Key
from numpyro.distributions import constraints

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.contract import inspect
from consilience.inference.draws import log_joint, sampler
from consilience.inference.likelihood import LogLikelihood, of_rows, of_weights
from consilience.nn.executables import Program, tracing
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive

ACCEPTANCE = 0.65


class AnnealingSchedule(NamedTuple):
    """How q(z | x_S) is turned into p(z | x_S).

    Attributes:
        num_chains: independent chains a row, each with one weight.
        num_temperatures: steps of the path.
        num_leapfrog: leapfrog steps of each Hamiltonian transition.
    """

    num_chains: int = 64
    num_temperatures: int = 100
    num_leapfrog: int = 5

    def temperatures(self) -> Float[np.ndarray, " temperatures_and_one"]:
        """t from 0 to 1, close to one another at both ends (a sigmoid's values)."""
        x = 1 / (1 + np.exp(-np.linspace(-4, 4, self.num_temperatures + 1)))
        return (x - x[0]) / (x[-1] - x[0])


@checked_kinds
def annealed_log_likelihood(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    schedule: AnnealingSchedule = AnnealingSchedule(),  # noqa: B008 (a tuple)
    chunk_size: int = 100,
) -> LogLikelihood:
    """log p(x_S) by annealing from q(z | x_S) to p(z, x_S) (Neal 2001; Wu et al. 2017).

    A chain runs through laws ∝ q^{1−t} p^t with Hamiltonian transitions and gathers
    Σ (t_i − t_{i−1}) (log p(x_S, z) − log q(z | x_S)). Much dearer than `log_likelihood`
    (schedule.num_temperatures · (num_leapfrog + 1) gradients a chain, and a first run
    that finds step sizes); for a few rows, where k̂ is large. p̂ is unbiased, its logarithm
    biased downwards.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, what to take the likelihood of; None means all that is present.
        schedule: chains, temperatures, leapfrog steps.
        chunk_size: rows at once.

    Raises:
        ValueError: a latent is not over all real numbers, or global.
    """
    check_positive(**schedule._asdict(), chunk_size=chunk_size)
    sites = inspect(model, guide, params, data, stratified=True)
    _check_latents(guide, params, data, sites)
    program = Program(partial(_rows, model, guide, schedule))

    def work(key, rows, members):
        return program(key, params, rows, members)

    found = over_rows(work, rng_key, data, subset, chunk_size)
    return of_rows(found, data, subset)


def _check_latents(guide, params, data, sites: programs.Sites) -> None:
    if sites.shared:
        raise ValueError(
            "guide: expected latents of rows only, for annealing, got the global "
            f"{', '.join(sites.shared)}; use log_likelihood"
        )
    for name, support in _supports(guide, params, data, sites).items():
        while isinstance(support, constraints.independent):
            support = support.base_constraint
        if support not in (constraints.real, constraints.real_vector):
            raise ValueError(
                f"guide: site {name!r}: expected a latent over all real numbers, for "
                f"annealing, got support {support}; use log_likelihood"
            )


def _supports(guide, params, data, sites) -> dict:
    found = {}

    def look():
        trace = programs.run(guide, params, jax.random.key(0), {}, data, data.present)
        found.update({name: trace[name]["fn"].support for name in sites.local})

    with tracing():
        jax.eval_shape(look)
    return found


def _rows(model, guide, schedule, rng_key, params, data, subset) -> LogLikelihood:
    key_path, key_pilot, key_run = jax.random.split(rng_key, 3)
    path = _Path.make(key_path, model, guide, params, data, subset)
    temperatures = jnp.array(schedule.temperatures())
    start = jnp.full(data.size, 0.5)
    few = jax.random.split(key_pilot, max(8, schedule.num_chains // 8))
    _, steps = _anneal(few, path, temperatures, schedule, start, None)
    many = jax.random.split(key_run, schedule.num_chains)
    log_w, _ = _anneal(many, path, temperatures, schedule, start, steps)
    log_w = jnp.where(subset.any(-1), log_w, 0.0)
    return of_weights(log_w)


class _Path(NamedTuple):
    """The two ends, over points `[N, D]`: all latents of a row in one vector.

    A guide may be random given its parameters (`max_components` of a mixture of products
    of experts): the key of a chain's draw is that of its density all along.

    Attributes:
        draw: from a key to a draw of q.
        log_q: log q(z | x_S) of key and point, q being that which `draw(key)` draws from.
        log_p: log p(x_S, z).
        scale: `[N, D]`, standard deviation of q in 50 draws.
    """

    draw: Callable
    log_q: Callable
    log_p: Callable
    scale: Array

    @staticmethod
    def make(rng_key, model, guide, params, data, subset) -> "_Path":
        sample = sampler(rng_key, guide, params, data, subset)
        first = sample(rng_key)
        local, like = first.local, first.of_rows

        def draw(key):
            return _join(sample(key).of_rows)

        def log_q(key, z):
            return sample(key, _split(z, like)).log_q

        def log_p(z):
            latents = _split(z, like)
            return log_joint(rng_key, model, params, data, subset, latents, local)[1]

        scale = jax.vmap(draw)(jax.random.split(rng_key, 50)).std(0)
        return _Path(draw, log_q, log_p, scale)


def _join(latents: dict) -> Float[Array, "rows dims"]:
    return jnp.concatenate([v.reshape(len(v), -1) for v in latents.values()], -1)


def _split(z: Float[Array, "rows dims"], like: dict) -> dict:
    sizes = [math.prod(v.shape[1:]) for v in like.values()]
    parts = jnp.split(z, np.cumsum(sizes)[:-1], -1)
    return {
        n: x.reshape(v.shape) for (n, v), x in zip(like.items(), parts, strict=True)
    }


def _anneal(keys, path: _Path, temperatures, schedule, start, steps):
    """Log-weights `[chains, N]`, and the step sizes of every temperature `[T, N]`.

    Without `steps` they follow the acceptance, which makes weights of this run useless.
    """

    def temperature(state, now):
        z, log_w, step, keys = state
        before, t, given = now
        gap = jax.vmap(lambda key, z: path.log_p(z) - path.log_q(key, z))(starts, z)
        log_w = log_w + (t - before) * gap
        step = step if steps is None else given
        keys, now_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        move = partial(_transition, path, t, schedule.num_leapfrog, step)
        z, accepted = jax.vmap(move)(now_keys, starts, z)
        wanted = step * jnp.exp(0.5 * (accepted.mean(0) - ACCEPTANCE))
        return (z, log_w, wanted, keys), step

    starts, keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    z = jax.vmap(path.draw)(starts)
    given = jnp.zeros((len(temperatures) - 1, len(start))) if steps is None else steps
    state = (z, jnp.zeros(z.shape[:2]), start, keys)
    over = (temperatures[:-1], temperatures[1:], given)
    (_, log_w, _, _), used = lax.scan(temperature, state, over)
    return log_w, used


def _transition(path: _Path, t, num_leapfrog: int, step, rng_key, key_q, z):
    """One Hamiltonian move of every row at temperature t; masses as of q's scale."""
    key_momentum, key_accept = jax.random.split(rng_key)

    def log_density(z):
        log_q = path.log_q(key_q, z)
        return log_q + t * (path.log_p(z) - log_q)

    def gradient(z):
        return path.scale * jax.grad(lambda z: log_density(z).sum())(z)

    def leapfrog(_, state):
        z, p = state
        z = z + step[:, None] * path.scale * p
        return z, p + step[:, None] * gradient(z)

    p = jax.random.normal(key_momentum, z.shape)
    energy = log_density(z) - 0.5 * (p**2).sum(-1)
    half = 0.5 * step[:, None]
    moved, q = lax.fori_loop(0, num_leapfrog, leapfrog, (z, p + half * gradient(z)))
    q = q - half * gradient(moved)
    change = log_density(moved) - 0.5 * (q**2).sum(-1) - energy
    accept = jnp.where(jnp.isnan(change), 0.0, jnp.exp(jnp.minimum(change, 0.0)))
    keep = jax.random.uniform(key_accept, accept.shape) < accept
    return jnp.where(keep[:, None], moved, z), accept
