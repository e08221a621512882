"""The device program of training: a scan over the steps of one segment."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float
from numpyro.infer import SVI
from numpyro.infer.elbo import ELBO
from numpyro.infer.svi import SVIState

from consilience.inference.elbo import MultimodalELBO
from consilience.nn.executables import Program
from consilience.training.devices import on_mesh, replicated

Schedule = Callable[[Array], Array]
RECONSTRUCTION = "consilience.reconstruction"


class Steps(NamedTuple):
    """What the steps of a segment leave, in nats a row.

    Attributes:
        bound: of each step; not finite where a step was skipped.
        reconstruction: Σ score · log p(x_s | z); NaN for a bound that is none of ours.
        finite: whether the parameters at the segment's end are, constrained or not.
    """

    bound: Float[Array, " steps"]
    reconstruction: Float[Array, " steps"]
    finite: Bool[Array, ""]


class Settings(NamedTuple):
    """What a segment's program is compiled for.

    Attributes:
        beta: weight of the rates by step, or None for the bound's own.
        skip: leave out steps whose loss or gradient is not finite.
        mesh: devices that share a batch, or None.
    """

    beta: Schedule | None = None
    skip: bool = False
    mesh: jax.sharding.Mesh | None = None


def segments(svi: SVI, take: Callable, settings: Settings) -> Program:
    """`_segment(svi, take, settings, ...)` as the program of one training."""
    return Program(partial(_segment, svi, take, settings))


def _segment(
    svi: SVI,
    take: Callable,
    settings: Settings,
    resident: object,
    state: SVIState,
    chunk: object,
    first: int | Array,
) -> tuple[SVIState, Steps]:
    """Step through `chunk`; `first` counts the steps before it.

    The state that comes in is kept, for the guard to walk the segment again.
    """

    def step(state, given):
        item, index = given
        batch = on_mesh(take(resident, item), settings.mesh)
        state, values = update(svi, settings, state, batch, index)
        return replicated((state, values), settings.mesh)

    count = len(jax.tree.leaves(chunk)[0])
    state, values = lax.scan(step, state, (chunk, first + jnp.arange(count)))
    free = svi.optim.get_params(state.optim_state)
    return state, Steps(*values, is_finite((free, svi.constrain_fn(free))))


def update(svi: SVI, settings: Settings, state: SVIState, batch, index: Array):
    """`svi.update`, and (bound, reconstruction) in nats a row."""
    recorder = SVI(svi.model, svi.guide, svi.optim, _Recorded(svi.loss))
    recorder.static_kwargs = svi.static_kwargs
    recorder.constrain_fn = svi.constrain_fn
    more = {} if settings.beta is None else {"beta": settings.beta(index)}
    take_step = recorder.stable_update if settings.skip else recorder.update
    state = state._replace(mutable_state={RECONSTRUCTION: jnp.zeros(())})
    state, loss = take_step(state, batch, **more)
    reconstruction = state.mutable_state[RECONSTRUCTION]
    size = batch.total or batch.size
    return state._replace(mutable_state=None), (-loss / size, reconstruction / size)


class _Recorded(ELBO):
    """A bound that hands out its reconstruction by way of SVI's mutable state."""

    def __init__(self, bound: ELBO):
        super().__init__()
        self.bound = bound

    def loss_with_mutable_state(self, rng_key, param_map, *programs, **settings):
        params = {n: x for n, x in param_map.items() if n != RECONSTRUCTION}
        if isinstance(self.bound, MultimodalELBO):
            found = self.bound.objective(rng_key, params, *programs, **settings)
            loss, reconstruction = found
        else:
            loss = self.bound.loss(rng_key, params, *programs, **settings)
            reconstruction = jnp.full_like(loss, jnp.nan)
        return {"loss": loss, "mutable_state": {RECONSTRUCTION: reconstruction}}


def is_finite(tree: object) -> Bool[Array, ""]:
    """Whether every number of a tree is finite."""
    leaves = [jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all() if leaves else jnp.array(True)
