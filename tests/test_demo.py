"""The command line: what it says, what it refuses, what it writes."""

import json

import numpy as np
import pytest

from consilience.cli.main import COMMANDS, main

TINY = [
    "--epochs",
    "2",
    "--hidden",
    "8",
    "--features",
    "8",
    "--samples",
    "30",
    "--quiet",
]


def refusal(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help_reads_well(capsys, command):
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "usage: consilience" in text
    assert max(map(len, text.splitlines())) <= 88


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["dmo"], "invalid choice: 'dmo'"),
        (["demo", "--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (
            ["demo", "--epochs", "0"],
            "--epochs: expected a whole number of 1 or more, got '0'",
        ),
        (["demo", "--epochs", "x"], "expected a whole number of 1 or more, got 'x'"),
        (["demo", "--missing", "1"], "expected a number from 0 to below 1, got '1'"),
        (
            ["demo", "--missing", "nan"],
            "expected a number from 0 to below 1, got 'nan'",
        ),
        (["demo", "--beta", "-1"], "--beta: expected a number of 0 or more, got '-1'"),
        (["demo", "--learning-rate", "inf"], "expected a number above 0, got 'inf'"),
        (["demo", "--samples", "3"], "expected a whole number of 30 or more, got '3'"),
        (
            ["demo", "--aggregation", "sum"],
            "self_attention, self_attention_mixture, got 'sum'",
        ),
        (
            ["demo", "--estimator", "iwae"],
            "implicit_pathwise, implicit_stl, got 'iwae'",
        ),
        (["demo", "--subsets", "fixed"], "got 'fixed'"),
    ],
)
def test_bad_options_are_refused_in_a_sentence(capsys, arguments, said):
    assert said in refusal(capsys, *arguments)


def test_a_file_is_no_folder(capsys, tmp_path):
    (tmp_path / "out").touch()
    assert "expected a folder" in refusal(
        capsys, "demo", "--out", str(tmp_path / "out")
    )


@pytest.mark.slow
def test_the_demo_writes_what_it_says(capsys, tmp_path):
    import arviz as az

    out = tmp_path / "run"
    assert main(["demo", "--out", str(out), *TINY]) == 0
    text = capsys.readouterr().out
    for phrase in (
        "1438 training rows",
        "30% of their",
        "all five",
        "upper left",
        "k̂ > 0.",
        "Coherence: generated modalities read as the true digit",
        "all but word",
        "real values",
    ):
        assert phrase in text
    results = json.loads((out / "likelihoods.json").read_text())
    assert [row["given"] for row in results][:2] == ["all five", "upper_left"]
    total = results[0]["log_p_given"]
    for row in results[1:]:
        np.testing.assert_allclose(
            row["log_p_given"] + row["log_p_rest"], total, rtol=1e-4
        )
    coherence = json.loads((out / "coherence.json").read_text())
    assert len(coherence["by_subset"]) == 11 * 5
    assert coherence["classifiers_on_test_rows"]["word"]["value"] > 0.99
    assert all(m["value"] > 0.6 for m in coherence["classifiers_on_test_rows"].values())
    tree = az.from_netcdf(out / "posterior.nc")
    assert tree.posterior["z"].shape == (1, 200, 359, 12)
    assert tree.posterior_predictive["word"].shape == (1, 20, 359, 5, 16)
    for name in ("completions.png", "training.png"):
        assert (out / name).stat().st_size > 10_000
    assert "add --overwrite" in refusal(capsys, "demo", "--out", str(out), *TINY)
