"""Users' own programs, and NumPyro's own inference on ours; warnings are errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import incomplete, linear_gaussian
from numpyro import handlers
from numpyro.diagnostics import effective_sample_size
from numpyro.distributions import constraints
from numpyro.infer import MCMC, NUTS, SVI, Predictive, Trace_ELBO
from numpyro.optim import Adam
from scipy import stats

import consilience as cs
from consilience.inference import programs

KEY = jax.random.key(17)
LATENT, WIDTHS = 2, {"a": 3, "b": 5}
LOADINGS = {
    name: np.random.default_rng(i).normal(size=(LATENT, width))
    for i, (name, width) in enumerate(WIDTHS.items())
}


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(4)
    values = {n: generator.normal(size=(7, w)) for n, w in WIDTHS.items()}
    present = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [1, 1], [0, 1], [1, 1]], bool)
    return cs.MultimodalData.from_arrays(values, present)


def model(data, subset=None):
    """A prior, a likelihood and a global scale of noise that are none of ours."""
    noise = numpyro.sample("noise", dist.HalfNormal(2.0))
    with data.plate():
        prior = dist.StudentT(4.0, jnp.zeros(LATENT), 1.0).to_event(1)
        z = numpyro.sample("z", prior)
        for name in data.names:
            cs.observe(data, name, dist.Laplace(z @ LOADINGS[name], noise), subset)


def guide(data, subset=None):
    """A global LogNormal, and a linear map from what is in the subset."""
    loc = numpyro.param("noise_loc", 0.1)
    scale = numpyro.param("noise_scale", 0.2, constraint=constraints.positive)
    numpyro.sample("noise", dist.LogNormal(loc, scale))
    subset, mean = data.subset(subset), jnp.zeros((data.size, LATENT))
    for i, (name, width) in enumerate(WIDTHS.items()):
        start = partial(jax.random.normal, shape=(width, LATENT))
        weights = numpyro.param(f"weights.{name}", start)
        mean += subset[:, [i]] * (data.filled(name) @ weights)
    with data.plate():
        numpyro.sample("z", dist.Normal(mean, 0.5).to_event(1))


@pytest.fixture(scope="module")
def params(data):
    svi = SVI(model, guide, Adam(1e-2), cs.MaskedELBO())
    return svi.get_params(jax.jit(svi.init)(KEY, data))


@pytest.mark.parametrize("elbo", [cs.MaskedELBO(), Trace_ELBO()])
def test_own_programs_train(elbo, data, params):
    svi = SVI(model, guide, Adam(1e-2), elbo)
    result = svi.run(KEY, 50, data, init_params=params, progress_bar=False)
    assert np.isfinite(result.losses).all()
    for name, value in params.items():
        assert np.all(result.params[name] != value)


def draws_of(elbo, key, guide, params, data, sites):
    """The subsets and draws that a bound uses under this key."""
    key_views, key_shared, key_draw = keys_of(key)
    S = np.asarray(elbo.subset_views(key_views, data.present)[0][0])
    views = jnp.stack([S, data.present])
    fixed = (guide, params, data)
    shared = programs.draw_shared(key_shared, *fixed, sites)
    return S, programs.draw(key_draw, *fixed, views, sites, shared)


def keys_of(key):
    """Of views, global latents and draws, of the only particle and sample."""
    particle = jax.random.split(key, 1)[0]
    key_views, key_shared, key_samples = jax.random.split(particle, 3)
    sample = jax.random.split(key_samples, 1)[0]
    return key_views, key_shared, jax.random.split(sample, 3)[0]


def laplace(data, name, z, noise):
    log_x = stats.laplace(z @ LOADINGS[name], noise).logpdf(data.values[name])
    return np.where(data.observed(name), log_x, 0.0).sum(-1)


def test_global_latent_counts_once_and_rows_with_the_scale_of_the_batch(data, params):
    """Every density in SciPy, at the draws of the bound; N/B on rows alone."""
    batch, elbo = (
        data.batch(jnp.array([0, 1, 3])),
        cs.MaskedELBO(estimator=cs.Pathwise()),
    )
    loss = jax.jit(lambda b: elbo.loss(KEY, params, model, guide, b))(batch)

    sites = programs.Sites("z", (), ("noise",))
    S, draw = draws_of(elbo, KEY, guide, params, batch, sites)
    rest = np.asarray(batch.present) & ~S
    assert rest.any()
    assert S.any()
    noise = float(draw.shared["noise"])
    z_S, z_O = np.asarray(draw.latents["z"])

    def log_q(z, subset):
        mean = sum(
            subset[:, [i]] * (np.asarray(batch.filled(n)) @ params[f"weights.{n}"])
            for i, n in enumerate(batch.names)
        )
        return stats.norm(mean, 0.5).logpdf(z).sum(-1)

    bound = stats.t(4.0).logpdf(z_S).sum(-1) - log_q(z_S, S)
    bound += np.where(rest.any(-1), log_q(z_O, S) - log_q(z_O, S | rest), 0.0)
    for i, name in enumerate(batch.names):
        bound += S[:, i] * laplace(batch, name, z_S, noise)
        bound += rest[:, i] * laplace(batch, name, z_O, noise)
    q_noise = stats.lognorm(params["noise_scale"], scale=np.exp(params["noise_loc"]))
    kl = q_noise.logpdf(noise) - stats.halfnorm(scale=2.0).logpdf(noise)
    np.testing.assert_allclose(loss, kl - 7 / 3 * bound.sum(), rtol=1e-5)


@pytest.mark.slow
def test_own_programs_under_nuts(data):
    """z of a row whose subset is empty has its prior, Student's t, as its posterior."""
    subset = data.present.at[0].set(False)
    mcmc = MCMC(NUTS(model), num_warmup=150, num_samples=600, progress_bar=False)
    mcmc.run(KEY, data, subset)
    draws = mcmc.get_samples(group_by_chain=True)
    assert draws["z"].shape == (1, 600, 7, LATENT)
    assert draws["noise"].shape == (1, 600)
    assert not mcmc.get_extra_fields()["diverging"].any()
    free = np.asarray(draws["z"])[:, :, 0]
    size = effective_sample_size(free)
    assert np.all(np.abs(free.mean((0, 1))) <= 4.5 * free.std((0, 1)) / np.sqrt(size))
    below = free < stats.t(4.0).ppf(0.2)
    error = np.sqrt(0.2 * 0.8 / effective_sample_size(below.astype(float)))
    assert np.all(np.abs(below.mean((0, 1)) - 0.2) <= 4.5 * error)


def test_own_programs_under_predictive(data, params):
    """From the prior, and from the guide's draws; data without values are generated."""
    blank = data.without_values()
    prior = Predictive(model, num_samples=11)(KEY, blank)
    shapes = {name: value.shape for name, value in prior.items()}
    rows = {"a": (11, 7, 3), "b": (11, 7, 5)}
    assert shapes == {"noise": (11,), "z": (11, 7, LATENT)} | rows
    latents = Predictive(guide, params=params, num_samples=11)(KEY, data)
    completed = Predictive(model, latents)(KEY, blank)
    assert {name: value.shape for name, value in completed.items()} == rows
    observed = Predictive(model, latents)(KEY, data)
    np.testing.assert_array_equal(observed["a"][0], data.filled("a"))


# Our own programs.


@pytest.fixture(scope="module")
def ours(data):
    """Model, guide and parameters of small networks."""
    decoders, encoders = (
        partial(net, hidden=(5,)) for net in (cs.MLPDecoder, cs.MLPEncoder)
    )
    normal = cs.NormalLikelihood(0.5)
    model = cs.multimodal_model(cs.standard_normal(LATENT), normal, decoders)
    guide = cs.amortized_guide(LATENT, encoders, cs.ProductOfExperts, num_features=5)
    svi = SVI(model, guide, Adam(1e-2), Trace_ELBO())
    return model, guide, svi.get_params(jax.jit(svi.init)(KEY, data))


def test_our_programs_under_trace_elbo(ours, data):
    """NumPyro's bound is ours where S is always all, in the mean."""
    model, guide, params = ours
    masked = cs.MaskedELBO(subsets=cs.Fixed((True, True)), estimator=cs.Pathwise())
    batch, keys = data.batch(jnp.array([0, 1, 3])), jax.random.split(KEY, 2000)
    losses = [
        np.asarray(
            jax.jit(jax.vmap(lambda k, e=e: e.loss(k, params, model, guide, batch)))(
                keys
            )
        )
        for e in (masked, Trace_ELBO())
    ]
    error = np.sqrt(sum(loss.var() for loss in losses) / len(keys))
    assert abs(losses[0].mean() - losses[1].mean()) <= 4.5 * error
    assert error < 0.01 * abs(losses[0].mean())


def test_our_programs_under_predictive(ours, data):
    model, guide, params = ours
    latents = Predictive(guide, params=params, num_samples=3)(KEY, data)
    assert latents["z"].shape == (3, 7, LATENT)
    completed = Predictive(model, latents, params=params)(KEY, data.without_values())
    assert {n: completed[n].shape for n in data.names} == {
        "a": (3, 7, 3),
        "b": (3, 7, 5),
    }


@pytest.mark.slow
def test_our_programs_under_nuts(ours, data):
    """Trained parameters substituted; importance weights give the same posterior mean."""
    model, guide, params = ours
    kernel = NUTS(handlers.substitute(model, data=params))
    mcmc = MCMC(kernel, num_warmup=150, num_samples=600, progress_bar=False)
    mcmc.run(KEY, data)
    z = np.asarray(mcmc.get_samples(group_by_chain=True)["z"])
    error = z.std((0, 1)) / np.sqrt(effective_sample_size(z))

    def draw(key):
        trace = programs.run(guide, params, key, {}, data, data.present)
        value = trace["z"]["value"]
        joint = programs.run(model, params, key, {"z": value}, data)
        log_p = sum(joint[n]["fn"].log_prob(joint[n]["value"]) for n in ("z", "a", "b"))
        return value, log_p - trace["z"]["fn"].log_prob(value)

    values, log_w = jax.jit(jax.vmap(draw))(jax.random.split(KEY, 20_000))
    w = np.asarray(jax.nn.softmax(log_w, 0))[..., None]
    mean = (w * values).sum(0)
    spread = np.sqrt((w**2 * (values - mean) ** 2).sum(0))
    assert np.all(np.abs(z.mean((0, 1)) - mean) <= 4.5 * np.hypot(error, spread))


@pytest.mark.slow
def test_the_oracle_under_nuts():
    """The same model function as under SVI: moments of its exact posterior."""
    truth = linear_gaussian(KEY)
    data = incomplete(KEY, truth)
    subset = data.subset_of("a", "c")
    mcmc = MCMC(NUTS(truth), num_warmup=150, num_samples=600, progress_bar=False)
    mcmc.run(KEY, data, subset)
    z = np.asarray(mcmc.get_samples(group_by_chain=True)["z"])
    exact = truth.posterior(data, subset)
    for sample, expected in (
        (z, exact.mean),
        ((z - exact.mean) ** 2, exact.variance),
    ):
        error = sample.std((0, 1)) / np.sqrt(effective_sample_size(sample))
        assert np.all(np.abs(sample.mean((0, 1)) - expected) <= 4.5 * error)


# A guide of two sites, the second given the first.


def two_level_model(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(LATENT), 1.0).to_event(1))
        w = numpyro.sample("w", dist.Normal(jnp.tanh(z), 0.7).to_event(1))
        for name in data.names:
            cs.observe(data, name, dist.Normal((z + w) @ LOADINGS[name], 1.0), subset)


def two_level_guide(data, subset=None):
    share = numpyro.param("share", jnp.array([0.3, -0.2]))
    features = numpyro.deterministic(
        "features", {name: data.filled(name).mean(-1) for name in data.names}
    )
    subset = data.subset(subset)
    seen = sum(subset[:, i] * features[name] for i, name in enumerate(data.names))
    with data.plate():
        z = numpyro.sample("z", dist.Normal(seen[:, None] * share, 0.8).to_event(1))
        w_loc = 0.5 * z + seen[:, None]
        numpyro.sample("w", dist.Normal(w_loc, 0.6 + 0.1 * subset[:, :1]).to_event(1))


def straight_line(share, latents, S, data):
    """The masked bound of rows at given draws, written down once more."""

    def normal(x, loc, scale):
        return (
            -0.5 * ((x - loc) / scale) ** 2 - jnp.log(scale * jnp.sqrt(2 * jnp.pi))
        ).sum(-1)

    def log_q(z, w, subset):
        means = jnp.stack([data.filled(name).mean(-1) for name in data.names], -1)
        seen = (subset * means).sum(-1, keepdims=True)
        log_z = normal(z, seen * share, 0.8)
        return log_z + normal(w, 0.5 * z + seen, 0.6 + 0.1 * subset[:, :1])

    def log_x(z, w, counted):
        terms = [normal(data.filled(n), (z + w) @ LOADINGS[n], 1.0) for n in data.names]
        return jnp.where(counted, jnp.stack(terms, -1), 0.0).sum(-1)

    (z, z_O), (w, w_O) = latents["z"], latents["w"]
    rest = data.present & ~S
    first = log_x(z, w, S) + normal(z, 0.0, 1.0) + normal(w, jnp.tanh(z), 0.7)
    first -= log_q(z, w, S)
    second = log_x(z_O, w_O, rest) + log_q(z_O, w_O, S)
    second -= log_q(z_O, w_O, data.present)
    return first + jnp.where(rest.any(-1), second, 0.0)


def test_two_levels_are_the_straight_line_computation(data):
    elbo, params = (
        cs.MaskedELBO(estimator=cs.Pathwise()),
        {"share": jnp.array([0.4, -0.1])},
    )
    programs_of = (two_level_model, two_level_guide)
    sites = programs.Sites("z", ("w",), ())

    def ours(params):
        return elbo.loss(KEY, params, *programs_of, data)

    def theirs(params):
        key_views, _, key_draw = keys_of(KEY)
        S = elbo.subset_views(key_views, data.present)[0][0]
        views = jnp.stack([S, data.present])
        fixed = (two_level_guide, params, data, views, sites)
        draw = programs.draw(key_draw, *fixed, ({}, {}))
        return -straight_line(params["share"], draw.latents, S, data).sum()

    (value, gradient), (expected, of_expected) = (
        jax.jit(jax.value_and_grad(loss))(params) for loss in (ours, theirs)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient["share"], of_expected["share"], rtol=1e-4)
