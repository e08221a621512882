"""Estimates of KL terms, and settings that a bound refuses."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from numpyro.infer import SVI
from numpyro.infer.elbo import ELBO

import consilience as cs
from consilience.inference.estimators import Estimator
from consilience.inference.programs import stop


def normal(key, rows=5, latent_dim=3):
    key_loc, key_scale = jax.random.split(key)
    loc = jax.random.normal(key_loc, (rows, latent_dim))
    scale = jnp.exp(0.3 * jax.random.normal(key_scale, (rows, latent_dim)))
    return dist.Normal(loc, scale).to_event(1)


def closed_form(q, p):
    """Σ_d log(σ_p/σ_q) + (σ_q² + (μ_q − μ_p)²) / (2 σ_p²) − ½."""
    a, b = q.mean, p.mean
    u, v = q.variance, p.variance
    return (0.5 * jnp.log(v / u) + (u + (a - b) ** 2) / (2 * v) - 0.5).sum(-1)


def test_analytic_kl_is_the_closed_form(rng_key, strict_ranks):
    q, p = map(normal, jax.random.split(rng_key))
    kl = cs.AnalyticKL().kl("z", q, stop(q), p, jnp.full((5, 3), jnp.nan))
    np.testing.assert_allclose(kl, closed_form(q, p), rtol=1e-5)


def test_analytic_kl_of_a_full_covariance_and_independent_normals(rng_key):
    """½ [tr(V⁻¹ C) + (m − a)ᵀ V⁻¹ (m − a) − D + log det V − log det C]."""
    p = normal(rng_key)
    tril = jnp.tril(jax.random.normal(rng_key, (5, 3, 3))) + 2 * jnp.eye(3)
    q = dist.MultivariateNormal(jnp.ones((5, 3)), scale_tril=tril)
    kl = cs.AnalyticKL().kl("z", q, stop(q), p, jnp.full((5, 3), jnp.nan))
    C, v = q.covariance_matrix, p.variance
    trace = (jnp.diagonal(C, axis1=-2, axis2=-1) / v).sum(-1)
    square = ((1 - p.mean) ** 2 / v).sum(-1)
    log_det = jnp.log(v).sum(-1) - jnp.linalg.slogdet(C)[1]
    np.testing.assert_allclose(kl, 0.5 * (trace + square - 3 + log_det), rtol=1e-4)


@pytest.mark.parametrize("estimator", [cs.Pathwise(), cs.STL()])
def test_sampled_kl_has_the_closed_form_as_its_mean(rng_key, estimator):
    key_draws, *keys = jax.random.split(rng_key, 3)
    q, p = map(normal, keys)
    draws = np.asarray(estimator.kl("z", q, stop(q), p, q.sample(key_draws, (40_000,))))
    error = draws.std(0) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(0) - closed_form(q, p)) <= 4.5 * error)


def test_stl_drops_the_score_and_nothing_else(rng_key):
    """At a draw held fixed, log q has no gradient under STL and its score under Pathwise."""
    key_draw, *keys = jax.random.split(rng_key, 3)
    q, p = map(normal, keys)
    z = q.sample(key_draw)

    def gradient(estimator):
        return jax.grad(lambda q: estimator.kl("z", q, stop(q), p, z).sum())(q)

    score = jax.grad(lambda q: q.log_prob(z).sum())(q)
    jax.tree.map(np.testing.assert_array_equal, gradient(cs.Pathwise()), score)
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient(cs.STL())))

    through = jax.grad(lambda z: cs.STL().kl("z", q, stop(q), p, z).sum())(z)
    expected = jax.grad(lambda z: (q.log_prob(z) - p.log_prob(z)).sum())(z)
    np.testing.assert_allclose(through, expected, rtol=1e-5)


def test_analytic_kl_falls_back_only_where_there_is_no_closed_form(rng_key):
    q, p = map(normal, jax.random.split(rng_key))
    student = dist.StudentT(4.0, p.mean, 1.0).to_event(1)
    z = q.sample(rng_key)
    with pytest.raises(TypeError, match=r"site 'z'.*got Normal and StudentT.*STL\(\)"):
        cs.AnalyticKL().kl("z", q, q, student, z)
    either = cs.AnalyticKL(otherwise=cs.Pathwise())
    np.testing.assert_array_equal(
        either.kl("z", q, q, student, z), q.log_prob(z) - student.log_prob(z)
    )
    np.testing.assert_allclose(either.kl("z", q, q, p, z), closed_form(q, p), rtol=1e-5)


@pytest.mark.parametrize("name", cs.ESTIMATORS)
def test_registered_estimators_fill_the_role(name):
    assert isinstance(cs.ESTIMATORS[name](), Estimator)


REFUSED = [
    ({"estimator": cs.STL}, TypeError, r"estimator: expected one such as STL\(\)"),
    ({"estimator": "stl"}, TypeError, "estimator: .* got 'stl'"),
    ({"subsets": (True, False)}, TypeError, r"subsets: expected a law .*Hierarchical"),
    ({"subsets": cs.Hierarchical}, TypeError, "subsets: expected a law"),
    ({"beta": -0.5}, ValueError, "beta: expected a number of 0 or more, got -0.5"),
    ({"beta": np.nan}, ValueError, "beta: .* got nan"),
    ({"beta": "1"}, ValueError, "beta: .* got '1'"),
    ({"num_particles": 0}, ValueError, "num_particles: expected a positive integer"),
    ({"num_particles": 2.0}, ValueError, "num_particles: .* got 2.0"),
    ({"weights": {"a": -1.0}}, ValueError, r"weights\['a'\]: expected .* got -1.0"),
    ({"weights": {"a": np.nan}}, ValueError, r"weights\['a'\]: expected .* got nan"),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("setting", "error", "match"), REFUSED)
@pytest.mark.parametrize("bound", cs.BOUNDS)
def test_bound_refuses_at_construction(bound, setting, error, match):
    """A bound that has no such setting says that, too."""
    name = next(iter(setting))
    if name not in settings_of(cs.BOUNDS[bound]):
        error, match = TypeError, f"unexpected keyword argument '{name}'"
    with pytest.raises(error, match=match):
        cs.BOUNDS[bound](**setting)


def settings_of(bound) -> set[str]:
    """Keywords that the constructors of a bound and its bases name, as far as passed on."""
    found = set()
    for base in bound.__mro__:
        if base is ELBO:
            break
        parameters = inspect.signature(base.__init__).parameters
        found |= parameters.keys()
        if "__init__" in vars(base) and not any(
            p.kind is p.VAR_KEYWORD for p in parameters.values()
        ):
            break
    return found - {"self", "settings"}


@pytest.mark.parametrize("bound", cs.BOUNDS)
@pytest.mark.parametrize("name", cs.ESTIMATORS)
def test_bounds_take_the_estimators_that_are_right_for_them(bound, name):
    make = cs.BOUNDS[bound]
    if "estimator" not in settings_of(make):
        return
    estimator = cs.ESTIMATORS[name]()
    experts = "experts" in bound
    right = estimator.weighted if make.weighted else estimator.plain
    if right and (estimator.stratified or not experts):
        assert make(estimator=estimator).estimator == estimator
        return
    wanted = "stratified" if right else r"DReG\(\)" if make.weighted else r"STL\(\)"
    with pytest.raises(ValueError, match=f"estimator: expected .*{wanted}"):
        make(estimator=estimator)


def test_the_published_gradient_is_said_to_be_biased_and_only_for_experts():
    with pytest.warns(UserWarning, match="biased for mixtures"):
        published = cs.PublishedDReG()
    assert cs.MixtureOfExpertsELBO(3, estimator=published).estimator == published
    with pytest.raises(ValueError, match=r"expected DReG\(\) .*PublishedDReG"):
        cs.ImportanceWeightedELBO(3, estimator=published)


def test_a_weighted_bound_with_another_beta_is_no_bound_and_says_so():
    with pytest.warns(UserWarning, match=r"beta=0.5 and 3 samples .* no bound"):
        cs.ImportanceWeightedELBO(3, beta=0.5)
    cs.ImportanceWeightedELBO(1, beta=0.5)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("beta", [-1.0, math.inf, math.nan, jnp.ones(2)])
def test_beta_of_a_step_is_checked(beta, rng_key):
    data = cs.MultimodalData.from_arrays({"a": np.zeros((3, 2))})
    method = cs.masked(2, cs.NormalLikelihood())
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
    state = svi.init(rng_key, data)
    with pytest.raises(ValueError, match="beta: expected a number of 0 or more, got"):
        svi.update(state, data, beta=beta)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: cs.ImportanceWeightedELBO(0), "num_samples: expected a positive"),
        (lambda: cs.SubsampledELBO(-1), "num_subsets: expected .* got -1"),
        (lambda: cs.SubsampledELBO(1.0), "num_subsets: expected .* got 1.0"),
        (
            lambda: cs.InterpolatedTotalCorrelationELBO(1.1),
            "alpha: expected .* got 1.1",
        ),
    ],
)
def test_settings_of_single_bounds(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_exhaustive_needs_a_law_that_knows_its_probabilities():
    law = lambda key, present: present  # noqa: E731
    with pytest.raises(TypeError, match=r"subsets: .*knows its probabilities"):
        cs.MixtureELBO(subsets=law, exhaustive=True)
