import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
import reference
from numpyro import handlers
from numpyro.infer import SVI, Predictive, Trace_ELBO
from numpyro.infer.util import log_density
from scipy import stats

from consilience import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    HeteroscedasticNormalLikelihood,
    LearnedNormalLikelihood,
    LinearDecoder,
    MLPDecoder,
    MultimodalData,
    NormalLikelihood,
    OneHotLikelihood,
    gaussian_mixture,
    multimodal_model,
    observe,
    standard_normal,
)

ROWS, LATENT = 11, 3
SHAPES = {"rna": (5,), "image": (2, 13), "age": ()}  # not in alphabetical order


def make_data(rows=ROWS):
    rng = np.random.default_rng(0)
    return MultimodalData.from_arrays(
        {name: rng.normal(size=(rows, *shape)) for name, shape in SHAPES.items()},
        covariates={"depth": np.linspace(-1, 1, rows)},
    )


def make_model(likelihoods=None, decoders=LinearDecoder, prior=None):
    likelihoods = likelihoods or NormalLikelihood(0.7)
    return multimodal_model(prior or standard_normal(LATENT), likelihoods, decoders)


def sites_of(model, *args, params=None):
    substituted = handlers.substitute(model, data=params or {})
    with handlers.seed(rng_seed=0), handlers.trace() as sites:
        substituted(*args)
    return sites


def params_of(model, *args):
    sites = sites_of(model, *args)
    return {n: s["value"] for n, s in sites.items() if s["type"] == "param"}


@pytest.fixture(scope="module")
def params():
    """Initial parameters of the plain model of `make_data`."""
    return params_of(make_model(), make_data().without_values())


def samples(sites):
    return {n: s for n, s in sites.items() if s["type"] == "sample"}


# Sites


def test_sites_and_their_shapes():
    data = make_data()
    sites = samples(sites_of(make_model(), data))
    assert list(sites) == ["z", *SHAPES]
    assert sites["z"]["value"].shape == (ROWS, LATENT)
    assert not sites["z"]["is_observed"]
    for name, shape in SHAPES.items():
        assert sites[name]["is_observed"]
        np.testing.assert_array_equal(sites[name]["value"], data.values[name])
        assert sites[name]["fn"].batch_shape == (ROWS,)
        assert sites[name]["fn"].event_shape == shape


def test_every_row_site_stands_in_the_plate():
    sites = samples(sites_of(make_model(), make_data()))
    assert {s["cond_indep_stack"][0].name for s in sites.values()} == {"data"}
    assert {len(s["cond_indep_stack"]) for s in sites.values()} == {1}


def test_parameters_are_named_after_their_modality():
    model = make_model(LearnedNormalLikelihood(), prior=gaussian_mixture(LATENT, 2))
    expected = {f"decoder.{name}$params" for name in SHAPES}
    expected |= {f"{name}.scale" for name in SHAPES}
    expected |= {"prior.logits", "prior.loc", "prior.scale"}
    assert set(params_of(model, make_data())) == expected


def test_no_modality_may_be_called_like_the_prior():
    """Its parameters and those of the mixture would be one."""
    with pytest.raises(ValueError, match="'prior' is reserved"):
        MultimodalData.from_arrays({"prior": np.ones((2, 3))})


def test_values_that_are_not_there_are_generated():
    data = make_data()
    one = dataclasses.replace(data, values={"image": data.values["image"]})
    sites = samples(sites_of(make_model(), one))
    assert {n for n, s in sites.items() if s["is_observed"]} == {"image"}
    assert sites["rna"]["value"].shape == (ROWS, 5)
    assert sites["age"]["value"].shape == (ROWS,)


KINDS = {
    "rna": HeteroscedasticNormalLikelihood(),
    "mutated": BernoulliLikelihood(),
    "stage": CategoricalLikelihood(num_classes=7),
    "word": OneHotLikelihood(),
}


def mixed_data(rows=ROWS):
    rng = np.random.default_rng(0)
    values = {
        "rna": rng.normal(size=(rows, 5)),
        "mutated": rng.integers(0, 2, (rows, 3)),
        "stage": rng.integers(0, 7, rows),
        "word": np.eye(13, dtype=int)[rng.integers(0, 13, (rows, 2))],
    }
    values["rna"][0] = values["rna"][1, 2] = np.nan
    entries = {"word": np.ones((rows, 2, 13), bool)}
    entries["word"][2, 0] = False
    return MultimodalData.from_arrays(values, entries=entries)


def test_predictive_generates_every_kind():
    data = mixed_data()
    model = multimodal_model(standard_normal(LATENT), KINDS, MLPDecoder)
    predictive = Predictive(model, params=params_of(model, data), num_samples=2)
    draws = predictive(jax.random.key(1), data.without_values())
    assert draws["z"].shape == (2, ROWS, LATENT)
    for name, shape in zip(data.names, data.event_shapes, strict=True):
        assert draws[name].shape == (2, ROWS, *shape)
        assert jnp.isfinite(draws[name]).all()
    assert set(np.unique(draws["mutated"])) == {0, 1}
    np.testing.assert_array_equal(draws["word"].sum(-1), 1)


def test_predictive_decodes_given_latents(params):
    data, model = make_data(), make_model(NormalLikelihood(1e-4))
    z = jax.random.normal(jax.random.key(0), (2, ROWS, LATENT))
    predictive = Predictive(model, posterior_samples={"z": z}, params=params)
    draws = predictive(jax.random.key(1), data.without_values())
    np.testing.assert_allclose(draws["rna"], mean_of(params, "rna", z), atol=1e-3)


# Densities


def mean_of(params, name, z):
    layer = jax.tree.map(np.asarray, params[f"decoder.{name}$params"]["linear"])
    z = np.asarray(z)
    return (z @ layer["kernel"] + layer["bias"]).reshape(*z.shape[:-1], *SHAPES[name])


@jax.jit
def log_joint(data, subset=None, *, params, z):
    seeded = handlers.seed(make_model(), jax.random.key(0))
    return log_density(seeded, (data, subset), {}, params | {"z": z})[0]


@jax.jit
def log_joint_and_gradient(data, subset, params, z):
    value = lambda params: log_joint(data, subset, params=params, z=z)  # noqa: E731
    return jax.value_and_grad(value)(params)


def test_every_subset_counts_what_is_in_it(params):
    subsets = jnp.array(reference.subsets(3))  # one a row
    data = make_data(len(subsets))
    z = np.random.default_rng(1).normal(size=(data.size, LATENT)).astype(np.float32)
    expected = stats.norm.logpdf(z).sum()
    for i, name in enumerate(SHAPES):
        each = stats.norm(mean_of(params, name, z), 0.7).logpdf(data.values[name])
        expected += each.reshape(data.size, -1).sum(-1)[subsets[:, i]].sum()
    found = log_joint(data, subsets, params=params, z=z)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_subset_is_never_more_than_present(params):
    data = make_data().restrict(make_data().subset_of("image"), allow_empty_rows=True)
    z = jnp.ones((ROWS, LATENT))
    everything = jnp.ones((ROWS, 3), bool)
    found = log_joint(data, everything, params=params, z=z)
    expected = log_joint(make_data(), data.present, params=params, z=z)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_modalities_outside_the_subset_have_no_gradient(params):
    data = make_data()
    subset = data.subset_of("rna", "age")
    z = jnp.ones((ROWS, LATENT))
    _, gradient = log_joint_and_gradient(data, subset, params, z)
    moved = {n: any(map(np.any, jax.tree.leaves(g))) for n, g in gradient.items()}
    assert [n for n, any_moved in moved.items() if not any_moved] == [
        "decoder.image$params"
    ]


@pytest.mark.parametrize("filler", [1e6, np.nan, -1.0])
def test_absent_values_change_no_bit(params, filler):
    data = make_data()
    data = data.restrict(
        data.present.at[2:5, 1].set(False).at[3, 0].set(False), allow_empty_rows=True
    )
    spoiled = dataclasses.replace(
        data,
        values={
            n: jnp.where(data.observed(n), x, filler) for n, x in data.values.items()
        },
    )
    z = jnp.ones((ROWS, LATENT))
    expected = log_joint_and_gradient(data, None, params, z)
    found = log_joint_and_gradient(spoiled, None, params, z)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_sites_never_hold_what_stands_in_a_missing_place(params):
    data = make_data().restrict(make_data().present.at[2:5, 1].set(False))
    seen = data.observed("image")
    image = jnp.where(seen, data.values["image"], jnp.nan)
    spoiled = dataclasses.replace(data, values={"image": image})
    site = sites_of(make_model(), spoiled, params=params)["image"]
    np.testing.assert_array_equal(site["value"], np.where(seen, image, 0))


def test_a_batch_is_scaled_to_the_whole_data_set(params):
    data, index = make_data(), jnp.array([4, 0])
    z = jax.random.normal(jax.random.key(0), (2, LATENT))
    alone = log_joint(data.take([4, 0]), params=params, z=z)
    found = log_joint(data.batch(index), params=params, z=z)
    np.testing.assert_allclose(found, alone * ROWS / 2, rtol=1e-6)


def test_trains_under_numpyros_own_elbo():
    def guide(data, subset=None):
        loc = numpyro.param("loc", jnp.zeros((data.size, LATENT)))
        with data.plate():
            numpyro.sample("z", dist.Normal(loc, 0.1).to_event(1))

    data = make_data()
    svi = SVI(make_model(), guide, optax.sgd(1e-2), Trace_ELBO())
    state = svi.init(jax.random.key(0), data)
    after, loss = jax.jit(svi.update)(state, data)
    assert jnp.isfinite(loss)
    before, after = svi.get_params(state), svi.get_params(after)
    for name in ("loc", *(f"decoder.{n}$params" for n in data.names)):
        moved = jax.tree.map(lambda a, b: (a != b).any(), before[name], after[name])
        assert all(jax.tree.leaves(moved))


# Settings


def test_settings_by_name():
    likelihoods = {
        n: NormalLikelihood(s) for n, s in zip(SHAPES, (1.0, 2.0, 3.0), strict=True)
    }
    decoders = {"age": MLPDecoder, "image": LinearDecoder, "rna": MLPDecoder}
    model = make_model(likelihoods, decoders)
    sites = sites_of(model, make_data())
    scales = {n: np.unique(sites[n]["fn"].variance) for n in SHAPES}
    assert scales == {"rna": 1, "image": 4, "age": 9}
    keys = {n: set(sites[f"decoder.{n}$params"]["value"]) for n in SHAPES}
    assert keys == {"rna": {"net"}, "image": {"linear"}, "age": {"net"}}


def test_a_likelihood_of_your_own_sees_covariates(params):
    def offset(eta, covariates):
        depth = covariates["depth"].reshape(-1, *[1] * (eta.ndim - 1))
        return dist.Exponential(jnp.exp(-eta - depth))

    data = make_data().without_values()
    sites = sites_of(make_model(offset), data, params=params)
    z = sites["z"]["value"]
    mean = np.exp(mean_of(params, "rna", z) + data.covariates["depth"][:, None])
    np.testing.assert_allclose(sites["rna"]["fn"].mean, mean, rtol=1e-5)


def test_a_likelihood_over_vectors_may_stand_for_a_modality():
    def student(eta, covariates):
        return dist.MultivariateStudentT(5.0, eta, jnp.eye(5))

    data = MultimodalData.from_arrays({"rna": make_data().values["rna"]})
    site = sites_of(make_model(student), data)["rna"]
    assert (site["fn"].batch_shape, site["fn"].event_shape) == ((ROWS,), (5,))


def test_a_decoder_may_be_set_by_a_function():
    def narrow(latent_dim, event_shape, *, rngs):
        return MLPDecoder(latent_dim, event_shape, hidden=(17,), rngs=rngs)

    params = params_of(make_model(decoders=narrow), make_data())
    kernel = params["decoder.rna$params"]["net"]["layers"][0]["kernel"]
    assert kernel.shape == (LATENT, 17)


@pytest.mark.parametrize("argument", ["likelihoods", "decoders"])
def test_settings_for_other_modalities_are_refused(argument):
    setting = {"likelihoods": NormalLikelihood(), "decoders": LinearDecoder}[argument]
    model = make_model(**{argument: {"rna": setting, "protein": setting}})
    with pytest.raises(
        ValueError, match=rf"{argument}: .* rna, image, age, got rna, protein"
    ):
        sites_of(model, make_data())


@pytest.mark.parametrize("argument", ["likelihoods", "decoders"])
def test_settings_that_cannot_be_called_are_refused(argument):
    with pytest.raises(TypeError, match=rf"{argument}: .* got "):
        make_model(**{argument: {"rna": max, "image": "normal", "age": max}})


@pytest.mark.parametrize(
    "distribution",
    [
        lambda eta, _: dist.Normal(eta.sum(-1), 1.0),
        lambda eta, _: dist.Normal(eta[:, :2], 1.0),
        lambda eta, _: dist.Normal(eta[0], 1.0),
        lambda eta, _: dist.MultivariateNormal(eta[:, None], jnp.eye(5)),
    ],
    ids=["too few axes", "too narrow", "no rows", "too many axes"],
)
def test_a_likelihood_of_another_shape_is_refused(distribution):
    data = MultimodalData.from_arrays({"rna": make_data().values["rna"]})
    message = r"modality 'rna': expected a likelihood of shape \(11, 5\), got \("
    with pytest.raises(ValueError, match=message):
        sites_of(make_model(distribution), data)


def test_observe_refuses_unknown_modalities():
    with pytest.raises(ValueError, match="modalities rna, image, age, got 'protein'"):
        observe(make_data(), "protein", dist.Normal(jnp.zeros((ROWS, 5)), 1.0))


def test_an_independent_likelihood_is_masked_entry_by_entry(rng_key):
    """`.to_event(1)` or not: one missing entry costs one entry."""
    values = {"a": np.array([[1.0, 2.0, np.nan], [1.0, 2.0, 3.0]])}
    data = MultimodalData.from_arrays(values)

    def log_x(distribution):
        def model(data):
            with data.plate():
                observe(data, "a", distribution)

        trace = handlers.trace(handlers.seed(model, rng_key)).get_trace(data)
        return trace["a"]["fn"].log_prob(trace["a"]["value"])

    apart = dist.Normal(jnp.zeros((2, 3)), 1.0)
    np.testing.assert_array_equal(log_x(apart), log_x(apart.to_event(1)))
    joint = dist.MultivariateNormal(jnp.zeros((2, 3)), jnp.eye(3))
    with pytest.raises(
        ValueError, match="MultivariateNormal, which is joint over them"
    ):
        log_x(joint)
