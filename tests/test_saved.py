"""Saved models: loaded ones are the same programs with the same parameters."""

import hashlib
import json
import subprocess
import sys
import warnings
import zipfile
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from examples import exact_guide, linear_gaussian
from flax import nnx
from numpyro import handlers
from numpyro.infer import SVI, Trace_ELBO
from numpyro.infer.svi import SVIState

import consilience as cs
from consilience.nn.rebuilding import Reader
from consilience.nn.recipes import Writer
from consilience.training.archive import ArchiveError, read_archive
from consilience.training.saved import load
from consilience.training.saving import public_names, save

KEY = jax.random.key(3)
LATENT, ROWS = 2, 6
NAMES = ("a", "b")
NETWORKS = cs.Networks(partial(cs.MLPEncoder, hidden=(4,)), cs.LinearDecoder, 5)
NORMAL = cs.NormalLikelihood(0.5)
PRESETS = {name: (LATENT, NORMAL) for name in cs.PRESETS}
PRESETS["mmvae_plus"] = (LATENT, {"a": 1, "b": 2}, NORMAL)


def rows(entries=False, standardize=True):
    """Two modalities and a covariate; columns have names."""
    generator = np.random.default_rng(0)
    values = {
        "a": generator.normal(size=(ROWS, 3)),
        "b": generator.normal(size=(ROWS, 4)),
    }
    values["b"][2] = np.nan
    if entries:
        values["a"][0, 1] = np.nan
    data = cs.MultimodalData.from_arrays(
        values,
        covariates={"label": np.arange(ROWS) % 3},
        row_names=[f"patient {i}" for i in range(ROWS)],
        feature_names={"a": ["x", "y", "z"]},
    )
    return data.standardize() if standardize else data


DATA = rows()


def fitted(method, data=DATA, best=False):
    """Not trained: parameters are noise, which no start would give."""
    model, guide, elbo = method
    svi = SVI(model, guide, optax.adam(1e-2), elbo)
    shapes = jax.eval_shape(svi.init, KEY, data.batch(np.arange(4)))

    def state(seed):
        params = noise(svi.optim.get_params(shapes.optim_state), seed)
        return SVIState(svi.optim.init(params), None, jax.random.key(seed))

    history = cs.History(np.array([-3.5, 1 / 3]), validation=np.array([np.nan, 0.1]))
    return cs.Fitted(svi, state(1), history, data.take([0]), state(2) if best else None)


def noise(shapes, seed):
    generator = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray(0.3 * generator.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(draw, shapes)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def program(fit, data, bound=False):
    """Posterior and generated values, and the bound if asked, as XLA would get them."""
    svi = fit.svi

    def run(params, key):
        params = svi.constrain_fn(params)
        programs = (svi.model, svi.guide)
        loss = svi.loss.loss(key, params, *programs, data) if bound else 0.0
        seeded = [handlers.seed(p, key) for p in (svi.guide, svi.model)]
        guide, model = (handlers.substitute(p, data=params) for p in seeded)
        q = handlers.trace(guide).get_trace(data)
        p = handlers.trace(handlers.replay(model, q)).get_trace(data.without_values())
        return loss, *[{n: s["value"] for n, s in t.items()} for t in (q, p)]

    params = svi.optim.get_params(fit.state.optim_state)
    return jax.jit(run).lower(params, KEY).as_text()


def preset(name, **settings):
    return cs.PRESETS[name](*PRESETS[name], NETWORKS, **settings)


def under(prior_of, **parts):
    """The masked method under another prior, which may take the guide."""
    encoders = parts.pop("encoders", NETWORKS.encoders)
    aggregation = parts.pop("aggregation", cs.SumPooling)
    guide = cs.amortized_guide(LATENT, encoders, aggregation, 5)
    likelihoods = parts.pop("likelihoods", NORMAL)
    prior = prior_of(guide)
    model = cs.multimodal_model(
        prior, likelihoods, **{"decoders": cs.LinearDecoder} | parts
    )
    return cs.Method(model, guide, cs.MaskedELBO())


def vamp():
    return under(lambda guide: cs.vamp_prior(guide, DATA.take([0, 3])))


def conditional_vamp():
    guide = cs.amortized_guide(LATENT, NETWORKS.encoders, cs.SumPooling, 5)
    prior = cs.vamp_prior(guide, DATA.take([0, 3]))
    model = cs.multimodal_model(prior, NORMAL, cs.LinearDecoder)
    return cs.Method(model, guide, cs.MaskedELBO(conditional_prior=prior))


def private():
    prior = cs.learned_private(hidden=(4,))
    model = cs.shared_private_model(
        cs.standard_normal(LATENT), 2, NORMAL, cs.LinearDecoder, prior
    )
    pooling = partial(cs.EquivariantSelfAttention, head=cs.NaturalHead(0.01))
    parts = (NETWORKS.encoders, pooling, 8)
    guide = cs.shared_private_guide(LATENT, 2, *parts, private_prior=prior)
    return cs.Method(model, guide, cs.ImportanceWeightedMaskedELBO(3, joint=True))


def mixture_prior():
    prior = cs.gaussian_mixture(LATENT, 3)
    experts = partial(cs.MixturePriorProductOfExperts, prior=prior)
    return under(lambda _: prior, aggregation=experts)


def started_mixture():
    points = np.random.default_rng(1).normal(size=(9, LATENT))
    return under(lambda _: cs.gaussian_mixture(LATENT, 2, start=points))


def semitied():
    points = np.random.default_rng(1).normal(size=(20, LATENT))
    start = cs.semitied_clusters(points, 2)
    return under(lambda _: cs.semitied_mixture(LATENT, 2, start))


def many_parts():
    """Dicts, partials within partials, activations, heads, kinds of likelihoods."""
    head = cs.MixtureHead(2, cs.LaplaceHead(min_scale=0.01))
    encoder = partial(cs.MLPEncoder, layer_norm=True)
    return under(
        lambda _: cs.label_conditional(LATENT, 3),
        likelihoods={
            "a": cs.StudentTLikelihood(df=3.0),
            "b": cs.NormalLikelihood((1.0,) * 4),
        },
        decoders={"a": cs.MLPDecoder, "b": partial(cs.MLPDecoder, hidden=(3, 3))},
        encoders={"a": encoder, "b": partial(encoder, hidden=[4])},
        aggregation=partial(cs.SumPooling, head=head),
    )._replace(
        elbo=cs.ConsistentELBO(
            cs.MixtureELBO(
                subsets=cs.BySize((0.0, 1.0, 2.0)),
                weights={"a": 2.0},
                estimator=cs.Pathwise(stratified=False),
                beta=0.3,
            ),
            strength=0.2,
        )
    )


def plain_bound():
    return preset("masked")._replace(elbo=Trace_ELBO(num_particles=2))


CASES = {name: partial(preset, name) for name in cs.PRESETS} | {
    "vamp": vamp,
    "conditional_vamp": conditional_vamp,
    "mixture_prior": mixture_prior,
    "started_mixture": started_mixture,
    "semitied": semitied,
    "private": private,
    "many_parts": many_parts,
    "plain_bound": plain_bound,
}


BOUNDS_TOO = ("conditional_vamp", "many_parts", "plain_bound")  # others: by settings


def restored(fit, folder, **given):
    save(fit, folder / "fit.npz")
    return load(folder / "fit.npz", **given)


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_fit_is_the_same_program_with_the_same_parameters(case, tmp_path):
    """Same parameters into the same instructions: the same bits whatever is computed."""
    fit = fitted(CASES[case](), best=True)
    again = restored(fit, tmp_path)
    unconstrained = [f.svi.optim.get_params(f.state.optim_state) for f in (fit, again)]
    assert_same(*unconstrained)
    assert_same(fit.params, again.params)
    assert_same(fit.best.params, again.best.params)
    assert_same(fit.history, again.history)
    assert fit.state.rng_key == again.state.rng_key
    bound = case in BOUNDS_TOO
    assert program(fit, DATA, bound) == program(again, DATA, bound)


NUMBERS = {
    "log_likelihood": {"num_samples": 3},
    "posterior": {"num_samples": 3},
    "generate": {"num_samples": 3},
}


def numbers(fit, data):
    return {n: getattr(fit, n)(KEY, data, **s) for n, s in NUMBERS.items()}


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=() if c == "mvae" else pytest.mark.long) for c in CASES],
)
def test_its_numbers_are_the_same_to_the_last_bit(case, tmp_path):
    fit = fitted(CASES[case]())
    assert_same(numbers(fit, DATA), numbers(restored(fit, tmp_path), DATA))


def test_entries_scaling_and_columns_are_those_of_the_training_rows(tmp_path):
    data = rows(entries=True)
    fit = fitted(preset("masked"), data)
    again = restored(fit, tmp_path)
    assert program(fit, data) == program(again, data)
    complete = rows().standardization, data.standardization
    assert complete[0].loc["a"][1] != complete[1].loc["a"][1]
    for wrong, message in [
        (rows(), "expected the standardisation of the training rows, got another"),
        (rows(standardize=False), "expected the standardisation .* got none"),
        (other_columns(), "modality 'a': expected columns among x, y, z, got u, v, w"),
        (other_names(), r"expected names \('a', 'b'\), got \('a', 'c'\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            again.posterior(KEY, wrong)


def other_columns():
    values = {"a": np.zeros((2, 3)), "b": np.zeros((2, 4))}
    return cs.MultimodalData.from_arrays(values, feature_names={"a": ["u", "v", "w"]})


def other_names():
    return cs.MultimodalData.from_arrays({"a": np.zeros((2, 3)), "c": np.zeros((2, 4))})


def test_logarithms_are_taken_as_they_were(tmp_path):
    counts = {"a": np.arange(12.0).reshape(4, 3), "b": np.eye(4)}
    data = cs.MultimodalData.from_arrays(counts).standardize(log=["a"])
    again = restored(fitted(preset("masked"), data), tmp_path)
    assert_same(again.schema.standardization, data.standardization)
    raw = cs.MultimodalData.from_arrays(counts)
    assert_same(raw.standardize(like=again.schema), data)
    with pytest.raises(ValueError, match=r"expected the standardisation .* another"):
        again.posterior(KEY, raw.standardize())


def test_nothing_of_the_training_rows_is_in_the_file(tmp_path):
    save(fitted(preset("masked"), rows(entries=True)), tmp_path / "fit.npz")
    header, arrays = read_archive(tmp_path / "fit.npz", "model")
    assert "patient" not in json.dumps(header)
    schema = load(tmp_path / "fit.npz").schema
    for value in [*schema.values.values(), *schema.covariates.values()]:
        assert not np.any(value)
    assert schema.covariates["label"].dtype == DATA.covariates["label"].dtype
    kept = [a for n, a in arrays.items() if n.startswith("recipe.")]
    held = {n: np.asarray(v) for n, v in DATA.values.items()}
    assert not any(np.array_equal(a, v[:1]) for a in kept for v in held.values())


def test_the_header_says_versions_and_is_text(tmp_path):
    save(fitted(preset("masked")), tmp_path / "fit.npz")
    with zipfile.ZipFile(tmp_path / "fit.npz") as file:
        versions = json.loads(file.read("header.json"))["header"]["versions"]
    assert versions["consilience"] == cs.__version__
    assert versions["jax"] == jax.__version__
    assert versions["numpyro"] == numpyro.__version__


def my_likelihood(eta, covariates):
    return dist.Normal(eta, 0.3)


class MyDecoder(nnx.Module):
    """Twice as much as ours."""

    def __init__(self, latent_dim, event_shape, *, rngs):
        self.inner = cs.LinearDecoder(latent_dim, event_shape, rngs=rngs)

    def __call__(self, z):
        return 2 * self.inner(z)


def my_model(data, subset=None):
    cs.multimodal_model(cs.standard_normal(LATENT), NORMAL, cs.LinearDecoder)(
        data, subset
    )


def my_guide(data, subset=None):
    cs.amortized_guide(LATENT, NETWORKS.encoders, cs.SumPooling, 5)(data, subset)


def my_subsets(rng_key, present):
    return present


def own_likelihood():
    return under(lambda _: cs.standard_normal(LATENT), likelihoods=my_likelihood)


OWN = {
    "model": (lambda: preset("masked")._replace(model=my_model), "my_model"),
    "guide": (lambda: preset("masked")._replace(guide=my_guide), "my_guide"),
    "elbo": (lambda: preset("masked", subsets=my_subsets), "my_subsets"),
    "likelihood": (own_likelihood, "my_likelihood"),
    "decoder": (
        lambda: under(lambda _: cs.standard_normal(LATENT), decoders=MyDecoder),
        "MyDecoder",
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_a_function_of_the_users_is_asked_for_by_name_and_then_used(case, tmp_path):
    make, name = OWN[case]
    argument = case if case in ("model", "guide", "elbo") else "model"
    method = make()
    fit = fitted(method)
    message = rf"{argument}: it was made with your own .*{name}, .*{argument}=\.\.\."
    with pytest.raises(ValueError, match=message):
        restored(fit, tmp_path)
    again = restored(fit, tmp_path, **{argument: getattr(method, argument)})
    assert getattr(again.svi, "loss" if case == "elbo" else argument) is getattr(
        method, argument
    )
    assert program(fit, DATA) == program(again, DATA)


def test_wrapping_one_of_ours_makes_it_the_users_own(tmp_path):
    """`functools.wraps` copies attributes; what is remembered must not go along."""
    from functools import wraps

    inner = preset("masked").model

    @wraps(inner)
    def louder(data, subset=None):
        with handlers.scale(scale=2.0):
            inner(data, subset)

    fit = fitted(preset("masked")._replace(model=louder))
    with pytest.raises(ValueError, match="model: it was made with your own"):
        restored(fit, tmp_path)


def test_a_guide_of_the_users_reaches_the_vamp_prior_around_it(tmp_path):
    prior = cs.vamp_prior(my_guide, DATA.take([0, 3]))
    model = cs.multimodal_model(prior, NORMAL, cs.LinearDecoder)
    elbo = cs.MaskedELBO(conditional_prior=prior)
    fit = fitted(cs.Method(model, my_guide, elbo))
    again = restored(fit, tmp_path, guide=my_guide)
    assert again.svi.loss.conditional_prior.guide is my_guide
    assert program(fit, DATA) == program(again, DATA)


def test_one_guide_stays_one(tmp_path):
    again = restored(fitted(conditional_vamp()), tmp_path)
    assert again.svi.loss.conditional_prior.guide is again.guide


def test_other_programs_than_the_trained_ones_are_refused(tmp_path):
    fit = fitted(preset("masked"))
    other = cs.multimodal_model(cs.standard_normal(LATENT), NORMAL)
    with pytest.raises(
        ValueError, match=r"expected those that were trained; .* missing"
    ):
        restored(fit, tmp_path, model=other)


def test_without_an_optimizer_nothing_trains_silently(tmp_path):
    fit = fitted(preset("masked"))
    again = restored(fit, tmp_path)
    with pytest.raises(ValueError, match=r"optimizer: .* loaded without one"):
        jax.eval_shape(again.svi.update, again.state, DATA)
    again = load(tmp_path / "fit.npz", optimizer=optax.sgd(0.1))
    jax.eval_shape(again.svi.update, again.state, DATA)


def test_a_fit_of_closed_forms_and_one_without_parameters(tmp_path):
    """Arrays within programs, and a guide of the user's."""
    truth = linear_gaussian(KEY)
    data, _ = truth.simulate(KEY, 4)
    guide = exact_guide(truth)
    fit = fitted(cs.Method(truth, guide, cs.MaskedELBO()), data)
    again = restored(fit, tmp_path, guide=guide)
    assert_same(again.model, truth)
    assert fit.params == again.params == {}


def test_other_precision_is_refused(tmp_path):
    save(fitted(preset("masked")), tmp_path / "fit.npz")
    with (
        jax.enable_x64(True),
        pytest.raises(ValueError, match="trained with jax_enable_x64=False"),
    ):
        load(tmp_path / "fit.npz")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK and so on")
    with pytest.raises(ArchiveError, match=r"a\.npz: damaged or truncated"):
        load(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "b.npz")


def test_further_arguments_of_programs_are_refused(tmp_path):
    fit = fitted(preset("masked"))
    fit.svi.static_kwargs["level"] = 3
    with pytest.raises(ValueError, match=r"without further arguments .* got level"):
        save(fit, tmp_path / "fit.npz")


BOUND_SETTINGS = {
    "masked": {"subsets": cs.Fixed((True, False)), "beta": 0.5, "num_particles": 2},
    "mixture": {"exhaustive": True, "estimator": cs.AnalyticKL(cs.STL())},
    "total_correlation": {"weights": {"a": 2.0}},
    "interpolated_total_correlation": {"alpha": 0.3},
    "subsampled": {"num_subsets": 3},
    "importance_weighted": {"num_samples": 3},
    "importance_weighted_masked": {"joint": True, "subsets": cs.Independent(0.2)},
    "mixture_of_experts": {"num_samples": 2, "estimator": cs.Pathwise()},
    "auxiliary_mixture_of_experts": {"num_samples": 1, "beta": 0.1},
    "jensen_shannon": {"num_particles": 3},
}


def again(value):
    writer = Writer(public_names())
    recipe = json.loads(json.dumps(writer.describe(value)))
    return Reader(recipe, writer.arrays, public_names()).rebuild(recipe)


@pytest.mark.parametrize("name", cs.BOUNDS)
def test_every_bound_comes_back_with_its_settings(name):
    bound = cs.BOUNDS[name](**BOUND_SETTINGS[name])
    ours, theirs = vars(bound), vars(again(bound))
    assert type(again(bound)) is type(bound)
    assert ours == theirs
    assert ours != vars(cs.BOUNDS[name]())


def test_every_frozen_part_comes_back_equal():
    parts = [make() for name, make in cs.LIKELIHOODS.items() if name != "categorical"]
    parts += [cs.CategoricalLikelihood(3), *[make() for make in cs.HEADS.values()]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PublishedDReG
        parts += [cs.PublishedDReG(), cs.PoissonLikelihood(log_library="size")]
        assert again(parts) == parts
    assert again(cs.Networks()) == cs.Networks()


def test_values_of_all_kinds_come_back():
    values = [None, True, 3, 1 / 3, float("inf"), "ä", (1, (2,)), {"a": [1], 2: ()}]
    assert again(values) == values
    arrays = [np.arange(3, dtype=np.int8), np.float32(0.1), jnp.ones(2)]
    for ours, theirs in zip(again(arrays), arrays, strict=True):
        assert type(ours) is type(theirs)
        assert_same(ours, theirs)
        assert ours.dtype == theirs.dtype
    made = again(cs.rectified(partial(cs.MLP, activation=jnp.tanh)))
    ours, theirs = (
        make(3, (4,), 2, rngs=nnx.Rngs(0))
        for make in (made, cs.rectified(partial(cs.MLP, activation=jnp.tanh)))
    )
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(ours(x), theirs(x))
    for function in (jax.nn.gelu, nnx.relu, cs.MLP, cs.standard_private):
        assert again(function) is function
    made = again(partial(cs.MLP, 3, activation=jnp.tanh))
    assert (made.func, made.args, made.keywords) == (
        cs.MLP,
        (3,),
        {"activation": jnp.tanh},
    )


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"name": "os.system"}, "public name of consilience, got 'os.system'"),
        ({"number": 0, "make": "fit", "with": {}}, "got 'fit', which this version"),
        (
            {"number": 0, "make": "missing_completely_at_random", "with": {}},
            "expected a constructor, got 'missing_completely_at_random'",
        ),
    ],
)
def test_a_recipe_runs_nothing_but_constructors(recipe, message):
    with pytest.raises(ValueError, match=message):
        Reader(recipe, {}, public_names()).rebuild(recipe)


ELSEWHERE = """
import sys
import jax, numpy as np
import consilience as cs
from consilience.training.saved import load
fit = load(sys.argv[1])
data = cs.MultimodalData.from_arrays(dict(np.load(sys.argv[2]))).standardize(
    like=fit.schema
)
z = fit.posterior(jax.random.key(3), data, num_samples=3)["z"]
np.save(sys.argv[3], np.asarray(z))
"""


@pytest.mark.slow
def test_another_process_gets_the_same_bits(tmp_path):
    values = {"a": np.full((2, 3), 0.1), "b": np.arange(8.0).reshape(2, 4)}
    fit = fitted(preset("mvtcae"))
    save(fit, tmp_path / "fit.npz")
    np.savez(tmp_path / "rows.npz", **values)
    data = cs.MultimodalData.from_arrays(values).standardize(like=fit.schema)
    files = [tmp_path / name for name in ("fit.npz", "rows.npz", "z.npy")]
    subprocess.run([sys.executable, "-c", ELSEWHERE, *files], check=True, timeout=120)
    z = fit.posterior(KEY, data, num_samples=3)["z"]
    np.testing.assert_array_equal(np.load(files[2]), z)


def forged(path, change):
    """The same file with another header, whose checksum is right."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    header = json.loads(members["header.json"])
    change(header["header"])
    text = json.dumps(header).encode()
    members["header.json"] = text
    members["header.sha256"] = hashlib.sha256(text).hexdigest().encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def contains_itself(header):
    model = header["programs"]["model"]
    model["with"] = {"prior": {"again": model["number"]}}


FORGED = {
    "a recipe that contains itself": contains_itself,
    "no programs": lambda header: header.pop("programs"),
    "no precision": lambda header: header.pop("x64"),
    "a recipe of nothing": lambda header: header["programs"].update(guide={}),
    "a number for a model": lambda header: header["programs"].update(model=3),
    "a schema that is none": lambda header: header.update(schema="x"),
    "a history that is none": lambda header: header.update(history=[]),
    "an unknown constructor": lambda header: header["programs"]["model"].update(
        make="os.system"
    ),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_headers_are_refused_in_a_sentence(case, tmp_path):
    path = tmp_path / "fit.npz"
    save(fitted(preset("masked")), path)
    forged(path, FORGED[case])
    with pytest.raises(ArchiveError, match=r"fit\.npz: damaged: its (header|.* is no)"):
        load(path)
