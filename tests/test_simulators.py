"""Simulators: their laws, their truth, and the true models' exact answers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from reference import standard_error

import consilience as cs
from consilience.datasets.linear_simulators import random_widths, simulate_linear
from consilience.datasets.nonlinear_simulators import (
    apply_layers,
    simulate_nonlinear,
    simulate_with_label,
)
from consilience.datasets.polymnist import polymnist_like
from consilience.experiments.paper.truth import by_importance, by_quadrature
from consilience.models.nonlinear_gaussian import NonlinearGaussian

KEY = jax.random.key(20240131)
SHARED = {"latent_dim": 30}
PRIVATE = {"latent_dim": 5, "private_dim": 5}
SIMULATORS = {
    "linear": partial(simulate_linear, **SHARED),
    "private": partial(simulate_linear, **PRIVATE),
    "label": simulate_with_label,
    "nonlinear": simulate_nonlinear,
}


@pytest.mark.parametrize("simulate", SIMULATORS.values(), ids=SIMULATORS)
def test_a_key_is_all_that_a_simulation_depends_on(simulate):
    first, again, other = (simulate(jax.random.key(i), 11) for i in (3, 3, 4))
    jax.tree.map(np.testing.assert_array_equal, first.data.values, again.data.values)
    np.testing.assert_array_equal(first.latents, again.latents)
    assert (first.latents != other.latents).all()
    assert first.data.present.all()
    assert first.data.size == len(first.latents) == 11


# Linear


@pytest.mark.parametrize("sizes", [SHARED, PRIVATE], ids=["shared", "private"])
def test_linear_loadings_have_orthonormal_columns(sizes):
    truth = simulate_linear(KEY, 7, **sizes).truth
    assert [*truth.loadings] == ["x1", "x2", "x3", "x4", "x5"]
    private = sizes.get("private_dim", 0)
    for s, W in enumerate(truth.loadings.values()):
        assert 30 <= W.shape[0] <= 59
        assert W.shape[1] == 30
        gram = np.zeros(30)
        gram[: sizes["latent_dim"]] = 1
        own = sizes["latent_dim"] + s * private
        gram[own : own + private] = 1
        np.testing.assert_allclose(W.T @ W, np.diag(gram), atol=1e-5)


def test_linear_widths_are_uniform_on_30_to_59():
    widths = random_widths(KEY, 3000)
    assert len(simulate_linear(KEY, 2, num_modalities=3).truth.loadings) == 3
    counts = np.bincount(widths, minlength=60)
    assert counts[:30].sum() == 0
    assert len(counts) == 60
    assert np.abs(counts[30:] - 100).max() <= 4.5 * np.sqrt(100)


@pytest.mark.parametrize("sizes", [SHARED, PRIVATE], ids=["shared", "private"])
def test_linear_rows_follow_their_truth(sizes):
    """x − W z − b is white noise of scale σ, and log p(x) is that of the oracle."""
    found = simulate_linear(KEY, 4001, **sizes, scale=0.7)
    z, truth = np.asarray(found.latents, float), found.truth
    np.testing.assert_allclose(np.cov(z.T), np.eye(30), atol=5 * np.sqrt(2 / 4001))
    noise = (
        np.concatenate(
            [
                found.data.values[n] - z @ np.asarray(W, float).T - truth.biases[n]
                for n, W in truth.loadings.items()
            ],
            -1,
        )
        / 0.7
    )
    squares = (noise**2).mean(-1)
    assert abs(squares.mean() - 1) <= 4 * standard_error(squares)
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) <= 4 / np.sqrt(noise.size)
    oracle = cs.LinearGaussian(*truth)
    surprise = -np.asarray(oracle.log_likelihood(found.data), float)
    assert abs(surprise.mean() - oracle.entropy()) <= 4 * standard_error(surprise)


def test_exact_ceilings_of_the_linear_data():
    """Table 2: posterior precision 6 of what five modalities share, 2 of what is private."""
    found = simulate_linear(KEY, 1500, **PRIVATE)
    exact = cs.LinearGaussian(*found.truth).posterior(found.data)
    means = cs.mean_correlation(found.latents, exact.loc).strong
    draws = cs.mean_correlation(found.latents, exact.sample(KEY)).strong
    assert means == pytest.approx((5 * (5 / 6) ** 0.5 + 25 * 0.5**0.5) / 30, abs=0.02)
    assert draws == pytest.approx((5 * 5 / 6 + 25 * 0.5) / 30, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_rows": 0}, "num_rows: expected a positive integer, got 0"),
        ({"private_dim": -1}, "private_dim: expected a positive integer, got -1"),
        ({"scale": 0.0}, "scale: expected a number above 0, got 0.0"),
        ({"widths": (30, 30)}, "widths: expected 5 whole numbers of 30 or more"),
        ({"widths": (30,) * 4 + (29,)}, "widths: expected 5 whole numbers of 30"),
    ],
)
def test_linear_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        simulate_linear(KEY, **settings)


# Non-linear


def test_labels_are_uniform_and_move_the_sources():
    found = simulate_with_label(KEY, 5003)
    u, truth = np.asarray(found.data.values["label"]), found.truth
    assert found.data.names == ("x", "label")
    assert found.data.values["label"].dtype == jnp.int32
    share = np.bincount(u, minlength=5) / len(u)
    np.testing.assert_allclose(share, 0.2, atol=4 * np.sqrt(0.16 / len(u)))
    noise = (found.latents - truth.loc[u]) / truth.spread[u]
    np.testing.assert_allclose(noise.mean(0), 0, atol=4 / np.sqrt(len(u)))
    np.testing.assert_allclose((noise**2).mean(0), 1, atol=4 * np.sqrt(2 / len(u)))
    assert (np.abs(truth.loc) <= 5).all()
    assert ((truth.spread >= 0.5) & (truth.spread <= 3)).all()


@pytest.mark.parametrize(
    ("simulate", "scale"), [(simulate_with_label, 0.1), (simulate_nonlinear, 0.5)]
)
def test_nonlinear_rows_follow_their_truth(simulate, scale):
    found = simulate(KEY, 2003)
    for name, layers in found.truth.layers.items():
        z = found.latents
        for A in layers[:-1]:
            z = np.where(z @ A > 0, z @ A, 0.1 * (z @ A))
        noise = (found.data.values[name] - z @ layers[-1]) / scale
        squares = np.asarray((noise**2).mean(-1), float)
        assert abs(squares.mean() - 1) <= 4 * standard_error(squares)


def test_maps_are_injective_and_well_conditioned():
    found = simulate_nonlinear(KEY, 11, num_modalities=3, num_layers=3)
    assert [*found.truth.layers] == ["x1", "x2", "x3"]
    for layers in found.truth.layers.values():
        assert [A.shape for A in layers] == [(10, 25), (25, 25), (25, 25)]
        for A in layers:
            np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1, rtol=1e-5)
        J = jax.vmap(jax.jacobian(partial(apply_layers, layers, 0.1)))(found.latents)
        assert (np.linalg.matrix_rank(J) == 10).all()
    assert np.linalg.cond(found.truth.layers["x1"][0]) < 3.2  # the median of all
    assert np.linalg.cond(found.truth.layers["x1"][1]) < 80
    both = simulate_with_label(KEY, 11).truth.layers["x"]
    np.testing.assert_array_equal(*both)
    np.testing.assert_allclose(both[0] @ both[0].T, np.eye(2), atol=1e-6)


def test_the_true_model_is_the_joint_density(x64):
    """Σ_u p(u) p(z | u) p(x | z) p(u | z) = p(u) p(z | u) p(x | z), by hand."""
    found = simulate_with_label(KEY, 7)
    model, data = NonlinearGaussian(*found.truth), found.data
    from consilience.inference.draws import log_joint

    latents = {"z": jnp.asarray(found.latents, float)}
    _, log_p = log_joint(KEY, model, {}, data, data.present, latents, ("z",))
    u = data.values["label"]
    sources = dist.Normal(model.loc[u], model.spread[u]).log_prob(latents["z"]).sum(-1)
    mean = apply_layers(model.layers["x"], 0.1, latents["z"])
    noise = dist.Normal(mean, 0.1).log_prob(data.values["x"]).sum(-1)
    np.testing.assert_allclose(log_p, sources + noise - np.log(5), rtol=1e-10)


def test_unknown_modalities_of_the_true_model_are_refused():
    model = NonlinearGaussian(*simulate_with_label(KEY, 7).truth)
    with pytest.raises(
        ValueError, match="expected one of the modalities x, label, got"
    ):
        model.likelihood("y", jnp.zeros((7, 2)))


@pytest.mark.parametrize(
    ("simulate", "settings", "message"),
    [
        (simulate_with_label, {"slope": 0.0}, r"slope: expected a number in \(0, 1\]"),
        (simulate_with_label, {"num_labels": 0}, "num_labels: expected a positive int"),
        (simulate_nonlinear, {"width": 9}, "width: expected at least latent_dim=10"),
        (simulate_nonlinear, {"scale": -1.0}, "scale: expected a number above 0"),
        (simulate_nonlinear, {"num_layers": 0}, "num_layers: expected a positive int"),
    ],
)
def test_nonlinear_settings_are_checked(simulate, settings, message):
    with pytest.raises(ValueError, match=message):
        simulate(KEY, **settings)


# What the true models know


@pytest.mark.slow
def test_quadrature_of_a_linear_map_is_in_closed_form():
    """With slope 1 nothing is bent: x | u ~ N(μ_u A A, diag L_u² + σ² I) by rotation."""
    found = simulate_with_label(KEY, 211, slope=1.0)
    (A, _), truth = found.truth.layers["x"], found.truth
    exact = by_quadrature(KEY, found, found.data)
    u, x = found.data.values["label"], found.data.values["x"]
    back = x @ np.linalg.inv(A @ A)  # z + rotated noise, which is noise again
    scale = np.sqrt(truth.spread[u] ** 2 + 0.01)
    expected = dist.Normal(truth.loc[u], scale).log_prob(back).sum(-1) - np.log(5)
    np.testing.assert_allclose(exact.log_likelihood, expected, atol=2e-4)
    weight = truth.spread[u] ** 2 / scale**2
    mean = weight * back + (1 - weight) * truth.loc[u]
    np.testing.assert_allclose(exact.mean, mean, atol=2e-4)


@pytest.mark.slow
def test_quadrature_and_importance_agree():
    """Two latents through a map that is bent, but not so sharply that draws miss parts."""
    found = simulate_with_label(KEY, 400, slope=0.5)
    exact = by_quadrature(KEY, found, found.data)
    sampled = by_importance(KEY, found, found.data, 4000)
    reliable = np.asarray(sampled.effective_share) > 0.2
    assert reliable.mean() > 0.9
    difference = np.asarray(exact.log_likelihood - sampled.log_likelihood)[reliable]
    error = np.sqrt((1 / np.asarray(sampled.effective_share)[reliable] - 1) / 4000)
    assert np.abs(difference / error).max() < 5
    assert abs(difference.mean()) < 5 * np.sqrt((error**2).sum()) / len(error)


@pytest.mark.slow
def test_figures_of_the_published_data():
    """math: −13.96 thousand nats (sd 2.26 over draws) of 4000 rows, MCC .968 and .984."""
    found = simulate_with_label(KEY, 1000)
    exact = by_quadrature(KEY, found, found.data)
    thousands = 4e-3 * float(np.asarray(exact.log_likelihood, float).sum())
    assert abs(thousands + 13.96) < 3 * 2.26
    ceilings = exact.ceilings(found.latents)
    assert 0.93 < ceilings["mcc_samples"] < ceilings["mcc_means"] < 0.995


@pytest.mark.slow
def test_true_log_likelihood_of_four_modalities():
    """The paper's −464 thousand nats of 5000 test rows are those of four modalities."""
    found = simulate_nonlinear(KEY, 300, num_modalities=4)
    exact = by_importance(KEY, found, found.data, 500)
    thousands = 5 * np.asarray(exact.log_likelihood, float).mean()
    assert -475 < thousands < -460
    assert np.median(exact.effective_share) > 0.4
    assert exact.ceilings(found.latents)["mcc_samples"] > 0.98
    keep = cs.missing_completely_at_random(KEY, found.data.present, 0.5)
    less = by_importance(KEY, found, found.data.restrict(keep), 500)
    assert 5 * np.asarray(less.log_likelihood, float).mean() > thousands + 100


def test_truth_of_other_rows_is_refused():
    found = simulate_nonlinear(KEY, 12, num_modalities=2)
    with pytest.raises(ValueError, match="expected the 12 simulated rows, got 5"):
        by_importance(KEY, found, found.data.take(range(5)))
    with pytest.raises(ValueError, match="expected two latents and a label, got 10"):
        by_quadrature(KEY, found, found.data)


# Digits on photographs


def photographs(size=40):
    generator = np.random.default_rng(0)
    return {n: generator.integers(0, 256, (size, size + 3, 3)) for n in ("sea", "wood")}


def digits(count=60):
    """Images of 8 × 8 whose ink says the class and nothing else."""
    labels = np.arange(count) % 3
    images = np.zeros((count, 8, 8), np.uint8)
    for label in range(3):
        images[labels == label, label : label + 3] = 255
    return images, labels


def test_digits_stand_inverted_on_cuts_of_their_photograph():
    images, labels = digits()
    data = polymnist_like(KEY, images, labels, photographs())
    assert data.names == ("sea", "wood")
    assert data.event_shapes == ((8, 8, 3), (8, 8, 3))
    assert data.size == 60
    for name, photograph in photographs().items():
        scaled = np.asarray(photograph, np.float32) / 255
        cuts = np.lib.stride_tricks.sliding_window_view(scaled, (8, 8, 3))
        cuts = cuts.reshape(-1, 8, 8, 3)
        for image, label in zip(
            data.values[name], data.covariates["label"], strict=True
        ):
            ink = np.zeros((8, 8, 1), bool)
            ink[label : label + 3] = True
            restored = np.where(ink, 1 - image, image)
            assert np.abs(cuts - restored).max((1, 2, 3)).min() < 1e-6


def test_cuts_differ_and_pairings_are_counted():
    images, labels = digits(30)
    data = polymnist_like(KEY, images, labels, photographs(), num_pairings=2)
    assert data.size == 60
    flat = np.asarray(data.values["sea"]).reshape(60, -1)
    assert len(np.unique(flat, axis=0)) > 50
    again = polymnist_like(KEY, images, labels, photographs(), num_pairings=2)
    np.testing.assert_array_equal(again.values["sea"], data.values["sea"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backgrounds": {}}, "backgrounds: expected at least one photograph"),
        ({"images": np.zeros((60, 64))}, "images: expected an array of 3 axes"),
        (
            {"images": np.full((60, 8, 8), 2.0)},
            "expected whole numbers from 0 to 255 or",
        ),
        (
            {"backgrounds": {"sea": np.zeros((7, 99, 3))}},
            r"backgrounds\['sea'\]: expected a photograph of 8 × 8 or more, got 7 × 99",
        ),
    ],
)
def test_what_is_no_image_is_refused(change, message):
    images, labels = digits()
    given = {"images": images, "labels": labels, "backgrounds": photographs()}
    with pytest.raises(ValueError, match=message):
        polymnist_like(KEY, **(given | change))
