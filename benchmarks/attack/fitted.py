"""A finished fit: other data, other subsets, copies, jit."""

import copy
import pickle

import jax
import numpy as np

import consilience as cs
from attack.case import Case, mechanism
from attack.linear import fitted, ours_once, rows
from attack.tables import equal, measured

LONG = {"quick": 0, "seconds": 400}
KEY = jax.random.key(7)


def changed_rows(kind: int):
    """The rows of the fit, described otherwise."""
    data = rows()
    values = {n: measured(data, n) for n in data.names}
    names = {"row_names": data.row_names}
    from_arrays = cs.MultimodalData.from_arrays
    return (
        lambda: from_arrays(
            {n: values[n] for n in ("b", "a")}, **names, feature_names={"a": ["x", "y"]}
        ),
        lambda: from_arrays(
            values | {"a": values["a"][:, ::-1]},
            **names,
            feature_names={"a": ["y", "x"]},
        ),
        lambda: from_arrays(
            values | {"a": np.c_[values["a"], values["b"]]},
            **names,
            feature_names={"a": ["x", "y", "w"]},
        ),
        lambda: from_arrays(values | {"c": values["b"]}, **names),
        lambda: from_arrays({"a": values["a"]}, **names, allow_empty_rows=True),
        lambda: from_arrays(
            values | {"a": values["a"][:, :1]}, **names, feature_names={"a": ["x"]}
        ),
        lambda: data.standardize(),
        lambda: from_arrays(
            values | {"a": values["a"]}, **names, feature_names={"a": ["p", "q"]}
        ),
    )[kind]


@mechanism("fitted: data in another order, more or less of them", 8, **LONG)
def others(rng, seed):
    """Matched by name, or refused by name; never by place."""
    about = (
        "modalities reversed",
        "columns reversed",
        "a column more",
        "a modality more",
        "a modality less",
        "a column less",
        "standardised",
        "columns renamed",
    )[seed % 8]
    same = seed % 8 in (0, 1, 2, 3)

    def run(folder):
        data = changed_rows(seed % 8)()
        return [fitted().posterior(KEY, d, num_samples=2)["z"] for d in (data, rows())]

    def right(found):
        if same:
            np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
        elif seed % 8 in (4, 5):
            assert np.isfinite(np.asarray(found[0])).all()
        else:
            raise AssertionError(f"{about}: accepted")

    return Case(about, run, right, ("data|'a'|'b'|'c'|like", "expected"))


def finite(x):
    """Every number of it."""
    np.testing.assert_array_equal(np.isfinite(np.asarray(x)), True)


SUBSETS = (
    (np.ones((8, 2), bool), True),
    (np.zeros((8, 2), bool), True),
    (np.ones((8, 2), int), False),
    (np.ones((2, 8), bool), False),
    (np.ones(8, bool), False),
    (np.ones((8, 3), bool), False),
    ("a", False),
    (["a"], False),
    (True, False),
    (np.full((8, 2), np.nan), False),
    (np.ones((7, 2), bool), False),
    ({"a": True}, False),
)


@mechanism("fitted: subsets", len(SUBSETS), **LONG)
def subsets(rng, seed):
    given, good = SUBSETS[seed % len(SUBSETS)]
    right = (lambda z: finite(z["z"])) if good else None
    return Case(
        f"subset={given!r:.50}",
        lambda folder: fitted().posterior(KEY, rows(), given, num_samples=2),
        right,
        None if good else ("subset", "expected"),
    )


@mechanism("fitted: what a subset lacks changes nothing", 3, **LONG)
def conditioned(rng, seed):
    """Draws of q(z | x_S) with the other modality replaced have the same bits."""

    def run(folder):
        data = rows()
        values = {n: measured(data, n) for n in data.names}
        values["b"] = np.where(
            np.isnan(values["b"]), np.nan, (1e30, -7.0, 0.0)[seed % 3]
        )
        other = cs.MultimodalData.from_arrays(
            values, row_names=data.row_names, feature_names={"a": ["x", "y"]}
        )
        return [
            fitted().posterior(KEY, d, d.subset_of("a"), num_samples=2)["z"]
            for d in (data, other)
        ]

    return Case("b replaced", run, lambda f: equal(*f), None)


@mechanism("fitted: in pieces", 3, **LONG)
def pieces(rng, seed):
    """A log-likelihood of the exact kind does not hang on chunks; names follow rows."""

    def run(folder):
        size = (3, 5, 100)[seed % 3]
        return fitted().log_likelihood(
            KEY,
            rows(),
            num_samples=400,
            chunk_size=size,
            samples_at_once=(7, 400, 64)[seed % 3],
        )

    def right(found):
        whole = cs.log_likelihood(
            KEY,
            fitted().model,
            fitted().guide,
            fitted().params,
            rows(),
            num_samples=4000,
        )
        error = (
            5
            * np.hypot(
                np.asarray(found.standard_error), np.asarray(whole.standard_error)
            )
            + 1e-3
        )
        off = np.abs(np.asarray(found.value) - np.asarray(whole.value))
        assert (off < error).all(), f"{off} for {error}"

    return Case("pieces", run, right, None)


@mechanism("fitted: inside jit", 4, **LONG)
def jitted(rng, seed):
    """The same draws as outside, with standardised data, too."""

    def run(folder):
        from attack.linear import fit

        scaled = seed % 2 == 1
        data = rows().standardize() if scaled else rows()
        found = fit(data) if scaled else fitted()
        method = ("posterior", "log_likelihood")[seed // 2]

        def call(key, d):
            made = getattr(found, method)(key, d, num_samples=3)
            return made["z"] if method == "posterior" else made.value

        return jax.jit(call)(KEY, data), call(KEY, data)

    return Case(
        ("posterior", "log_likelihood")[seed // 2 % 2]
        + (", standardised" if seed % 2 else ""),
        run,
        lambda f: np.testing.assert_allclose(f[0], f[1], rtol=1e-5, atol=1e-6),
        ("jit|traced",),
    )


@mechanism("fitted: copies", 6, **LONG)
def copies(rng, seed):
    """They draw the same, or point to `save`."""
    made = (ours_once, fitted)[seed % 2]
    how = (lambda f: pickle.loads(pickle.dumps(f)), copy.deepcopy, copy.copy)[
        seed // 2 % 3
    ]

    def run(folder):
        one = made()
        other = how(one)
        return [f.posterior(KEY, rows(), num_samples=2)["z"] for f in (one, other)]

    return Case(
        f"{('pickle', 'deepcopy', 'copy')[seed // 2 % 3]} of {('ours', 'a user')[seed % 2]}",
        run,
        lambda f: equal(*f),
        ("save",),
        errors=(pickle.PicklingError,),
    )


@mechanism("fitted: data copied and pickled", 4)
def data_copies(rng, seed):
    how = (lambda f: pickle.loads(pickle.dumps(f)), copy.deepcopy)[seed % 2]
    data = rows().standardize() if seed // 2 % 2 else rows()

    def right(other):
        for name in data.names:
            equal(measured(other, name), measured(data, name))
        assert other.row_names == data.row_names

    return Case("copied", lambda folder: how(data), right, None)


@mechanism("fitted: wrong calls", 10, **LONG)
def calls(rng, seed):
    f = fitted
    call, words = (
        (lambda: f().posterior(KEY, {"a": 1}), "data"),
        (lambda: f().posterior(3, rows()), "rng_key"),
        (lambda: f().generate(KEY, None), "data"),
        (lambda: f().attention_weights(rows()), "attention"),
        (lambda: f().best, "best"),
        (lambda: f().evaluate("rates", KEY, rows()), "function"),
        (lambda: f().save(3), "path"),
        (lambda: f().posterior(KEY, rows(), num_sample=3), "num_sample"),
        (lambda: f().log_likelihood(KEY, rows(), subset="a"), "subset"),
        (
            lambda: f().to_datatree(KEY, rows(), attrs={"a": object()}, num_samples=3),
            "attrs",
        ),
    )[seed % 10]
    return Case(f"call {seed % 10}", lambda folder: call(), None, (words,))
