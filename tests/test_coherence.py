"""Coherence of a linear Gaussian model against normal probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import exact_guide, incomplete, linear_gaussian
from scipy.stats import norm

import consilience as cs
from consilience.evaluation.given import mean_of_rows

KEY, DRAWS, ROWS = jax.random.key(11), 10, 61
TRUTH = linear_gaussian(KEY)
GUIDE = exact_guide(TRUTH)
POSITIVE = {
    name: lambda x: np.asarray(x[:, 0] > 0).astype(int) for name in ("a", "b", "c")
}
SUBSETS = [("a",), ("c", "b"), ("b",), ("a", "b", "c")]


@pytest.fixture(scope="module")
def data():
    return incomplete(KEY, TRUTH, ROWS)


@pytest.fixture(scope="module")
def labels(data):
    return np.arange(data.size) % 2


@pytest.fixture(scope="module")
def found(data, labels):
    settings = {"num_samples": DRAWS, "chunk_size": 31}
    return cs.coherence(
        KEY, TRUTH, GUIDE, {}, data, labels, POSITIVE, SUBSETS, **settings
    )


def probabilities(data, labels, given, target):
    """P(sign of the target's first entry is the label | x_S), row by row."""
    q = TRUTH.posterior(data, data.subset_of(*given))
    w = np.asarray(TRUTH.loadings[target][0])
    mean = np.asarray(q.mean) @ w + float(TRUTH.biases[target][0])
    variance = np.einsum("i,nij,j->n", w, np.asarray(q.covariance_matrix), w)
    positive = norm.cdf(mean / np.sqrt(variance + float(TRUTH.scale) ** 2))
    return np.where(labels == 1, positive, 1 - positive)


def some_present(data, given):
    return np.asarray(data.subset_of(*given)).any(-1)


def test_shares_are_normal_probabilities(found, data, labels):
    """Each cell within 4.5 standard errors of its draws, over rows with any of S."""
    assert found.given == (("a",), ("b", "c"), ("b",), ("a", "b", "c"))
    assert found.targets == ("a", "b", "c")
    for i, given in enumerate(SUBSETS):
        rows = some_present(data, given)
        assert found.left_out[i] == (~rows).sum()
        for j, target in enumerate("abc"):
            p = probabilities(data, labels, given, target)[rows]
            error = np.sqrt((p * (1 - p)).sum() / DRAWS) / rows.sum()
            assert abs(found.value[i, j] - p.mean()) <= 4.5 * error
            each = found.by_row[i, j]
            assert np.isnan(each[~rows]).all()
            expected = each[rows].std(ddof=1) / np.sqrt(rows.sum())
            assert found.standard_error[i, j] == pytest.approx(expected)
    assert 0 < found.left_out.max() < ROWS


def test_averages_are_those_of_their_cells(found):
    """b alone and a alone are given; all but a is given, all but b is not."""
    averages = found.averages()
    value = found.value
    assert averages["self"].value == pytest.approx(np.mean([value[0, 0], value[2, 1]]))
    cross = [value[0, 1], value[0, 2], value[2, 0], value[2, 2]]
    assert averages["cross"].value == pytest.approx(np.mean(cross))
    assert averages["leave_one_out"].value == pytest.approx(value[1, 0])
    error = averages["leave_one_out"].standard_error
    assert error == pytest.approx(found.standard_error[1, 0])
    only = found._replace(given=found.given[3:], by_row=found.by_row[3:])
    assert only.averages() == {}


def test_errors_of_averages_are_those_of_drawing_rows_anew():
    """Against the bootstrap over rows, with series that share rows and miss some."""
    generator = np.random.default_rng(0)
    common = generator.random(200)
    values = 0.7 * common + generator.random((3, 200))
    values[0, :80] = values[2, 60:70] = np.nan
    values[:, -5:] = np.nan
    again = generator.integers(0, 200, (3000, 200))
    means = np.nanmean(values[:, again], -1).mean(0)
    found = mean_of_rows(values)
    assert found.value == pytest.approx(np.nanmean(values, -1).mean())
    assert found.standard_error == pytest.approx(means.std(), rel=0.06)


def test_joint_coherence_is_an_orthant_probability(data):
    """Three signs agree with probability ¼ + Σ arcsin ρ / 2π, when all means are 0."""
    centred = cs.LinearGaussian(
        TRUTH.loadings, jax.tree.map(jnp.zeros_like, TRUTH.biases), TRUTH.scale
    )
    w = np.stack([np.asarray(TRUTH.loadings[name][0]) for name in "abc"])
    covariance = w @ w.T + float(TRUTH.scale) ** 2 * np.eye(3)
    scale = np.sqrt(np.diag(covariance))
    rho = (covariance / np.outer(scale, scale))[np.triu_indices(3, 1)]
    expected = 0.25 + np.arcsin(rho).sum() / (2 * np.pi)
    found = cs.joint_coherence(KEY, centred, {}, data, POSITIVE, num_samples=30)
    direct = np.sqrt(expected * (1 - expected) / (30 * ROWS))
    assert abs(found.value - expected) <= 4.5 * direct
    assert 0.5 * direct < found.standard_error < 2 * direct


def test_classifiers_see_unscaled_values(labels, data):
    seen = []

    def watch(x):
        seen.append(float(x.mean()))
        return np.zeros(len(x), int)

    far = {
        n: np.where(data.observed(n), v + 100, np.nan) for n, v in data.values.items()
    }
    scaled = cs.MultimodalData.from_arrays(far).standardize()
    cs.coherence(
        KEY, TRUTH, GUIDE, {}, scaled, labels, {"b": watch}, [("a",)], mean=True
    )
    cs.joint_coherence(KEY, TRUTH, {}, scaled, {"b": watch, "a": watch}, mean=True)
    assert len(seen) == 3
    assert all(90 < mean < 110 for mean in seen)


def test_tables_are_tidy(found):
    table = found.to_dataframe()
    assert list(table.columns) == [
        "given",
        "target",
        "coherence",
        "standard_error",
        "rows",
        "left_out",
    ]
    line = table[(table.given == "b + c") & (table.target == "c")].iloc[0]
    assert line.coherence == found.value[1, 2]
    assert line.rows == ROWS - found.left_out[1] == ROWS - line.left_out


def test_the_usual_subsets_are_single_ones_all_but_one_and_all(data, labels):
    found = cs.coherence(KEY, TRUTH, GUIDE, {}, data, labels, {"b": POSITIVE["b"]})
    singles, rests = [("a",), ("b",), ("c",)], [("b", "c"), ("a", "c"), ("a", "b")]
    assert found.given == (*singles, *rests, ("a", "b", "c"))
    assert found.value.shape == (7, 1)
    assert set(found.averages()) == {"self", "cross", "leave_one_out"}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"labels": np.zeros(3, int)},
            r"labels: .* shape \(61,\), one a row, got int64",
        ),
        ({"labels": np.zeros(61)}, "labels: expected whole numbers or names"),
        ({"classifiers": {}}, "classifiers: expected 1 or more, got 0"),
        (
            {"classifiers": {"x": None}},
            "expected one of the modalities a, b, c, got 'x'",
        ),
        (
            {"classifiers": {"a": lambda x: x}},
            r"classifiers\['a'\]: expected whole numbers",
        ),
        ({"subsets": [("a", "d")]}, "expected one of the modalities a, b, c, got 'd'"),
        (
            {"subsets": ["ab"]},
            "subsets: expected tuples of one or more names, got 'ab'",
        ),
        ({"subsets": [()]}, "subsets: expected tuples of one or more names"),
        ({"subsets": []}, "subsets: expected one or more, each once, got none"),
        ({"subsets": [("a", "b"), ("b", "a")]}, r"each once, got \[\('a', 'b'\)\]"),
        ({"num_samples": 0}, "num_samples: expected a positive integer"),
    ],
)
def test_refusals(data, labels, change, said):
    settings = {"labels": labels, "classifiers": POSITIVE, "subsets": None} | change
    with pytest.raises(ValueError, match=said):
        cs.coherence(KEY, TRUTH, GUIDE, {}, data, **settings)


def test_absent_modalities_and_single_classifiers_are_refused(data, labels):
    without = data.restrict(data.present.at[:, 0].set(False), allow_empty_rows=True)
    with pytest.raises(ValueError, match="subsets: expected rows with any of"):
        cs.coherence(KEY, TRUTH, GUIDE, {}, without, labels, POSITIVE, [("a",)])
    with pytest.raises(ValueError, match="classifiers: expected 2 or more, got 1"):
        cs.joint_coherence(KEY, TRUTH, {}, data, {"a": POSITIVE["a"]})
