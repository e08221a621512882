"""The DataTree: groups, names, units, and numbers that agree with each other."""

import dataclasses

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from examples import WIDTHS, incomplete, linear_gaussian
from numpyro.infer import SVI, Trace_ELBO
from scipy import stats
from scipy.special import logsumexp

import consilience as cs
from consilience.inference.attributes import checked
from consilience.training.provenance import of_bound

KEY = jax.random.key(8)
TRUTH = linear_gaussian(KEY)
DRAWS, PREDICTIVE, PRIOR = 1000, 11, 500


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
        num_prior=PRIOR,
        prior_predictive=True,
        chunk_size=3,
        attrs={"aggregation": "exact, but wide", "seed": np.int64(8), "rate": 1e-3},
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
        "prior": {"z": (*draw, "latent")},
        "prior_predictive": {n: ("chain", "draw", *e) for n, e in events.items()},
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
    data, key = first.standardize(), jax.random.split(KEY, 4)[2]
    given, sizes = (
        data.subset_of("a", "c"),
        {"num_samples": PREDICTIVE, "chunk_size": 3},
    )
    generated = cs.generate(key, model, guide, {}, data, given, **sizes)
    for name, value in generated.items():
        np.testing.assert_array_equal(tree.posterior_predictive[name][0], value)


def test_prior_is_that_of_the_model(tree):
    """Row by row of mean 0 and variance 1, predictions around them in first units."""
    z = tree.prior["z"].values[0].astype(float)
    assert z.shape == (PRIOR, 7, 2)
    assert np.abs(z.mean(0)).max() <= 4.5 / np.sqrt(PRIOR)
    assert np.abs((z**2).mean(0) - 1).max() <= 4.5 * np.sqrt(2 / PRIOR)
    rows = np.corrcoef(z.reshape(PRIOR, 14).T)[np.triu_indices(14, 1)]
    assert np.abs(rows).max() <= 4.5 / np.sqrt(PRIOR)
    for name, W in TRUTH.loadings.items():
        mean = z @ np.asarray(W).T + np.asarray(TRUTH.biases[name])
        noise = (tree.prior_predictive[name].values[0] - mean) / TRUTH.scale
        assert np.abs(noise.mean(0)).max() <= 4.5 / np.sqrt(PRIOR)
        assert np.abs((noise**2).mean(0) - 1).max() <= 4.5 * np.sqrt(2 / PRIOR)


def by_group(data, subset=None):
    """A prior that is learned by group, and a global latent."""
    level = numpyro.sample("level", dist.Normal(100.0, 1.0))
    table = numpyro.param("prior_loc", jnp.zeros(3))
    with data.plate():
        loc = table[data.covariates["group"]] + level
        z = numpyro.sample("z", dist.Normal(loc[:, None], 0.1).to_event(1))
        cs.observe(data, "a", dist.Normal(z.repeat(2, -1), 0.1), subset)


def of_group(data, subset=None):
    numpyro.sample("level", dist.Normal(0.0, 1.0))
    with data.plate():
        numpyro.sample("z", dist.Normal(jnp.zeros((data.size, 1)), 1.0).to_event(1))


@pytest.fixture(scope="module")
def grouped():
    return cs.MultimodalData.from_arrays(
        {"a": np.zeros((5, 2))}, covariates={"group": np.array([0, 1, 2, 0, 1])}
    )


def test_prior_follows_covariates_parameters_and_global_latents(grouped):
    """Level and z are joint draws, one level for the rows of all chunks."""
    params = {"prior_loc": jnp.array([-30.0, 0.0, 30.0])}
    sizes = {"num_samples": 3, "num_predictive": 2, "num_prior": 13, "chunk_size": 2}
    tree = cs.to_datatree(KEY, by_group, of_group, params, grouped, **sizes)
    assert tree.prior["level"].dims == ("chain", "draw")
    assert dict(tree.prior.sizes) == {
        "chain": 1,
        "draw": 13,
        "datapoint": 5,
        "latent": 1,
    }
    level, z = tree.prior["level"].values[0], tree.prior["z"].values[0, :, :, 0]
    assert np.abs(level - 100).max() < 4.5
    assert np.std(level) > 0.3
    offset = z - level[:, None] - np.array([-30.0, 0.0, 30.0, -30.0, 0.0])
    assert np.abs(offset).max() < 0.45
    assert "prior_predictive" not in tree.children
    without = cs.to_datatree(
        KEY, by_group, of_group, params, grouped, **sizes | {"num_prior": 0}
    )
    assert set(tree.children) - set(without.children) == {"prior"}
    np.testing.assert_array_equal(without.posterior["z"], tree.posterior["z"])


@pytest.mark.filterwarnings("ignore:.*onsolidated metadata:UserWarning")
@pytest.mark.parametrize("form", ["netcdf", "zarr"])
def test_survives_a_file(form, tree, tmp_path):
    getattr(tree, f"to_{form}")(tmp_path / "posterior")
    back = getattr(az, f"from_{form}")(tmp_path / "posterior")
    assert set(back.children) == set(tree.children)
    for group, node in tree.children.items():
        assert set(back[group].data_vars) == set(node.data_vars)
        for name, variable in node.data_vars.items():
            np.testing.assert_array_equal(back[group][name], variable)
            assert back[group][name].dims == variable.dims
            assert back[group][name].dtype == variable.dtype
        assert set(back[group].coords) == set(node.coords)
        for name, coordinate in node.coords.items():
            np.testing.assert_array_equal(back[group].coords[name], coordinate)
    assert back.attrs == tree.attrs


def test_attributes_say_versions_and_what_was_passed(tree):
    attrs = dict(tree.attrs)
    versions = {n: attrs.pop(n) for n in list(attrs) if n.endswith("_version")}
    assert {"consilience_version", "jax_version", "numpyro_version"} < set(versions)
    assert versions["arviz_version"] == az.__version__
    assert attrs == {"aggregation": "exact, but wide", "seed": 8, "rate": 1e-3}
    assert {type(x) for x in attrs.values()} == {str, int, float}


def law(rng_key, present):
    return present


BOUNDS = {
    "masked": (
        lambda: cs.MaskedELBO(beta=0.5, subsets=cs.Independent(0.3), weights={"a": 2}),
        {
            "bound": "MaskedELBO",
            "bound_beta": 0.5,
            "bound_subsets": "Independent(probability=0.3)",
            "bound_estimator": "STL(stratified=True)",
            "bound_weights": "{'a': 2}",
            "bound_exhaustive": "False",
            "bound_num_particles": 1,
        },
    ),
    "function": (lambda: cs.MixtureELBO(subsets=law), {"bound_subsets": "law"}),
    "inside": (
        lambda: cs.ConsistentELBO(cs.MaskedELBO(), 0.25),
        {
            "bound": "ConsistentELBO",
            "bound_strength": 0.25,
            "bound_elbo": "MaskedELBO",
            "bound_elbo_subsets": "Hierarchical()",
        },
    ),
    "numpyro": (Trace_ELBO, {"bound": "Trace_ELBO", "bound_num_particles": 1}),
}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("name", BOUNDS)
def test_a_fit_adds_its_bound_and_history(name, grouped, monkeypatch):
    make, expected = BOUNDS[name]
    svi, history = (
        SVI(by_group, of_group, optax.sgd(0.1), make()),
        cs.History(np.array([-9.0, -7.5]), np.array([-8.0, -8.5])),
    )
    state = svi.init(KEY, grouped)
    fitted = cs.Fitted(svi, state, history, grouped.take([0]))
    monkeypatch.setattr(
        "consilience.training.fitted.to_datatree", lambda *_, attrs, **settings: attrs
    )
    got = fitted.to_datatree(KEY, grouped, attrs={"seed": 3, "last_bound": "none"})
    of_training = {"num_epochs": 2, "last_validation": -8.5, "last_bound": "none"}
    assert got.items() >= (expected | of_training | {"seed": 3}).items()
    assert checked(got) == got
    assert not any("0x" in str(value) for value in got.values())


def test_a_vamp_prior_in_a_bound_is_named_not_printed(grouped):
    """Arrays have no place among attributes."""
    prior = cs.vamp_prior(cs.amortized_guide(latent_dim=1), grouped)
    attrs = of_bound(cs.MaskedELBO(conditional_prior=prior))
    assert attrs["bound_conditional_prior"] == "VampPrior"


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


@pytest.mark.usefixtures("untyped")
def test_refusals(first):
    for argument in ("num_samples", "num_predictive", "chunk_size", "num_prior"):
        with pytest.raises(
            ValueError,
            match=f"{argument}: expected a (positive integer|whole number of 0)",
        ):
            cs.to_datatree(KEY, model, guide, {}, first, **{argument: -1})
    with pytest.raises(ValueError, match=r"subset: expected booleans of shape \(7, 3"):
        cs.to_datatree(
            KEY, model, guide, {}, first.standardize(), np.ones((7, 2), bool)
        )
    with pytest.raises(ValueError, match="num_prior: expected 1 or more with prior_pr"):
        cs.to_datatree(KEY, model, guide, {}, first, num_prior=0, prior_predictive=True)


ATTRS = [
    ("aggregation", TypeError, "attrs: expected a mapping, got str"),
    ({"a b": 1}, ValueError, "attrs: expected names such as .* got 'a b'"),
    ({1: 1}, ValueError, "attrs: expected names such as .* got 1"),
    ({"jax_version": "1"}, ValueError, "attrs: 'jax_version' is filled in already"),
    ({"a": True}, TypeError, r"attrs\['a'\]: expected a string or a number, got bool"),
    ({"a": None}, TypeError, r"attrs\['a'\]: expected .* got NoneType; str"),
    ({"a": np.ones(2)}, TypeError, r"attrs\['a'\]: expected .* got ndarray"),
    ({"a": 2**63}, ValueError, r"attrs\['a'\]: expected an integer of 64 bits, got 92"),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("attrs", "error", "message"), ATTRS)
def test_attributes_that_no_file_holds_are_refused(attrs, error, message, first):
    with pytest.raises(error, match=message):
        cs.to_datatree(KEY, model, guide, {}, first, attrs=attrs)


def test_leaving_single_entries_out_agrees_with_the_closed_form():
    """az.loo_pit of an entrywise tree against the normal law of each entry given the rest.

    PITs p are shares of D draws with weights 1 / p(x_j | z), of effective size n: their
    standard error is about √(p (1 − p) / n).
    """
    data, _ = TRUTH.simulate(jax.random.key(1), 40)
    values = {name: np.array(x) for name, x in data.values.items()}
    values["c"][3, 1:3] = np.nan
    data = cs.MultimodalData.from_arrays(values).standardize()
    settings = {"num_samples": 2000, "num_prior": 0}
    args = (KEY, model, exact_posterior, {}, data)
    tree = cs.to_datatree(*args, **settings, entrywise=True)
    rows = cs.to_datatree(*args, **settings, num_predictive=1)
    for name in data.names:
        entries = tree.log_likelihood[name]
        assert entries.dims == ("chain", "draw", "datapoint", f"{name}_dim_0")
        np.testing.assert_allclose(
            entries.sum(f"{name}_dim_0"),
            rows.log_likelihood[name],
            rtol=1e-4,
            atol=1e-3,
        )
    x = np.concatenate([values[n] for n in data.names], 1).astype(float)
    W, b = (
        np.concatenate([np.asarray(part[n], float) for n in data.names])
        for part in (TRUTH.loadings, TRUTH.biases)
    )
    precision = np.linalg.inv(W @ W.T + TRUTH.scale**2 * np.eye(len(W)))
    spread = 1 / np.sqrt(np.diagonal(precision))
    expected = stats.norm.cdf((x - b) @ precision * spread)
    found = az.loo_pit(tree)
    found = np.concatenate([found[n] for n in data.names], 1)
    log_w = -np.concatenate([tree.log_likelihood[n][0] for n in data.names], -1)
    w = np.exp(log_w - log_w.max(0))
    size = w.sum(0) ** 2 / (w**2).sum(0)
    whole = np.arange(len(x)) != 3
    assert np.isnan(found[3]).sum() == 2
    z = (found - expected) / np.sqrt(expected * (1 - expected) / size)
    assert np.abs(z[whole]).max() <= 5
    assert np.sqrt(np.mean(z[whole] ** 2)) <= 1.2
    az.plot_loo_pit(tree, backend="matplotlib", var_names="a")


def exact_posterior(data, subset=None):
    """The exact posterior."""
    with data.plate():
        numpyro.sample("z", TRUTH.posterior(unscaled(data), data.subset(subset)))
