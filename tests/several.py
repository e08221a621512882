"""Small trainings on several devices: programs of their own, run by test_devices.py.

python several.py devices FOLDER         four devices of one process
python several.py process FOLDER PORT I  one of two processes, of two devices each
"""

import json
import os
import re
import shutil
import signal
import sys
import warnings
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI
from numpyro.optim import Adam

import consilience as cs
from consilience.datasets.streaming import StreamedData
from consilience.training.devices import batch_mesh, place
from consilience.training.order import Order
from consilience.training.sources import InMemory
from consilience.training.start import initial_state
from consilience.training.steps import Settings, segments

if sys.argv[1:2] == ["process"]:  # JAX wants this before its first array
    jax.distributed.initialize(f"localhost:{sys.argv[3]}", 2, int(sys.argv[4]))

KEY = jax.random.key(5)
WIDTHS = {"a": 2, "b": 3}
BOUNDS = ("bound", "validation", "reconstruction", "skipped")


def model(data, subset=None):
    names = [f"loadings.{name}" for name in data.names]
    start = dict(zip(names, data.event_shapes, strict=True))
    loadings = {n: numpyro.param(n, jnp.ones((2, *s))) for n, s in start.items()}
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        for name in data.names:
            mean = z @ loadings[f"loadings.{name}"]
            cs.observe(data, name, dist.Normal(mean, 0.7), subset)


def guide(data, subset=None):
    columns, sums = data.subset(subset), 0.0
    for i, (name, (width,)) in enumerate(
        zip(data.names, data.event_shapes, strict=True)
    ):
        key = partial(jax.random.normal, shape=(width, 2))
        weights = numpyro.param(f"weights.{name}", key)
        sums += columns[:, i : i + 1] * (data.filled(name) @ weights)
    log_scale = numpyro.param("log_scale", jnp.zeros(2))
    with data.plate():
        numpyro.sample("z", dist.Normal(sums, jnp.exp(log_scale)).to_event(1))


def rows(seed=0, count=22, spoilt=False, kind=cs.MultimodalData):
    """Incomplete rows; a value of row 17 may be so large that its square is not finite."""
    draw = np.random.default_rng(seed)
    values = {n: draw.normal(size=(count, w)) for n, w in WIDTHS.items()}
    values["b"][0, 1] = np.nan
    if spoilt:
        values["a"][17, 0] = 1e30
    present = np.stack([np.ones(count, bool), np.arange(count) % 3 > 0], 1)
    return kind.from_arrays(values, present)


DATA, HELD_OUT = rows(), rows(1, 12)
TRAINING = SVI(model, guide, Adam(0.05), cs.MaskedELBO())


def fit(num_epochs=4, data=DATA, rng_key=KEY, batch_size=8, **settings):
    settings = {"progress": False, "validation": HELD_OUT} | settings
    sizes = {"num_epochs": num_epochs, "batch_size": batch_size}
    return cs.fit(rng_key, TRAINING, data, **sizes, **settings)


class Recorder:
    """A logger that remembers."""

    def __init__(self):
        self.seen = []

    def open(self, step):
        self.seen.append(["open", step])

    def log(self, step, numbers):
        self.seen.append(["log", step])

    def close(self):
        self.seen.append(["close"])


def numbers(fitted):
    """What two trainings must share, as JSON has it."""
    params = {n: np.asarray(x).tolist() for n, x in fitted.params.items()}
    best = np.asarray(fitted.best.params["weights.b"]).tolist()
    bounds = {n: getattr(fitted.history, n).tolist() for n in BOUNDS}
    return bounds | {"params": params, "best": best}


def error(action):
    """Kind and message of what `action` raises."""
    try:
        action()
    except (Exception, SystemExit) as raised:
        return [type(raised).__name__, str(raised)]
    return None


def blamed(mesh, kind=cs.MultimodalData):
    """Where the guard stops."""
    try:
        fit(1, rows(spoilt=True, kind=kind), mesh=mesh)
    except cs.NonFiniteError as found:
        return [found.step, found.term, found.rows.tolist()]


def skipping(mesh):
    """The training that leaves steps out."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return numbers(fit(2, rows(spoilt=True), mesh=mesh, nonfinite="skip"))


def streamed(mesh):
    """Training on rows on disk, and how many rows were read at a time."""
    sizes, read = [], StreamedData.read

    def counting(self, rows):
        sizes.append(len(rows))
        return read(self, rows)

    StreamedData.read = counting
    try:
        found = fit(data=rows(kind=StreamedData), mesh=mesh)
    finally:
        StreamedData.read = read
    return {"numbers": numbers(found), "reads": {n: sizes.count(n) for n in (4, 8)}}


def program(mesh, batch_size=8):
    """FLOPs of a device in a segment, and how often devices wait for one another."""
    mesh = batch_mesh(mesh, batch_size)
    source = InMemory(place(DATA.bare(), mesh), Order(KEY, DATA.size, batch_size))
    batch = DATA.batch(jnp.arange(batch_size))
    state = place(initial_state(KEY, TRAINING, batch, None), mesh)
    settings = Settings(mesh=mesh)
    given = (source.resident, state, source.chunk(0, 0, source.order.num_steps), 0)
    compiled = segments(TRAINING, source.take, settings).lower(*given).compile()
    waits = r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)\("
    found = re.findall(waits, compiled.as_text())
    return {"flops": compiled.cost_analysis()["flops"], "waits": found}


def interrupted(folder, mesh):
    """Half of a training, in checkpoints."""
    fit(2, mesh=mesh, checkpoints=cs.Checkpoints(folder, every_steps=3))


def resumed(folder, mesh):
    """The rest of it, and after how many steps it began."""
    again, recorder = cs.Checkpoints(folder, every_steps=3, resume=True), Recorder()
    fitted = fit(mesh=mesh, checkpoints=again, loggers=[recorder])
    return {"numbers": numbers(fitted), "from": recorder.seen[:1]}


def unreadable(mesh, index):
    """Training on rows on disk that the second process cannot read."""
    read = StreamedData.read

    def failing(self, rows):
        if index == 1 and len(rows) == 4:
            raise OSError("no such disk")
        return read(self, rows)

    StreamedData.read = failing
    try:
        return error(lambda: fit(data=rows(kind=StreamedData), mesh=mesh))
    finally:
        StreamedData.read = read


def within(mesh):
    with jax.set_mesh(mesh):
        fit(mesh=mesh)


def on_devices(folder):
    four, grid = (
        jax.make_mesh((4,), ("data",)),
        jax.make_mesh((2, 2), ("data", "model")),
    )
    interrupted(folder / "four", four)
    shutil.copytree(folder / "four", folder / "one")
    patience = cs.EarlyStopping(patience=1, min_delta=100.0)
    whole = fit(mesh=four)
    return {
        "alone": numbers(fit()),
        "four": numbers(whole),
        "devices of the result": len(jax.tree.leaves(whole.state)[0].devices()),
        "programs": [program(None), program(four), program(None, batch_size=2)],
        "four, resumed on four": resumed(folder / "four", four),
        "four, resumed on one": resumed(folder / "one", None),
        "stopped early": len(fit(mesh=four, early_stopping=patience).history.bound),
        "blamed": blamed(four),
        "streamed": streamed(four),
        "skipping": [skipping(None), skipping(four)],
        "refused": {
            "batch": error(lambda: fit(batch_size=6, mesh=four)),
            "few rows": error(lambda: fit(mesh=four, batch_size=100)),
            "axes": error(lambda: fit(mesh=grid)),
            "no mesh": error(lambda: fit(mesh=4)),
            "context": error(lambda: within(four)),
        },
    }


def in_process(folder, port, index):
    if index == 1:
        Path(folder, "pid").write_text(str(os.getpid()))
    mesh, recorder = jax.make_mesh((4,), ("data",)), Recorder()
    shared = cs.Checkpoints(folder / "shared", every_steps=3)
    looks_on = {"loggers": [recorder], "progress": True}
    whole = fit(mesh=mesh, checkpoints=shared, **looks_on)
    interrupted(folder / "half", mesh)

    def told(epoch, fitted):
        if epoch.epoch == 1:
            os.kill(int(Path(folder, "pid").read_text()), signal.SIGTERM)

    def broken(epoch, fitted):
        raise OSError("no space left")

    def says_stop(epoch, fitted):
        return epoch.epoch == 1

    kept = cs.Checkpoints(folder / "told", every_steps=3)
    return {
        "whole": numbers(whole),
        "log": recorder.seen,
        "resumed": resumed(folder / "half", mesh),
        "told": error(lambda: fit(mesh=mesh, checkpoints=kept, callbacks=[told])),
        "told, resumed": resumed(folder / "told", mesh),
        "says stop": len(fit(mesh=mesh, callbacks=[says_stop]).history.bound),
        "streamed": streamed(mesh),
        "streamed, blamed": blamed(mesh, StreamedData),
        "drawn": whole.posterior(KEY, HELD_OUT, num_samples=1)["z"].sum().item(),
        "refused": {
            "another folder": error(
                lambda: resumed(folder / f"half{index or ''}", mesh)
            ),
            "broken": error(lambda: fit(mesh=mesh, callbacks=[broken])),
            "unreadable": unreadable(mesh, index),
            "data": error(lambda: fit(data=rows(index), mesh=mesh)),
            "key": error(lambda: fit(rng_key=jax.random.key(index), mesh=mesh)),
            "epochs": error(lambda: fit(1 + index, mesh=mesh)),
            "no mesh": error(fit),
            "own mesh": error(lambda: fit(mesh=own_mesh())),
        },
    }


def own_mesh():
    return jax.make_mesh((2,), ("data",), devices=jax.local_devices())


if __name__ == "__main__":
    what, folder, *more = sys.argv[1:]
    action = {"devices": on_devices, "process": in_process}[what]
    found = action(Path(folder), *map(int, more))
    name = "-".join([what, *more[1:]])
    Path(folder, f"{name}.json").write_text(json.dumps(found))
