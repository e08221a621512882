"""Reconstruction errors and structural similarity against loops."""

import sys

import numpy as np
import pytest

import consilience as cs

ROWS, DRAWS = 5, 3


@pytest.fixture(scope="module")
def images():
    """Grey and coloured images; one grey is absent, one colour image lacks a pixel."""
    generator = np.random.default_rng(0)
    grey, colour = generator.random((ROWS, 8, 9)), generator.random((ROWS, 7, 11, 2))
    colour[1, 3, 4, 0] = np.nan
    present = np.ones((ROWS, 2), bool)
    present[3, 0] = False
    values = {"grey": grey, "colour": colour}
    return cs.MultimodalData.from_arrays(values, present=present)


def drawn(data, spread=0.3):
    generator = np.random.default_rng(1)
    shapes = dict(zip(data.names, data.event_shapes, strict=True))
    return {
        n: np.asarray(data.values[n])
        + spread * generator.normal(size=(DRAWS, data.size, *shapes[n]))
        for n in data.names
    }


def direct_error(truth, draws, observed):
    rows = []
    for n in range(len(truth)):
        places = np.argwhere(observed[n])
        squares = [
            (draw[n][tuple(at)] - truth[n][tuple(at)]) ** 2
            for draw in draws
            for at in places
        ]
        rows.append(np.mean(squares) if squares else np.nan)
    return np.array(rows)


def direct_similarity(x, y, data_range, window=7):
    """Means over all windows of Wang et al.'s formula, moments by numpy; one channel."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for i in range(x.shape[0] - window + 1):
        for j in range(x.shape[1] - window + 1):
            a, b = (v[i : i + window, j : j + window].ravel() for v in (x, y))
            (va, cov), (_, vb) = np.cov(a, b)
            ma, mb = a.mean(), b.mean()
            values.append(
                (2 * ma * mb + c1)
                * (2 * cov + c2)
                / ((ma**2 + mb**2 + c1) * (va + vb + c2))
            )
    return np.mean(values)


@pytest.mark.parametrize("scaled", [False, True])
def test_errors_are_over_measured_entries_in_the_first_units(scaled, images):
    generated = drawn(images)
    data = images.standardize() if scaled else images
    found = cs.reconstruction_error(data, generated)
    assert list(found) == ["grey", "colour"]
    for name, draws in generated.items():
        truth, observed = np.asarray(images.values[name]), images.observed(name)
        expected = direct_error(truth, draws, np.asarray(observed))
        np.testing.assert_allclose(found[name].by_row, expected, rtol=1e-5)
        kept = expected[~np.isnan(expected)]
        assert found[name].value == pytest.approx(kept.mean(), rel=1e-5)
        error = kept.std(ddof=1) / len(kept) ** 0.5
        assert found[name].standard_error == pytest.approx(error, rel=1e-4)
    assert (found["grey"].left_out, found["colour"].left_out) == (1, 0)


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_similarity_is_that_of_the_formula(data_range, images):
    generated = drawn(images)
    found = cs.structural_similarity(images, generated, data_range=data_range)
    for name, left_out in (("grey", [3]), ("colour", [1])):
        by_row = found[name].by_row
        assert np.flatnonzero(np.isnan(by_row)).tolist() == left_out
        assert found[name].left_out == 1
        truth = np.asarray(images.values[name], float).reshape(
            ROWS, *images.event_shapes[images.index(name)][:2], -1
        )
        for n in (0, 4):
            each = [
                direct_similarity(truth[n, ..., c], draw, data_range)
                for g in generated[name]
                for c in range(truth.shape[-1])
                for draw in [g[n].reshape(truth.shape[1:])[..., c]]
            ]
            assert by_row[n] == pytest.approx(np.mean(each), abs=1e-6)


def test_the_same_images_have_similarity_one(images):
    same = {"grey": np.asarray(images.values["grey"])[None]}
    found = cs.structural_similarity(images, same)["grey"]
    assert found.value == pytest.approx(1.0)
    assert cs.reconstruction_error(images, same)["grey"].value == 0.0


def test_without_scikit_image_it_says_what_to_install(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(ImportError, match=r"pip install 'consilience\[images\]'"):
        cs.structural_similarity(images, {"grey": np.zeros((1, ROWS, 8, 9))})


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("generated", "settings", "said"),
    [
        ({"x": np.zeros((1, 5))}, {}, "expected one of the modalities grey, colour"),
        (
            {"grey": np.zeros((5, 8, 9))},
            {},
            r"'grey': expected shape \(samples, 5, 8, 9\)",
        ),
        (
            {"grey": np.full((1, 5, 8, 9), np.nan)},
            {},
            "expected finite numbers where there is a truth, got 288",
        ),
        ({}, {"data_range": 0.0}, "data_range: expected a number above 0"),
        ({"grey": np.zeros((1, 5, 8, 9))}, {"window": 9}, "odd number from 3 to 8"),
        ({"grey": np.zeros((1, 5, 8, 9))}, {"window": 4}, "odd number from 3 to 8"),
    ],
)
def test_refusals(images, generated, settings, said):
    with pytest.raises(ValueError, match=said):
        cs.structural_similarity(images, generated, **settings)


def test_vectors_are_no_images():
    data = cs.MultimodalData.from_arrays({"v": np.zeros((2, 9))})
    with pytest.raises(ValueError, match=r"'v': expected images \(H, W\)"):
        cs.structural_similarity(data, {"v": np.zeros((1, 2, 9))})
