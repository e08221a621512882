"""Covariates that change nothing are said, and only those."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from numpyro.infer import SVI

import consilience as cs
from consilience.inference.unread import unread_covariates


def data():
    generator = np.random.default_rng(0)
    values = {"a": generator.normal(size=(6, 3)), "c": generator.poisson(4, (6, 2))}
    covariates = {"age": np.arange(6.0), "size": np.ones(6), "kind": np.arange(6) % 2}
    return cs.MultimodalData.from_arrays(values, covariates=covariates)


def model(prior=None, **counts):
    likelihoods = {"a": cs.NormalLikelihood(), "c": cs.PoissonLikelihood(**counts)}
    return cs.multimodal_model(prior or cs.standard_normal(2), likelihoods)


def unread(model, guide):
    def found(key):
        svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
        params = svi.get_params(svi.init(key, data()))
        names.extend(unread_covariates(model, guide, params, data()))

    names = []
    jax.eval_shape(found, jax.random.key(0))
    return names


def guide_of_age(data, subset=None):
    """Reads a covariate inside a compiled function and a scan."""
    weight = numpyro.param("weight", jnp.ones(2))
    age, _ = jax.lax.scan(lambda sum_, x: (sum_ + x, x), 0.0, data.covariates["age"])
    numpyro.deterministic("kind of nothing", data.covariates["kind"])
    loc = jax.jit(jnp.multiply)(weight, age)
    with data.plate():
        law = dist.Normal(jnp.broadcast_to(loc, (data.size, 2)), 1.0)
        numpyro.sample("z", law.to_event(1))


def test_what_no_law_depends_on_is_found():
    guide = cs.amortized_guide(2)
    assert unread(model(), guide) == ["age", "kind", "size"]
    assert unread(model(log_library="size"), guide) == ["age", "kind"]
    assert unread(model(cs.label_conditional(2, 2, "kind")), guide) == ["age", "size"]
    assert unread(model(), guide_of_age) == ["kind", "size"]


def weighted(data, subset=None):
    """Rows that count by a covariate."""
    with numpyro.handlers.scale(scale=data.covariates["size"]):
        model()(data, subset)


def test_a_weight_of_rows_is_read():
    assert unread(weighted, cs.amortized_guide(2)) == ["age", "kind"]


def test_a_fit_says_so(rng_key):
    svi = SVI(model(), guide_of_age, optax.adam(1e-3), cs.MaskedELBO())
    with pytest.warns(
        UserWarning, match="reads the covariates kind, size, which there"
    ):
        cs.fit(rng_key, svi, data(), num_epochs=1, progress=False)
