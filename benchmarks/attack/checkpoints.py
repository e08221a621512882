"""Runs that were stopped: damaged checkpoints, other settings, strange folders."""

import tempfile
from pathlib import Path

import jax
import optax
from numpyro.infer import SVI

import consilience as cs
from attack.case import Case, mechanism
from attack.linear import guide, model, rows
from attack.saved import repacked
from attack.tables import equal

LONG = {"quick": 0, "seconds": 400}


def train(
    folder, epochs: int, *, resume: bool = False, data=None, optimizer=None, **settings
):
    """A run that keeps a checkpoint a step."""
    svi = SVI(model, guide, optimizer or optax.adam(1e-2), cs.MaskedELBO())
    kept = cs.Checkpoints(
        folder / "run", every_seconds=None, every_steps=1, keep=2, resume=resume
    )
    settings = {"batch_size": 4} | settings
    return cs.fit(
        jax.random.key(0),
        svi,
        rows() if data is None else data,
        num_epochs=epochs,
        checkpoints=kept,
        progress=False,
        **settings,
    )


def whole() -> cs.Fitted:
    """The run that nothing happened to, in the same segments."""
    with tempfile.TemporaryDirectory() as folder:
        return train(Path(folder), 3)


def same(found) -> None:
    """State and history, bit for bit."""
    truth = whole()
    equal(found.history.bound, truth.history.bound)
    for name, x in truth.params.items():
        equal(found.params[name], x, name)


def files(folder):
    """Oldest first."""
    return sorted((folder / "run").glob("step-*.npz"))


@mechanism("checkpoints: the newest damaged", 4, **LONG)
def damaged(rng, seed):
    """The one before it is used, and that is said; the end is the same."""
    share, bit = rng.random(), 1 << int(rng.integers(8))

    def run(folder):
        train(folder, 2)
        path = files(folder)[-1]
        raw = path.read_bytes()
        where = int(share * len(raw))
        raw = (
            raw[:where] + bytes([raw[where] ^ bit]) + raw[where + 1 :],
            raw[:where],
            b"",
            repacked(raw, lambda d: b"null"),
        )[seed % 4]
        path.write_bytes(raw)
        return train(folder, 3, resume=True)

    return Case(f"kind {seed % 4} at {share:.3f}", run, same, (r"step-\d+|run",))


@mechanism("checkpoints: forged", 5, **LONG)
def forged(rng, seed):
    field = (
        "fingerprint",
        "header",
        "header",
        "header",
        "fingerprint",
        "arrays",
        "header",
        "kind",
    )[seed % 8]
    junk = (None, {}, 3, [], "x", {}, {"epoch": "x"}, "model")[seed % 8]

    def run(folder):
        train(folder, 2)
        for path in files(folder):

            def forge(described):
                inner = (
                    described if field in ("arrays", "kind") else described["header"]
                )
                if field == "header":
                    inner["header"] = junk
                else:
                    inner[field] = junk

            path.write_bytes(repacked(path.read_bytes(), forge))
        return train(folder, 3, resume=True)

    return Case(f"{field} = {junk!r}", run, same, (r"step-\d+|run",))


@mechanism("checkpoints: gone on with otherwise", 8, **LONG)
def otherwise(rng, seed):
    """Other settings are named; more epochs and another optimiser are fine."""
    about, settings, word = (
        ("another batch size", {"batch_size": 2}, "batch"),
        ("other rows", {"data": rows().take(range(7))}, "data|rows|batch"),
        ("values in other units", {"data": rows().standardize()}, "data|standard"),
        ("skipping", {"nonfinite": "skip"}, "nonfinite"),
        ("a β", {"beta": cs.warm_up(4)}, "beta"),
        ("validation", {"validation": rows().take([0, 1])}, "validation"),
        ("fewer epochs", {}, "num_epochs"),
        ("the same", {}, None),
    )[seed % 8]

    def run(folder):
        train(folder, 2)
        return train(
            folder, 1 if about == "fewer epochs" else 3, resume=True, **settings
        )

    return Case(
        about, run, same if word is None else None, None if word is None else (word,)
    )


@mechanism("checkpoints: folders", 6, **LONG)
def folders(rng, seed):
    kind = seed % 6

    def run(folder):
        if kind == 0:
            (folder / "run").write_text("x")
        if kind == 1:
            (folder / "run").symlink_to("/proc")
        if kind == 2:
            (folder / "run").mkdir()
            (folder / "run" / "step-000000001.npz").mkdir()
        if kind == 3:
            train(folder, 1)
        if kind == 4:
            (folder / "run").mkdir()
            (folder / "run" / "step-000000009.npz").write_bytes(b"x")
        if kind == 5:
            (folder / "run").symlink_to(folder / "run")
        return train(folder, 1, resume=kind in (2, 4))

    about = (
        "a file",
        "/proc",
        "a folder as a checkpoint",
        "a run, not resumed",
        "rubbish alone",
        "a link to itself",
    )[kind]
    return Case(about, run, None, ("folder|run",))
