"""The command line's key for a modality that is the label of the prior's components."""

import numpy as np
import pandas as pd
import pytest
from numpyro import handlers

from consilience.cli import config, data, defaults, train
from consilience.cli.build import svi
from consilience.cli.keys import KEYS
from consilience.cli.main import main, parser
from consilience.datasets.contents import Arrays

MIXTURE = {"name": "gaussian_mixture", "num_components": 3}
ROWS = 24


def tables():
    rng = np.random.default_rng(0)
    return Arrays(
        {
            "x": rng.normal(size=(ROWS, 4)),
            "type": rng.integers(0, 3, (ROWS, 1)).astype(float),
        }
    )


def resolved(**given):
    merged = {name: key.default for name, key in KEYS.items()} | given
    return defaults.resolve(merged, tables(), ROWS)


def merged(*options):
    arguments = ["fit", "data", "--out", "run", *options]
    return config.merged(parser().parse_args(arguments))


@pytest.mark.parametrize("prior", ["gaussian_mixture", "semitied_mixture"])
def test_a_label_is_encoded_and_not_decoded(prior):
    found = resolved(label="type", prior=MIXTURE | {"name": prior})
    assert found["likelihoods"]["type"] == {"name": "categorical", "num_classes": 3}
    assert found["encoders"]["type"]["num_classes"] == 3
    assert "type" not in found["standardize"]
    rows = data.rows(tables(), found)
    train.check(found, rows)  # traced, not compiled
    with handlers.seed(rng_seed=0), handlers.trace() as sites:
        svi(found, rows, 10).model(data.unscaled(rows, found))
    assert sites["type"]["fn"].event_shape == (1,)
    assert "decoder.x$params" in sites
    assert "decoder.type$params" not in sites


def test_options_say_label_and_prior():
    found = merged("--label", "type", "--prior", "gaussian_mixture:num_components=3")
    assert (found["label"], found["prior"]) == ("type", MIXTURE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            (),
            "label: expected a mixture as prior, gaussian_mixture or .* standard_normal",
        ),
        (
            ("--prior", "standard_laplace"),
            "label: expected a mixture as prior, .* got standard_laplace",
        ),
        (
            ("--preset", "mvae"),
            "preset: expected mvae alone, .* got label beside it",
        ),
        (
            (
                *("--prior", "gaussian_mixture:num_components=3"),
                *("--likelihoods", "type=bernoulli"),
            ),
            "likelihoods: expected none for type, which is the label .* got bernoulli",
        ),
        (
            (
                *("--prior", "gaussian_mixture:num_components=3"),
                *("--decoders", "type=linear"),
            ),
            "decoders: expected none for type, .* got linear",
        ),
    ],
)
def test_keys_that_contradict_a_label_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        merged("--label", "type", *options)


def test_a_label_must_be_a_modality():
    with pytest.raises(ValueError, match=r"label: .*typ.*type"):
        resolved(label="typ", prior=MIXTURE)


@pytest.mark.long
def test_a_missing_label_is_completed(tmp_path):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 300)
    (source := tmp_path / "tables").mkdir()
    x = 6.0 * np.eye(3)[label] + rng.normal(size=(300, 3))
    ids = [f"s{i}" for i in range(300)]
    pd.DataFrame(x, ids, ["a", "b", "c"]).to_csv(source / "x.csv", index_label="id")
    known = pd.DataFrame({"type": label[:200]}, ids[:200])
    known.to_csv(source / "type.csv", index_label="id")
    run = str(tmp_path / "run")
    more = (
        "--prior",
        "gaussian_mixture:num_components=3",
        "--latent-dim",
        "2",
        "--epochs",
        "200",
    )
    main(["fit", str(source), "--out", run, "--label", "type", *more])
    main(["impute", run, str(source), "--out", str(tmp_path / "full")])
    found = pd.read_csv(tmp_path / "full" / "type.csv", index_col=0)["type"]
    assert (found[ids[:200]].to_numpy() == label[:200]).all()
    assert (found[ids[200:]].to_numpy() == label[200:]).mean() > 0.9
