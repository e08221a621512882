"""The linear Gaussian model: what the library says of it, against dense Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from scipy import stats

import consilience as cs
from attack.case import Case, mechanism
from attack.tables import measured

WIDTHS = {"a": 3, "b": 2}
LOADINGS = {
    "a": np.array([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]),
    "b": np.array([[1.0, 1.0], [0.3, 0.0]]),
}
BIASES = {"a": np.array([0.5, -1.0, 2.0]), "b": np.array([0.0, 3.0])}


def linear(scale: float) -> cs.LinearGaussian:
    """Loadings and biases as they stand above."""
    both = [
        {n: jnp.asarray(x, jnp.result_type(float)) for n, x in by.items()}
        for by in (LOADINGS, BIASES)
    ]
    return cs.LinearGaussian(*both, scale)


def guide_of(model: cs.LinearGaussian):
    """Its exact posterior as a guide."""

    def guide(data, subset=None):
        law = model.posterior(data, subset)
        with data.plate():
            numpyro.sample("z", law)

    return guide


def drawn(rng, scale: float, rows: int = 7) -> dict[str, np.ndarray]:
    """Values of the model with holes."""
    z = rng.normal(size=(rows, 2))
    found = {
        n: z @ W.T + BIASES[n] + scale * rng.normal(size=(rows, len(W)))
        for n, W in LOADINGS.items()
    }
    found = {n: x.astype(np.float32).astype(float) for n, x in found.items()}
    found["a"][1, 2] = np.nan
    found["b"][2] = np.nan
    found["a"][3] = np.nan
    return found


def dense(values, scale: float, names=WIDTHS) -> np.ndarray:
    """log p of what is there of these modalities, row by row."""
    W = np.concatenate([LOADINGS[n] for n in names])
    b = np.concatenate([BIASES[n] for n in names])
    x = np.concatenate([values[n] for n in names], 1)
    covariance = W @ W.T + scale**2 * np.eye(len(W))
    found = []
    for row in x:
        keep = ~np.isnan(row)
        law = (
            stats.multivariate_normal(b[keep], covariance[np.ix_(keep, keep)])
            if keep.any()
            else None
        )
        found.append(law.logpdf(row[keep]) if keep.any() else 0.0)
    return np.array(found)


def near(truth, atol):
    """Within a tolerance."""
    return lambda got: np.testing.assert_allclose(
        np.asarray(got, float), truth, atol=atol
    )


SCALES = (0.01, 0.003, 0.001, 0.1, 1.0, 30.0, 1e3, 0.03)


def rounding(values, scale) -> float:
    """What float32 loses of (x − b)²/σ² where x − b has an error of ε |x|."""
    size = max(np.nanmax(np.abs(x)) for x in values.values())
    return 1e-4 + 60 * np.finfo(np.float32).eps * size * (1 + 3 / scale)


@mechanism("exact: log-likelihood of the oracle", 8, quick=0, seconds=120)
def oracle(rng, seed):
    scale = SCALES[seed % 8]
    values = drawn(rng, scale)
    names = [WIDTHS, ["a"], ["b"]][seed % 3]
    truth = dense(values, scale, list(names))

    def run(folder):
        data = cs.MultimodalData.from_arrays(values)
        return linear(scale).log_likelihood(data, data.subset_of(*names))

    return Case(
        f"σ {scale}, {list(names)}", run, near(truth, rounding(values, scale)), None
    )


@mechanism(
    "exact: importance sampling with the exact posterior", 3, quick=0, seconds=180
)
def importance(rng, seed):
    """All weights are one: every draw gives log p(x_S)."""
    scale = (1.0, 0.3, 3.0)[seed % 3]
    values = drawn(rng, scale)
    names = (["a", "b"], ["a"], ["b"])[seed % 3]

    def run(folder):
        data = cs.MultimodalData.from_arrays(values)
        model = linear(scale)
        found = cs.log_likelihood(
            jax.random.key(seed),
            model,
            guide_of(model),
            {},
            data,
            data.subset_of(*names),
            num_samples=5,
        )
        return found.value

    return Case(
        f"σ {scale}, {names}", run, near(dense(values, scale, names), 2e-3), None
    )


@mechanism("exact: conditional log-likelihood", 2, quick=0, seconds=180)
def conditional(rng, seed):
    values = drawn(rng, 1.0)

    def run(folder):
        data, model = cs.MultimodalData.from_arrays(values), linear(1.0)
        given, target = (("a",), ("b",)) if seed % 2 else (("b",), ("a",))
        found = cs.conditional_log_likelihood(
            jax.random.key(seed),
            model,
            guide_of(model),
            {},
            data,
            data.subset_of(*target),
            data.subset_of(*given),
            num_samples=5,
        )
        return found.value

    there = ~np.isnan(values["b" if seed % 2 else "a"]).all(1)
    truth = np.where(
        there, dense(values, 1.0) - dense(values, 1.0, ["a" if seed % 2 else "b"]), 0
    )
    return Case("p(b | a)", run, near(truth, 3e-3), None)


@mechanism("exact: in the units that came in", 4, quick=0, seconds=180)
def units(rng, seed):
    """log p of standardised values with the Jacobian by hand."""
    factor = (1.0, 1e6, 1e-15, 1e12)[seed % 4]
    values = {n: x * factor for n, x in drawn(rng, 1.0, 30).items()}

    def run(folder):
        data = cs.MultimodalData.from_arrays(values).standardize()
        model = linear(1.0)
        return cs.log_likelihood(
            jax.random.key(0), model, guide_of(model), {}, data, num_samples=3
        ).value

    scaled, jacobian = {}, 0.0
    for name, x in values.items():
        scale = np.nanstd(x, 0)
        scaled[name] = (x - np.nanmean(x, 0)) / scale
        jacobian = jacobian - (~np.isnan(x) * np.log(scale)).sum(1)
    return Case(
        f"units of {factor:g}", run, near(dense(scaled, 1.0) + jacobian, 5e-3), None
    )


@mechanism("exact: log-scaled values", 1, quick=0, seconds=180)
def logarithms(rng, seed):
    values = {n: np.expm1(np.abs(x)) for n, x in drawn(rng, 1.0, 30).items()}

    def run(folder):
        data = cs.MultimodalData.from_arrays(values).standardize(log=["a", "b"])
        model = linear(1.0)
        return cs.log_likelihood(
            jax.random.key(0), model, guide_of(model), {}, data, num_samples=3
        ).value

    scaled, jacobian = {}, 0.0
    for name, x in values.items():
        g = np.log1p(x)
        scale = np.nanstd(g, 0)
        scaled[name] = (g - np.nanmean(g, 0)) / scale
        jacobian = jacobian - np.nansum(np.log(scale) + g, 1, where=~np.isnan(x))
    return Case("log(1 + x)", run, near(dense(scaled, 1.0) + jacobian, 5e-3), None)


@mechanism("exact: the masked bound at the exact posterior", 4, quick=0, seconds=240)
def bound(rng, seed):
    """It is log p(x), for every draw and every subset (Corollary 2)."""
    values = drawn(rng, 1.0)

    def run(folder):
        data, model = cs.MultimodalData.from_arrays(values), linear(1.0)
        elbo = (
            cs.MaskedELBO(),
            cs.MaskedELBO(exhaustive=True, subsets=cs.Hierarchical()),
            cs.ImportanceWeightedELBO(3),
            cs.MaskedELBO(),
        )[seed % 4]
        batch = data.batch(np.arange(7)) if seed == 3 else data
        loss = jax.jit(lambda key: elbo.loss(key, {}, model, guide_of(model), batch))
        return -loss(jax.random.key(seed))

    return Case(f"bound {seed % 4}", run, near(dense(values, 1.0).sum(), 2e-2), None)


@mechanism("exact: draws of the posterior", 2, quick=0, seconds=180)
def draws(rng, seed):
    """Means of 4000 draws, within five standard errors."""
    values = drawn(rng, 1.0)
    W, b = (
        np.concatenate(list(LOADINGS.values())),
        np.concatenate(list(BIASES.values())),
    )
    x = np.concatenate([values[n] for n in WIDTHS], 1)

    def run(folder):
        data = cs.MultimodalData.from_arrays(values)
        return np.asarray(
            cs.posterior(
                jax.random.key(seed), guide_of(linear(1.0)), {}, data, num_samples=4000
            )["z"]
        )

    def right(z):
        assert z.shape == (4000, 7, 2)
        for n, row in enumerate(x):
            keep = ~np.isnan(row)
            covariance = np.linalg.inv(np.eye(2) + W[keep].T @ W[keep])
            mean = covariance @ W[keep].T @ (row - b)[keep]
            error = 5 * np.sqrt(np.diag(covariance) / 4000)
            assert (np.abs(z[:, n].mean(0) - mean) < error).all(), (
                f"row {n}: {z[:, n].mean(0)} for {mean}"
            )

    return Case("4000 draws", run, right, None)


@mechanism("exact: generated means", 4, quick=0, seconds=180)
def means(rng, seed):
    """E[x_t | z] is affine in z, in the units that came in."""
    values = drawn(rng, 1.0, 12)
    factor = (1.0, 1e6)[seed % 2]
    values = {n: x * factor for n, x in values.items()}

    def run(folder):
        data, model = cs.MultimodalData.from_arrays(values).standardize(), linear(1.0)

        def fixed(data, subset=None):
            with data.plate():
                numpyro.sample(
                    "z", dist.Delta(jnp.ones((data.size, 2)) * (seed + 1), event_dim=1)
                )

        return cs.generate(
            jax.random.key(0), model, fixed, {}, data, num_samples=2, mean=True
        )

    def right(got):
        for name, x in values.items():
            scaled = LOADINGS[name] @ np.full(2, seed + 1.0) + BIASES[name]
            truth = scaled * np.nanstd(x, 0) + np.nanmean(x, 0)
            want = np.broadcast_to(truth, got[name].shape)
            np.testing.assert_allclose(got[name], want, rtol=1e-4, atol=1e-4 * factor)

    return Case(f"units of {factor:g}", run, right, None)


@mechanism("exact: in double precision", 3, quick=0, seconds=180)
def double(rng, seed):
    scale = (1e-3, 1.0, 1e3)[seed % 3]
    values = drawn(rng, scale)

    def run(folder):
        with jax.enable_x64(True):
            data = cs.MultimodalData.from_arrays(values)
            assert measured(data, "a").dtype == np.float64
            return np.asarray(linear(scale).log_likelihood(data))

    return Case(
        f"σ {scale}", run, near(dense(values, scale), 1e-4 if scale < 1 else 1e-7), None
    )
