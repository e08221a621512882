"""Configurations: options over a file over defaults, and every name of the registries."""

import argparse
import inspect
from functools import partial

import numpy as np
import pandas as pd
import pytest
from jax import numpy as jnp

import consilience as cs
from consilience.cli import beta, config, data, defaults, train
from consilience.cli.build import svi as build_svi
from consilience.cli.choices import Choice, build, shown
from consilience.cli.keys import KEYS
from consilience.cli.main import parser
from consilience.cli.settings import keywords, settings_of, unwrapped
from consilience.cli.text import read_mapping, scalar
from consilience.datasets.contents import Arrays

REGISTRIES = {
    "likelihoods": cs.LIKELIHOODS,
    "prior": cs.PRIORS,
    "decoders": cs.DECODERS,
    "encoders": cs.ENCODERS,
    "aggregation": cs.AGGREGATIONS,
    "head": cs.HEADS,
    "preset": cs.PRESETS,
    "bound": cs.BOUNDS,
    "subsets": cs.SUBSETS,
    "estimator": cs.ESTIMATORS,
}
NEEDED = {
    "num_components": 3,
    "num_classes": 4,
    "weights": [1.0, 2.0, 1.0],
    "members": [True, False],
    "private_dim": 2,
}
EACH = [(key, name) for key, registry in REGISTRIES.items() for name in registry]


def from_text(text, path, *options):
    """All keys of a file and of options."""
    path.write_text(text)
    arguments = ["fit", "data", "--out", "run", "--config", str(path), *options]
    return config.merged(parser().parse_args(arguments))


def choice_of(key) -> Choice:
    kind = KEYS[key].kind
    return getattr(kind, "choice", kind)


@pytest.mark.parametrize(("key", "name"), EACH)
def test_every_name_of_the_registries_can_be_chosen(key, name):
    choice = choice_of(key)
    known = choice.known(name)
    needed = {n: NEEDED[n] for n, setting in known.items() if setting.required}
    found = choice.read(key, {"name": name} | needed)
    assert found["name"] == name
    assert shown(found) == (name if not needed else found)


@pytest.mark.parametrize(("key", "name"), EACH)
def test_every_default_of_a_setting_is_of_its_kind(key, name):
    """So that what the documentation shows can be written into a file."""
    choice = choice_of(key)
    for parameter in keywords(unwrapped(choice.registry[name])):
        setting = choice.known(name).get(parameter.name)
        default = parameter.default
        if setting is None or default in (parameter.empty, None):
            continue
        default = list(default) if isinstance(default, tuple) else default
        assert setting.kind.read("default", default) == default


def test_settings_are_those_that_a_file_can_hold():
    assert {*settings_of(cs.StudentTLikelihood)} == {"df", "initial_scale", "min_scale"}
    assert {*settings_of(cs.MLPEncoder)} >= {"hidden", "log1p", "num_classes"}
    assert "rngs" not in settings_of(cs.MLPEncoder)
    assert "network" not in settings_of(cs.SumPooling)  # a function
    assert {*settings_of(cs.MaskedELBO, ("beta", "weights"))} == {
        *("exhaustive", "num_particles")
    }
    assert "tempered" not in settings_of(cs.AGGREGATIONS["tempered_product"])


@pytest.mark.parametrize("key", KEYS)
def test_defaults_are_of_their_kind(key):
    default = KEYS[key].default
    if default is not None:
        assert KEYS[key].kind.read(key, default) == default


def test_every_key_is_an_option_and_has_help():
    command = next(
        action.choices["fit"]
        for action in parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    text = command.format_help()
    for key in KEYS:
        assert f"{config.option(key)} " in text


def test_options_come_before_the_file_and_both_before_defaults(tmp_path):
    text = "epochs: 5\nbatch_size: 16\nlikelihoods: {genes: laplace, counts: poisson}\n"
    options = ("--epochs", "7", "--likelihoods", "genes=student_t:df=3,min_scale=0.1")
    found = from_text(text, tmp_path / "run.yaml", *options)
    assert found["epochs"] == 7
    assert found["batch_size"] == 16
    assert found["learning_rate"] == KEYS["learning_rate"].default
    student = {"name": "student_t", "df": 3.0, "min_scale": 0.1}
    assert found["likelihoods"] == {"genes": student}
    assert {*found} == {*KEYS}


def test_yaml_and_toml_say_the_same(tmp_path):
    yaml = """
learning_rate: 1e-3
likelihoods:
  genes: student_t
  on: {name: normal, scale: [0.5, 1]}
beta: {name: warm_up, epochs: 3}
standardize: [genes, on]
clip_norm: none
"""
    toml = """
learning_rate = 1e-3
standardize = ["genes", "on"]
clip_norm = "none"
[likelihoods]
genes = "student_t"
on = {name = "normal", scale = [0.5, 1]}
[beta]
name = "warm_up"
epochs = 3
"""
    first = from_text(yaml, tmp_path / "run.yaml")
    assert first == from_text(toml, tmp_path / "run.toml")
    assert first["learning_rate"] == 1e-3
    assert first["likelihoods"]["on"] == {"name": "normal", "scale": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        (".5", 0.5),
        ("12", 12),
        ("-1", -1),
        (".inf", np.inf),
        ("true", True),
        ("yes", "yes"),
        ("off", "off"),
        ("2020-01-01", "2020-01-01"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0x1f", "0x1f"),
        ("012", 12.0),
        ("~", None),
        ("[1, a]", [1, "a"]),
        ("[1", "[1"),
    ],
)
def test_plain_values_are_what_they_look_like(text, value):
    """YAML 1.1 has 1e-3 as a text, `yes` and `off` as truth, 1:30 as 90, 012 as 10."""
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_keys_are_text(tmp_path):
    (tmp_path / "a.yaml").write_text("1: x\non: y\nnull: z\n")
    assert read_mapping(tmp_path / "a.yaml") == {"1": "x", "on": "y", "null": "z"}


def test_a_written_configuration_reads_the_same(tmp_path):
    text = (
        "preset: {name: mvtcae, alpha: 0.5}\nweights: {genes: 2}\n"
        "encoders: {genes: {name: mlp, hidden: [8]}, counts: {name: mlp, hidden: [8]}}\n"
    )
    found = from_text(text, tmp_path / "run.yaml")
    config.write(found, tmp_path / "again.yaml")
    again = from_text((tmp_path / "again.yaml").read_text(), tmp_path / "b.yaml")
    assert found == again
    assert "&" not in (tmp_path / "again.yaml").read_text()


def tables(**more):
    rng = np.random.default_rng(0)
    values = {
        "reals": rng.normal(size=(20, 3)),
        "counts": rng.poisson(3.0, (20, 2)),
        "flags": rng.integers(0, 2, (20, 4)).astype(float),
    } | more
    return Arrays(values)


def resolved(arrays, **given):
    merged = {name: key.default for name, key in KEYS.items()} | given
    return defaults.resolve(merged, arrays, len(next(iter(arrays.values.values()))))


def test_likelihoods_are_found_from_the_data():
    found = resolved(tables(signed=np.array([[-1, 2]] * 20)))
    names = {name: choice["name"] for name, choice in found["likelihoods"].items()}
    assert names == {
        "reals": "learned_normal",
        "counts": "negative_binomial",
        "flags": "bernoulli",
        "signed": "learned_normal",
    }
    assert found["encoders"]["counts"] == {"name": "mlp", "log1p": True}
    assert found["standardize"] == ["reals", "signed"]


def test_what_is_missing_says_nothing_of_the_kind():
    masked = np.ma.array([[1.5, 1.0]] * 20, mask=[[True, False]] * 20)
    nan = np.array([[np.nan, 0.0], [1.0, 1.0]] * 10)
    found = resolved(tables(masked=masked, nan=nan))["likelihoods"]
    assert found["masked"] == found["nan"] == {"name": "bernoulli"}


def test_what_was_said_stays():
    said = {"counts": {"name": "poisson"}}
    found = resolved(tables(), likelihoods=said, standardize="none", epochs=4)
    assert found["likelihoods"]["counts"] == {"name": "poisson"}
    assert found["likelihoods"]["reals"] == {"name": "learned_normal"}
    assert found["standardize"] == "none"
    assert found["epochs"] == 4


def test_logarithms_are_of_real_numbers_and_scaled():
    found = resolved(tables(), log=["counts"])
    assert found["likelihoods"]["counts"] == {"name": "learned_normal"}
    assert found["standardize"] == ["reals", "counts"]
    rows = data.prepared(data.rows(tables(), found), found)
    assert rows.standardization.log == ("counts",)
    np.testing.assert_allclose(rows.values["counts"].std(0), 1, rtol=1e-5)


@pytest.mark.parametrize(("rows", "epochs"), [(20, 1000), (10_000, 64), (10**6, 20)])
def test_epochs_are_enough_for_about_5000_steps(rows, epochs):
    assert defaults._epochs(rows, 128) == epochs


def test_held_out_rows_are_the_same_for_every_seed():
    rows = data.rows(tables(), resolved(tables()))
    train_rows, held = data.split(rows, 0.25)
    assert (train_rows.size, held.size) == (15, 5)
    both = np.concatenate([train_rows.values["reals"], held.values["reals"]])
    np.testing.assert_array_equal(
        np.sort(both, 0), np.sort(np.asarray(rows.values["reals"]), 0)
    )
    again = data.split(rows, 0.25)[1]
    np.testing.assert_array_equal(held.values["reals"], again.values["reals"])
    assert data.split(rows, 0)[1] is None


def test_held_out_rows_are_scaled_as_those_that_are_trained_on():
    found = resolved(tables(), validation=0.25)
    rows, held = train.parts(found, data.rows(tables(), found))
    scaling = rows.standardization
    np.testing.assert_allclose(rows.values["reals"].mean(0), 0, atol=1e-6)
    np.testing.assert_array_equal(
        held.standardization.loc["reals"], scaling.loc["reals"]
    )


def test_entry_masks_are_for_rows_that_miss_nothing():
    found = resolved(tables(), entry_masks=True)
    rows = data.unscaled(data.rows(tables(), found), found)
    assert {*rows.entries} == {*rows.names}
    assert all(bool(mask.all()) for mask in rows.entries.values())


def test_whole_numbers_are_whole_where_the_likelihood_is():
    found = resolved(tables())
    rows = data.cast(data.rows(tables(), found), found)
    kinds = {name: x.dtype for name, x in rows.values.items()}
    assert kinds["reals"] == jnp.result_type(float)
    assert kinds["counts"] == kinds["flags"] == jnp.result_type(int)


def test_large_whole_numbers_wait_in_float64_for_their_scaling():
    far = 2**24 + 1 + 2 * np.arange(20)[:, None] + np.zeros((20, 3), int)
    found = resolved(tables())
    with pytest.warns(
        UserWarning, match="modality 'reals', .* distinct values are left"
    ):
        rows = data.cast(data.rows(tables(reals=far), found), found)
    assert rows.values["reals"].dtype == np.float64
    np.testing.assert_array_equal(rows.values["reals"], far)


def test_a_fingerprint_sees_numbers_and_names():
    found = resolved(tables())
    rows = data.rows(tables(), found)
    other = tables()._replace(feature_names={"reals": ["a", "b", "c"]})
    changed = tables(reals=tables().values["reals"] + 1)
    prints = [data.fingerprint(data.rows(a, found)) for a in (tables(), other, changed)]
    assert data.fingerprint(rows) == prints[0]
    assert len(set(prints)) == 3


def test_a_table_of_covariates_is_known_by_its_whole_path(tmp_path, monkeypatch):
    (tmp_path / "batches.csv").write_text("id,batch\na,1\nb,0\n")
    (tmp_path / "x.csv").write_text("id,u,v\na,1.5,2\nb,0.5,3\n")
    monkeypatch.chdir(tmp_path)
    found = data.anywhere({"covariates": ["batches.csv"]})
    assert found["covariates"] == [str(tmp_path / "batches.csv")]
    assert data.anywhere({"covariates": ["batch"]}) == {"covariates": ["batch"]}
    merged = {name: key.default for name, key in KEYS.items()} | found
    arrays = data.read(merged, tmp_path / "x.csv")
    np.testing.assert_array_equal(arrays.covariates["batch"], [1, 0])


def test_beta_by_epoch():
    warm = beta.by_step({"name": "warm_up", "epochs": 2, "start": 0.5}, 10)
    assert [float(warm(jnp.array(step))) for step in (0, 10, 20, 99)] == [
        0.5,
        0.75,
        1.0,
        1.0,
    ]
    assert beta.by_step(0.3, 10) is None
    cycle = beta.by_step({"name": "cyclical", "epochs": 2, "end": 2.0}, 10)
    assert [float(cycle(jnp.array(step))) for step in (0, 5, 10, 20)] == [
        0.0,
        1.0,
        2.0,
        0.0,
    ]
    assert beta.rising({"name": "warm_up", "epochs": 2}) == 2


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("warm_up:epochs=5,end=-1", "end"),
        ("warm_up:epochs=5,start=-0.1", "start"),
        ("cyclical:epochs=5,end=-1", "end"),
        ("cyclical:epochs=5,rise=3", "rise"),
        ("cyclical:epochs=5,rise=0", "rise"),
    ],
)
def test_courses_of_beta_are_checked_when_they_are_read(text, key):
    with pytest.raises(ValueError, match=rf"^--beta\.{key}: expected a "):
        KEYS["beta"].kind.read("--beta", text)


@pytest.mark.parametrize("name", ["warm_up", "cyclical"])
@pytest.mark.parametrize(("end", "beta"), [({"end": 4.0}, 4.0), ({}, 1.0)])
def test_held_out_bounds_have_the_beta_that_a_course_leads_to(name, end, beta):
    found = resolved(tables(), beta={"name": name, "epochs": 3} | end)
    assert build_svi(found, data.rows(tables(), found), 10).loss.beta == beta


PARTS = [
    {},
    {"prior": {"name": "gaussian_mixture", "num_components": 3}},
    {"aggregation": {"name": "sum_pooling"}, "head": {"name": "mixture"}},
    {"bound": {"name": "mixture_of_experts", "num_samples": 2}},
    {"preset": {"name": "mmvae_plus", "private_dim": 2, "num_samples": 2}},
    {"preset": {"name": "mmjsd"}, "weights": {"reals": 0.5}},
    {"estimator": {"name": "analytic_kl"}, "subsets": {"name": "unimodal"}},
    {"likelihoods": {"reals": {"name": "student_t"}}, "beta": 0.5},
]


@pytest.mark.parametrize(
    "given", PARTS, ids=lambda given: ", ".join(given) or "default"
)
def test_parts_fit_together(given):
    """Traced, not compiled."""
    found = resolved(tables(), **given)
    train.check(found, data.rows(tables(), found))


def test_settings_reach_the_parts():
    found = resolved(
        tables(),
        bound={"name": "masked", "num_particles": 3},
        subsets={"name": "independent", "probability": 0.25},
        weights={"reals": 0.5},
        beta=0.7,
    )
    elbo = build_svi(found, data.rows(tables(), found), 10).loss
    assert isinstance(elbo, cs.MaskedELBO)
    assert (elbo.num_particles, elbo.beta) == (3, 0.7)
    assert elbo.subsets == cs.Independent(0.25)
    assert dict(elbo.weights) == {"reals": 0.5}


def test_a_constructor_that_refuses_is_named():
    with pytest.raises(ValueError, match=r"prior: gaussian_mixture: .*num_components"):
        build("prior", cs.PRIORS, {"name": "gaussian_mixture", "num_components": 0}, 3)


def test_documentation_has_every_key_and_command(request):
    text = (request.config.rootpath / "docs" / "command_line.md").read_text()
    for key in KEYS:
        assert f"`{key}`" in text, key
    for name in inspect.getmodule(parser).COMMANDS:
        assert f"consilience {name}" in text, name


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
@pytest.mark.parametrize("id_column", [None, "id"])
def test_the_column_of_ids_keeps_its_name(tmp_path, ending, id_column):
    frame = pd.DataFrame({"id": ["a", "b"], "u": [1.5, 0.5]})
    write = {"csv": frame.to_csv, "tsv": partial(frame.to_csv, sep="\t")}
    write |= {"parquet": frame.to_parquet}
    write[ending](tmp_path / f"x.{ending}", index=False)
    merged = {n: key.default for n, key in KEYS.items()} | {"id_column": id_column}
    assert data.read_named(merged, tmp_path)[1] == "id"


def test_a_column_of_ids_without_a_name_is_called_sample(tmp_path):
    (tmp_path / "x.csv").write_text(",u\na,1.5\nb,0.5\n")
    merged = {name: key.default for name, key in KEYS.items()}
    assert data.read_named(merged, tmp_path)[1] == "sample"
