"""The DataTree: groups, names, units, and numbers that agree with each other."""

import dataclasses

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import WIDTHS, incomplete, linear_gaussian
from scipy import stats
from scipy.special import logsumexp

import consilience as cs

KEY = jax.random.key(8)
TRUTH = linear_gaussian(KEY)
DRAWS, PREDICTIVE = 1000, 11


def unscaled(data):
    values = data.unstandardize(data.values)
    return dataclasses.replace(data, values=values, standardization=None)


def model(data, subset=None):
    """The linear Gaussian model in the units of standardised data."""
    units = data.standardization
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
        for name in data.names:
            loc, scale = units.loc[name], units.scale[name]
            mean = z @ TRUTH.loadings[name].T + TRUTH.biases[name]
            p_x = dist.Normal((mean - loc) / scale, TRUTH.scale / scale)
            cs.observe(data, name, p_x, subset)


def guide(data, subset=None):
    """The exact posterior, 1.3 times as wide."""
    exact = TRUTH.posterior(unscaled(data), data.subset(subset))
    with data.plate():
        numpyro.sample(
            "z", dist.MultivariateNormal(exact.loc, scale_tril=1.3 * exact.scale_tril)
        )


@pytest.fixture(scope="module")
def first():
    """Rows in their first units, with names, a label and missing entries."""
    plain = incomplete(KEY, TRUTH)
    values = {
        n: np.where(plain.observed(n), x, np.nan) for n, x in plain.values.items()
    }
    return cs.MultimodalData.from_arrays(
        values,
        covariates={"label": np.arange(7), "place": np.ones((7, 2))},
        row_names=[f"cell {i}" for i in range(7)],
        feature_names={"c": [f"gene {i}" for i in range(5)]},
    )


@pytest.fixture(scope="module")
def tree(first):
    data = first.standardize()
    return cs.to_datatree(
        KEY,
        model,
        guide,
        {},
        data,
        data.subset_of("a", "c"),
        num_samples=DRAWS,
        num_predictive=PREDICTIVE,
        chunk_size=3,
    )


def test_groups_variables_and_dimensions(tree):
    dims = {
        group: {name: variable.dims for name, variable in node.data_vars.items()}
        for group, node in tree.children.items()
    }
    draw, modality = ("chain", "draw", "datapoint"), ("datapoint", "modality")
    events = {name: ("datapoint", f"{name}_dim_0") for name in WIDTHS}
    assert dims == {
        "posterior": {"z": (*draw, "latent")},
        "log_likelihood": {name: draw for name in WIDTHS},
        "posterior_predictive": {n: ("chain", "draw", *e) for n, e in events.items()},
        "observed_data": events,
        "sample_stats": {"log_weight": draw},
        "constant_data": {
            "present": modality,
            "subset": modality,
            "label": ("datapoint",),
            "place": ("datapoint", "place_dim_0"),
        },
    }
    assert dict(tree.posterior.sizes) == {
        "chain": 1,
        "draw": DRAWS,
        "datapoint": 7,
        "latent": 2,
    }
    assert tree.posterior_predictive.sizes["draw"] == PREDICTIVE
    assert tree.attrs["consilience_version"] == cs.__version__


def test_names_are_coordinates(tree, first):
    for group in tree.children.values():
        np.testing.assert_array_equal(group.coords["datapoint"], first.row_names)
    observed = tree.observed_data
    np.testing.assert_array_equal(observed.coords["c_dim_0"], first.feature_names[2])
    np.testing.assert_array_equal(tree.constant_data.coords["modality"], first.names)
    one = observed["c"].sel(datapoint="cell 3", c_dim_0="gene 4")
    np.testing.assert_allclose(one, first.values["c"][3, 4], rtol=1e-5)


def test_data_are_in_first_units_with_nan_where_missing(tree, first):
    for name in WIDTHS:
        seen = np.asarray(first.observed(name))
        values = tree.observed_data[name].values
        np.testing.assert_allclose(
            values[seen], np.asarray(first.values[name])[seen], rtol=1e-4, atol=1e-5
        )
        assert np.isnan(values[~seen]).all()
        assert (~seen).any()
    constant = tree.constant_data
    np.testing.assert_array_equal(constant["present"], first.present)
    np.testing.assert_array_equal(constant["subset"], first.subset_of("a", "c"))
    np.testing.assert_array_equal(constant["label"], np.arange(7))


def test_log_likelihood_is_that_of_each_draw_in_first_units(tree, first):
    z = tree.posterior["z"].values[0].astype(float)
    for name in WIDTHS:
        mean = z @ np.asarray(TRUTH.loadings[name]).T + np.asarray(TRUTH.biases[name])
        log_x = stats.norm(mean, TRUTH.scale).logpdf(np.asarray(first.values[name]))
        log_x = np.where(first.observed(name), log_x, 0.0).sum(-1)
        log_x[:, ~np.asarray(first.present[:, first.index(name)])] = np.nan
        got = tree.log_likelihood[name].values[0]
        np.testing.assert_allclose(got, log_x, rtol=1e-4, atol=1e-3)


def test_log_weight_is_made_of_the_other_groups(tree, first):
    """log p(z) + Σ_{s∈S} log p(x_s|z) − log q(z|x_S); its log-mean-exp is log p(x_S)."""
    z = tree.posterior["z"].values[0].astype(float)
    subset = first.subset_of("a", "c")
    exact = TRUTH.posterior(first, subset)
    wide = dist.MultivariateNormal(exact.loc, scale_tril=1.3 * exact.scale_tril)
    log_weight = stats.norm.logpdf(z).sum(-1) - wide.log_prob(z)
    for i, name in enumerate(WIDTHS):
        log_x = tree.log_likelihood[name].values[0]
        log_weight += np.where(subset[:, i], log_x, 0.0)
    got = tree.sample_stats["log_weight"].values[0]
    np.testing.assert_allclose(got, log_weight, rtol=1e-4, atol=1e-3)

    estimate = logsumexp(got, 0) - np.log(DRAWS)
    relative = np.exp(got - estimate)
    error = relative.std(0) / np.sqrt(DRAWS)
    truth = TRUTH.log_likelihood(first, subset)
    assert np.all(np.abs(estimate - truth) <= 4.5 * error + 1e-4)


def test_predictions_are_in_first_units(tree, first):
    """Around W μ_S + b, with the predictive spread and its standard error."""
    posterior = TRUTH.posterior(first, first.subset_of("a", "c"))
    for name, W in TRUTH.loadings.items():
        drawn = tree.posterior_predictive[name].values[0]
        mean = posterior.mean @ W.T + TRUTH.biases[name]
        covariance = 1.69 * W @ posterior.covariance_matrix @ W.T
        variance = jnp.diagonal(covariance, axis1=1, axis2=2) + TRUTH.scale**2
        z_score = (drawn.mean(0) - mean) / np.sqrt(variance / PREDICTIVE)
        assert np.abs(z_score).max() <= 4.5


def test_predictions_are_those_of_generate_in_the_same_chunks(tree, first):
    data, (*_, key) = first.standardize(), jax.random.split(KEY, 3)
    given, sizes = (
        data.subset_of("a", "c"),
        {"num_samples": PREDICTIVE, "chunk_size": 3},
    )
    generated = cs.generate(key, model, guide, {}, data, given, **sizes)
    for name, value in generated.items():
        np.testing.assert_array_equal(tree.posterior_predictive[name][0], value)


def test_survives_a_file(tree, tmp_path):
    tree.to_netcdf(tmp_path / "posterior.nc")
    back = az.from_netcdf(tmp_path / "posterior.nc")
    for group, node in tree.children.items():
        for name, variable in node.data_vars.items():
            np.testing.assert_array_equal(back[group][name], variable)
            assert back[group][name].dims == variable.dims
    np.testing.assert_array_equal(
        back["posterior"].coords["datapoint"], tree.posterior.coords["datapoint"]
    )


def test_arviz_summarises_it(tree):
    summary = az.summary(tree, kind="stats", round_to="none")
    assert len(summary) == 7 * 2
    mean = tree.posterior["z"].values[0].mean(0).ravel()
    np.testing.assert_allclose(summary["mean"].to_numpy(float), mean, rtol=1e-4)
    assert summary.index[0] == "z[cell 0, 0]"


def test_unnamed_unscaled_data_and_later_latents():
    """Dimensions of further sites carry the site's name; nothing needs names."""
    data = cs.MultimodalData.from_arrays({"a": np.zeros((3, 2, 5)), "b": np.arange(3)})

    def model(data, subset=None):
        with data.plate():
            numpyro.sample("w", dist.Normal(jnp.zeros((2, 3)), 1.0).to_event(2))
            cs.observe(
                data, "a", dist.Normal(jnp.zeros((data.size, 2, 5)), 1.0), subset
            )
            cs.observe(data, "b", dist.Poisson(jnp.ones(data.size)), subset)

    def guide(data, subset=None):
        with data.plate():
            numpyro.sample("w", dist.Normal(jnp.zeros((2, 3)), 1.0).to_event(2))

    tree = cs.to_datatree(KEY, model, guide, {}, data, num_samples=2, num_predictive=1)
    assert tree.posterior["w"].dims[2:] == ("datapoint", "w_dim_0", "w_dim_1")
    assert tree.observed_data["a"].dims == ("datapoint", "a_dim_0", "a_dim_1")
    np.testing.assert_array_equal(tree.observed_data["b"], [0, 1, 2])
    np.testing.assert_array_equal(tree.posterior.coords["datapoint"], [0, 1, 2])


def test_refusals(first):
    for argument in ("num_samples", "num_predictive", "chunk_size"):
        with pytest.raises(
            ValueError, match=f"{argument}: expected a positive integer"
        ):
            cs.to_datatree(KEY, model, guide, {}, first, **{argument: 0})
