"""Whole trainings: what changes between them, what they are told, what they end in."""

import copy
import threading

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
from numpyro.infer import SVI

import consilience as cs
from attack.case import Case, mechanism
from attack.linear import WIDTHS, fit, guide, model, rows
from attack.tables import equal

LONG = {"quick": 0, "seconds": 400}
SHIFT = {"value": 0.0}


def shifted(data, subset=None):
    """A model that reads a global variable."""
    with data.plate():
        z = numpyro.sample("z", dist.Normal(0, 1).expand([1]).to_event(1))
        for name, width in WIDTHS.items():
            w = numpyro.param(f"w.{name}", jnp.full((1, width), 0.5))
            cs.observe(data, name, dist.Normal(z @ w + SHIFT["value"], 1.0), subset)


def made(model_=model, optimizer=None, bound=None):
    """SVI anew."""
    return SVI(model_, guide, optimizer or optax.adam(1e-2), bound or cs.MaskedELBO())


def trained(svi, data=None, **settings):
    """Two epochs."""
    settings = {"num_epochs": 2, "batch_size": 4, "progress": False} | settings
    return cs.fit(jax.random.key(0), svi, rows() if data is None else data, **settings)


@mechanism("fit: a program that changed in between", 3, **LONG)
def changed(rng, seed):
    """A second fit is that of the program as it is now."""

    def run(folder):
        SHIFT["value"] = 0.0
        one = made(shifted)
        first = trained(one)
        if seed == 1:
            first.log_likelihood(jax.random.key(1), rows(), num_samples=4)
        SHIFT["value"] = 50.0
        if seed == 1:
            again = first.log_likelihood(jax.random.key(1), rows(), num_samples=4).value
            fresh = cs.log_likelihood(
                jax.random.key(1),
                lambda d, subset=None: shifted(d, subset),
                guide,
                first.params,
                rows(),
                num_samples=4,
            ).value
        else:
            again = trained(one if seed == 0 else made(shifted)).history.bound
            fresh = trained(
                made(lambda d, subset=None: shifted(d, subset))
            ).history.bound
        SHIFT["value"] = 0.0
        return again, fresh

    return Case(
        ("the same SVI", "a likelihood", "a new SVI")[seed % 3],
        run,
        lambda f: np.testing.assert_allclose(f[0], f[1], rtol=1e-4),
        None,
    )


@mechanism("fit: the same again", 3, **LONG)
def again(rng, seed):
    """Same key, same bits; rows in a folder, too; a resumed one, too."""

    def run(folder):
        first = trained(made())
        if seed == 0:
            return first, trained(made())
        if seed == 1:
            values = {n: np.where(np.isnan(x), np.nan, x) for n, x in _values().items()}
            return first, trained(
                made(),
                cs.StreamedData.from_arrays(
                    values, row_names=rows().row_names, feature_names={"a": ["x", "y"]}
                ),
            )
        kept = cs.Checkpoints(folder / "whole", every_steps=1)
        first = trained(made(), checkpoints=kept)  # of the same segments
        where = {"checkpoints": cs.Checkpoints(folder / "run", every_steps=1)}
        trained(made(), num_epochs=1, **where)
        return first, trained(
            made(),
            checkpoints=cs.Checkpoints(folder / "run", every_steps=1, resume=True),
        )

    def right(found):
        a, b = (jax.tree.leaves(f.params) for f in found)
        for x, y in zip(a, b, strict=True):
            equal(x, y)

    return Case(("in memory", "streamed", "resumed")[seed % 3], run, right, None)


def _values():
    from attack.tables import measured

    return {n: measured(rows(), n) for n in rows().names}


@mechanism("fit: rubbish in missing places", 2, **LONG)
def rubbish(rng, seed):
    """Not a bit of a training hangs on it."""
    import dataclasses

    def spoilt():
        from attack.tables import measured

        data = rows()
        values = {
            n: jnp.where(np.isnan(measured(data, n)), (jnp.nan, 1e30)[seed % 2], x)
            for n, x in data.values.items()
        }
        return dataclasses.replace(data, values=values)

    def right(found):
        equal(*(f.history.bound for f in found))

    return Case(
        f"{('NaN', '1e30')[seed % 2]}",
        lambda folder: (trained(made()), trained(made(), spoilt())),
        right,
        None,
    )


@mechanism("fit: a bound by hand", 3, **LONG)
def by_hand(rng, seed):
    """Where z says nothing and nothing is learned, every draw has the same bound."""
    x = rng.normal(size=(4, 2))

    def still(data, subset=None):
        with data.plate():
            z = numpyro.sample("z", dist.Normal(0, 1).expand([1]).to_event(1))
            cs.observe(
                data,
                "a",
                dist.Normal(numpyro.param("m", jnp.zeros(2)) + 0 * z, 2.0),
                subset,
            )

    def prior(data, subset=None):
        with data.plate():
            numpyro.sample(
                "z",
                dist.Normal(numpyro.param("loc", jnp.zeros((1,))), 1.0)
                .expand([data.size, 1])
                .to_event(1),
            )

    bound = (
        cs.MaskedELBO(),
        cs.ImportanceWeightedELBO(3),
        cs.MaskedELBO(exhaustive=True),
    )[seed % 3]
    data = cs.MultimodalData.from_arrays({"a": x})
    truth = (-0.5 * (x / 2) ** 2 - np.log(2) - 0.5 * np.log(2 * np.pi)).sum(1).mean()

    def run(folder):
        svi = SVI(still, prior, optax.sgd(1e-30), bound)
        return cs.fit(
            jax.random.key(0), svi, data, num_epochs=2, batch_size=2, progress=False
        ).history.bound

    return Case(
        f"{bound!r}",
        run,
        lambda b: np.testing.assert_allclose(b, truth, rtol=1e-5),
        None,
    )


@mechanism("fit: trainings that cannot go well", 8, **LONG)
def doomed(rng, seed):
    """They end in a sentence that says so, not in parameters of NaN."""
    svi, settings, about = (
        (
            lambda: made(optimizer=optax.adam(1e30)),
            {"nonfinite": "skip"},
            "a rate of 1e30, skipped",
        ),
        (lambda: made(optimizer=optax.adam(1e30)), {}, "a rate of 1e30"),
        (lambda: made(optimizer=optax.sgd(float("nan"))), {}, "a rate of NaN"),
        (
            lambda: made(optimizer=optax.sgd(float("nan"))),
            {"nonfinite": "skip"},
            "a rate of NaN, skipped",
        ),
        (
            lambda: made(),
            {"beta": lambda step: jnp.where(step > 1, jnp.nan, 1.0)},
            "β becomes NaN",
        ),
        (lambda: made(optimizer=optax.sgd(1e25)), {"num_epochs": 4}, "sgd of 1e25"),
        (
            lambda: made(optimizer=optax.sgd(1e25)),
            {"num_epochs": 4, "nonfinite": "skip"},
            "sgd of 1e25, skipped",
        ),
        (lambda: made(), {"start": {"w.a": np.full((1, 2), np.nan)}}, "starts at NaN"),
    )[seed % 8]

    def right(fitted):
        for name, x in fitted.params.items():
            assert np.isfinite(np.asarray(x)).all(), f"{name} = {x}"
        assert np.isfinite(fitted.history.bound).any(), f"{fitted.history.bound}"

    return Case(
        about,
        lambda folder: trained(svi(), **settings),
        right,
        ("finite|beta|step|start",),
        warned="finite|skipped",
    )


@mechanism("fit: which modality is to blame", 3, **LONG)
def blame(rng, seed):
    """The message names the modality whose values are beyond all measure."""
    bad = ("a", "b", "b")[seed % 3]
    values = {n: rng.normal(size=(8, w)) for n, w in WIDTHS.items()}
    values[bad] = values[bad] * (1e25, 1e25, 1e30)[seed % 3]
    data = cs.MultimodalData.from_arrays(values)

    def right(fitted):
        assert np.isfinite(fitted.history.bound).all()
        raise AssertionError(f"a bound of {fitted.history.bound} without a word")

    return Case(
        f"{bad} is huge",
        lambda folder: trained(made(), data),
        right,
        (f"'{bad}'", "finite"),
        warned=f"'{bad}'",
    )


@mechanism("fit: two threads", 2, alone=True, **LONG)
def threads(rng, seed):
    """Each gets its own fit, or one sentence."""

    def run(folder):
        found, errors = {}, {}

        def work(i):
            try:
                found[i] = cs.fit(
                    jax.random.key(0),
                    made(),
                    rows(),
                    num_epochs=2,
                    batch_size=4,
                    progress=False,
                )
            except Exception as error:
                errors[i] = error

        alone = trained(made())
        workers = [threading.Thread(target=work, args=(i,)) for i in range(2 + seed)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        for error in errors.values():
            raise error
        return alone, found

    def right(result):
        alone, found = result
        for fitted in found.values():
            equal(fitted.history.bound, alone.history.bound)

    return Case(f"{2 + seed} at once", run, right, ("thread|at once|lock",))


class Failing(cs.Logger):
    """A logger that fails somewhere."""

    def __init__(self, where: str):
        self.where = where

    def _may_fail(self, where: str) -> None:
        if where == self.where:
            raise RuntimeError(f"{where} of the logger failed")

    def open(self, *arguments, **settings):
        self._may_fail("open")

    def log(self, *arguments, **settings):
        self._may_fail("log")

    def close(self):
        self._may_fail("close")


@mechanism("fit: loggers and callbacks that fail", 4, **LONG)
def loggers(rng, seed):
    """An error of a user's is the user's; a finished fit is not thrown away."""
    kind = ("open", "log", "close", "callback")[seed % 4]

    def broken(epoch, fitted):
        raise RuntimeError("callback failed")

    settings = (
        {"callbacks": [broken]} if kind == "callback" else {"loggers": [Failing(kind)]}
    )
    finished = kind in ("log", "close")

    def right(fitted):
        assert finished, "an error of a user's was swallowed"
        assert len(fitted.history.bound) == 2

    errors = () if finished else (RuntimeError,)
    return Case(
        f"{kind} fails",
        lambda folder: trained(made(), **settings),
        right,
        ("failed",),
        warned=kind if finished else None,
        errors=errors,
    )


@mechanism("fit: covariates that nothing reads", 2, **LONG)
def covariates(rng, seed):
    """Said once."""
    data = cs.MultimodalData.from_arrays(
        {n: rng.normal(size=(8, w)) for n, w in WIDTHS.items()},
        covariates={"age": np.arange(8)},
    )
    svi = (
        made,
        lambda: SVI(
            cs.multimodal_model(
                cs.standard_normal(1), cs.NormalLikelihood(), cs.LinearDecoder
            ),
            cs.amortized_guide(1, num_features=2),
            optax.adam(1e-2),
            cs.MaskedELBO(),
        ),
    )[seed % 2]

    def right(fitted):
        raise AssertionError("trained without a word about the covariate 'age'")

    return Case(
        ("of a user's", "ours")[seed % 2],
        lambda folder: trained(svi(), data),
        right,
        ("age|covariate",),
        warned="age|covariate",
    )


assert copy
assert fit
