"""Section "steps": FLOPs, time and compilation of every preset against hand-written JAX."""

from collections.abc import Callable
from functools import partial

import hand_written
import hand_written_presets as presets
import jax
import optax
from clocks import Program, fastest
from figures import Figure
from hand_written import MEDIUM, Sizes
from numpyro.infer import SVI

import consilience as cs

SETTINGS = {
    "mmvae": {"num_samples": presets.SAMPLES},
    "mmvae_plus": {"num_samples": presets.SAMPLES},
}
QUICK = ("masked", "mmjsd", "mvtcae")
AIMS = {"masked": ("≤ 1.05", "≤ 1.10")}


def batch(sizes: Sizes) -> tuple[jax.Array, jax.Array]:
    """Values `[M, N, WIDTH]` and presence `[N, M]`, 30 % missing."""
    key = jax.random.key(0)
    x = jax.random.normal(key, (sizes.modalities, sizes.rows, sizes.width))
    complete = jax.numpy.ones((sizes.rows, sizes.modalities), bool)
    return x, cs.missing_completely_at_random(key, complete, 0.3)


def as_data(x: jax.Array, present: jax.Array) -> cs.MultimodalData:
    """The same rows as the library takes them."""
    values = {f"m{i}": jax.device_get(v) for i, v in enumerate(x)}
    return cs.MultimodalData.from_arrays(values, present=jax.device_get(present))


def masked(sizes: Sizes) -> cs.Method:
    """What `hand_written.loss` computes."""
    f, encoder = sizes.features, partial(cs.MLPEncoder, hidden=sizes.hidden)
    networks = cs.Networks(encoder, cs.LinearDecoder, f)
    pooling = partial(cs.SumPooling, width=f, hidden=(f,))
    return cs.masked(sizes.latent, cs.NormalLikelihood(1.0), networks, pooling)


def published(name: str) -> cs.Method:
    """What the function of that name in `hand_written_presets` computes."""
    sizes = presets.SIZES
    encoder, decoder = (
        partial(make, hidden=sizes.hidden) for make in (cs.MLPEncoder, cs.MLPDecoder)
    )
    networks = cs.Networks(encoder, decoder, sizes.features)
    widths = (sizes.latent,) + (presets.PRIVATE,) * (name == "mmvae_plus")
    settings = SETTINGS.get(name, {})
    return cs.PRESETS[name](*widths, cs.NormalLikelihood(1.0), networks, **settings)


def library(name: str) -> tuple[Callable, object, object]:
    """`svi.update`, its state, a batch."""
    method = masked(MEDIUM) if name == "masked" else published(name)
    data = as_data(*batch(MEDIUM if name == "masked" else presets.SIZES))
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
    return svi.update, jax.jit(svi.init)(jax.random.key(0), data), data


def floor(name: str) -> tuple[Callable, object, object]:
    """The same by hand."""
    key, optimizer = jax.random.key(0), optax.adam(1e-3)
    if name == "masked":
        params, given = hand_written.initial_params(key), batch(MEDIUM)
        loss = hand_written.loss
    else:
        private = presets.PRIVATE if name == "mmvae_plus" else 0
        params, given = presets.initial_params(key, private), batch(presets.SIZES)
        loss = presets.LOSSES[name]
    start = hand_written.start(params, optimizer)
    return hand_written.step(optimizer, loss), start, given


def measure(quick: bool = False) -> list[Figure]:
    """Of every preset."""
    length, rounds = (1, 1) if quick else (10, 15)
    found = []
    for name in QUICK if quick else cs.PRESETS:
        ours, theirs = (Program(*make(name), length) for make in (library, floor))
        times = fastest({"ours": ours, "theirs": theirs}, rounds)
        flops, milliseconds = AIMS.get(name, ("", ""))
        count = [p.flops / 1e9 for p in (ours, theirs)]
        time = [1e3 * t for t in times.values()]
        compiling = [p.seconds_to_compile for p in (ours, theirs)]
        found += [
            Figure(f"{name}: FLOPs", count[0], "GFLOP", count[1], flops),
            Figure(f"{name}: time", time[0], "ms", time[1], milliseconds),
            Figure(f"{name}: tracing and compiling", compiling[0], "s", compiling[1]),
        ]
    return found
