"""Every numeric setting of a constructor, with numbers and other things that are none."""

import itertools
import math

import jax
import numpy as np

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import accept

VALUES = (
    0,
    -1,
    float("nan"),
    float("inf"),
    -float("inf"),
    "3",
    None,
    True,
    2.5,
    1e30,
    10**30,
    3,
    np.float32(0.5),
    np.int64(2),
    [1],
    (),
    1j,
    np.array([1.0, 2.0]),
    b"1",
    {},
    "nan",
)


def number(value: object) -> bool:
    """A real finite number, no truth value."""
    return (
        isinstance(value, int | float | np.number)
        and not isinstance(value, bool | complex)
        and math.isfinite(float(value))
    )


def whole(at_least: int):
    return lambda v: (
        isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= at_least
    )


def positive(v):
    return number(v) and v > 0


def non_negative(v):
    return number(v) and v >= 0


def share(v):
    return number(v) and 0 < v <= 1


def inside(low, high):
    return lambda v: number(v) and low < v < high


def positives(v):
    """One of them, or one a feature."""
    if isinstance(v, list | tuple | np.ndarray):
        return len(v) > 0 and all(positive(x) for x in v)
    return positive(v)


def or_none(kind):
    return lambda v: v is None or kind(v)


def above(least):
    return lambda v: number(v) and v > least


def up_to(most):
    return lambda v: number(v) and 0 < v < most


# callable, other settings, the setting, what is valid
SETTINGS = {
    "likelihoods": [
        (cs.NormalLikelihood, {}, "scale", positives),
        (cs.LaplaceLikelihood, {}, "scale", positives),
        (cs.LearnedNormalLikelihood, {}, "initial_scale", above(1e-3)),
        (cs.LearnedNormalLikelihood, {}, "min_scale", up_to(1.0)),
        (cs.LearnedLaplaceLikelihood, {}, "initial_scale", above(1e-3)),
        (cs.StudentTLikelihood, {}, "df", positive),
        (cs.StudentTLikelihood, {}, "min_scale", up_to(1.0)),
        (cs.HeteroscedasticNormalLikelihood, {}, "min_scale", positive),
        (cs.CategoricalLikelihood, {}, "num_classes", whole(2)),
        (cs.NegativeBinomialLikelihood, {}, "initial_concentration", positive),
        (
            cs.ZeroInflatedNegativeBinomialLikelihood,
            {},
            "initial_concentration",
            positive,
        ),
    ],
    "heads": [
        (cs.NormalHead, {}, "min_scale", positive),
        (cs.LaplaceHead, {}, "min_scale", positive),
        (cs.CholeskyHead, {}, "min_scale", positive),
        (cs.NaturalHead, {}, "min_scale", inside(0, 1)),
        (cs.MixtureHead, {}, "num_components", whole(1)),
    ],
    "priors": [
        (cs.standard_normal, {}, "latent_dim", whole(1)),
        (cs.standard_laplace, {}, "latent_dim", whole(1)),
        (cs.gaussian_mixture, {"num_components": 2}, "latent_dim", whole(1)),
        (cs.gaussian_mixture, {"latent_dim": 2}, "num_components", whole(1)),
        (cs.label_conditional, {"latent_dim": 2}, "num_labels", whole(1)),
        (cs.semitied_mixture, {"latent_dim": 2}, "num_components", whole(1)),
    ],
    "guides": [
        (cs.amortized_guide, {}, "latent_dim", whole(1)),
        (cs.amortized_guide, {"latent_dim": 2}, "num_features", whole(1)),
        (cs.shared_private_guide, {"private_dim": 2}, "latent_dim", whole(1)),
    ],
    "bounds": [
        (cs.MaskedELBO, {}, "beta", non_negative),
        (cs.MaskedELBO, {}, "num_particles", whole(1)),
        (cs.ImportanceWeightedELBO, {}, "num_samples", whole(1)),
        (cs.ImportanceWeightedMaskedELBO, {}, "num_samples", whole(1)),
        (cs.MixtureOfExpertsELBO, {}, "beta", non_negative),
        (cs.Independent, {}, "probability", lambda v: number(v) and 0 <= v <= 1),
    ],
    "training": [
        (cs.adam, {}, "learning_rate", positive),
        (cs.adam, {"learning_rate": 1e-3}, "weight_decay", non_negative),
        (cs.adam, {"learning_rate": 1e-3}, "clip_norm", or_none(positive)),
        (cs.adam, {"learning_rate": 1e-3, "schedule": "cosine"}, "num_steps", whole(1)),
        (
            cs.adam,
            {"learning_rate": 1e-3, "num_steps": 10},
            "warmup",
            lambda v: whole(0)(v) and v < 10,
        ),
        (cs.warm_up, {}, "num_steps", whole(1)),
        (cs.warm_up, {"num_steps": 5}, "beta", non_negative),
        (cs.warm_up, {"num_steps": 5}, "start", non_negative),
        (cs.cyclical, {}, "period", whole(1)),
        (cs.cyclical, {"period": 5}, "rise", share),
        (cs.EarlyStopping, {}, "patience", whole(1)),
        (cs.EarlyStopping, {}, "min_delta", non_negative),
        (cs.EarlyStopping, {}, "start_epoch", whole(0)),
        (cs.Checkpoints, {"folder": "run"}, "every_seconds", positive),
        (cs.Checkpoints, {"folder": "run"}, "every_steps", or_none(whole(1))),
        (cs.Checkpoints, {"folder": "run"}, "keep", whole(1)),
    ],
}
# numbers that are right and only too large to be tried
TOO_LARGE = 10**6


def cases(group: str) -> list:
    """Every setting with every value, but what would only be too large."""
    pairs = itertools.product(SETTINGS[group], VALUES)
    return [
        (s, v)
        for s, v in pairs
        if not (s[3](v) and number(v) and v > TOO_LARGE and isinstance(v, int))
    ]


def attacked(group: str):
    """A maker: each seed another setting and value."""
    found = cases(group)
    order = np.random.default_rng(1).permutation(len(found))

    def make(rng, seed) -> Case:
        (call, more, name, valid), value = found[order[seed % len(found)]]
        good = valid(value)
        right = accept if good or isinstance(value, bool) else None
        return Case(
            f"{call.__name__}({name}={value!r})",
            lambda folder: call(**more, **{name: value}),
            right,
            None if good else (name, "expected"),
        )

    return make


for _group, _count in (
    ("likelihoods", 60),
    ("heads", 30),
    ("priors", 30),
    ("guides", 20),
    ("bounds", 50),
    ("training", 90),
):
    mechanism(f"options: of {_group}", _count, quick=6)(attacked(_group))


def rows():
    """A tiny data set."""
    return cs.MultimodalData.from_arrays({"a": np.ones((4, 2)), "b": np.ones((4, 1))})


# of functions, whose good values would compute: only what must be refused is tried
CALLS = {
    "log_likelihood": (
        ("num_samples", whole(1)),
        ("chunk_size", whole(1)),
        ("samples_at_once", whole(1)),
    ),
    "posterior": (("num_samples", whole(1)), ("chunk_size", whole(1))),
    "generate": (("num_samples", whole(1)), ("chunk_size", whole(1))),
    "generate_from_prior": (("num_samples", whole(1)),),
    "to_datatree": (
        ("num_samples", whole(1)),
        ("num_predictive", whole(1)),
        ("num_prior", whole(1)),
        ("chunk_size", whole(1)),
    ),
    "predictive_intervals": (
        ("num_samples", whole(1)),
        ("probability", inside(0, 1)),
        ("chunk_size", whole(1)),
    ),
    "prior_hole": (("num_swaps", whole(1)),),
    "annealed_log_likelihood": (
        ("chunk_size", whole(1)),
        ("num_chains", whole(1)),
        ("num_temperatures", whole(1)),
        ("num_leapfrog", whole(1)),
    ),
}


@mechanism("options: of estimates", 60, quick=3, seconds=120)
def estimates(rng, seed):
    """Refused before anything is computed."""
    from attack.linear import guide, model, parameters

    found = [
        (name, setting, value)
        for name, settings in CALLS.items()
        for setting, valid in settings
        for value in VALUES
        if not valid(value) and not isinstance(value, bool)
    ]
    order = np.random.default_rng(2).permutation(len(found))
    name, setting, value = found[order[seed % len(found)]]
    programs = {"posterior": (guide,), "generate_from_prior": (model,)}.get(
        name, (model, guide)
    )

    def run(folder):
        function = getattr(cs, name)
        settings = {setting: value}
        if setting in cs.AnnealingSchedule._fields:
            settings = {"schedule": cs.AnnealingSchedule(**settings)}
        return function(jax.random.key(0), *programs, parameters(), rows(), **settings)

    return Case(f"{name}({setting}={value!r})", run, None, (setting, "expected"))


@mechanism("options: of fit", 60, quick=3, seconds=120)
def of_fit(rng, seed):
    """Refused before anything compiles."""
    from attack.linear import svi

    data = rows()
    bad = [v for v in VALUES if not whole(1)(v)]
    found = [(n, v) for n in ("num_epochs", "batch_size") for v in bad]
    found += [("nonfinite", v) for v in ("", "Stop", 0, True, None, ["stop"])]
    found += [
        ("validation", v)
        for v in (0.1, "rows", data.standardize(), [data], np.ones((4, 2)))
    ]
    found += [
        ("beta", v)
        for v in (
            0.5,
            "warm_up",
            cs.warm_up,
            lambda: 1.0,
            lambda s: s * np.nan,
            lambda s: -1.0 * s - 1,
            lambda s: "a",
            lambda s: jax.numpy.ones(2),
        )
    ]
    found += [
        ("early_stopping", v) for v in (5, True, cs.EarlyStopping, cs.EarlyStopping())
    ]
    found += [("checkpoints", v) for v in ("run", cs.Checkpoints, True)]
    found += [
        ("start", v)
        for v in ({"no": 1.0}, 3, {"w.a": np.ones((3, 3))}, "last", {"w.a": None})
    ]
    found += [("callbacks", v) for v in (3, [3], print, ["print"])]
    found += [("loggers", v) for v in (3, ["log.jsonl"], "log.jsonl", cs.JSONLines)]
    found += [("mesh", v) for v in (3, "data", jax.devices())]
    name, value = found[seed % len(found)] if seed >= 36 else found[(7 * seed) % 36]

    def run(folder):
        settings = {"num_epochs": 1, "batch_size": 2, "progress": False} | {name: value}
        return cs.fit(jax.random.key(0), svi(), data, **settings)

    free = (
        accept
        if isinstance(value, bool) and name in ("num_epochs", "batch_size")
        else None
    )
    return Case(f"fit({name}={value!r:.60})", run, free, (name, "expected"))
