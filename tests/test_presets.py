"""Every preset against the objective of its publication, draw by draw."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import reference
from numpyro import handlers
from numpyro.infer import SVI
from scipy import stats

import consilience as cs
from consilience.inference import elbo as elbo_module

WIDTHS, LATENT, PRIVATE, SCALE, ROWS = {"a": 2, "b": 3, "c": 4}, 3, 2, 0.7, 6
NAMES = tuple(WIDTHS)
NETWORKS = cs.Networks(
    lambda *s, rngs: cs.MLPEncoder(*s, hidden=(), rngs=rngs), cs.LinearDecoder, 5
)
STANDARD = (np.zeros(LATENT), np.ones(LATENT))


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    values = {n: generator.normal(size=(ROWS, w)) for n, w in WIDTHS.items()}
    present = np.array(
        [[1, 1, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1], [1, 1, 0]]
    )
    return cs.MultimodalData.from_arrays(values, present=present.astype(bool))


class Spied:
    """Rows of a bound, with the draws that it made; at random parameters, in float64."""

    def __init__(self, monkeypatch, rng_key, method, data):
        self.data, self.elbo = data, method.elbo
        self.draws, replace = [], type(method.elbo).replace

        def spy(elbo, key, params, latents):
            latents = replace(elbo, key, params, latents)
            self.draws.append(latents)
            return latents

        def loop(function, keys):
            results = [function(key) for key in keys]
            return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)

        monkeypatch.setattr(type(method.elbo), "replace", spy)
        monkeypatch.setattr(elbo_module, "over", loop)
        svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
        params = svi.get_params(jax.jit(svi.init)(rng_key, data))
        self.draws.clear()
        leaves, tree = jax.tree.flatten(params)
        keys = jax.random.split(rng_key, len(leaves))
        noise = [
            jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)
        ]
        self.params = jax.tree.map(
            lambda x, e: x + 0.1 * e, params, jax.tree.unflatten(tree, noise)
        )
        programs = (method.model, method.guide, data)

        def rows(key):
            self.draws.clear()
            return method.elbo.rows(key, self.params, *programs)[0], list(self.draws)

        self.rows, draws = jax.jit(rows)(rng_key)
        self.draws = jax.tree.map(np.asarray, draws)
        particle = jax.random.split(rng_key, 1)[0]
        key_views = jax.random.split(particle, 3)[0]
        self.views = method.elbo.views(key_views, data.present)
        self.guide = method.guide

    def posterior(self, members):
        """q(z | x_S) of all rows, the same S for all."""
        subset = jnp.broadcast_to(jnp.array(members), (ROWS, len(NAMES)))
        fixed = handlers.substitute(handlers.seed(self.guide, 0), data=self.params)
        return handlers.trace(fixed).get_trace(self.data, subset)["z"]["fn"]

    def normal(self, members, row):
        """(loc, scale) of a Normal posterior."""
        q = self.posterior([s in members for s in range(len(NAMES))])
        return np.asarray(q.base_dist.loc)[row], np.asarray(q.base_dist.scale)[row]

    def expert(self, s, row):
        """(loc, scale) of the s-th component of a mixture of experts."""
        base = self.posterior([True] * len(NAMES)).component_distribution.base_dist
        return np.asarray(base.loc)[row, s], np.asarray(base.scale)[row, s]

    def log_x(self, row, z, w=None):
        """log p(x_s | z, w_s) of every modality, from the linear decoders."""
        found = []
        for s, name in enumerate(NAMES):
            layer = self.params[f"decoder.{name}$params"]["linear"]
            latent = z if w is None else np.concatenate([z, w[s]])
            mean = latent @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
            x = np.asarray(self.data.values[name])[row]
            found.append(stats.norm(mean, SCALE).logpdf(x).sum())
        return found

    def present(self, row):
        return [s for s in range(len(NAMES)) if self.data.present[row, s]]

    def drawn_views(self, row):
        """(log_x, members, q) of each view that counts."""
        found = []
        for v, S in enumerate(np.asarray(self.views.subsets[:, row])):
            members = [s for s in range(len(NAMES)) if S[s]]
            if v < len(self.views.weight) and self.views.weight[v, row] > 0:
                z = self.draws[0]["z"][v, 0, row]
                found.append((self.log_x(row, z), members, self.normal(members, row)))
        return found


@pytest.fixture
def spied(monkeypatch, rng_key, data, x64):
    def wide(x):
        return jnp.asarray(x, float) if x.dtype == jnp.float32 else x

    def run(method):
        return Spied(monkeypatch, rng_key, method, jax.tree.map(wide, data))

    return run


def agree(spied, objective):
    """Every row, to 1e-10 of it in double precision."""
    expected = [objective(row) for row in range(ROWS)]
    np.testing.assert_allclose(spied.rows, expected, rtol=1e-9)


LIKELIHOOD = cs.NormalLikelihood(SCALE)
SETTINGS = (LATENT, LIKELIHOOD, NETWORKS)
CLOSED = {"estimator": cs.AnalyticKL()}


def test_masked(spied):
    run = spied(cs.masked(*SETTINGS, **CLOSED))

    def objective(row):
        S = [s for s in range(3) if run.views.subsets[0, row, s]]
        O = run.present(row)  # noqa: E741
        log_x = [run.log_x(row, run.draws[0]["z"][v, 0, row]) for v in (0, 1)]
        q_S, q_O = run.normal(S, row), run.normal(O, row)
        return reference.masked_objective(*log_x, S, O, q_S, q_O, STANDARD)

    agree(run, objective)


def test_mvae(spied):
    run = spied(cs.mvae(*SETTINGS, num_subsets=2, **CLOSED))
    agree(run, lambda row: reference.mvae_objective(run.drawn_views(row), STANDARD))
    sizes = np.asarray(run.views.subsets.sum(-1))
    np.testing.assert_array_equal(sizes[0], [3, 2, 2, 1, 3, 2])
    np.testing.assert_array_equal(sizes[4:], [[2, 0, 0, 0, 2, 0]] * 2)


def test_mopoe(spied):
    run = spied(cs.mopoe(*SETTINGS, **CLOSED))

    def objective(row):
        views = run.drawn_views(row)
        O = run.present(row)  # noqa: E741
        assert len(views) == 2 ** len(O) - 1
        return reference.mopoe_objective(views, O, STANDARD)

    agree(run, objective)


def mmvae_weights(run, row, own_w=None):
    """log w `[|O|, K]`."""
    O = run.present(row)  # noqa: E741
    family, scale = stats.laplace, np.ones(LATENT)
    if own_w is not None:
        family = stats.norm
    weights = []
    for s in O:
        weights.append([])
        for draw in run.draws:
            z = draw["z"][0, s, row]
            w = draw["w"][0, s, row] if own_w else None
            log_x = [run.log_x(row, z, w)[t] for t in O]
            experts = [family.logpdf(z, *run.expert(t, row)).sum() for t in O]
            shared = (log_x, family.logpdf(z, 0, scale).sum(), experts)
            if own_w is None:
                weights[-1].append(reference.mmvae_log_weight(*shared))
            else:
                own = own_w(s, row, w[s])
                weights[-1].append(reference.mmvae_plus_log_weight(*shared, own))
    return weights


@pytest.mark.parametrize("num_samples", [1, 3])
def test_mmvae(spied, num_samples):
    run = spied(cs.mmvae(*SETTINGS, num_samples=num_samples))
    agree(run, lambda row: reference.mmvae_objective(mmvae_weights(run, row)))
    assert run.draws[0]["z"].shape == (1, 3, ROWS, LATENT)
    assert len(run.draws) == num_samples


def own_laws(run):
    """q(w_s | x_s) `[N, M, W]` where present."""
    seeded = handlers.substitute(handlers.seed(run.guide, 0), data=run.params)
    return handlers.trace(seeded).get_trace(run.data)["w"]["fn"].base_dist


def test_mmvae_plus(spied):
    run = spied(cs.mmvae_plus(LATENT, PRIVATE, LIKELIHOOD, NETWORKS, num_samples=2))
    q_w = own_laws(run)

    def own(s, row, w):
        q = stats.norm(np.asarray(q_w.loc)[row, s], np.asarray(q_w.scale)[row, s])
        return stats.norm.logpdf(w).sum(), q.logpdf(w).sum()

    agree(run, lambda row: reference.mmvae_objective(mmvae_weights(run, row, own)))


@pytest.mark.long
def test_the_private_latents_of_others_come_from_the_auxiliary_laws(spied):
    """Normal with the learned scales, and the own one from its posterior."""
    run = spied(cs.mmvae_plus(LATENT, PRIVATE, LIKELIHOOD, NETWORKS, num_samples=8))
    scale = np.asarray(run.params["auxiliary.scale"])
    w = np.stack([draw["w"] for draw in run.draws])[:, 0]  # draws, stratum, row, t, dim
    for s, t in itertools.product(range(3), range(3)):
        if s != t:
            unit = (w[:, s, :, t] / scale[t]).ravel()
            assert stats.kstest(unit, "norm").pvalue > 1e-4
    q_w = own_laws(run)
    for s in range(3):
        unit = (w[:, s, :, s] - q_w.loc[:, s]) / q_w.scale[:, s]
        unit = unit[:, np.asarray(run.data.present[:, s])]
        assert stats.kstest(unit.ravel(), "norm").pvalue > 1e-4


PRIOR = (np.array([0.0, 2.0, -1.0]), np.array([1.0, 0.3, 2.0]))


@pytest.mark.parametrize("prior", [STANDARD, PRIOR], ids=["standard", "own"])
def test_mmjsd(spied, prior):
    """Under a prior of other locations and scales, too."""
    loc, scale = map(jnp.array, prior)
    law = lambda: dist.Normal(loc, scale).to_event(1)  # noqa: E731
    model = cs.multimodal_model(law, LIKELIHOOD, NETWORKS.decoders)
    run = spied(cs.mmjsd(*SETTINGS)._replace(model=model))

    def objective(row):
        O = run.present(row)  # noqa: E741
        draws = [run.draws[0]["z"][0, s, row] for s in O]
        log_x = [[run.log_x(row, z)[t] for t in O] for z in draws]
        experts = [run.expert(s, row) for s in O]
        return reference.mmjsd_objective(log_x, experts, prior)

    agree(run, objective)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 1.0])
def test_mvtcae(spied, alpha):
    run = spied(cs.mvtcae(*SETTINGS, alpha=alpha, **CLOSED))

    def objective(row):
        O = run.present(row)  # noqa: E741
        log_x = run.log_x(row, run.draws[0]["z"][0, 0, row])
        experts = [run.normal([s], row) for s in O]
        log_x = [log_x[t] for t in O]
        q = run.normal(O, row)
        loc, scale = reference.product_of_normals(*zip(*experts, strict=True))
        np.testing.assert_allclose(q, (loc, scale), rtol=1e-9)  # no prior expert
        return reference.mvtcae_objective(log_x, alpha, q, experts, STANDARD)

    agree(run, objective)


def test_every_preset_has_its_test():
    tested = {
        name.removeprefix("test_") for name in globals() if name.startswith("test_")
    }
    assert set(cs.PRESETS) <= tested


@pytest.mark.parametrize("name", cs.PRESETS)
def test_a_preset_trains_on_incomplete_rows(name, data, rng_key):
    sizes = (LATENT, PRIVATE) if name == "mmvae_plus" else (LATENT,)
    method = cs.PRESETS[name](*sizes, LIKELIHOOD, NETWORKS)
    svi = SVI(method.model, method.guide, optax.adam(3e-2), method.elbo)
    fitted = cs.fit(rng_key, svi, data, num_epochs=60, progress=False)
    bounds = fitted.history.bound
    assert bounds[-10:].mean() > bounds[:10].mean() + 1
