"""Encoders of one modality: properties of all of them, then each on its own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from flax import nnx
from numpyro.infer import SVI

import consilience as cs

ROWS, FEATURES, CLASSES = 7, 11, 4
EMBEDDING = partial(cs.EmbeddingEncoder, num_classes=CLASSES)
INDICES = partial(cs.TextEncoder, num_classes=CLASSES)
ONE_HOT = partial(cs.MLPEncoder, num_classes=CLASSES)

# By name in the registry: constructor, shapes of events that it takes, what x is.
CASES = [
    ("mlp", cs.MLPEncoder, [(), (3,), (3, 5, 2)], "floats"),
    ("mlp", ONE_HOT, [(), (3,), (3, 5)], "indices"),
    ("mlp", partial(ONE_HOT, masked=True), [(2,), (3, 2)], "indices"),
    ("mlp", partial(ONE_HOT, masked=False), [(2,), (3, 2)], "indices"),
    ("mlp", partial(cs.MLPEncoder, log1p=True), [(3,), (3, 2)], "indices"),
    ("mlp", partial(cs.MLPEncoder, layer_norm=True), [(3,)], "floats"),
    (
        "conv",
        cs.ConvEncoder,
        [(28, 28), (5, 3, 2), (1, 1), (5, 3, 3, 2)],
        "floats",
    ),
    ("text", cs.TextEncoder, [(8, 26), (1, 3), (5, 3, 2)], "floats"),
    ("text", INDICES, [(8,), (5, 2)], "indices"),
    ("embedding", EMBEDDING, [(), (5,), (3, 4)], "indices"),
    ("embedding", partial(EMBEDDING, pool="sum"), [(), (5,), (3, 4)], "indices"),
    ("embedding", partial(EMBEDDING, masked=True), [(2,), (5, 2)], "indices"),
    ("embedding", partial(EMBEDDING, masked=False), [(2,), (5, 2)], "indices"),
    ("pass_through", cs.PassThroughEncoder, [(FEATURES,)], "floats"),
]
EVENTS = [(make, shape, kind) for _, make, shapes, kind in CASES for shape in shapes]


def measurements(rng_key, kind, event_shape):
    shape = (ROWS, *event_shape)
    if kind == "floats":
        return jax.random.normal(rng_key, shape)
    return jax.random.randint(rng_key, shape, 0, CLASSES)


def build(make, event_shape, seed=0):
    return make(event_shape, FEATURES, rngs=nnx.Rngs(seed))


def test_every_encoder_has_a_case():
    assert {name for name, *_ in CASES} == set(cs.ENCODERS)


@pytest.mark.parametrize(("make", "event_shape", "kind"), EVENTS)
def test_any_event_becomes_features(make, event_shape, kind, rng_key):
    """Row by row, and from the first entry to the last."""
    run = jax.jit(lambda x: build(make, event_shape)(x))
    x = measurements(rng_key, kind, event_shape)
    features = run(x)
    assert (features.shape, features.dtype) == ((ROWS, FEATURES), jnp.float32)
    assert np.isfinite(features).all()
    np.testing.assert_allclose(run(x[::-1])[::-1], features, rtol=1e-4, atol=1e-5)
    masked = kind == "indices" and event_shape[-1:] == (2,)
    for place in (0, -2 if masked else -1):
        flat = x.reshape(ROWS, -1)
        if masked:
            flat = flat.at[:, 1::2].set(1)
        first = run(flat.reshape(x.shape))
        other = (flat[:, place] + 1) % CLASSES if kind == "indices" else -flat[:, place]
        second = run(flat.at[:, place].set(other).reshape(x.shape))
        assert np.any(first != second, -1).all()


@pytest.mark.parametrize("dtype", [bool, int])
def test_other_numbers_are_read_as_floats(dtype, rng_key):
    x = jax.random.bernoulli(rng_key, 0.5, (ROWS, 2, 2))
    for make in partial(cs.MLPEncoder, hidden=(5,)), cs.ConvEncoder, cs.TextEncoder:
        encoder = build(make, (2, 2))
        np.testing.assert_array_equal(
            encoder(x.astype(dtype)), encoder(x.astype(float))
        )


@pytest.mark.parametrize("make", [cs.MLPEncoder, cs.ConvEncoder, cs.TextEncoder])
def test_a_mask_reaches_the_features(make, rng_key):
    x = jax.random.normal(rng_key, (ROWS, 4, 3))
    encoder = build(make, (4, 3, 2))
    zero = x.at[:, 1, 1].set(0.0)
    seen, missing = jnp.ones_like(x), jnp.ones_like(x).at[:, 1, 1].set(0.0)
    features = [encoder(jnp.stack([zero, mask], -1)) for mask in (seen, missing)]
    assert np.any(features[0] != features[1], -1).all()


MASKED = [partial(EMBEDDING, masked=True), partial(ONE_HOT, masked=True), INDICES]


@pytest.mark.parametrize("make", MASKED)
def test_a_missing_index_is_nothing(make, rng_key):
    """Whatever stands there, a class or none, and it is no class of its own."""
    encoder = build(make, (5, 2))
    index = jax.random.randint(rng_key, (ROWS, 5), 0, CLASSES)
    mask = jnp.ones((ROWS, 5), int).at[:, 2].set(0)
    first, other, none, seen = (
        encoder(jnp.stack([index.at[:, 2].set(value), m], -1))
        for value, m in [(0, mask), (3, mask), (9, mask), (0, jnp.ones_like(mask))]
    )
    np.testing.assert_array_equal(first, other)
    np.testing.assert_array_equal(first, none)
    assert np.any(first != seen, -1).all()


@pytest.mark.parametrize("make", [EMBEDDING, ONE_HOT, INDICES])
def test_indices_are_integers_or_booleans(make):
    encoder, index = build(make, (5,)), jnp.arange(ROWS * 5).reshape(ROWS, 5) % 2
    for dtype in (bool, jnp.uint8):
        np.testing.assert_array_equal(encoder(index.astype(dtype)), encoder(index))
    said = r"x: expected indices, .* \(num_classes=4\), got dtype float32"
    with pytest.raises(TypeError, match=said):
        encoder(index.astype(jnp.float32))


@pytest.mark.parametrize("wrong", [-1, CLASSES])
@pytest.mark.parametrize("classes", [1, CLASSES])
def test_what_is_no_class(wrong, classes):
    """It has no vector, which shows, and is one-hot nothing."""
    index = jnp.zeros((2, 5), int).at[1, 3].set(wrong)
    features = build(partial(EMBEDDING, num_classes=classes), (5,))(index)
    np.testing.assert_array_equal(np.isnan(features).all(-1), [False, True])
    assert np.isfinite(features[0]).all()
    missing = jnp.stack([index, index == 0], -1)
    for make, settings in (cs.MLPEncoder, {"masked": True}), (cs.TextEncoder, {}):
        make = partial(make, num_classes=classes)
        expected = build(partial(make, **settings), (5, 2))(missing)
        np.testing.assert_array_equal(build(make, (5,))(index), expected)


# Each on its own


def test_indices_are_read_one_hot(rng_key):
    """The same network on the one-hot vectors, and no order among classes."""
    settings = {"hidden": (5,), "rngs": nnx.Rngs(rng_key)}
    encoder = cs.MLPEncoder((3,), FEATURES, num_classes=4, **settings)
    index = jax.random.randint(rng_key, (ROWS, 3), 0, 4)
    one_hot = (index[..., None] == jnp.arange(4)).astype(float)
    np.testing.assert_array_equal(
        encoder(index), encoder.net(one_hot.reshape(ROWS, 12))
    )
    assert encoder.net.layers[0].kernel.shape == (12, 5)


def test_text_of_indices_is_one_hot_text(rng_key):
    index = jax.random.randint(rng_key, (ROWS, 8), 0, CLASSES)
    one_hot = jax.nn.one_hot(index, CLASSES)
    expected = build(cs.TextEncoder, (8, CLASSES))(one_hot)
    np.testing.assert_allclose(build(INDICES, (8,))(index), expected, atol=1e-6)


def test_logarithm_of_counts(rng_key):
    x = jnp.arange(21).reshape(ROWS, 3) ** 4
    ours = build(partial(cs.MLPEncoder, log1p=True), (3,))
    plain = build(cs.MLPEncoder, (3,))
    np.testing.assert_allclose(ours(x), plain(jnp.log1p(x)), rtol=1e-5, atol=1e-6)


def test_logarithm_is_odd(rng_key):
    """What is no count has finite features."""
    x = jax.random.normal(rng_key, (ROWS, 3)) * 100
    encoder, plain = (
        build(partial(cs.MLPEncoder, hidden=(), log1p=log1p), (3,))
        for log1p in (True, False)
    )
    read = np.where(x < 0, -np.log1p(np.abs(x)), np.log1p(np.abs(x)))
    np.testing.assert_allclose(encoder(x), plain(jnp.asarray(read)), rtol=1e-5)
    np.testing.assert_allclose(encoder(-x), -encoder(x), rtol=1e-5)  # its bias is zero


def test_normalised_layers_know_no_scale(rng_key):
    """Without biases, which start at zero, x and 100 x have the same features."""
    encoder = build(partial(cs.MLPEncoder, layer_norm=True), (3,))
    x = jax.random.normal(rng_key, (ROWS, 3))
    np.testing.assert_allclose(encoder(100 * x), encoder(x), rtol=1e-3, atol=1e-3)
    assert np.any(build(cs.MLPEncoder, (3,))(100 * x) != encoder(x))


def test_a_bag_forgets_the_order_and_nothing_else(rng_key):
    index = jax.random.randint(rng_key, (ROWS, 5), 0, CLASSES)
    bag, row = (build(partial(EMBEDDING, pool=p), (5,)) for p in ("sum", "flatten"))
    turned = index[:, ::-1]
    np.testing.assert_allclose(bag(index), bag(turned), atol=1e-5)
    assert np.any(row(index) != row(turned))
    table, dense = bag.table.embedding[...], bag.dense
    np.testing.assert_allclose(bag(index), dense(table[index].sum(1)), atol=1e-5)


def test_features_pass_unchanged(rng_key):
    x = jax.random.normal(rng_key, (ROWS, FEATURES))
    np.testing.assert_array_equal(build(cs.PassThroughEncoder, (FEATURES,))(x), x)


def test_ready_features_train_beside_a_network(rng_key):
    """A module without parameters is no obstacle to SVI."""
    values = {n: np.asarray(jax.random.normal(rng_key, (ROWS, 5))) for n in "ab"}
    data = cs.MultimodalData.from_arrays(values)
    encoders = {"a": cs.PassThroughEncoder, "b": partial(cs.MLPEncoder, hidden=())}
    model = cs.multimodal_model(
        cs.standard_normal(2), cs.NormalLikelihood(), cs.LinearDecoder
    )
    guide = cs.amortized_guide(2, encoders, cs.ProductOfExperts, num_features=5)
    svi = SVI(model, guide, numpyro.optim.Adam(1e-2), cs.MaskedELBO())
    state = jax.jit(svi.init)(rng_key, data)
    state, loss = jax.jit(svi.update)(state, data)
    assert np.isfinite(loss)


def test_paper_sizes():
    encoder = build(cs.ConvEncoder, (32, 32, 3))
    assert [layer.linear.out_features for layer in encoder.layers] == [32, 64, 64, 128]
    assert encoder.dense.kernel.shape == (2 * 2 * 128, FEATURES)
    encoder = build(cs.TextEncoder, (8, 71))
    assert encoder.first.kernel.shape == (71, 128)
    assert encoder.dense.kernel.shape == (2 * 128, FEATURES)


def test_hidden_widths(rng_key):
    encoder = cs.MLPEncoder((3, 5), FEATURES, hidden=(2, 13), rngs=nnx.Rngs(rng_key))
    shapes = [layer.kernel.shape for layer in encoder.net.layers]
    assert shapes == [(15, 2), (2, 13), (13, FEATURES)]


REFUSED = [
    (
        cs.ConvEncoder,
        (784,),
        r"event_shape: expected that of an image, .* got \(784,\)",
    ),
    (cs.ConvEncoder, (), r"event_shape: .* got \(\)"),
    (cs.ConvEncoder, (4, 4, 3, 3), r"event_shape: .* got \(4, 4, 3, 3\)"),
    (partial(cs.ConvEncoder, channels=(8, 0)), (4, 4), r"channels\[1\]: .* got 0"),
    (partial(cs.ConvEncoder, channels=()), (4, 4), r"channels: .* got \(\)"),
    (partial(cs.TextEncoder, channels=()), (8, 3), r"channels: .* got \(\)"),
    (partial(cs.TextEncoder, channels=(8, 0)), (8, 3), r"channels\[1\]: .* got 0"),
    (cs.TextEncoder, (8,), r"expected \(L, V\), .* got \(8,\); pass num_classes=V"),
    (cs.TextEncoder, (8, 5, 3), r"event_shape: .* got \(8, 5, 3\)"),
    (INDICES, (8, 5), r"expected \(L,\), .* got \(8, 5\); pass no num_classes"),
    (EMBEDDING, (3, 2), r"masked: expected True or False .* \(3, 2\)"),
    (ONE_HOT, (3, 2), r"masked: expected True or False .* \(3, 2\)"),
    (partial(ONE_HOT, masked=True), (3,), r"masked: expected False .* \(3,\)"),
    (
        partial(cs.MLPEncoder, masked=True),
        (3, 2),
        "masked: expected None without num_classes, .* got True",
    ),
    (partial(cs.MLPEncoder, num_classes=0), (3,), "num_classes: .* got 0"),
    (partial(EMBEDDING, masked=True), (3,), r"masked: expected False .* \(3,\)"),
    (partial(cs.EmbeddingEncoder, num_classes=0), (3,), "num_classes: .* got 0"),
    (partial(EMBEDDING, width=0), (3,), "width: .* got 0"),
    (
        cs.PassThroughEncoder,
        (5,),
        r"of shape \(11,\), got \(5,\); set num_features=5, or map them",
    ),
    (cs.PassThroughEncoder, (11, 2), r"got \(11, 2\); with single entries missing"),
    (
        partial(cs.MLPEncoder, num_classes=3, log1p=True),
        (3,),
        r"log1p: expected False for indices \(num_classes=3\), got True",
    ),
]


@pytest.mark.parametrize(("make", "event_shape", "said"), REFUSED)
def test_refusals(make, event_shape, said):
    with pytest.raises(ValueError, match=said):
        build(make, event_shape)


def test_another_pool_is_refused(monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    with pytest.raises(
        ValueError, match="pool: expected 'flatten' or 'sum', got 'max'"
    ):
        build(partial(EMBEDDING, pool="max"), (3,))
