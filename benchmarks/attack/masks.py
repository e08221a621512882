"""What is missing: masks and NaN of every pattern, and what stands in their places."""

import dataclasses

import jax
import numpy as np

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import equal, measured

from_arrays = cs.MultimodalData.from_arrays
WIDTHS = {"a": 3, "b": 2}


def patterns(rng, rows: int = 8) -> tuple[dict, dict]:
    """Values, and what of them was measured: whole rows, columns and single entries go."""
    values = {
        n: rng.normal(size=(rows, w)).astype(np.float32) for n, w in WIDTHS.items()
    }
    seen = {n: rng.random(x.shape) < 0.7 for n, x in values.items()}
    seen["b"][rng.random(rows) < 0.3] = False
    seen["a"][:, 1] &= rng.random() < 0.8
    seen["a"][:, 0] |= ~seen["b"].any(1)
    return values, seen


@mechanism("masks: NaN of any pattern", 10, quick=2)
def nan(rng, seed):
    values, seen = patterns(rng)
    given = {n: np.where(seen[n], x, np.nan) for n, x in values.items()}

    def right(data):
        equal(np.asarray(data.present), np.stack([seen[n].any(1) for n in values], 1))
        for name, x in values.items():
            equal(measured(data, name), np.where(seen[name], x, np.nan), name)
            assert np.isfinite(data.values[name]).all()

    return Case("NaN", lambda folder: from_arrays(given), right, None)


WAYS = ("NaN", "masked arrays", "entries", "entries of NaN", "present and entries")


def made(values: dict, seen: dict, way: str, rubbish) -> cs.MultimodalData:
    """The same data, with rubbish in the missing places, said in this way."""
    full = {
        n: np.where(seen[n], x, rubbish).astype(np.float32) for n, x in values.items()
    }
    if way == "NaN":
        return from_arrays({n: np.where(seen[n], x, np.nan) for n, x in values.items()})
    if way == "masked arrays":
        return from_arrays({n: np.ma.array(x, mask=~seen[n]) for n, x in full.items()})
    if way == "entries of NaN":
        full = {n: np.where(seen[n], x, np.nan) for n, x in values.items()}
    present = None
    if way == "present and entries":
        present = {n: s.any(1) for n, s in list(seen.items())[::-1]}
    return from_arrays(full, present, entries=seen)


@mechanism("masks: rubbish in missing places", 15, quick=2)
def rubbish(rng, seed):
    """However it is said and whatever stands there: the same bits."""
    values, seen = patterns(rng)
    way, what = WAYS[seed % 5], (1e38, np.inf, -7.0)[seed // 5 % 3]

    def right(data):
        good = made(values, seen, "NaN", 0.0)
        equal(data.present, good.present)
        for name in values:
            equal(measured(data, name), measured(good, name), name)
            equal(data.filled(name), good.filled(name), name)

    return Case(
        f"{what} said by {way}",
        lambda folder: made(values, seen, way, what),
        right,
        None,
    )


LINEAR = {
    "a": np.array([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]),
    "b": np.array([[1.0, 1.0], [0.3, 0.0]]),
}


def linear(scale: float = 0.5) -> cs.LinearGaussian:
    """The oracle with fixed loadings."""
    loadings = {n: jax.numpy.asarray(W, "float32") for n, W in LINEAR.items()}
    return cs.LinearGaussian(
        loadings, {n: jax.numpy.zeros(len(W)) for n, W in LINEAR.items()}, scale
    )


@mechanism("masks: rubbish changes no number made of the data", 4, quick=0)
def consequences(rng, seed):
    """Values replaced in the finished data, too: the same bits of all that follows."""
    values, seen = patterns(rng)
    good = made(values, seen, "NaN", 0.0)
    what = (np.nan, np.inf, 1e38, -1e-38)[seed % 4]

    def spoilt(name):
        there = np.isnan(measured(good, name))
        return np.where(there, np.float32(what), np.asarray(good.values[name]))

    bad = dataclasses.replace(
        good, values={n: jax.device_put(spoilt(n)) for n in values}
    )

    def run(folder):
        model = linear()
        found = [model.log_likelihood(d) for d in (good, bad)]
        found += [model.posterior(d).loc for d in (good, bad)]
        found += [d.standardize().values["a"] for d in (good, bad)]
        return found

    def right(found):
        for first, second in zip(found[::2], found[1::2], strict=True):
            equal(first, second)
            assert np.isfinite(np.asarray(first)).all()

    return Case(f"{what} in missing places", run, right, None)


@mechanism("masks: contradictions", 10, quick=2)
def contradictions(rng, seed):
    x, b = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    hole, gone = x.copy(), x.copy()
    hole[2, 1], gone[2] = np.nan, np.nan
    yes = np.ones((6, 3), bool)
    no = yes.copy()
    no[2] = False
    about, call, truth = (
        (
            "an entry said to be there is NaN",
            lambda: from_arrays({"a": hole, "b": b}, entries={"a": yes}),
            hole,
        ),
        (
            "a row said to be there is NaN",
            lambda: from_arrays({"a": gone, "b": b}, np.ones((6, 2), bool)),
            None,
        ),
        (
            "a row said to be gone is there",
            lambda: from_arrays({"a": x, "b": b}, {"a": no[:, 0]}),
            gone,
        ),
        (
            "a row said to be there has no entry",
            lambda: from_arrays(
                {"a": x, "b": b}, np.ones((6, 2), bool), entries={"a": no}
            ),
            None,
        ),
        (
            "mask of a masked array and entries",
            lambda: from_arrays(
                {"a": np.ma.array(x, mask=~no), "b": b}, entries={"a": yes}
            ),
            gone,
        ),
        (
            "present by number",
            lambda: from_arrays({"a": x, "b": b}, np.ones((6, 2))),
            None,
        ),
        (
            "present of the wrong modality",
            lambda: from_arrays({"a": x, "b": b}, {"c": no[:, 0]}),
            None,
        ),
        (
            "present transposed",
            lambda: from_arrays({"a": x, "b": b}, np.ones((2, 6), bool)),
            None,
        ),
        (
            "a row of nothing",
            lambda: from_arrays({"a": gone, "b": np.where(no[:, :2], b, np.nan)}),
            None,
        ),
        (
            "entries of numbers",
            lambda: from_arrays({"a": x, "b": b}, entries={"a": yes.astype(int)}),
            None,
        ),
    )[seed % 10]

    def right(data):
        equal(measured(data, "a"), truth.astype(np.float32))

    return Case(
        about,
        lambda folder: call(),
        None if truth is None else right,
        ("present|entries|values", "expected"),
    )


@mechanism("masks: hidden at random", 8)
def hidden(rng, seed):
    """No row loses its last modality, nothing absent comes back, the rate is near."""
    present = rng.random((2000, 3)) < 0.6
    present[:, 0] |= ~present.any(1)
    rate = (0.0, 0.3, 0.9, 0.5, 1.0, -0.1, np.nan, "half")[seed % 8]

    def run(folder):
        return cs.missing_completely_at_random(
            jax.random.key(seed), jax.numpy.asarray(present), rate
        )

    def right(keep):
        keep = np.asarray(keep)
        assert not (keep & ~present).any(), "something absent came back"
        assert keep.any(1).all(), "a row lost everything"
        if rate == 0:
            equal(keep, present)
        many = present.all(1)
        # P(a given modality kept) among rows of three: 1 − rate + rate³/3
        share, want = keep[many].mean(), 1 - rate + rate**3 / 3
        assert abs(share - want) < 5 * np.sqrt(0.25 / many.sum()), f"{share} for {want}"

    good = seed % 8 < 4
    return Case(
        f"rate {rate}", run, right if good else None, None if good else ("rate",)
    )


@mechanism("masks: subsets by name", 8)
def subsets(rng, seed):
    values, seen = patterns(rng)
    data = made(values, seen, "NaN", 0.0)
    present = np.stack([seen[n].any(1) for n in values], 1)
    keep = rng.random(present.shape) < 0.5
    about, call, truth = (
        ("a", lambda: data.subset_of("a"), present & [True, False]),
        ("b, a", lambda: data.subset_of("b", "a"), present),
        ("none", lambda: data.subset_of(), present & False),
        ("unknown", lambda: data.subset_of("c"), None),
        (
            "restrict",
            lambda: (
                data.restrict(jax.numpy.asarray(keep), allow_empty_rows=True).present
            ),
            present & keep,
        ),
        (
            "restrict to nothing",
            lambda: data.restrict(jax.numpy.asarray(present & False)),
            None,
        ),
        (
            "restrict by another shape",
            lambda: data.restrict(jax.numpy.asarray(keep[:3])),
            None,
        ),
        ("subset", lambda: data.subset(jax.numpy.asarray(keep)), present & keep),
    )[seed % 8]
    return Case(
        about,
        lambda folder: call(),
        None if truth is None else lambda got: equal(got, truth),
        None if truth is not None else ("expected", "modalit|keep"),
    )
