"""Lazily created modules, the networks they are made of, settings by modality."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from flax import nnx
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO

from consilience import MLP, module
from consilience.nn.spec import per_modality


class Affine(nnx.Module):
    """Two parameters, two methods, a submodule and a constant that is none."""

    def __init__(self, rngs):
        self.layer = nnx.Linear(3, 5, rngs=rngs)
        self.shift = nnx.Param(jnp.ones((), jnp.int32))
        self.power = 2

    def __call__(self, x):
        return self.layer(x) ** self.power

    def shifted(self, x):
        return self(x) + self.shift


def trained(program, *args, seed=0, params=None):
    """Run a program as SVI does; return what it gives and its parameters."""
    seeded = handlers.seed(program, jax.random.key(seed))
    substituted = handlers.substitute(seeded, data=params or {})
    with handlers.trace() as sites:
        out = substituted(*args)
    return out, {n: s["value"] for n, s in sites.items() if s["type"] == "param"}


def program(x):
    return module("affine", Affine)(x)


def flat(params):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(params)])


def test_one_param_site_with_every_parameter():
    _, params = trained(program, jnp.ones(3))
    assert set(params) == {"affine$params"}
    shapes = jax.tree.map(jnp.shape, params["affine$params"])
    assert shapes == {"layer": {"kernel": (3, 5), "bias": (5,)}, "shift": ()}


def test_the_module_holds_the_values_of_the_site():
    x = jnp.arange(6.0).reshape(2, 3)
    out, params = trained(program, x)
    layer = params["affine$params"]["layer"]
    expected = (x @ layer["kernel"] + layer["bias"]) ** 2
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_values_given_take_the_place_of_initial_ones():
    x = jnp.arange(6.0).reshape(2, 3)
    _, params = trained(program, x)
    doubled = jax.tree.map(lambda p: 2 * p, params)
    out, again = trained(program, x, params=doubled)
    jax.tree.map(np.testing.assert_array_equal, again, doubled)
    layer = doubled["affine$params"]["layer"]
    np.testing.assert_allclose(out, (x @ layer["kernel"]) ** 2, rtol=1e-5)


def test_every_method_is_reachable():
    def both(x):
        return module("a", Affine)(x), module("a", Affine).shifted(x)

    _, params = trained(both, jnp.ones(3))
    (plain, shifted), _ = trained(both, jnp.ones(3), params=params)
    np.testing.assert_allclose(shifted, plain + 1)


def test_initial_values_depend_on_the_seed():
    first, again, other = (trained(program, jnp.ones(3), seed=s)[1] for s in (1, 1, 2))
    np.testing.assert_array_equal(flat(first), flat(again))
    kernels = [p["affine$params"]["layer"]["kernel"] for p in (first, other)]
    assert (kernels[0] != kernels[1]).all()


@pytest.mark.parametrize("names", [("a", "a"), ("a", "b")])
def test_one_name_shares_and_two_do_not(names):
    def twice(x):
        return [module(name, Affine)(x) for name in names]

    _, params = trained(twice, jnp.ones(3))
    outs, _ = trained(twice, jnp.ones(3), params=params)
    assert set(params) == {f"{name}$params" for name in names}
    assert (outs[0] == outs[1]).all() == (names[0] == names[1])


def regression(x, y=None):
    with numpyro.plate("data", len(x)):
        mean = module("net", lambda rngs: MLP(3, [7], 1, rngs=rngs))(x)[:, 0]
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def no_latents(x, y=None):
    """The guide of a model without latents."""


def test_one_svi_per_seed_in_one_vmap():
    svi = SVI(regression, no_latents, optax.sgd(1e-2), Trace_ELBO())
    x, y = jnp.ones((11, 3)), jnp.zeros(11)
    keys = jax.random.split(jax.random.key(0), 2)
    states = jax.vmap(lambda key: svi.init(key, x, y))(keys)
    kernel = svi.get_params(states)["net$params"]["layers"][0]["kernel"]
    assert kernel.shape == (2, 3, 7)
    assert (kernel[0] != kernel[1]).all()
    alone = svi.get_params(svi.init(keys[1], x, y))["net$params"]["layers"][0]["kernel"]
    np.testing.assert_allclose(kernel[1], alone, atol=1e-6)


def test_svi_moves_the_parameters():
    svi = SVI(regression, no_latents, optax.sgd(1e-2), Trace_ELBO())
    x, y = jnp.ones((11, 3)), 3 * jnp.ones(11)
    state = svi.init(jax.random.key(0), x, y)
    after, _ = jax.jit(svi.update)(state, x, y)
    moved = jax.tree.map(
        lambda a, b: (a != b).any(), *map(svi.get_params, (state, after))
    )
    assert moved["net$params"]["layers"][1]["kernel"]


def test_double_precision(x64):
    out, params = trained(program, jnp.ones(3))
    kinds = jax.tree.map(lambda p: p.dtype, params["affine$params"])
    assert kinds["layer"] == {"kernel": jnp.float64, "bias": jnp.float64}
    assert kinds["shift"] == jnp.int32
    assert out.dtype == jnp.float64


def test_double_precision_has_the_values_of_single():
    single = flat(trained(program, jnp.ones(3))[1])
    with jax.enable_x64(True):
        np.testing.assert_array_equal(single, flat(trained(program, jnp.ones(3))[1]))


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda rngs: nnx.BatchNorm(3, rngs=rngs), "mean is a BatchStat"),
        (lambda rngs: nnx.Dropout(0.1, rngs=rngs), "rngs.*Rng"),
        (
            lambda rngs: nnx.Sequential(nnx.BatchNorm(3, rngs=rngs)),
            r"layers\.0\.mean is a BatchStat",
        ),
    ],
    ids=["batch_norm", "dropout", "nested"],
)
def test_mutable_state_is_refused(make, where):
    with pytest.raises(TypeError, match=rf"module 'net': expected .*{where}"):
        trained(lambda: module("net", make))


def test_layer_norm_is_accepted():
    make = lambda rngs: nnx.LayerNorm(3, rngs=rngs)  # noqa: E731
    out, _ = trained(lambda x: module("net", make)(x), jnp.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(out, [-1.2247, 0, 1.2247], atol=1e-4)


# The multi-layer perceptron


@pytest.mark.parametrize("hidden", [(), (7,), (7, 11)])
@pytest.mark.parametrize("batch", [(), (2,), (2, 13)])
def test_mlp_shapes(hidden, batch):
    net = MLP(3, hidden, 5, rngs=nnx.Rngs(0))
    assert [x.kernel.shape[0] for x in net.layers] == [3, *hidden]
    assert net(jnp.ones((*batch, 3))).shape == (*batch, 5)


def test_mlp_activates_between_layers_only():
    net = MLP(3, [7], 5, activation=jnp.tanh, rngs=nnx.Rngs(0))
    x = jnp.arange(6.0).reshape(2, 3)
    first, last = (
        (np.asarray(n.kernel[...]), np.asarray(n.bias[...])) for n in net.layers
    )
    expected = np.tanh(x @ first[0] + first[1]) @ last[0] + last[1]
    np.testing.assert_allclose(net(x), expected, atol=1e-5)


# Settings by modality


def test_one_setting_for_all():
    look_up = per_modality("decoders", len)
    assert look_up("a", ("a", "b")) is look_up("b", ("a", "b")) is len


def test_settings_by_name_in_any_order():
    look_up = per_modality("decoders", {"b": max, "a": min})
    assert look_up("a", ("a", "b")) is min
    assert look_up("b", ("a", "b")) is max


@pytest.mark.parametrize("given", [{"a": max}, {"a": max, "b": min, "c": len}, {}])
def test_settings_for_other_modalities(given):
    expected = f"decoders: expected .* a, b, got {', '.join(given)}"
    with pytest.raises(ValueError, match=expected):
        per_modality("decoders", given)("a", ("a", "b"))


@pytest.mark.parametrize("given", ["mlp", None, {"a": max, "b": "mlp"}])
def test_settings_that_cannot_be_called(given):
    with pytest.raises(
        TypeError, match=r"decoders: expected something to call.* got ."
    ):
        per_modality("decoders", given)
