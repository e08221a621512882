"""The paper's illustrative example (Table 1), trained to its exact optimum."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpyro.infer import SVI

import consilience as cs

EPOCHS, ROWS, BATCH = 1000, 5000, 500


class Columns(NamedTuple):
    """The columns of Table 1; reconstructions analytic in z, averages over the data."""

    gap: float
    full_reconstruction: float
    full_rate: float
    cross_reconstruction: float
    cross_rate: float


def train(aggregation, estimator, seed):
    """Train on standardised data; σ = 1 of the first units is given, not learned."""
    data, _ = cs.illustrative_example().simulate(jax.random.key(0), ROWS)
    scaled = data.standardize()
    scale = {n: float(s[0]) for n, s in scaled.standardization.scale.items()}
    likelihoods = {n: cs.NormalLikelihood(1 / s) for n, s in scale.items()}
    model = cs.multimodal_model(cs.standard_normal(3), likelihoods, cs.LinearDecoder)
    guide = cs.amortized_guide(
        3, partial(cs.MLPEncoder, hidden=(64, 64)), aggregation, 64
    )
    rate = optax.cosine_decay_schedule(5e-3, EPOCHS * ROWS // BATCH)
    svi = SVI(model, guide, optax.adam(rate), cs.MaskedELBO(estimator=estimator))
    fitted = cs.fit(
        jax.random.key(seed),
        svi,
        scaled,
        num_epochs=EPOCHS,
        batch_size=BATCH,
        progress=False,
    )
    return data, scaled, fitted


def learned(fitted, scaled):
    """The linear Gaussian model that the decoders are, in the first units."""
    loc, scale = scaled.standardization.loc, scaled.standardization.scale
    layers = {n: fitted.params[f"decoder.{n}$params"]["linear"] for n in scaled.names}
    return cs.LinearGaussian(
        {n: layer["kernel"].T * scale[n] for n, layer in layers.items()},
        {n: layer["bias"] * scale[n] + loc[n] for n, layer in layers.items()},
        1.0,
    )


def moments(fitted, scaled, *names):
    """Mean and standard deviation of q(z | x_S)."""
    from consilience.inference.programs import run

    key, subset = jax.random.key(0), scaled.subset_of(*names)
    q = run(fitted.guide, fitted.params, key, {}, scaled, subset)["z"]["fn"].base_dist
    return q.mean, jnp.sqrt(q.variance)


def kl(p, q):
    (m1, s1), (m2, s2) = p, q
    return (
        (jnp.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5).sum(-1).mean()
    )


def expected_log(model, data, name, q):
    """E_q log N(x; W z + b, 1), analytic."""
    (mean, scale), W = q, model.loadings[name]
    residual = data.values[name] - mean @ W.T - model.biases[name]
    spread = scale**2 @ (W**2).T
    return (-0.5 * (residual**2 + spread + jnp.log(2 * jnp.pi))).sum(-1).mean()


def columns(data, scaled, fitted):
    best = cs.maximum_likelihood(data, 3, 1.0).log_likelihood(data).mean()
    model, names = learned(fitted, scaled), data.names
    full = moments(fitted, scaled, *names)
    one = {n: moments(fitted, scaled, n) for n in names}
    pairs = [("x1", "x2"), ("x2", "x1")]
    prior = (jnp.zeros(3), jnp.ones(3))
    return Columns(
        float((best - model.log_likelihood(data).mean()) / abs(best)),
        float(sum(expected_log(model, data, n, full) for n in names)),
        float(kl(full, prior)),
        float(np.mean([expected_log(model, data, t, one[s]) for s, t in pairs])),
        float(np.mean([kl(full, one[n]) for n in names])),
    )


@pytest.mark.slow
@pytest.mark.long
def test_sum_pooling_reaches_the_optimum():
    """Population optimum: −2.838, 2.860, −52.75, 1.429 (exact)."""
    data, scaled, fitted = train(
        partial(cs.SumPooling, width=64, hidden=(64,)), cs.STL(), seed=1
    )
    found, exact = columns(data, scaled, fitted), learned(fitted, scaled)
    print(found)
    assert 0 <= found.gap <= 1e-3
    assert abs(found.full_reconstruction + 2.838) <= 0.05
    assert abs(found.full_rate - 2.860) <= 0.05
    assert abs(found.cross_reconstruction + 52.75) <= 3
    assert abs(found.cross_rate - 1.429) <= 0.05
    # The trained model's own exact values.
    a, b = data.names
    cross = exact.reconstruction((b,), (a,)) + exact.reconstruction((a,), (b,))
    rates = exact.mutual_information(a) + exact.mutual_information(b)
    assert abs(found.full_rate - exact.mutual_information()) <= 0.03
    assert abs(found.cross_reconstruction - cross / 2) <= 3
    assert abs(found.cross_rate - (exact.mutual_information() - rates / 2)) <= 0.03


@pytest.mark.slow
@pytest.mark.long
def test_a_product_of_experts_done_right_reaches_its_optimum():
    """The paper's own row has a gap of 1.29, for its code weights means by variance.

    The family's own optimum is at 1.2e-4.
    """
    found = columns(*train(cs.ProductOfExperts, cs.AnalyticKL(), seed=1))
    print(found)
    assert np.isfinite(found).all()
    assert 0 <= found.gap <= 1e-3


@pytest.mark.slow
@pytest.mark.long
def test_a_corrected_product_of_experts_does_no_worse():
    correction = partial(cs.SumPooling, width=64, hidden=(64,))
    aggregation = partial(cs.CorrectedProductOfExperts, correction=correction)
    found = columns(*train(aggregation, cs.STL(), seed=1))
    print(found)
    assert 0 <= found.gap <= 1e-3
