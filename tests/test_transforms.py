"""Logarithms and scaling, and the way back to the first units."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import consilience as cs

ROWS = 7
RNG = np.random.default_rng(3)
GENES = RNG.poisson(30.0, (ROWS, 5)) * 10 ** RNG.integers(0, 3, (ROWS, 5))
PROTEINS = RNG.gamma(2.0, 3.0, (ROWS, 2, 3))
PROTEINS[1] = np.nan
PROTEINS[2, 1, 2] = np.nan
RATIOS = RNG.normal(size=(ROWS, 3))
LOG = ("genes", "proteins")


def container(rows=slice(None), **kwargs):
    entries = np.arange(ROWS * 5).reshape(ROWS, 5) % 11 != 4
    return cs.MultimodalData.from_arrays(
        {"genes": GENES[rows], "proteins": PROTEINS[rows], "ratios": RATIOS[rows]},
        entries={"genes": entries[rows]},
        row_names=[f"s{i}" for i in range(ROWS)][rows],
        **kwargs,
    )


def logarithms(data, name):
    x = np.where(data.observed(name), np.asarray(data.values[name], float), np.nan)
    return np.log1p(x) if name in LOG else x


def test_logarithms_have_mean_zero_and_scale_one(x64):
    data = container()
    scaled = data.standardize(log=LOG)
    for name in data.names:
        y = logarithms(data, name)
        expected = (y - np.nanmean(y, 0)) / np.nanstd(y, 0)
        observed = np.asarray(data.observed(name))
        found = np.asarray(scaled.values[name])
        np.testing.assert_allclose(found[observed], expected[observed], rtol=1e-10)
        assert not found[~observed].any()
    assert set(scaled.standardization.log) == set(LOG)
    assert scaled.values["genes"].dtype == jnp.float64


def test_the_way_back_is_the_inverse(x64):
    data = container()
    scaled = data.standardize(log=LOG)
    back = scaled.unstandardize({n: scaled.values[n][None] for n in scaled.names})
    for name in data.names:
        observed = np.asarray(data.observed(name))
        expected = np.asarray(data.values[name], float)[observed]
        found = np.asarray(back[name])[0][observed]
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_only_named_modalities_are_scaled():
    data = container()
    scaled = data.standardize(["genes"], log=["genes"])
    np.testing.assert_array_equal(scaled.values["ratios"], data.values["ratios"])
    np.testing.assert_array_equal(scaled.values["proteins"], data.values["proteins"])
    both = data.standardize(["genes", "ratios"], log=["genes"]).standardization
    assert set(both.loc) == {"genes", "ratios"}
    assert both.log == ("genes",)


def test_new_rows_take_the_logarithms_of_the_training_rows(x64):
    train, test = container(slice(0, 5)), container(slice(5, 7))
    scaled = test.standardize(like=train.standardize(log=LOG))
    y = logarithms(train, "genes")
    expected = (logarithms(test, "genes") - np.nanmean(y, 0)) / np.nanstd(y, 0)
    observed = np.asarray(test.observed("genes"))
    found = np.asarray(scaled.values["genes"])
    np.testing.assert_allclose(found[observed], expected[observed], rtol=1e-10)


def test_log_jacobian_is_that_of_a_numerical_derivative(x64):
    """Row by row: log det of the Jacobian of the map that standardises."""
    data = container()
    scaled = data.standardize(log=LOG)
    fitted = scaled.standardization

    def flat(row, name):
        shape = data.event_shapes[data.index(name)]
        return lambda x: fitted.apply({name: x.reshape(shape)})[name].reshape(-1)

    for name in data.names:
        for row in range(ROWS):
            x = np.asarray(data.values[name], float)[row].reshape(-1)
            observed = np.asarray(data.observed(name))[row].reshape(-1)
            standardise = flat(row, name)
            J = jax.jacfwd(standardise)(jnp.asarray(x))
            step = 1e-4 * (1 + np.abs(x))
            up, down = (
                np.stack(
                    [standardise(jnp.asarray(y)) for y in x + sign * np.diag(step)]
                )
                for sign in (1, -1)
            )
            numerical = ((up - down) / (2 * step)[:, None]).T
            np.testing.assert_allclose(J, numerical, rtol=1e-6, atol=1e-9)
            kept = J[np.ix_(observed, observed)]
            expected = np.linalg.slogdet(kept)[1]
            found = scaled.log_jacobian(scaled.subset_of(name))[row]
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("filler", [np.nan, -5.0, np.inf, 1e30])
def test_what_stands_in_missing_places_changes_nothing(filler):
    """Bit-equal values and gradients, as for everything else."""
    scaled = container().standardize(log=LOG)

    def total(shift, data):
        values = {n: x + shift for n, x in data.values.items()}
        return dataclasses.replace(data, values=values).log_jacobian().sum()

    def spoiled(name):
        return jnp.where(scaled.observed(name), scaled.values[name], filler)

    values = {name: spoiled(name) for name in scaled.names}
    other = dataclasses.replace(scaled, values=values)
    for data in (scaled, other):
        assert np.isfinite(data.log_jacobian()).all()
    np.testing.assert_array_equal(scaled.log_jacobian(), other.log_jacobian())
    ours, theirs = (jax.grad(total)(0.5, data) for data in (scaled, other))
    assert ours == theirs != 0


def test_the_likelihood_of_logarithms_is_that_of_the_first_units(x64):
    """log N(y; b, W Wᵀ + σ² I) + Σ log dy/dx over what was observed, row by row."""
    widths, first = {"genes": 5, "ratios": 3}, {"genes": GENES, "ratios": RATIOS}
    entries = {"genes": np.arange(ROWS * 5).reshape(ROWS, 5) % 11 != 4}
    data = cs.MultimodalData.from_arrays(first, entries=entries)
    data = data.standardize(log=["genes"])
    W = {n: jnp.asarray(RNG.normal(size=(d, 2))) for n, d in widths.items()}
    b = {n: jnp.asarray(RNG.normal(size=d)) for n, d in widths.items()}
    found = cs.LinearGaussian(W, b, 0.7).log_likelihood(data)
    joint = np.concatenate([*W.values()])
    cov, mean = joint @ joint.T + 0.7**2 * np.eye(8), np.concatenate([*b.values()])
    loc, scale = data.standardization.loc, data.standardization.scale
    g = np.concatenate([np.log1p(GENES), RATIOS], 1)
    loc, scale = (np.concatenate([x["genes"], x["ratios"]]) for x in (loc, scale))
    slope = np.concatenate([1 / (1 + GENES), np.ones((ROWS, 3))], 1) / scale
    seen = np.concatenate([entries["genes"], np.ones((ROWS, 3), bool)], 1)
    for row, o in enumerate(seen):
        law = stats.multivariate_normal(mean[o], cov[np.ix_(o, o)])
        expected = law.logpdf(((g - loc) / scale)[row, o]) + np.log(slope[row, o]).sum()
        np.testing.assert_allclose(found[row], expected, rtol=1e-10)


def test_predictive_densities_of_logarithms_integrate_to_one(x64, rng_key):
    """Over the first units, of one entry under a model and guide that ignore the data."""
    x = np.exp(RNG.normal(size=(6, 1)))
    train = cs.MultimodalData.from_arrays({"a": x}).standardize(log=["a"])
    model = cs.LinearGaussian({"a": jnp.ones((1, 1))}, {"a": jnp.zeros(1)}, 0.5)

    def guide(data, subset=None):
        import numpyro

        with data.plate():
            law = numpyro.distributions.Normal(jnp.zeros((data.size, 1)), 1.0)
            numpyro.sample("z", law.to_event(1))

    grid = np.expm1(np.linspace(-12.0, 15.0, 601))
    rows = cs.MultimodalData.from_arrays({"a": np.ones((601, 1))}).standardize(
        like=train
    )
    settings = {"num_samples": 300, "chunk_size": 601}
    found = cs.predictive_log_density(
        rng_key, model, guide, {}, rows, {"a": grid[:, None]}, rows.present, **settings
    )
    density = np.exp(found["a"][:, 0])
    np.testing.assert_allclose(np.trapezoid(density, grid), 1.0, atol=2e-3)
    with pytest.raises(ValueError, match=r"truth: 'a': expected values above −1"):
        cs.predictive_log_density(
            rng_key, model, guide, {}, rows, {"a": grid[:, None] - 2.0}, **settings
        )


def test_classifiers_see_the_units_of_training():
    from consilience.evaluation.class_features import class_features, training_features

    x = np.exp(RNG.normal(3.0, 2.0, (50, 4))).astype(np.float32)
    data = cs.MultimodalData.from_arrays({"a": x}).standardize(log=["a"])
    features = class_features(data, "a")
    y = np.log1p(x)
    expected = (y - y.mean(0)) / y.std(0)
    np.testing.assert_allclose(
        training_features(data, "a", features), expected, atol=1e-4
    )
    np.testing.assert_allclose(features(x), expected, atol=1e-4)


def test_data_of_another_transform_do_not_conform():
    data = container()
    with_log = data.standardize(log=LOG)
    other = data.standardize(log=["genes"])
    with pytest.raises(
        ValueError, match=r"standardisation of the training rows, got anot"
    ):
        other.conform(with_log)
    fitted = dataclasses.replace(with_log.standardization, log=("genes",))
    alike = dataclasses.replace(with_log, standardization=fitted)  # same loc and scale
    with pytest.raises(
        ValueError, match=r"standardisation of the training rows, got anot"
    ):
        alike.conform(with_log)
    with pytest.raises(ValueError, match="one and the same standardisation"):
        cs.MultimodalData.concatenate([alike, with_log])
    data.standardize(like=with_log).conform(with_log)


def test_the_transform_passes_through_jit():
    scaled = container().standardize(log=LOG).bare()
    out = jax.jit(lambda data: (data, data.log_jacobian()))(scaled)
    assert out[0].standardization.log == scaled.standardization.log
    np.testing.assert_allclose(out[1], scaled.log_jacobian(), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "arguments", "message"),
    [
        (RATIOS - 2, {"log": ["a"]}, r"log: modality 'a': row \d.*above −1.*got -"),
        (GENES - 1000, {"log": ["a"]}, r"log: modality 'a': row 0, column \d: .*got -"),
        (GENES, {"log": "a"}, "log: expected a list of modalities, got the text 'a'"),
        (GENES, {"names": "a"}, "names: expected a list of modalities, got the text"),
        (GENES, {"log": ["b"]}, "expected one of the modalities a, got 'b'"),
        (GENES, {"log": ["a", "a"]}, "log: expected each name once"),
        (
            RATIOS,
            {"names": [], "log": ["a"]},
            "log: expected modalities that are scaled",
        ),
        (
            GENES,
            {"names": ["a"]},
            "expected floats, got int32; whole numbers are scaled",
        ),
    ],
)
def test_transforms_that_would_be_wrong(values, arguments, message):
    data = cs.MultimodalData.from_arrays({"a": values})
    with pytest.raises(ValueError, match=message):
        data.standardize(**arguments)


def test_new_rows_without_a_logarithm_are_named():
    train = cs.MultimodalData.from_arrays({"a": GENES}).standardize(log=["a"])
    bad = GENES.copy()
    bad[4, 2] = -1
    names = {"row_names": [*"pqrstuv"], "feature_names": {"a": [*"ABCDE"]}}
    data = cs.MultimodalData.from_arrays({"a": bad}, **names)
    with pytest.raises(
        ValueError, match=r"like: .*row 4 \('t'\), column 2 \('C'\).*got -1"
    ):
        data.standardize(like=train)
    with pytest.raises(ValueError, match="`log` or `like`, got both"):
        data.standardize(like=train, log=["a"])


def test_a_missing_entry_may_hold_anything():
    x = np.array([[1.0, np.nan], [2.0, 3.0]])
    data = cs.MultimodalData.from_arrays({"a": x})
    values = {"a": jnp.where(data.observed("a"), data.values["a"], -7.0)}
    scaled = dataclasses.replace(data, values=values).standardize(log=["a"])
    assert np.isfinite(scaled.values["a"]).all()
