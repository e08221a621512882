"""The command line on a user's own files: from tables to a run, and from a run to tables."""

import contextlib
import io
import json
import shutil
import warnings
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pandas as pd
import pytest
from jax.experimental.compilation_cache import compilation_cache

import consilience as cs
from consilience.cli import data, earlier, evaluate, runs
from consilience.cli.main import COMMANDS, main

EPOCHS = 60
TINY = (
    *("--learning-rate", "0.02", "--quiet"),
    *("--latent-dim", "2", "--num-features", "4", "--batch-size", "32"),
    *("--encoders", "mlp:hidden=[4]", "--decoders", "linear"),
    *("--aggregation", "product_of_experts"),
)
GENES, COUNTS = 4, 3


def write_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Two tables of overlapping samples; genes lack single entries."""
    rng = np.random.default_rng(3)
    ids = pd.Index([f"s{i:02d}" for i in range(50)], name="patient")
    z = rng.normal(size=(50, 2))
    genes = 100 + 10 * (z @ rng.normal(size=(2, GENES)) + rng.normal(size=(50, GENES)))
    genes[rng.random(genes.shape) < 0.1] = np.nan
    counts = rng.poisson(np.exp(1 + 0.5 * z @ rng.normal(size=(2, COUNTS))))
    frames = {
        "genes": pd.DataFrame(genes, ids, [f"g{i}" for i in range(GENES)]).iloc[:40],
        "counts": pd.DataFrame(counts, ids, [f"c{i}" for i in range(COUNTS)]).iloc[5:],
    }
    folder.mkdir()
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv")
    return frames


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory):
    """What several commands compile alike is compiled once, as for a user."""
    jax.config.update(
        "jax_compilation_cache_dir", str(tmp_path_factory.mktemp("cache"))
    )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    yield
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    compilation_cache.reset_cache()


@pytest.fixture(scope="module")
def made(compiled_once, tmp_path_factory):
    """A folder with data and a run, the data themselves, and what the fit said."""
    folder = tmp_path_factory.mktemp("cli")
    frames = write_tables(folder / "data")
    with contextlib.redirect_stdout(io.StringIO()) as said:
        call("fit", folder / "data", "--out", folder / "run", "--epochs", EPOCHS, *TINY)
    return Made(folder, frames, said.getvalue())


class Made(NamedTuple):
    folder: Path
    frames: dict
    said: str


def call(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def refusal(capsys, *arguments) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("command", COMMANDS)
def test_help_reads_well(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 88
    assert "default: None" not in text
    assert "default: False" not in text


def test_a_fit_says_what_it_found_and_writes_all_of_it(made):
    run = made.folder / "run"
    for words in ("50 samples, 5 of them held out", "reals", "counts"):
        assert words in made.said
    for words in ("learned_normal", "negative_binomial", "bound masked"):
        assert words in made.said
    for name in ("config.yaml", "data.json", "model.npz", "log.jsonl"):
        assert (run / name).stat().st_size > 0
        assert f"wrote {run / name}" in made.said
    assert (run / "training.png").stat().st_size > 10_000
    assert list((run / "checkpoints").glob("step-*.npz"))
    history = pd.read_csv(run / "history.csv")
    assert list(history.epoch) == list(range(EPOCHS))
    assert np.isfinite(history.validation).all()


def test_the_nearest_option_is_named(made, capsys):
    said = refusal(capsys, "impute", made.folder / "run", "data", "--interval", "ends")
    assert (
        "unrecognized arguments: --interval ends (did you mean '--intervals'?)" in said
    )


def test_a_run_is_never_overwritten_unasked(made, capsys):
    folder = made.folder
    before = (folder / "run" / "model.npz").read_bytes()
    said = refusal(capsys, "fit", folder / "data", "--out", folder / "run", *TINY)
    assert "holds config.yaml of an earlier run" in said
    assert "consilience resume" in said
    assert (folder / "run" / "model.npz").read_bytes() == before


def test_a_refused_fit_leaves_nothing_behind(made, capsys):
    folder = made.folder
    arguments = ("--likelihoods", "genes=bernoulli", "--out", folder / "none", *TINY)
    said = refusal(capsys, "fit", folder / "data", *arguments)
    assert "modality 'genes'" in said
    assert not (folder / "none").exists()


def test_a_refused_fit_leaves_the_earlier_run(made, capsys, tmp_path):
    shutil.copytree(made.folder / "run", tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    arguments = ("--likelihoods", "genes=bernoulli", "--out", tmp_path / "run", *TINY)
    said = refusal(capsys, "fit", made.folder / "data", *arguments, "--overwrite")
    assert "modality 'genes'" in said
    assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("killed", [False, True])
def test_an_earlier_run_goes_when_an_epoch_ends_behind_a_checkpoint(
    made, tmp_path, killed
):
    """A fit that was killed before has left it aside, and nothing of worth."""
    folder = copied(made.folder / "run", tmp_path / "run")
    (folder / "model.npz").write_text("first")
    for seed in range(1 + killed):
        again = runs.read(folder)
        runs.begin(again._replace(config=again.config | {"seed": seed}))
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "data.json",
    ]
    logger = earlier.UntilCheckpoint(folder, folder / "checkpoints")
    logger.open(None)
    logger.log(1, {})
    (aside,) = (path for path in tmp_path.iterdir() if path != folder)
    assert (aside / "model.npz").read_text() == "first"
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-000000002.npz").touch()
    logger.log(2, {})
    assert [*tmp_path.iterdir()] == [folder]
    assert "resume" in runs.stopped(again)


def test_what_fails_behind_a_checkpoint_leaves_the_new_run(made, tmp_path):
    """Such as a picture that cannot be written when the training is over."""
    folder = copied(made.folder / "run", tmp_path / "run")
    (folder / "model.npz").write_text("first")
    again = runs.read(folder)
    begun = runs.begin(again)
    (folder / "model.npz").write_text("second")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-000000002.npz").touch()
    runs.forget(again, begun)
    assert [*tmp_path.iterdir()] == [folder]
    assert (folder / "model.npz").read_text() == "second"


def test_a_fit_stopped_before_a_checkpoint_leaves_the_earlier_run(made, tmp_path):
    folder = copied(made.folder / "run", tmp_path / "run")
    (folder / "model.npz").write_text("first")
    before = contents(tmp_path)
    runs.begin(runs.read(folder))
    assert "earlier run is back" in runs.stopped(runs.read(folder))
    assert contents(tmp_path) == before


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_imputing_keeps_what_was_measured_and_fills_the_rest(made, ending):
    folder, frames, _ = made
    out = folder / f"imputed_{ending}"
    arguments = ("--out", out, "--format", ending, "--draws", 20)
    call("impute", folder / "run", folder / "data", *arguments)
    for name, frame in frames.items():
        found = read(out / f"{name}.{ending}")
        assert found.index.name == "patient"  # as in the files
        assert list(found.columns) == list(frame.columns)
        assert len(found) == 50
        assert np.isfinite(found.to_numpy()).all()
        kept = found.loc[frame.index]
        measured = frame.notna()
        np.testing.assert_array_equal(  # bit by bit
            kept.to_numpy()[measured], frame.to_numpy()[measured]
        )
    genes = read(out / f"genes.{ending}")
    filled = genes[~frames["genes"].reindex(genes.index).notna()].median()
    assert (np.abs(filled - 100) < 20).all()  # as in the files, not scaled


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    return pd.read_csv(path, index_col="patient")


def test_imputed_tables_are_data_again(made):
    folder = made.folder
    out = folder / "imputed_again"
    call(
        "impute", folder / "run", folder / "data", "--out", out, "--estimate", "median"
    )
    data = cs.read(out)
    assert data.size == 50
    assert bool(data.present.all())
    assert {str(x.dtype) for x in data.values.values()} == {"int32", "float32"}


def test_whole_modalities_may_be_lacking(made):
    folder, frames, _ = made
    (folder / "genes_only").mkdir()
    frames["genes"].to_csv(folder / "genes_only" / "genes.csv")
    out = folder / "from_genes"
    arguments = ("--out", out, "--estimate", "draw", "--intervals", folder / "ends")
    call("impute", folder / "run", folder / "genes_only", *arguments, "--draws", 50)
    counts = read(out / "counts.csv").to_numpy()
    assert counts.shape == (40, COUNTS)
    assert (counts == counts.round()).all()
    assert (counts >= 0).all()
    lower = pd.read_csv(folder / "ends" / "genes.lower.csv", index_col="patient")
    upper = pd.read_csv(folder / "ends" / "genes.upper.csv", index_col="patient")
    measured = frames["genes"].notna()
    assert lower.isna().equals(measured)
    assert (lower < upper).to_numpy()[~measured].all()


def test_encoding_gives_the_posterior(made):
    import arviz as az

    folder = made.folder
    out = folder / "encoded"
    files = [out.with_suffix(ending) for ending in (".csv", ".parquet", ".nc", ".png")]
    options = [x for path in files for x in ("--out", path)]
    call("encode", folder / "run", folder / "data", *options, "--draws", 400)
    frame = pd.read_csv(files[0], index_col="patient")
    assert list(frame.columns) == ["z0_mean", "z1_mean", "z0_sd", "z1_sd"]
    pd.testing.assert_frame_equal(frame, pd.read_parquet(files[1]))
    z = az.from_netcdf(files[2]).posterior["z"]
    assert z.shape == (1, 400, 50, 2)
    # two sets of 400 draws: their means differ by √(2/400) standard deviations
    means, spread = frame[["z0_mean", "z1_mean"]], frame[["z0_sd", "z1_sd"]]
    away = (z.mean(("chain", "draw")).to_numpy() - means) / (
        spread.to_numpy() / 200**0.5
    )
    assert np.abs(away.to_numpy()).max() < 5
    assert files[3].stat().st_size > 10_000


def test_what_is_given_matters(made):
    folder = made.folder
    paths = [folder / f"given_{i}.csv" for i in range(2)]
    for path, names in zip(paths, (["genes"], ["genes", "counts"]), strict=True):
        run_and_data = (folder / "run", folder / "data")
        call("encode", *run_and_data, "--out", path, "--draws", 50, "--given", *names)
    one, two = (pd.read_csv(path, index_col="patient") for path in paths)
    neither = one.index > "s44"  # without genes: the prior, which has variance 1
    assert np.abs(one[neither][["z0_sd", "z1_sd"]] - 1).to_numpy().max() < 0.5
    assert (one.to_numpy() != two.to_numpy()).any()


def test_evaluation_adds_up(made):
    folder = made.folder
    out = folder / "evaluation"
    arguments = ("--out", out, "--draws", 50, "--coverage", 0.8)
    (folder / "others").mkdir()  # other samples, for all that the files say
    for name, frame in made.frames.items():
        frame.rename(index=str.upper).to_csv(folder / "others" / f"{name}.csv")
    call("evaluate", folder / "run", folder / "others", *arguments)
    table = pd.read_csv(out / "likelihoods.csv", index_col="given")
    assert list(table.index) == ["everything", "counts", "genes"]
    assert list(table.samples) == [50, 45, 40]
    assert (table.log_p < 0).all()
    said = json.loads((out / "evaluation.json").read_text())
    assert said["likelihoods"][0]["log_p"] == pytest.approx(table.log_p.iloc[0])
    assert {line["modality"] for line in said["coverage"]} == {"genes", "counts"}
    rates = pd.read_csv(out / "rates.csv")
    assert {"full rate", "cross rate"} <= set(rates.figure)
    assert (out / "likelihoods.png").stat().st_size > 10_000


@pytest.mark.parametrize("given", [False, True])
def test_samples_that_were_trained_on_are_not_scored(made, capsys, tmp_path, given):
    run, source = made.folder / "run", made.folder / "data"
    if given:  # the same data elsewhere
        source = Path(shutil.copytree(source, tmp_path / "copy"))
    capsys.readouterr()
    found = evaluate._unseen(run, source if given else None)
    assert ("was trained on these samples" in capsys.readouterr().out) == given
    _, held = data.split(cs.read(source), 0.1)
    assert tuple(found.rows.row_names) == tuple(held.row_names)
    assert tuple(found.arrays.row_names) == tuple(held.row_names)
    assert len(found.arrays.values["genes"]) == held.size == 5


def test_runs_on_the_same_rows_are_compared(made, capsys):
    folder = made.folder
    student = ("--likelihoods", "genes=student_t", "--seed", 1, "--epochs", 2, *TINY)
    call("fit", folder / "data", "--out", folder / "student", *student)
    capsys.readouterr()
    out = ("--out", folder / "c.csv", "--out", folder / "c.png", "--draws", 30)
    call("compare", folder / "run", folder / "student", *out)
    assert "log-likelihood of 5 samples" in capsys.readouterr().out
    table = pd.read_csv(folder / "c.csv", index_col="run")
    assert set(table.index) == {str(folder / "run"), str(folder / "student")}
    assert table.weight.sum() == pytest.approx(1)


def test_runs_on_other_rows_are_not_compared(made, capsys, tmp_path):
    """Said by what the folders say, before any model is loaded."""
    run = made.folder / "run"
    other, share = copied(run, tmp_path / "other"), copied(run, tmp_path / "share")
    described = json.loads((other / "data.json").read_text())
    described |= {"sha256": "0" * 64, "data": str(tmp_path / "elsewhere")}
    (other / "data.json").write_text(json.dumps(described))
    said = refusal(capsys, "compare", run, other)
    assert f"{other}: expected a run on the data of {run}" in said
    assert str(tmp_path / "elsewhere") in said
    config = (share / "config.yaml").read_text()
    (share / "config.yaml").write_text(
        config.replace("validation: 0.1", "validation: 0.2")
    )
    said = refusal(capsys, "compare", run, share)
    assert "validation: 0.1, got 0.2" in said


def copied(run: Path, to: Path) -> Path:
    """What a run says of itself, without what it trained."""
    to.mkdir()
    for name in ("config.yaml", "data.json"):
        (to / name).write_bytes((run / name).read_bytes())
    return to


def test_columns_are_matched_by_name(made, capsys):
    """Another order and further columns give the same latents; what lacks is missing."""
    folder, frames, _ = made
    found = {}
    for case, genes in {
        "same": frames["genes"],
        "moved": frames["genes"].iloc[:, ::-1].assign(h9=1.0),
        "lacking": frames["genes"].rename(columns={"g1": "h1"}),
        "empty": frames["genes"].assign(g1=np.nan),
    }.items():
        (folder / case).mkdir()
        genes.to_csv(folder / case / "genes.csv")
        out = folder / f"{case}.csv"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            arguments = ("--out", out, "--draws", 20)
            assert not call("encode", folder / "run", folder / case, *arguments)
        said = capsys.readouterr().err + " ".join(str(w.message) for w in caught)
        found[case] = out.read_text(), said
    assert found["moved"][0] == found["same"][0]
    assert found["lacking"][0] == found["empty"][0] != found["same"][0]
    assert "matched" not in found["same"][1] + found["empty"][1]
    assert "modality 'genes': h9 left out, order restored" in found["moved"][1]
    assert "modality 'genes': h1 left out, g1 missing" in found["lacking"][1]


def test_other_columns_are_refused_by_name(made, capsys):
    folder, frames, _ = made
    (folder / "columns").mkdir()
    frames["genes"].add_prefix("h").to_csv(folder / "columns" / "genes.csv")
    said = refusal(capsys, "encode", folder / "run", folder / "columns")
    assert "modality 'genes': expected columns among g0, g1, g2, g3" in said
    assert "got hg0, hg1, hg2, hg3, of which none is known" in said


def test_modalities_that_the_run_does_not_know_are_refused(made, capsys):
    folder, frames, _ = made
    (folder / "unknown").mkdir()
    for name in ("genes", "count"):
        frames["genes"].to_csv(folder / "unknown" / f"{name}.csv")
    said = refusal(capsys, "encode", folder / "run", folder / "unknown")
    assert (
        "there is no modality in the run called 'count' (did you mean 'counts'?)"
        in said
    )


def test_entries_that_training_never_lacked_are_refused(made, capsys):
    folder, frames, _ = made
    (folder / "holes").mkdir()
    holes = frames["counts"].astype(float).mask(frames["counts"] == 2)
    holes.to_csv(folder / "holes" / "counts.csv")
    said = refusal(capsys, "encode", folder / "run", folder / "holes")
    assert "modality 'counts': single entries are missing" in said
    assert "train again with --entry-masks true" in said


def test_resume_goes_on_to_the_same_end(made, tmp_path):
    """From no checkpoint, as if killed before the first; with one: tests of training."""
    whole = cs.load(made.folder / "run" / "model.npz")
    stopped = copied(made.folder / "run", tmp_path / "run")
    call("resume", stopped, "--quiet")
    again = cs.load(stopped / "model.npz")
    pairs = zip(*(jax.tree.leaves(x.params) for x in (whole, again)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)
    newest = sorted((stopped / "checkpoints").glob("step-*.npz"))[-1]
    (stopped / "model.npz").unlink()
    call("resume", stopped, "--quiet")  # there is nothing left to do
    assert sorted((stopped / "checkpoints").glob("step-*.npz"))[-1] == newest
    assert (stopped / "model.npz").is_file()


def test_a_run_that_was_not_finished_says_so(made, capsys, tmp_path):
    unfinished = copied(made.folder / "run", tmp_path / "run")
    said = refusal(capsys, "encode", unfinished, made.folder / "data")
    assert f"`consilience resume {unfinished}` goes on" in said


def test_errors_of_a_training_are_said_in_options(made, capsys, tmp_path, monkeypatch):
    """And the earlier run is back where the new one did not get through an epoch."""

    def stop(*_, **__):
        raise cs.NonFiniteError("fit: clip_norm=...", 0, "KL", np.array([]), None)

    monkeypatch.setattr(cs, "fit", stop)
    folder = copied(made.folder / "run", tmp_path / "run")
    before = contents(tmp_path)
    arguments = ("--out", folder, "--overwrite", *TINY)
    said = refusal(capsys, "fit", made.folder / "data", *arguments)
    assert "--clip-norm 10" in said
    assert "--nonfinite skip" in said
    assert f"{folder} holds the earlier run again" in said
    assert contents(tmp_path) == before


def test_a_refused_checkpoint_says_how_to_begin_anew(made, capsys, tmp_path):
    folder = copied(made.folder / "run", tmp_path / "run")
    config = (folder / "config.yaml").read_text()
    changed = config.replace("batch_size: 32", "batch_size: 16")
    (folder / "config.yaml").write_text(changed)
    shutil.copytree(made.folder / "run" / "checkpoints", folder / "checkpoints")
    said = refusal(capsys, "resume", folder, "--quiet")
    assert f"--config {folder / 'config.yaml'} --out ANOTHER_RUN" in said


def test_resume_refuses_other_data(made, capsys):
    folder, frames, _ = made
    (folder / "changed").mkdir()
    for name, frame in frames.items():
        (frame + (name == "genes")).to_csv(folder / "changed" / f"{name}.csv")
    said = refusal(capsys, "resume", folder / "run", "--data", folder / "changed")
    assert "expected the data that" in said
