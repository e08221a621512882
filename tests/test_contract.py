"""What a bound asks of a model and a guide, and how it says so."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from numpyro import handlers
from numpyro.infer import SVI

import consilience as cs
from consilience.inference.contract import inspect

ROWS, LATENT, WIDTHS = 7, 2, {"a": 3, "b": 5}


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    values = {n: generator.normal(size=(ROWS, w)) for n, w in WIDTHS.items()}
    return cs.MultimodalData.from_arrays(values)


def standard(latent_dim=LATENT):
    return dist.Normal(jnp.zeros(latent_dim), 1.0).to_event(1)


def latent(data, fn=None):
    with data.plate():
        return numpyro.sample("z", fn or standard())


def measurements(data, z, subset=None, names=None):
    with data.plate():
        for name in names or data.names:
            loc = z.sum(-1, keepdims=True) + jnp.zeros(WIDTHS[name])
            cs.observe(data, name, dist.Normal(loc, 1.0), subset)


def model(data, subset=None):
    measurements(data, latent(data), subset)


def guide(data, subset=None):
    latent(data)


# Models with something wrong.


def model_without_plate(data, subset=None):
    z = numpyro.sample("z", standard().expand([ROWS]))
    measurements(data, z, subset)


def model_without_event(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros((ROWS, 1)), 1.0))
    measurements(data, z, subset)


def model_with_another_latent(data, subset=None):
    with data.plate():
        numpyro.sample("w", dist.Normal())
    model(data, subset)


def model_without_latents(data, subset=None):
    measurements(data, jnp.zeros((ROWS, LATENT)), subset)


def model_with_a_global_z(data, subset=None):
    z = numpyro.sample("z", standard())
    measurements(data, jnp.broadcast_to(z, (ROWS, LATENT)), subset)


def model_without_b(data, subset=None):
    measurements(data, latent(data), subset, ["a"])


def model_with_another_observation(data, subset=None):
    model(data, subset)
    with data.plate():
        numpyro.sample("c", dist.Normal(), obs=jnp.zeros(ROWS))


def model_with_a_factor(data, subset=None):
    model(data, subset)
    numpyro.factor("penalty", -1.0)


def model_that_does_not_observe(data, subset=None):
    measurements(data, latent(data), subset, ["a"])
    with data.plate():
        numpyro.sample("b", standard(5))


def model_with_observation_outside(data, subset=None):
    z = latent(data)
    measurements(data, z, subset, ["a"])
    whole = dist.Normal(jnp.zeros((ROWS, 5)), 1.0).to_event(2)
    numpyro.sample("b", whole, obs=data.filled("b"))


def model_with_entries_in_the_batch(data, subset=None):
    measurements(data, latent(data), subset, ["a"])
    with data.plate():
        one = dist.Normal(jnp.zeros((5, ROWS)), 1.0)
        numpyro.sample("b", one, obs=data.filled("b").T)


def model_with_a_scaled_latent(data, subset=None):
    with handlers.scale(scale=0.5):
        z = latent(data)
    measurements(data, z, subset)


def model_with_a_scaled_modality(data, subset=None):
    z = latent(data)
    measurements(data, z, subset, ["a"])
    with handlers.scale(scale=3.0):
        measurements(data, z, subset, ["b"])


BAD_MODELS = [
    (
        model_without_plate,
        r"model: site 'z': expected batch shape \(\), got \(7,\); put sites of rows "
        r"into `with data.plate\(\):`",
    ),
    (
        model_without_event,
        r"model: site 'z': expected batch shape \(7,\), got \(7, 7\); move axes of one "
        r"row into the event with \.to_event",
    ),
    (
        model_with_another_latent,
        "expected the same latent sites, got w, z in the model and z in the guide",
    ),
    (
        model_without_latents,
        "expected the same latent sites, got none in the model and z in the guide",
    ),
    (
        model_with_a_global_z,
        r"site 'z': expected model and guide to have it both inside `with data.plate",
    ),
    (
        model_without_b,
        "model: expected one observed site for each of the modalities a, b, got a",
    ),
    (
        model_with_another_observation,
        "one observed site for each of the modalities a, b, got a, b, c",
    ),
    (
        model_with_a_factor,
        "one observed site for each of the modalities a, b, got a, b, penalty",
    ),
    (model_that_does_not_observe, "got b, z in the model and z in the guide"),
    (
        model_with_observation_outside,
        r"model: observed site 'b': expected it inside `with data.plate\(\):`",
    ),
    (
        model_with_entries_in_the_batch,
        r"model: site 'b': expected batch shape \(7,\), got \(5, 7\); .*\.to_event",
    ),
    (
        model_with_a_scaled_latent,
        "model: site 'z': expected no handlers.scale around it; use the bound's "
        "`weights` for modalities and its `beta` for latents",
    ),
    (model_with_a_scaled_modality, "model: site 'b': expected no handlers.scale"),
]


@pytest.mark.parametrize(("wrong", "match"), BAD_MODELS)
def test_models_refused(wrong, match, data):
    with pytest.raises(ValueError, match=match):
        inspect(wrong, guide, {}, data)


# Guides with something wrong.


def guide_without_plate(data, subset=None):
    numpyro.sample("z", standard().expand([ROWS]))


def guide_with_two_axes(data, subset=None):
    latent(data, dist.Normal(jnp.zeros((LATENT, ROWS)), 1.0))


def guide_without_latents(data, subset=None):
    numpyro.deterministic("features", data.filled("a"))


def guide_with_global_latents_only(data, subset=None):
    numpyro.sample("z", standard())


def guide_with_a_scaled_latent(data, subset=None):
    with handlers.scale(scale=data.filled("a")[0, 0]):
        latent(data)


def guide_of_classes(data, subset=None):
    latent(data, dist.Bernoulli(0.5 * jnp.ones(LATENT)).to_event(1))


def guide_of_a_mixture(data, subset=None):
    weights = dist.Categorical(probs=jnp.ones(3) / 3)
    locs = dist.Normal(jnp.arange(3.0)[:, None] + jnp.zeros(LATENT), 1.0).to_event(1)
    latent(data, dist.MixtureSameFamily(weights, locs))


BAD_GUIDES = [
    (guide_without_plate, ValueError, r"guide: site 'z': expected batch shape \(\)"),
    (
        guide_with_two_axes,
        ValueError,
        r"guide: site 'z': expected batch shape \(7,\), got \(2, 7\)",
    ),
    (
        guide_without_latents,
        ValueError,
        r"guide: expected a latent site inside `with data.plate\(\):`, got no latent",
    ),
    (
        guide_with_global_latents_only,
        ValueError,
        r"guide: expected a latent site inside `with data.plate\(\):`, got z",
    ),
    (
        guide_with_a_scaled_latent,
        ValueError,
        "guide: site 'z': expected no handlers.scale",
    ),
    (
        guide_of_classes,
        TypeError,
        "guide: site 'z': expected a distribution that can be reparameterised, got "
        "BernoulliProbs",
    ),
    (
        guide_of_a_mixture,
        TypeError,
        "guide: site 'z': .* reparameterised, got MixtureSameFamily",
    ),
]


@pytest.mark.parametrize(("wrong", "error", "match"), BAD_GUIDES)
def test_guides_refused(wrong, error, match, data):
    with pytest.raises(error, match=match):
        inspect(model, wrong, {}, data)


def guide_with_a_parameter(data, subset=None):
    numpyro.param("a", jnp.zeros(3))
    latent(data)


def guide_with_a_derived_modality(data, subset=None):
    numpyro.deterministic("b", jnp.zeros(5))
    latent(data)


def guide_with_a_parameter_like_its_latent(data, subset=None):
    numpyro.param("z", jnp.zeros(2))
    latent(data)


def guide_with_one_site_twice(data, subset=None):
    latent(data)
    latent(data)


SHARED_NAMES = [
    (guide_with_a_parameter, "name 'a': .* got a parameter and the modality, and"),
    (
        guide_with_a_derived_modality,
        "'b': .* got a deterministic site and the modality",
    ),
    (guide_with_a_parameter_like_its_latent, "'z': .* a parameter and a latent site"),
    (guide_with_one_site_twice, "guide: expected one site of each name, .*`z` dupl"),
]


@pytest.mark.parametrize(("wrong", "match"), SHARED_NAMES)
def test_a_name_has_one_use(wrong, match, data, rng_key):
    """A parameter called as a modality would be put in for the observed values."""
    with pytest.raises(ValueError, match=match):
        inspect(model, wrong, {}, data)
    svi = SVI(model, wrong, numpyro.optim.Adam(1e-3), cs.MaskedELBO())
    with pytest.raises(ValueError, match=match):
        cs.fit(rng_key, svi, data, num_epochs=1)


def test_a_modality_called_as_a_parameter_of_a_likelihood_is_refused(rng_key):
    data = cs.MultimodalData.from_arrays({n: np.ones((3, 2)) for n in ("a", "a.scale")})
    parts = cs.standard_normal(2), cs.LearnedNormalLikelihood()
    svi = SVI(
        cs.multimodal_model(*parts),
        cs.amortized_guide(2),
        numpyro.optim.Adam(1e-3),
        cs.MaskedELBO(),
    )
    with pytest.raises(ValueError, match=r"name 'a\.scale': .*rename the modality"):
        cs.fit(rng_key, svi, data, num_epochs=1)


# Programs that keep the contract.


def model_of_two_latents(data, subset=None):
    noise = numpyro.sample("noise", dist.HalfNormal())
    with data.plate():
        z = numpyro.sample("z", standard())
        w = numpyro.sample("w", dist.Normal(jnp.zeros((2, 3)), noise).to_event(2))
    measurements(data, z + w.sum((-1, -2))[:, None], subset)


def guide_of_two_latents(data, subset=None):
    numpyro.sample("noise", dist.LogNormal())
    z = latent(data)
    with data.plate():
        loc = jnp.broadcast_to(z[:, :1, None], (data.size, 2, 3))
        numpyro.sample("w", dist.Normal(loc, 1.0).to_event(2))


@pytest.mark.parametrize("rows", [ROWS, 3, 1])
def test_valid_programs_pass_in_batches_too(rows, data):
    batch = data.batch(jnp.arange(rows))
    assert inspect(model, guide, {}, batch) == ("z", (), ())
    sites = inspect(model_of_two_latents, guide_of_two_latents, {}, batch)
    assert sites == ("z", ("w",), ("noise",))
    assert sites.local == ("z", "w")


def test_linear_gaussian_oracle_keeps_the_contract(data):
    loadings = {name: jnp.ones((width, LATENT)) for name, width in WIDTHS.items()}
    biases = {name: jnp.zeros(width) for name, width in WIDTHS.items()}
    truth = cs.LinearGaussian(loadings, biases, 1.0)
    assert inspect(truth, guide, {}, data).root == "z"


def test_features_must_not_depend_on_the_subset(data, rng_key):
    def leaky(data, subset=None):
        kept = data.subset(subset)[:, :1] * data.filled("a")
        features = numpyro.deterministic("features", kept)
        latent(data, dist.Normal(features[:, :LATENT], 1.0).to_event(1))

    elbo = cs.MaskedELBO()
    with pytest.raises(ValueError, match=r"'features' to hold only .* before pooling"):
        jax.eval_shape(lambda: elbo.loss(rng_key, {}, model, leaky, data))


def test_errors_of_the_users_own_pass_unchanged(data, rng_key):
    def broken(data, subset=None):
        latent(data)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        cs.MaskedELBO().loss(rng_key, {}, model, broken, data)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("wrong", [{"a": np.zeros((7, 3))}, np.zeros((7, 3)), None])
def test_only_multimodal_data_is_taken(wrong, rng_key):
    svi = SVI(model, guide, numpyro.optim.Adam(1e-3), cs.MaskedELBO())
    elbo, name = cs.MaskedELBO(), type(wrong).__name__
    match = f"data: expected MultimodalData, got {name}; build it with .*from_arrays"
    with pytest.raises(TypeError, match=match):
        inspect(model, guide, {}, wrong)
    with pytest.raises(TypeError, match=match):
        elbo.loss(rng_key, {}, model, guide, wrong)
    match = f"data: expected MultimodalData, or StreamedData .*, got {name}; read"
    with pytest.raises(TypeError, match=match):
        cs.fit(rng_key, svi, wrong, num_epochs=1)
