"""Real handwriting, photographs, sound and words, paired by digit."""

from functools import partial

import jax
import numpy as np
import optax
import pytest
from numpyro.infer import SVI

import consilience as cs
from consilience.datasets.digits import LETTERS, WORDS, likeliest_word

# Classes come with the data as a covariate, and only judge what is learned.
pytestmark = pytest.mark.filterwarnings("ignore:fit. neither model nor guide reads")

PER_DIGIT, TEST_PER_DIGIT, LENGTH, LATENT, WIDTH = 160, 20, 8, 16, 64
EPOCHS, BATCH = 16, 32
LETTERS_OF = np.array([[LETTERS.index(c) for c in w.ljust(LENGTH)] for w in WORDS])


def split(rng, x, labels, is_test=None):
    """Training and test measurements, of each digit the same number, no one in both."""
    train, test = [], []
    for digit in range(10):
        places = rng.permutation(np.flatnonzero(labels == digit))
        held = places[:TEST_PER_DIGIT] if is_test is None else places[is_test[places]]
        test.extend(held[:TEST_PER_DIGIT])
        train.extend(np.setdiff1d(places, held)[:PER_DIGIT])
    return [(x[part].astype(np.float32) / 255, labels[part]) for part in (train, test)]


def paired(shared_data):
    rng = np.random.default_rng(0)
    parts = {}
    with np.load(shared_data("mnist.npz"), allow_pickle=False) as file:
        parts["handwriting"] = split(
            rng, file["x_train"][:5000], file["y_train"][:5000]
        )
    with np.load(shared_data("sign_digits_32.npz"), allow_pickle=False) as file:
        parts["photograph"] = split(rng, file["x"], file["y"])
    with np.load(shared_data("fsdd_logmel.npz"), allow_pickle=False) as file:
        parts["sound"] = split(rng, file["logmel"], file["label"], file["is_test"])
    both = []
    for i in range(2):
        measurements = {name: part[i] for name, part in parts.items()}
        labels = measurements["handwriting"][1]
        one_hot = np.eye(len(LETTERS), dtype=int)[LETTERS_OF[labels]]
        measurements["word"] = (one_hot, labels)
        both.append(cs.pair_by_label(jax.random.key(i), measurements))
    return both


def train_on(data):
    laplace = cs.LearnedLaplaceLikelihood(initial_scale=0.5, min_scale=0.2)
    likelihoods = {
        "handwriting": cs.NormalLikelihood(0.5),  # the median of most pixels is black
        "photograph": laplace,
        "sound": laplace,
        "word": cs.OneHotLikelihood(),
    }
    conv = partial(cs.ConvDecoder, channels=(16, 16, 8))
    decoders = {
        "handwriting": partial(cs.MLPDecoder, hidden=(128,)),
        "photograph": conv,
        "sound": conv,
        "word": partial(cs.TextDecoder, channels=(32, 32)),
    }
    conv = partial(cs.ConvEncoder, channels=(8, 16, 32, 32))
    encoders = {
        "handwriting": partial(cs.MLPEncoder, hidden=(128,)),
        "photograph": conv,
        "sound": conv,
        "word": partial(cs.TextEncoder, channels=(32, 32, 32)),
    }
    model = cs.multimodal_model(cs.standard_normal(LATENT), likelihoods, decoders)
    guide = cs.amortized_guide(LATENT, encoders, cs.ProductOfExperts, WIDTH)
    sizes = {n: np.prod(s) for n, s in zip(data.names, data.event_shapes, strict=True)}
    weights = {n: 300 / float(size) for n, size in sizes.items()}
    bound = cs.MaskedELBO(weights=weights, estimator=cs.AnalyticKL())
    rate = optax.cosine_decay_schedule(3e-3, EPOCHS * data.size // BATCH)
    svi = SVI(model, guide, optax.adam(rate), bound)
    return cs.fit(
        jax.random.key(0),
        svi,
        data,
        num_epochs=EPOCHS,
        batch_size=BATCH,
        progress=False,
    )


def share_right(fitted, data, *given):
    """How often the likeliest of the ten words is the true one."""
    truth = np.array(WORDS)[data.covariates["label"]]
    subset = data.subset_of(*given)
    completed = fitted.generate(
        jax.random.key(1), data, subset, mean=True, num_samples=50
    )["word"].mean(0)
    return np.mean(likeliest_word(np.asarray(completed)[:, :5]) == truth)


@pytest.mark.slow
def test_words_are_told_from_pictures_and_sound(shared_data):
    train, test = paired(shared_data)
    assert train.event_shapes == ((28, 28), (32, 32, 3), (32, 32), (8, 16))
    fitted = train_on(train)
    bound = fitted.history.bound
    assert np.isfinite(bound).all()
    assert np.all(np.diff(bound[[0, 1, 3, 7, -1]]) > 0)
    print(f"{train.size} rows, weighted bound {bound[0]:.0f} → {bound[-1]:.0f} nats")
    subsets = [
        *((name,) for name in test.names),
        ("handwriting", "sound"),
        ("photograph", "sound"),
        ("handwriting", "photograph", "sound"),
    ]
    right = {given: share_right(fitted, test, *given) for given in subsets}
    for given, share in right.items():
        print(f"{share:.0%} of {test.size} words right given {' + '.join(given)}")
    assert right["word",] == 1
    # chance is 10 %; 25 % of 200 rows are seven standard errors above it
    assert right["sound",] > 0.25
    assert right["handwriting", "sound"] > 0.6
    assert right["handwriting", "photograph", "sound"] > 0.6
