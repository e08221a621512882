"""Properties that all bounds have, and what they refuse."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from bounds import LATENT, NETWORKS, ROWS, TRUTH_SCALE, method_for, rows_of, started
from examples import WIDTHS, incomplete, linear_gaussian
from numpyro.infer import SVI

import consilience as cs


@pytest.fixture
def data(rng_key):
    return incomplete(rng_key, linear_gaussian(rng_key), ROWS)


every_bound = pytest.mark.parametrize("bound", cs.BOUNDS)
some_bounds = pytest.mark.parametrize(  # what the base does alike for all
    "bound", ["masked", "subsampled", "importance_weighted", "mixture_of_experts"]
)


@every_bound
def test_fillers_and_absent_rows_change_nothing(bound, data, rng_key):
    """Rows are bit-equal whatever stands in missing places; a row without any counts 0."""
    method = method_for(bound)
    params = started(method, data, rng_key)
    plain = rows_of(method, params, data, rng_key)
    assert np.isfinite(plain).all()
    present = np.asarray(data.present)
    values = {}
    for index, name in enumerate(data.names):
        value = np.array(data.values[name])
        value[~present[:, index]] = 1e6
        values[name] = value
    other = cs.MultimodalData.from_arrays(
        {n: np.where(np.asarray(data.observed(n)), v, 1e6) for n, v in values.items()},
        present=present,
    )
    other = type(data)(**{**vars(other), "entries": data.entries})
    np.testing.assert_array_equal(rows_of(method, params, other, rng_key), plain)
    none = type(data)(**{**vars(data), "present": data.present.at[3].set(False)})
    assert rows_of(method, params, none, rng_key)[3] == 0.0


@every_bound
def test_weights_of_one_change_nothing(bound, data, rng_key):
    method = method_for(bound)
    ones = method_for(bound, weights=dict.fromkeys(WIDTHS, 1.0))
    params = started(method, data, rng_key)
    plain = rows_of(method, params, data, rng_key)
    np.testing.assert_array_equal(rows_of(ones, params, data, rng_key), plain)
    twice = method_for(bound, weights=dict.fromkeys(WIDTHS, 2.0))
    assert np.abs(rows_of(twice, params, data, rng_key) - plain).min() > 0


@some_bounds
@pytest.mark.filterwarnings("ignore:.*no bound of a likelihood")
def test_beta_of_the_step_replaces_that_of_the_bound(bound, data, rng_key):
    method, other = method_for(bound), method_for(bound, beta=0.3)
    params = started(method, data, rng_key)
    expected = rows_of(other, params, data, rng_key)
    found = rows_of(method, params, data, rng_key, beta=jnp.array(0.3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@some_bounds
@pytest.mark.filterwarnings("ignore:.*no bound of a likelihood")
def test_without_rate_it_is_the_reconstruction(bound, data, rng_key):
    """β = 0 leaves log p(x | z): at most that of the data themselves."""
    method = method_for(bound, beta=0.0)
    params = started(method, data, rng_key)
    found = rows_of(method, params, data, rng_key)
    count = sum(np.asarray(data.observed(n)).sum(-1) for n in data.names)
    most = -count * np.log(TRUTH_SCALE * np.sqrt(2 * np.pi))
    factor = 1 + data.present.sum(-1) + 1 if bound == "subsampled" else 1
    assert np.all(found <= np.maximum(most * factor, 0) + 1e-4)


@some_bounds
def test_particles_are_a_mean(bound, data, rng_key):
    """The variance of a mean of four: a quarter, within the noise of 400 keys."""
    one, four = method_for(bound), method_for(bound, num_particles=4)
    params = started(one, data, rng_key)
    law = {"subsets": cs.Fixed((True, False, True))}
    if bound in (
        "masked",
        "mixture",
        "total_correlation",
        "importance_weighted_masked",
    ):
        one, four = method_for(bound, **law), method_for(bound, num_particles=4, **law)
    keys = jax.random.split(rng_key, 400)

    def totals(method):
        programs = (params, method.model, method.guide, data)
        rows = jax.vmap(lambda key: method.elbo.rows(key, *programs)[0].sum())
        return np.asarray(jax.jit(rows)(keys))

    a, b = totals(one), totals(four)
    assert 0.15 < b.var() / a.var() < 0.4
    assert abs(a.mean() - b.mean()) < 4.5 * np.hypot(a.std(), b.std()) / 20


@some_bounds
def test_the_plate_scales_the_loss(bound, data, rng_key):
    """A batch of 7 from 140 rows counts ten times what it counts from 14."""
    method = method_for(bound)
    params = started(method, data, rng_key)
    losses = []
    for total in (14, 140):
        batch = type(data)(**{**vars(data), "total": total})
        loss = jax.jit(
            lambda key, d=batch: method.elbo.loss(key, params, *method[:2], d)
        )
        losses.append(float(loss(rng_key)))
    assert losses[1] == pytest.approx(10 * losses[0], rel=1e-5)


# Refusals.


def test_a_learned_prior_is_refused_where_none_enters(data, rng_key):
    prior = cs.gaussian_mixture(LATENT, 3)
    model = cs.multimodal_model(prior, cs.NormalLikelihood(), cs.LinearDecoder)
    guide = cs.amortized_guide(LATENT, partial(cs.MLPEncoder, hidden=()))
    for elbo in (cs.TotalCorrelationELBO(), cs.InterpolatedTotalCorrelationELBO(1.0)):
        svi = SVI(model, guide, optax.adam(1e-3), elbo)
        with pytest.raises(ValueError, match=r"never evaluates, got prior\.loc"):
            cs.fit(rng_key, svi, data, num_epochs=1, progress=False)
    svi = SVI(model, guide, optax.adam(1e-3), cs.InterpolatedTotalCorrelationELBO(0.9))
    cs.fit(rng_key, svi, data, num_epochs=1, progress=False)


def test_a_prior_whose_parameter_has_any_name_is_refused(data, rng_key):
    """By data flow, not by name; parameters of decoders are none of the prior's."""

    def prior():
        width = numpyro.param("anything", jnp.ones(LATENT))
        return dist.Normal(0.0, jnp.exp(width)).to_event(1)

    model = cs.multimodal_model(prior, cs.NormalLikelihood(), cs.LinearDecoder)
    guide = cs.amortized_guide(LATENT, partial(cs.MLPEncoder, hidden=()))
    svi = SVI(model, guide, optax.adam(1e-3), cs.TotalCorrelationELBO())
    with pytest.raises(ValueError, match=r"never evaluates, got anything;"):
        cs.fit(rng_key, svi, data, num_epochs=1, progress=False)


@pytest.mark.parametrize(
    ("bound", "aggregation", "match"),
    [
        (
            "mixture_of_experts",
            cs.SumPooling,
            "a mixture of 3 experts.*got Normal of 1",
        ),
        ("mixture_of_experts", cs.MixtureOfProductsOfExperts, "of 3 experts.* of 7"),
        ("jensen_shannon", cs.ProductOfExperts, "a mixture of 3 experts"),
        (
            "jensen_shannon",
            partial(cs.MixtureOfExperts, head=cs.LaplaceHead()),
            "expected Normals .* got Laplace",
        ),
        ("auxiliary_mixture_of_experts", cs.MixtureOfExperts, "auxiliary_guide"),
    ],
)
def test_bounds_of_experts_refuse_other_guides(
    bound, aggregation, match, data, rng_key
):
    method = cs.masked(LATENT, cs.NormalLikelihood(), NETWORKS, aggregation)
    svi = SVI(method.model, method.guide, optax.adam(1e-3), cs.BOUNDS[bound]())
    with pytest.raises(TypeError, match=match):
        cs.fit(rng_key, svi, data, num_epochs=1, progress=False)


def test_joint_weights_refuse_strata(data, rng_key):
    method = cs.masked(LATENT, cs.NormalLikelihood(), NETWORKS, cs.MixtureOfExperts)
    for estimator, refused in ((cs.DReG(), True), (cs.DReG(stratified=False), False)):
        elbo = cs.ImportanceWeightedMaskedELBO(2, joint=True, estimator=estimator)
        svi = SVI(method.model, method.guide, optax.adam(1e-3), elbo)
        if not refused:
            cs.fit(rng_key, svi, data, num_epochs=1, progress=False)
            continue
        with pytest.raises(
            TypeError, match=r"DReG\(stratified=False\), with joint=True"
        ):
            cs.fit(rng_key, svi, data, num_epochs=1, progress=False)
