"""What the command line does with what nobody foresaw: a sentence, never a traceback."""

import json
import os
import re
import sys
import warnings

import pytest
from test_cli import call, refusal, write_tables

from consilience.cli import compare, encode, runs
from consilience.cli.main import main
from consilience.datasets.writing import write_text
from consilience.experiments.console import console


@pytest.fixture
def shell(monkeypatch):
    """The command line as a shell calls it, with a command that does as it is told."""
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
    monkeypatch.delenv("CONSILIENCE_TRACEBACK", raising=False)

    def run(does, *arguments):
        given = arguments or ("compare", "run a", "b")
        monkeypatch.setattr(sys, "argv", ["consilience", "--no-cache", *given])
        monkeypatch.setattr(compare, "run", does)
        return main()

    return run


def raises(error):
    def does(options):
        """Fail."""
        raise error

    return does


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (RecursionError("too\ndeep"), "RecursionError: too deep"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), "the memory does not suffice"),
        (MemoryError(), "the memory does not suffice"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_what_nobody_foresaw_is_a_sentence(shell, capsys, error, said):
    assert shell(raises(error)) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert said in err
    assert "`consilience --no-cache compare 'run a' b` ended in" in err
    assert "CONSILIENCE_TRACEBACK=1 shows where" in err


def test_programming_errors_reach_tests_and_whoever_asks(shell, monkeypatch):
    monkeypatch.setattr(compare, "run", raises(KeyError("x")))
    with pytest.raises(KeyError):
        call("compare", "a", "b")
    monkeypatch.setenv("CONSILIENCE_TRACEBACK", "1")
    for error in (KeyError("x"), ValueError("x")):
        with pytest.raises(type(error)):
            shell(raises(error))


def test_errors_of_the_system_begin_with_the_file(monkeypatch, capsys):
    monkeypatch.setattr(compare, "run", raises(OSError(13, "Permission denied", "/x")))
    assert "compare: /x: Permission denied. See" in refusal(capsys, "compare", "a", "b")


def test_a_closed_pipe_and_ctrl_c_are_quiet(shell, capsys, monkeypatch):
    monkeypatch.setattr("consilience.cli.main._hush", lambda: None)
    assert shell(raises(BrokenPipeError())) == 141
    assert capsys.readouterr().err == ""
    assert shell(raises(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "stopped\n"


def test_warnings_are_a_line_each_and_said_once(shell, capsys):
    def does(options):
        """Warn as `warnings.warn` does when its filters let it."""
        for text in ("one\n  thing", "another", "one\n thing"):
            warnings.showwarning(UserWarning(text), UserWarning, "file.py", 1)

    assert shell(does) == 0
    assert capsys.readouterr().err.splitlines() == [
        "consilience: warning: one thing",
        "consilience: warning: another",
    ]


def test_it_says_its_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        call("--version")
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith("consilience ")


def test_pipes_get_whole_lines_and_names_as_they_are(capsys):
    from rich.table import Table

    table = Table()
    table.add_column("name")
    table.add_row("[red]" + "x" * 200 + ":smile:[/y]")
    console().print(table)
    console().print("wrote run[/a]/" + "y" * 200)
    out = capsys.readouterr().out
    assert "[red]" + "x" * 200 + ":smile:[/y]" in out
    assert "wrote run[/a]/" + "y" * 200 + "\n" in out
    assert "\x1b" not in out


# A run that never was trained is enough to see where commands write.


@pytest.fixture
def begun(tmp_path):
    write_tables(tmp_path / "data")
    (tmp_path / "run").mkdir()
    config = {name: {} for name in ("likelihoods", "encoders", "decoders")}
    config |= {"log": "none", "standardize": "none", "epochs": 3}
    for name in ("likelihoods", "encoders", "decoders"):
        word = "normal" if name == "likelihoods" else "mlp"
        config[name] = {"genes": {"name": word}, "counts": {"name": word}}
    described = {"data": str(tmp_path / "data"), "sha256": "0", "config": config}
    write_text(tmp_path / "run" / "config.yaml", json.dumps(config))
    write_text(tmp_path / "run" / "data.json", json.dumps(described))
    return tmp_path


def encoding(begun, *out):
    return ("encode", begun / "run", begun / "data", *out)


def test_places_are_checked_before_anything_is_read(begun, capsys, monkeypatch):
    monkeypatch.setattr(encode.applied, "apply", lambda *_: pytest.fail("too late"))
    (begun / "file").touch()
    (begun / "pipe.csv").touch()
    (begun / "pipe.csv").unlink()
    os.mkfifo(begun / "pipe.csv")
    data = begun / "data" / "genes.csv"
    for out, message in {
        (begun / "file" / "z.csv",): "expected a folder, but .*file is none",
        (begun / "data",): "expected a file that ends in",
        (begun / "z.txt",): "expected a file that ends in",
        (begun / ("z" * 300 + ".csv"),): "File name too long",
        (begun / "z.csv", begun / "z.csv"): "each file once, got .*z.csv twice",
        (begun / "pipe.csv",): "a file or a new path, got a named pipe",
        (data,): "genes.csv is among what is read from",
        ("",): "expected a path, got an empty text",
    }.items():
        options = [x for path in out for x in ("--out", path)]
        said = refusal(capsys, *encoding(begun, *options, "--overwrite"))
        assert re.search(message, said), said
    assert sorted(os.listdir(begun)) == ["data", "file", "pipe.csv", "run"]


@pytest.mark.parametrize("seed", ["-1", "4294967296", "9" * 20, "nan", "1.5", ""])
def test_seeds_are_those_of_jax(begun, capsys, seed):
    said = refusal(capsys, *encoding(begun, "--seed", seed))
    assert "--seed: expected a whole number of" in said
    said = refusal(
        capsys, "fit", begun / "data", "--out", begun / "new", "--seed", seed
    )
    assert "--seed: expected a whole number of" in said
    assert not (begun / "new").exists()


@pytest.mark.parametrize("command", ["encode", "impute", "evaluate", "resume"])
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "config.yaml",
            "epochs: 3\n",
            "config.yaml: expected the keys .* no likelihoods",
        ),
        ("config.yaml", "", "config.yaml: expected lines such as"),
        ("config.yaml", "a: &a [1]\nb: *a\n", "not YAML: expected no aliases"),
        ("config.yaml", "log: " + "[" * 5000, "config.yaml"),
        ("data.json", "{", "data.json: expected what `consilience fit` wrote"),
        (
            "data.json",
            "[" * 100_000,
            "data.json: expected what `consilience fit` wrote",
        ),
        ("data.json", '{"data": "", "sha256": 1, "config": 2}', "data.json: expected"),
    ],
)
def test_half_a_run_is_refused(begun, capsys, command, name, text, message):
    (begun / "run" / name).write_text(text)
    more = [begun / "data"] if command in ("encode", "impute") else []
    said = refusal(capsys, command, begun / "run", *more)
    assert re.search(message, said), said


def test_an_edited_key_is_named(begun, capsys):
    path = begun / "run" / "config.yaml"
    text = path.read_text()
    path.write_text(text.replace('"normal"', '"laplace"', 1))
    (begun / "run" / "model.npz").touch()
    said = refusal(capsys, *encoding(begun))
    assert "config.yaml: likelihoods: the run was begun with" in said
    assert "put back what the model was trained with" in said


def test_a_fit_that_fails_takes_away_what_it_made(begun, capsys, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED")

    monkeypatch.setattr("consilience.cli.train.train", fails)
    monkeypatch.setattr("consilience.cli.train.check", lambda *_: None)
    with pytest.raises(RuntimeError):
        call("fit", begun / "data", "--out", begun / "a" / "b" / "c")
    assert not (begun / "a").exists()
    (begun / "a").mkdir()
    with pytest.raises(RuntimeError):
        call("fit", begun / "data", "--out", begun / "a" / "b" / "c")
    assert os.listdir(begun / "a") == []


def test_a_run_has_a_folder_of_its_own(begun, capsys):
    said = refusal(capsys, "fit", begun / "data", "--out", begun / "data")
    assert "--out: expected another folder than that of the data" in said
    (begun / "new").mkdir()
    os.mkfifo(begun / "new" / runs.LOG)
    said = refusal(capsys, "fit", begun / "data", "--out", begun / "new", "--overwrite")
    assert "got a named pipe" in said
