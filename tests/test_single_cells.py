"""Real counts: RNA and surface proteins of single blood cells (CITE-seq)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.nn import logsumexp
from numpyro.infer import SVI
from scipy.optimize import minimize
from scipy.special import gammaln

import consilience as cs
from consilience.inference import programs

GENES, TEST, LATENT, WIDTH, EPOCHS, BATCH = 2000, 100, 5, 64, 60, 50


def cells(path, rng):
    """500 cells, the genes that vary most among training cells, and what is held out."""
    with np.load(path, allow_pickle=False) as file:
        counts, size = np.zeros(file["rna_shape"], int), np.diff(file["rna_indptr"])
        counts[np.repeat(np.arange(len(size)), size), file["rna_indices"]] = file[
            "rna_data"
        ]
        protein = file["adt"]
    order = rng.permutation(len(counts))
    test, train = order[:TEST], order[TEST:]
    share = np.log1p(1e4 * counts / counts.sum(-1, keepdims=True))
    rna = counts[:, np.argsort(-share[train].var(0))[:GENES]]
    values = {"rna": rna, "protein": protein}
    library = {f"{n}_library": np.log(x.sum(-1)) for n, x in values.items()}
    data = cs.MultimodalData.from_arrays(values, covariates=library)
    return data.take(train), data.take(test)


def train_on(data):
    likelihoods = {
        n: cs.NegativeBinomialLikelihood(log_library=f"{n}_library") for n in data.names
    }
    decoder = partial(cs.MLPDecoder, hidden=(WIDTH,))
    model = cs.multimodal_model(cs.standard_normal(LATENT), likelihoods, decoder)
    encoder = partial(cs.MLPEncoder, hidden=(WIDTH,), log1p=True, layer_norm=True)
    pooling = partial(cs.SumPooling, width=WIDTH, hidden=(WIDTH,))
    guide = cs.amortized_guide(LATENT, encoder, pooling, WIDTH)
    rate = optax.cosine_decay_schedule(6e-3, EPOCHS * data.size // BATCH)
    svi = SVI(model, guide, optax.adam(rate), cs.MaskedELBO())
    return cs.fit(
        jax.random.key(0),
        svi,
        data,
        num_epochs=EPOCHS,
        batch_size=BATCH,
        progress=False,
    )


def direct(fitted, data, name, given, num_samples=1000):
    """log 1/K Σ_k p(x_name | z_k), z_k ~ q(z | x_given): too low in expectation."""
    subset = data.subset_of(given)
    draws = fitted.posterior(jax.random.key(3), data, subset, num_samples=num_samples)

    def log_p(z):
        key = jax.random.key(0)  # nothing is drawn
        site = programs.run(fitted.model, fitted.params, key, {"z": z}, data)[name]
        return site["fn"].log_prob(site["value"])

    log_p_x = jax.jit(lambda z: jax.lax.map(log_p, z, batch_size=50))(draws["z"])
    return np.asarray(logsumexp(log_p_x, 0) - jnp.log(num_samples))


def log_negative_binomial(k, log_mean, log_r):
    r, log_total = np.exp(log_r), np.logaddexp(log_r, log_mean)
    choose = gammaln(k + r) - gammaln(r) - gammaln(k + 1)
    return choose + r * (log_r - log_total) + k * (log_mean - log_total)


def independent(train, test, name, offset):
    """A negative binomial for each column, by maximum likelihood; `[test rows]`."""
    density = np.zeros(test.size)
    library = f"{name}_library"
    before, after = (
        offset * np.asarray(d.covariates[library], float) for d in (train, test)
    )
    pairs = (np.asarray(d.values[name], float).T for d in (train, test))
    for seen, new in zip(*pairs, strict=True):
        start = [np.log((seen.sum() + 0.5) / np.exp(before).sum()), 0.0]
        loss = lambda p: -log_negative_binomial(seen, p[0] + before, p[1]).mean()  # noqa: B023, E731
        log_share, log_r = minimize(loss, start, bounds=[(-30, 10), (-7, 10)]).x
        density += log_negative_binomial(new, log_share + after, log_r)
    return density


@pytest.mark.slow
def test_proteins_of_new_cells_are_predicted_from_rna(shared_data):
    """log p(protein | RNA) against independent columns, paired over cells."""
    path = shared_data("citeseq_eccite_pbmc500.npz")
    train, test = cells(path, np.random.default_rng(0))
    fitted = train_on(train)
    assert np.isfinite(fitted.history.bound).all()
    assert fitted.history.bound[-1] > fitted.history.bound[0]

    both = fitted.log_likelihood(jax.random.key(1), test)
    rna = fitted.log_likelihood(jax.random.key(2), test, test.subset_of("rna"))
    ours = {
        "by difference": np.asarray(both.value - rna.value),
        "direct": direct(fitted, test, "protein", "rna"),
    }
    for what, estimate in ("all", both), ("RNA", rna):
        k = np.asarray(estimate.pareto_k)
        high = np.mean(~(k <= 0.7))
        print(f"log p({what}): k̂ > 0.7 in {high:.0%}, median {np.median(k):.2f}")
    gains = []
    for offset, said in (1.0, "with the protein library"), (0.0, "without"):
        theirs = independent(train, test, "protein", offset)
        for how, log_p in ours.items():
            gain = log_p - theirs
            error = gain.std(ddof=1) / TEST**0.5
            print(
                f"{how}, against columns {said}: {gain.mean():.2f} ± {error:.2f} nats"
            )
            gains.append(gain.mean() / error)
    # 2000 genes make heavy-tailed weights: the worst of both estimates is asserted.
    assert min(gains) > 3
