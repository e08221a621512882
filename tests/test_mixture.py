"""Mixtures: densities against scipy, gradients against quadrature and closed forms."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import reference
from numpyro import handlers
from scipy import integrate, stats

from consilience.guides.mixture import ReparameterizedMixture, follow
from consilience.inference.programs import at

FAMILIES = {
    "normal": (dist.Normal, stats.norm),
    "laplace": (dist.Laplace, stats.laplace),
}
ROWS, SIZE, DIM = 5, 2, 3
NUM_DRAWS = 40_000

families = pytest.mark.parametrize("family", FAMILIES)


def mixture(parameters, family="normal"):
    logits, loc, scale = parameters
    components = FAMILIES[family][0](loc, scale).to_event(1)
    return ReparameterizedMixture(dist.Categorical(logits=logits), components)


def some_parameters(*batch, size=SIZE, dim=DIM, dtype=float):
    """Overlapping components of different scales."""
    rng = np.random.default_rng(size + dim)
    logits, loc = rng.normal(size=(*batch, size)), rng.normal(size=(*batch, size, dim))
    scale = np.exp(0.3 * rng.normal(size=(*batch, size, dim)))
    return tuple(jnp.asarray(x, dtype) for x in (logits, loc, scale))


def as_reference(parameters, family):
    return (*(np.asarray(x, float) for x in parameters), FAMILIES[family][1])


def implicit(f, family, parameters, key):
    return f(mixture(parameters, family).sample(key))


def stratified(f, family, parameters, key, weigh=jnp.exp):
    z, log_weights = mixture(parameters, family).component_draws(key)
    return (weigh(log_weights)[..., None] * f(z)).sum(0)


def stopped(f, family, parameters, key):
    weigh = lambda x: jax.lax.stop_gradient(jnp.exp(x))  # noqa: E731
    return stratified(f, family, parameters, key, weigh)


@partial(jax.jit, static_argnums=(0, 1, 2))
def draws_of(estimator, f, family, parameters, key):
    """Values `[draws, F]` of single-draw estimates, and their Jacobians."""
    one = partial(estimator, f, family)
    keys = jax.random.split(key, NUM_DRAWS)
    both = lambda key: (one(parameters, key), jax.jacrev(one)(parameters, key))  # noqa: E731
    return jax.vmap(both)(keys)


def assert_mean(draws, expected, bound=4.5):
    """Independent draws average to `expected`, within 4.5 standard errors for each."""
    draws = np.asarray(draws, float)
    assert np.isfinite(draws).all()
    error = draws.std(0, ddof=1) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(0) - expected) <= bound * error + 1e-6).all()


class Said(NamedTuple):
    """What a mixture says of a point."""

    moved: jax.Array
    log_prob: jax.Array
    cdf: jax.Array
    mean: jax.Array
    variance: jax.Array


@partial(jax.jit, static_argnums=2)
def everything(parameters, z, family="normal"):
    """What a mixture says of z, a draw that is given, and gradients of all that."""

    def total(parameters):
        q, (logits, loc, scale) = mixture(parameters, family), parameters
        moved = follow(FAMILIES[family][0], z, jax.nn.log_softmax(logits), loc, scale)
        each = Said(moved, q.log_prob(z), q.cdf(z), q.mean, q.variance)
        return sum(jnp.sin(x).sum() for x in each), each

    gradient, each = jax.grad(total, has_aux=True)(parameters)
    return each, gradient


@partial(jax.jit, static_argnums=(2, 3))
def sample(parameters, key, family="normal", sample_shape=()):
    return mixture(parameters, family).sample(key, sample_shape)


@jax.jit
def component_draws(parameters, key):
    return mixture(parameters).component_draws(key)


@families
def test_log_prob_is_that_of_scipy(family, x64):
    parameters = some_parameters()
    z = np.random.default_rng(1).normal(size=(7, DIM))
    found = [everything(parameters, row, family)[0].log_prob for row in jnp.asarray(z)]
    expected = reference.mixture_log_density(z, *as_reference(parameters, family))
    np.testing.assert_allclose(found, expected, 1e-12)


@families
def test_moments_and_cdf_by_quadrature(family, x64):
    """Of each dimension on its own; the other dimensions integrate out."""
    parameters = some_parameters()
    logits, loc, scale, law = as_reference(parameters, family)
    cut = np.array([-0.7, 0.1, 1.3])
    said, _ = everything(parameters, jnp.asarray(cut), family)
    found = np.array([said.mean, said.variance + said.mean**2, said.cdf])
    for d in range(DIM):
        one = (logits, loc[:, d : d + 1], scale[:, d : d + 1], law)
        moments = [integral(lambda z: z, 60, *one), integral(lambda z: z**2, 60, *one)]
        below = integral(lambda z: 1, cut[d], *one)
        np.testing.assert_allclose(found[:, d], [*moments, below], rtol=1e-8)


def integral(f, end, logits, loc, scale, law):
    """∫ f(z) q(z) dz up to `end`, by adaptive quadrature with the kinks as nodes."""

    def integrand(z):
        density = reference.mixture_log_density([[z]], logits, loc, scale, law)
        return f(z) * np.exp(density[0])

    kinks = [point for point in loc.ravel() if point < end]
    return integrate.quad(integrand, -60, end, points=kinks, limit=200)[0]


@families
def test_draws_have_the_distribution(family, rng_key, x64):
    """Kolmogorov-Smirnov for each dimension; three tests at 1e-5, 4.3 standard errors."""
    parameters = some_parameters()
    z = sample(parameters, rng_key, family, (20_000,))
    uniform = np.asarray(jax.jit(mixture(parameters, family).cdf)(z))
    for d in range(DIM):
        assert stats.kstest(uniform[:, d], "uniform").pvalue > 1e-5


@families
def test_draws_are_independent_uniforms_after_rosenblatt(family, rng_key, x64):
    """The conditional distribution functions at a draw are independent uniforms."""
    parameters = some_parameters()
    z = np.asarray(sample(parameters, rng_key, family, (1_000,)))
    truth = as_reference(parameters, family)
    u = np.array([reference.mixture_conditional_cdfs(row, *truth) for row in z])
    assert stats.kstest(u.prod(-1), lambda p: product_cdf(p)).pvalue > 1e-5


def product_cdf(p):
    """P(u_1 u_2 u_3 ≤ p) = p (1 + ℓ + ℓ²/2), ℓ = −log p."""
    length = -np.log(p)
    return p * (1 + length + length**2 / 2)


@families
def test_draws_follow_the_quantiles(family, rng_key, x64):
    """A draw moves with the parameters so that its conditional CDFs stay (exactly)."""
    parameters = some_parameters()
    logits, loc, scale, law = as_reference(parameters, family)
    z = np.asarray(sample(parameters, rng_key, family))
    jacobian = jax.jacobian(lambda p: mixture(p, family).sample(rng_key))(parameters)
    cdfs = partial(reference.mixture_conditional_cdfs, family=law)
    by_z = reference.central_difference(lambda z: cdfs(z, logits, loc, scale), z).T
    direct = derivatives(partial(cdfs, z), (logits, loc, scale))
    for found, move in zip(jacobian, direct, strict=True):
        total = np.tensordot(by_z, found, 1) + np.moveaxis(move, -1, 0)
        np.testing.assert_allclose(total, 0, atol=1e-7)


def curves(z):
    """Three functions of one number: `[..., 1]` to `[..., 3]`."""
    return jnp.concatenate([z**2, jnp.sin(2 * z), jnp.exp(-(z**2))], -1)


def monomials(z):
    """Those of POWERS: `[..., 3]` to `[..., 5]`."""
    a, b, c = jnp.moveaxis(z, -1, 0)
    return jnp.stack([a**2, c**2, a * b, b * c, a * b * c], -1)


POWERS = [(2, 0, 0), (0, 0, 2), (1, 1, 0), (0, 1, 1), (1, 1, 1)]
estimators = pytest.mark.parametrize("estimator", [implicit, stratified])


def expected_curves(logits, loc, scale, family):
    each = [lambda z, i=i: np.asarray(curves(z[..., None]))[..., i] for i in range(3)]
    one = (logits, loc, scale, FAMILIES[family][1])
    return np.array([reference.mixture_expectation(f, *one) for f in each])


def expected_monomials(logits, loc, scale, family):
    one = (logits, loc, scale, FAMILIES[family][1])
    return np.array([reference.mixture_moment(p, *one) for p in POWERS])


def derivatives(f, parameters):
    """Central differences of `f(*parameters)` for each parameter in turn."""

    def varied(index, value):
        return f(*parameters[:index], value, *parameters[index + 1 :])

    each = (partial(varied, index) for index in range(len(parameters)))
    return [
        reference.central_difference(one, p)
        for one, p in zip(each, parameters, strict=True)
    ]


def check(estimator, f, expected, family, dim, key):
    """Values and gradients of 40 000 estimates against those of the expectation."""
    parameters = some_parameters(dim=dim, dtype=jnp.float32)
    value, jacobian = draws_of(estimator, f, family, parameters, key)
    truth = [np.asarray(p, float) for p in parameters]
    of = partial(expected, family=family)
    assert_mean(value, of(*truth))
    for found, exact in zip(jacobian, derivatives(of, truth), strict=True):
        assert_mean(found, np.moveaxis(exact, -1, 0))


@estimators
@families
def test_gradients_in_one_dimension(family, estimator, rng_key):
    check(estimator, curves, expected_curves, family, 1, rng_key)


@estimators
@families
def test_gradients_in_three_dimensions(family, estimator, rng_key):
    check(estimator, monomials, expected_monomials, family, 3, rng_key)


@pytest.mark.parametrize(("dim", "distance", "factor"), [(1, 8, 50), (5, 4, 100)])
def test_only_implicit_gradients_suffer_from_distance(dim, distance, factor, rng_key):
    """The standard deviation for the logits; the table in the docstring has more."""
    spread = {}
    for estimator in (implicit, stratified):
        for far in (1, distance):
            loc = jnp.full((2, dim), 0.5 * far).at[0].multiply(-1)
            apart = jnp.zeros(2), loc, jnp.ones((2, dim))
            _, found = draws_of(estimator, sines, "normal", apart, rng_key)
            spread[estimator, far] = np.std(found[0][:, 0, 0])
    assert spread[implicit, distance] > factor * spread[implicit, 1]
    assert spread[stratified, distance] < spread[stratified, 1]


def sines(z):
    return jnp.sin(z).sum(-1, keepdims=True)


def test_stopping_the_outer_weights_is_biased(rng_key):
    """The gradient of the weights is lost, and with it what training moves them by."""
    parameters = some_parameters(dtype=jnp.float32)
    truth = [np.asarray(p, float) for p in parameters]
    exact = derivatives(partial(expected_monomials, family="normal"), truth)
    _, found = draws_of(stopped, monomials, "normal", parameters, rng_key)
    assert not found[0].any()
    assert np.abs(exact[0]).max() > 0.1
    assert_mean(found[1], np.moveaxis(exact[1], -1, 0))


def test_one_component_is_ordinary_reparameterisation(rng_key, x64):
    parameters = some_parameters(size=1)
    noise = (sample(parameters, rng_key) - parameters[1]) / parameters[2]
    _, *found = jax.jit(jax.jacobian(lambda p: mixture(p).sample(rng_key)))(parameters)
    np.testing.assert_allclose(found[0][:, 0], np.eye(DIM), atol=1e-14)
    np.testing.assert_allclose(found[1][:, 0], np.diag(noise[0]), atol=1e-14)


def test_second_derivatives_are_right_too(rng_key, x64):
    """Of z along the curve of constant conditional CDFs, by differences of the first."""
    parameters = some_parameters(dim=2)
    z = sample(parameters, rng_key)

    @jax.jit
    def slope(loc, z):
        weights = jax.nn.log_softmax(parameters[0])
        return jax.jacobian(follow, 3)(dist.Normal, z, weights, loc, parameters[2])

    def draw(loc):
        return mixture((parameters[0], loc, parameters[2])).sample(rng_key)

    found = jax.jit(jax.jacobian(jax.jacobian(draw)))(parameters[1])
    by_loc = reference.central_difference(
        lambda m: slope(jnp.asarray(m), z), parameters[1]
    )
    by_z = reference.central_difference(
        lambda z: slope(parameters[1], jnp.asarray(z)), z
    )
    expected = by_loc + np.tensordot(
        np.moveaxis(slope(parameters[1], z), 0, -1), by_z, 1
    )
    np.testing.assert_allclose(
        np.transpose(found, (3, 4, 0, 1, 2)), expected, atol=1e-7
    )


def test_batch_is_a_loop(rng_key, x64):
    parameters = some_parameters(ROWS)
    z = sample(parameters, rng_key)
    assert z.shape == (ROWS, DIM)
    batched = jax.device_get(everything(parameters, z))
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    for row in range(ROWS):
        alone = everything(at(parameters, row), z[row])
        jax.tree.map(close, at(batched, row), alone)


def test_vmap_is_a_loop(rng_key):
    """Also of a function that returns the distribution, and of one that takes it."""
    parameters, keys = some_parameters(ROWS, 7), jax.random.split(rng_key, ROWS)
    both = jax.vmap(lambda p, k: (mixture(p).sample(k), mixture(p)))
    z, qs = jax.jit(both)(parameters, keys)
    draw = jax.jit(lambda q, key: q.sample(key))
    np.testing.assert_array_equal(jax.vmap(draw)(qs, keys), z)
    for view in range(ROWS):
        assert at(qs, view).batch_shape == (7,)
        expected = sample(at(parameters, view), keys[view])
        np.testing.assert_allclose(draw(at(qs, view), keys[view]), expected, rtol=1e-6)
        np.testing.assert_allclose(z[view], expected, rtol=1e-6)


def test_draws_of_rows_are_independent(rng_key):
    """The same row many times over, by batch, expansion, samples and plate."""
    parameters = some_parameters(dim=1)
    q, many = mixture(parameters), 2_000
    wide = tuple(jnp.broadcast_to(p, (many, *p.shape)) for p in parameters)

    @jax.jit
    def plate(key):
        with handlers.seed(rng_seed=key), numpyro.plate("rows", many):
            return numpyro.sample("z", q)

    several = sample(parameters, rng_key, "normal", (many,))
    for z in (sample(wide, rng_key), several, plate(rng_key)):
        assert z.shape == (many, 1)
        assert stats.kstest(np.asarray(q.cdf(z))[:, 0], "uniform").pvalue > 1e-5
        assert len(np.unique(z)) > 0.99 * many
    for draws in component_draws(wide, rng_key)[0]:
        assert len(np.unique(draws)) > 0.99 * many


@pytest.mark.usefixtures("strict_ranks")
def test_follow_gives_the_draw_and_promotes_no_rank(rng_key):
    logits, loc, scale = some_parameters(ROWS)
    z = jax.random.normal(rng_key, (ROWS, DIM))
    weights = jax.nn.log_softmax(logits)

    def total(parameters):
        moved = follow(dist.Normal, z, *parameters)
        return moved.sum(), moved

    run = jax.jit(jax.grad(total, has_aux=True))
    gradient, moved = run((weights, loc, scale))
    np.testing.assert_array_equal(moved, z)
    assert all(g.any() for g in gradient)


def test_component_draws_are_those_of_the_components(rng_key, x64):
    logits, loc, scale = some_parameters(ROWS)
    z, log_weights = component_draws((logits, loc, scale), rng_key)
    assert z.shape == (SIZE, ROWS, DIM)
    expected = jnp.moveaxis(jax.nn.log_softmax(logits), -1, 0)
    np.testing.assert_array_equal(log_weights, expected)
    noise = (np.moveaxis(z, 0, 1) - loc) / scale
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-5


def absent(parameters):
    """With component 1 absent, far away and narrow."""
    logits, loc, scale = map(np.array, parameters)
    logits[..., 1], loc[..., 1, :], scale[..., 1, :] = (
        np.finfo(logits.dtype).min,
        1e6,
        1e-3,
    )
    return tuple(map(jnp.asarray, (logits, loc, scale)))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_absent_components_change_nothing(dtype, rng_key):
    """Log-density, moments, gradients: as without them; theirs are exactly zero."""
    with jax.enable_x64(dtype == jnp.float64):
        full = absent(some_parameters(ROWS, size=3, dtype=dtype))
        some = tuple(jnp.asarray(np.delete(p, 1, 1)) for p in full)
        z = sample(some, rng_key)
        found, gradient = everything(full, z)
        assert not any(g[:, 1].any() for g in gradient)
        found = found, tuple(np.delete(g, 1, 1) for g in gradient)
        expected = everything(some, z)
        tolerance = 1e-4 if dtype == jnp.float32 else 1e-10
        close = partial(np.testing.assert_allclose, rtol=tolerance, atol=tolerance)
        jax.tree.map(close, found, expected)


@estimators
def test_absent_components_are_never_drawn(estimator, rng_key):
    parameters = absent(some_parameters(dtype=jnp.float32, size=3))
    value, found = draws_of(estimator, monomials, "normal", parameters, rng_key)
    assert np.abs(value).max() < 1e3
    for jacobian in found:
        assert np.isfinite(jacobian).all()
        assert not jacobian[:, :, 1].any()
        assert jacobian[:, :, 0].any()


@estimators
@families
def test_far_and_narrow_components_stay_finite(family, estimator, rng_key):
    """Densities of one component underflow at the draws of another, and in the valley."""
    logits, loc, scale = some_parameters(dtype=jnp.float32)
    for distance, width in [(30.0, 1.0), (1e4, 1e-3), (1e6, 1e-3)]:
        far = logits, distance * loc, width * scale
        value, found = draws_of(estimator, monomials, family, far, rng_key)
        assert all(np.isfinite(x).all() for x in (value, *found))


def test_valley_of_zero_density_is_finite():
    """No draw is found there; a float32 point put there moves at a finite speed."""
    loc, scale = jnp.float32([[[-100.0], [100.0]]]), jnp.ones((1, 2, 1), jnp.float32)
    z = jnp.zeros((1, 1), jnp.float32)
    found = everything((jnp.zeros((1, 2), jnp.float32), loc, scale), z)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_types_are_kept(dtype, rng_key):
    with jax.enable_x64(dtype == jnp.float64):
        parameters = some_parameters(ROWS, dtype=dtype)
        z = sample(parameters, rng_key)
        said, _ = everything(parameters, z)
        found = z, *component_draws(parameters, rng_key), *said
        assert {x.dtype for x in found} == {jnp.dtype(dtype)}


def test_is_a_numpyro_distribution(rng_key):
    parameters = some_parameters(ROWS)
    q = mixture(parameters)
    assert (q.batch_shape, q.event_shape) == ((ROWS,), (DIM,))
    assert q.has_rsample
    assert q.to_event(1).has_rsample
    z = q.sample(rng_key)
    np.testing.assert_array_equal(q.rsample(rng_key), z)
    np.testing.assert_allclose(sample(parameters, rng_key), z, rtol=1e-6)
    total = q.to_event(1).log_prob(z)
    np.testing.assert_allclose(total, q.log_prob(z).sum(), rtol=1e-6)
    again = jax.tree.unflatten(*reversed(jax.tree.flatten(q)))
    assert type(again) is ReparameterizedMixture


def test_expanded_mixture_keeps_its_parts(rng_key):
    q = mixture(some_parameters(1))
    wide = q.expand((7, ROWS))
    assert wide.batch_shape == (7, ROWS)
    assert wide.component_distribution.batch_shape == (7, ROWS, SIZE)
    assert wide.mixing_distribution.batch_shape == (7, ROWS)
    z, (density, expected, first) = jax.jit(several)(q, wide, rng_key)
    assert z.shape == (7, ROWS, DIM)
    np.testing.assert_allclose(density, expected, rtol=1e-5)
    np.testing.assert_allclose(density[0], first, rtol=1e-5)


def several(q, wide, key):
    z = wide.sample(key)
    return z, (wide.log_prob(z), q.log_prob(z), at(wide, 0).log_prob(z[0]))


def test_weights_of_all_rows_are_broadcast(rng_key):
    _, loc, scale = some_parameters(ROWS)
    q = mixture((jnp.zeros(SIZE), loc, scale))
    assert q.mixing_distribution.logits.shape == (ROWS, SIZE)
    assert at(q, 3).sample(rng_key).shape == (DIM,)


ONES = jnp.ones((ROWS, SIZE, DIM))
NORMAL = dist.Normal(ONES, ONES)
CATEGORICAL = dist.Categorical(logits=jnp.zeros(SIZE))
REFUSED = [
    (NORMAL, NORMAL.to_event(1), TypeError, r"mixing_distribution: .* got Normal"),
    (
        dist.Categorical(probs=jnp.array([0.5, 0.5])),
        NORMAL.to_event(1),
        TypeError,
        r"mixing_distribution: expected Categorical\(logits=...\), got CategoricalProbs",
    ),
    (
        CATEGORICAL,
        NORMAL,
        TypeError,
        r"component_distribution: .* got Normal with event",
    ),
    (
        CATEGORICAL,
        NORMAL.to_event(2),
        TypeError,
        r"got Independent of Normal.*\(2, 3\)",
    ),
    (
        CATEGORICAL,
        dist.StudentT(4.0, ONES, 1.0).to_event(1),
        TypeError,
        "component_distribution: .* got Independent of StudentT",
    ),
    (CATEGORICAL, "normal", TypeError, "component_distribution: .* got str"),
    (
        dist.Categorical(logits=jnp.zeros(3)),
        NORMAL.to_event(1),
        ValueError,
        r"component_distribution: .* K = 3 .* got \(5, 2\)",
    ),
    (
        dist.Categorical(logits=jnp.zeros((7, SIZE))),
        NORMAL.to_event(1),
        ValueError,
        r"component_distribution: .*broadcast with \(7,\) .* got \(5,\)",
    ),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("mixing", "components", "error", "match"), REFUSED)
def test_refused(mixing, components, error, match):
    with pytest.raises(error, match=match):
        ReparameterizedMixture(mixing, components)
