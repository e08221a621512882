"""Models compared: ArviZ's table against sums over rows; what is refused."""

import arviz as az
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import exact_guide, linear_gaussian
from scipy import optimize, stats

import consilience as cs
from consilience.inference.pareto import threshold

KEY = jax.random.key(31)
ROWS = 211


def result(value, k=0.3):
    value = jnp.asarray(value, jnp.float32)
    ones = jnp.ones(value.shape)
    return cs.LogLikelihood(value, 0.1 * ones, 50 * ones, k * ones)


def simulated(level, seed=0):
    """Three models of the same rows: b a little worse than a, c here better there not."""
    rng = np.random.default_rng(seed)
    a = level + 3 * rng.normal(size=ROWS)
    b = a - 0.2 + 0.5 * rng.normal(size=ROWS)
    c = a + np.where(rng.random(ROWS) < 0.3, 4.0, -3.0)
    return {"b": result(b), "c": result(c), "a": result(a)}


@pytest.mark.parametrize("level", [-2000.0, 0.0, 2000.0])
def test_table_has_sums_and_paired_standard_errors(level):
    models = simulated(level)
    table = cs.compare(models, round_to="none")
    value = {n: np.asarray(x.value, float) for n, x in models.items()}
    assert list(table.index) == sorted(models, key=lambda n: -value[n].sum())
    assert list(table["rank"]) == [0, 1, 2]
    best = value[table.index[0]]
    for name, row in table.iterrows():
        difference = value[name] - best
        assert row["elpd"] == pytest.approx(value[name].sum(), rel=1e-12)
        assert row["se"] == pytest.approx(np.sqrt(ROWS) * value[name].std(), rel=1e-9)
        assert row["elpd_diff"] == pytest.approx(difference.sum(), abs=1e-6)
        dse = np.sqrt(((difference - difference.mean()) ** 2).sum())
        assert row["dse"] == pytest.approx(dse, rel=1e-9)
        assert row["diag_elpd"] == ""
    unpaired = np.hypot(*table["se"].iloc[:2])
    assert table["dse"].iloc[1] < 0.5 * unpaired


@pytest.mark.parametrize("level", [-2000.0, 0.0, 2000.0])
def test_weights_are_those_of_stacking_far_from_zero_too(level):
    """max_w Σ_n log Σ_k w_k p_k(x_n), by another optimiser over log-weights."""
    models = simulated(level)
    value = np.stack([np.asarray(x.value, float) for x in models.values()], 1)

    def loss(logits):
        log_w = logits - np.logaddexp.reduce(logits)
        return -np.logaddexp.reduce(value - level + log_w, axis=1).sum()

    found = optimize.minimize(loss, np.zeros(3), method="Nelder-Mead").x
    expected = np.exp(found - np.logaddexp.reduce(found))
    weight = cs.compare(models, round_to="none")["weight"][list(models)]
    np.testing.assert_allclose(weight, expected, atol=0.01)
    assert weight.sum() == pytest.approx(1, abs=1e-6)


def test_models_that_are_far_apart_in_single_rows():
    value = np.linspace(-5.0, 5.0, ROWS)
    worse = np.where(np.arange(ROWS) < 9, -5000.0, value + 1)
    table = cs.compare({"robust": result(value), "brittle": result(worse)})
    assert table.index[0] == "robust"
    weight = table["weight"]["robust"]  # Σ_n is largest where 9 / w = 202 (e − 1) / ..
    slope = 9 / weight - 202 * (np.e - 1) / (weight + (1 - weight) * np.e)
    assert abs(slope) < 15  # weights come rounded to two digits


def test_reference_takes_the_place_of_the_best():
    models = simulated(0.0)
    table = cs.compare(models, reference="b", round_to="none")
    assert table["elpd_diff"]["b"] == 0
    difference = np.asarray(models["a"].value, float) - np.asarray(models["b"].value)
    assert table["elpd_diff"]["a"] == pytest.approx(difference.sum(), abs=1e-3)
    assert "p_better" in table


def test_rows_with_large_k_are_counted_by_model():
    models = simulated(0.0)
    k = jnp.full(ROWS, 0.3).at[:4].set(jnp.array([0.71, jnp.inf, -jnp.inf, 0.69]))
    models["b"] = models["b"]._replace(pareto_k=k)
    diagnosis = cs.compare(models)["diag_elpd"]
    assert diagnosis["b"] == "2 k̂ > 0.70"
    assert diagnosis["a"] == diagnosis["c"] == ""
    assert cs.elpd(models["b"]).warning
    assert not cs.elpd(models["a"]).warning
    assert cs.elpd(result(jnp.ones(3), jnp.nan)).warning


def test_the_threshold_of_k_is_that_of_the_number_of_samples():
    """min(1 − 1/log₁₀ K, 0.7) (Vehtari et al. 2024, section 3.2.4)."""
    found = [float(threshold(K)) for K in (100, 1000, 10_000, 1_000_000)]
    np.testing.assert_allclose(found, [0.5, 2 / 3, 0.7, 0.7], rtol=1e-12)
    assert threshold() == 0.7
    models = simulated(0.0)
    k = jnp.full(ROWS, 0.3).at[:4].set(jnp.array([0.71, jnp.inf, 0.68, 0.66]))
    K = jnp.full(ROWS, 1000)
    models["b"] = models["b"]._replace(pareto_k=k, num_samples=K)
    assert int((~models["b"].reliable).sum()) == 3
    assert cs.compare(models)["diag_elpd"]["b"] == "3 k̂ > 0.67"
    found = cs.elpd(models["b"])
    assert (found.n_samples, found.good_k) == (1000, pytest.approx(2 / 3))


def test_errors_of_sums_and_differences_contain_those_of_importance_sampling():
    """Of log p̂ with known errors: truths drawn, estimated and compared 200 times.

    Rows' own truths vary by .5, their estimates by up to 2; both models share half of the
    truths' spread. (Σ log p̂ − N E log p) / se is a standard normal if se is right.
    """
    rng, N, times = np.random.default_rng(5), 200, 200
    error = {"a": rng.uniform(0.0, 2.0, N), "b": rng.uniform(0.0, 1.0, N)}
    z = []
    for _ in range(times):
        common = 0.5 * rng.normal(size=N)
        models = {
            name: cs.LogLikelihood(
                jnp.asarray(common + 0.5 * rng.normal(size=N) + e * rng.normal(size=N)),
                jnp.asarray(e),
                jnp.ones(N),
                jnp.zeros(N),
            )
            for name, e in error.items()
        }
        table = cs.compare(models, reference="a", round_to="none").loc[["a", "b"]]
        z.append([*(table.elpd / table.se), table.elpd_diff["b"] / table.dse["b"]])
    spread = np.std(z, 0)
    assert np.all(np.abs(spread - 1) <= 4.5 / np.sqrt(2 * times))
    own = {name: (e.astype(np.float32) ** 2).sum() for name, e in error.items()}
    expected = np.sqrt([own["a"], own["a"] + own["b"]])
    np.testing.assert_allclose(table.monte_carlo_error, expected, rtol=1e-5)


def test_elpd_keeps_rows_and_their_errors():
    found = cs.elpd(simulated(0.0)["a"], num_samples=1000)
    value = np.asarray(simulated(0.0)["a"].value, float)
    np.testing.assert_array_equal(found.elpd_i, value)
    assert found.elpd == pytest.approx(value.sum())
    assert found.se == pytest.approx(np.sqrt(ROWS * value.var()))
    assert (found.n_samples, found.n_data_points, found.scale) == (1000, ROWS, "log")
    np.testing.assert_allclose(found.elpd_i.coords["monte_carlo_error"], 0.1)
    np.testing.assert_allclose(found.elpd_i.coords["effective_sample_size"], 50)
    np.testing.assert_allclose(found.pareto_k, 0.3)
    assert np.isnan(found.p)
    assert f"1000 posterior samples and {ROWS} observations" in str(found)


def test_arviz_takes_them_and_draws_the_table():
    models = simulated(0.0)
    direct = az.compare({name: cs.elpd(x) for name, x in models.items()})
    table = cs.compare(models)
    columns = ["rank", "elpd", "elpd_diff", "se", "dse", "p_worse"]
    assert table[columns].equals(direct[columns])
    np.testing.assert_allclose(table["weight"], direct["weight"], atol=0.02)
    az.plot_compare(table, backend="matplotlib")
    az.plot_khat(cs.elpd(models["a"]), backend="matplotlib")
    plt.close("all")


@pytest.fixture(scope="module")
def candidates():
    """The truth under a guide that is too wide, and a noisier model: same rows."""
    truth = linear_gaussian(KEY)
    data, _ = truth.simulate(jax.random.key(32), 150)
    noisier = cs.LinearGaussian(truth.loadings, truth.biases, 0.9)

    def wide(data, subset=None):
        exact = truth.posterior(data, data.subset(subset))
        q = dist.MultivariateNormal(exact.loc, scale_tril=1.3 * exact.scale_tril)
        with data.plate():
            numpyro.sample("z", q)

    found = {
        "truth": cs.log_likelihood(KEY, truth, wide, {}, data),
        "noisier": cs.log_likelihood(KEY, noisier, exact_guide(noisier), {}, data),
    }
    exact = truth.log_likelihood(data), noisier.log_likelihood(data)
    return found, np.asarray(exact[1] - exact[0], float)


def test_importance_sampled_models_are_ranked_as_exact_ones(candidates):
    """The difference agrees within the Monte Carlo errors that the rows carry."""
    found, difference = candidates
    table = cs.compare(found, round_to="none")
    assert list(table.index) == ["truth", "noisier"]
    variance = sum(float((x.standard_error**2).sum()) for x in found.values())
    row = table.loc["noisier"]
    limit = 4.5 * np.sqrt(variance) + variance / 2 + 2e-3
    assert abs(row["elpd_diff"] - difference.sum()) <= limit
    assert row["dse"] == pytest.approx(np.sqrt(150) * difference.std(), rel=0.05)
    z = row["elpd_diff"] / row["dse"]
    assert z < -4
    assert row["p_worse"] == pytest.approx(stats.norm.cdf(-z), abs=1e-3)


def broken(value, at=5):
    return result(jnp.zeros(ROWS).at[at].set(value))


REFUSED = [
    ([result(jnp.zeros(3))], TypeError, "models: expected a mapping, got list"),
    ({1: result(jnp.zeros(3))}, TypeError, "models: expected strings as names, got 1"),
    ({"a": result(jnp.zeros(3))}, ValueError, "models: expected two or more, got 1"),
    (
        {"a": result(jnp.zeros(3)), "b": np.zeros(3)},
        TypeError,
        r"models\['b'\]: expected a LogLikelihood, got ndarray",
    ),
    (
        {"a": result(jnp.zeros(3)), "b": result(jnp.zeros(4))},
        ValueError,
        "models: expected the same rows in each, got numbers {'a': 3, 'b': 4}",
    ),
    (
        {"a": result(jnp.zeros(1)), "b": result(jnp.zeros(1))},
        ValueError,
        r"models\['a'\]: expected two rows or more",
    ),
    *(
        (
            {"a": result(jnp.zeros(ROWS)), "b": broken(value)},
            ValueError,
            rf"models\['b'\]: expected finite values, got {value} in row 5 \(1 such",
        )
        for value in (-np.inf, np.inf, np.nan)
    ),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("models", "error", "message"), REFUSED)
def test_refusals(models, error, message):
    with pytest.raises(error, match=message):
        cs.compare(models)


@pytest.mark.usefixtures("untyped")
def test_refusals_of_settings():
    with pytest.raises(ValueError, match="reference: expected one of b, c, a, got 'd'"):
        cs.compare(simulated(0.0), reference="d")
    with pytest.raises(ValueError, match="log_likelihood: expected finite values"):
        cs.elpd(broken(np.nan))
    with pytest.raises(TypeError, match="log_likelihood: expected a LogLikelihood"):
        cs.elpd(np.zeros(3))
    with pytest.raises(ValueError, match="num_samples: expected a positive integer"):
        cs.elpd(result(jnp.zeros(3)), num_samples=0)
