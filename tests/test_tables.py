"""Real tables: patients of whom a third has no protein measurements."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from numpyro.infer import SVI
from scipy import stats

import consilience as cs
from consilience.experiments.linear_models import exact_log_density


@pytest.mark.slow
def test_proteins_of_new_patients_are_predicted_from_rna(shared_data):
    """log p(protein | mrna, mirna) against a Gaussian a column, paired over patients."""
    with np.load(shared_data("tcga_breast_mixomics.npz"), allow_pickle=False) as file:
        names = [str(name) for name in file["views"]]
        data = cs.MultimodalData.from_arrays(
            {name: file[f"x_{name}"] for name in names},
            row_names=file["sample_id"],
            feature_names={name: file[f"features_{name}"] for name in names},
        )
    missing = 1 - float(data.present[:, data.index("protein")].mean())
    assert 0.3 < missing < 0.35
    measured = np.flatnonzero(data.present[:, data.index("protein")])
    held_out = np.random.default_rng(0).permutation(measured)[:40]
    first = data.take(np.setdiff1d(np.arange(data.size), held_out))
    train = first.standardize()
    test = data.take(held_out).standardize(like=train)

    model = cs.multimodal_model(
        cs.standard_normal(5), cs.LearnedNormalLikelihood(1.0, 0.05), cs.LinearDecoder
    )
    guide = cs.amortized_guide(
        5,
        partial(cs.MLPEncoder, hidden=(64,)),
        partial(cs.SumPooling, width=64, hidden=(64,)),
        64,
    )
    svi = SVI(
        model,
        guide,
        optax.adam(optax.cosine_decay_schedule(3e-3, 600)),
        cs.MaskedELBO(),
    )
    fitted = cs.fit(
        jax.random.key(0), svi, train, num_epochs=200, batch_size=60, progress=False
    )
    all_of_it = fitted.log_likelihood(jax.random.key(1), test)
    rna = fitted.log_likelihood(
        jax.random.key(2), test, test.subset_of("mrna", "mirna")
    )
    ours = np.asarray(all_of_it.value - rna.value)

    seen = np.asarray(first.values["protein"])[np.asarray(first.present[:, 2])]
    column = stats.norm(seen.mean(0), seen.std(0, ddof=1))
    theirs = column.logpdf(np.asarray(data.take(held_out).values["protein"])).sum(-1)
    exact = exact_log_density(fitted.params, test, names)
    exact_rna = exact_log_density(fitted.params, test, ["mrna", "mirna"])
    for what, gain in (
        ("sampled", ours - theirs),
        ("exact", exact - exact_rna - theirs),
    ):
        error = gain.std(ddof=1) / len(gain) ** 0.5
        print(f"{what} gain {gain.mean():.2f} ± {error:.2f} nats a patient")
        assert gain.mean() > 2 * error
    # The weights of 526 features in 5 dimensions are heavy-tailed, and said to be so.
    untrusted = np.asarray(all_of_it.pareto_k) > 0.7
    error = np.asarray(all_of_it.value) - exact
    print(f"k̂ > 0.7 in {untrusted.mean():.0%} of rows, mean error {error.mean():.2f}")
    assert untrusted.mean() > 0.3
    assert error[untrusted].mean() < 0
