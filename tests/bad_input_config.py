"""Malformed configurations and options of the command line."""

import contextlib
import io

from bad_input import BadInput

GENES = "sample,x,y\n" + "".join(f"s{i},{i}.5,{-i}.25\n" for i in range(8))
COUNTS = "sample,u\n" + "".join(f"s{i},{i * 3}\n" for i in range(2, 10))


def command(*arguments):
    """Run a command; what it says before exit code 2 becomes the error."""
    from consilience.cli.main import main

    said = io.StringIO()
    try:
        with (
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            main([str(argument) for argument in arguments])
    except SystemExit as stop:
        said.write("" if stop.code == 2 else f" exit code {stop.code}")
        raise ValueError(said.getvalue().strip()) from None


def data(folder):
    """Two tables whose samples overlap."""
    (folder / "data").mkdir()
    (folder / "data" / "genes.csv").write_text(GENES)
    (folder / "data" / "counts.csv").write_text(COUNTS)
    return folder / "data"


def configured(text, name="run.yaml"):
    """`fit` with a configuration file."""

    def run(folder):
        if text is not None:
            raw = text if isinstance(text, bytes) else text.encode()
            (folder / name).write_bytes(raw)
        arguments = ("--out", folder / "run", "--config", folder / name)
        return command("fit", data(folder), *arguments)

    return run


def option(*arguments):
    """`fit` with options."""
    return lambda folder: command(
        "fit", data(folder), "--out", folder / "run", *arguments
    )


def made(make):
    """Some other command, whose arguments need the folder."""
    return lambda folder: command(*make(folder))


def there(folder):
    """A run, as far as a folder can look like one."""
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("epochs: 3\n")
    (folder / "run" / "data.json").write_text("[]")
    return folder / "run"


CONFIG = [
    BadInput(
        "config: unknown key",
        configured("likelihood: normal\n"),
        r"there is no key 'likelihood' \(did you mean 'likelihoods'\?\)",
    ),
    BadInput(
        "config: unknown likelihood",
        configured("likelihoods: student\n"),
        r"likelihoods: expected one of .*, got 'student' \(did you mean 'student_t'\?\)",
    ),
    BadInput(
        "config: unknown likelihood of a modality",
        configured("likelihoods: {genes: gauss}\n"),
        r"likelihoods\[genes\]: expected one of .*, got 'gauss'",
    ),
    BadInput(
        "config: unknown modality",
        configured("likelihoods: {gene: normal}\n"),
        r"likelihoods: there is no modality called 'gene' \(did you mean 'genes'\?\)",
    ),
    BadInput(
        "config: unknown setting",
        configured("likelihoods: {name: student_t, dof: 3}\n"),
        r"likelihoods: there is no setting of student_t called 'dof' \(did you mean 'df'",
    ),
    BadInput(
        "config: setting out of range",
        configured("likelihoods: {name: student_t, df: -1}\n"),
        r"likelihoods: student_t: df: expected a number above 0, got -1",
    ),
    BadInput(
        "config: setting of another type",
        configured("likelihoods: {name: normal, scale: wide}\n"),
        r"likelihoods\.scale: expected a number, got 'wide'",
    ),
    BadInput(
        "config: setting that is needed",
        configured("prior: gaussian_mixture\n"),
        r"prior: expected the setting 'num_components' beside gaussian_mixture",
    ),
    BadInput(
        "config: choice without a name",
        configured("encoders: {genes: {hidden: [8]}}\n"),
        r"encoders\[genes\]: expected one of .*; the key `name` says which",
    ),
    BadInput(
        "config: layer of no width",
        configured("encoders: {name: mlp, hidden: [64, 0]}\n"),
        r"encoders\.hidden\[1\]: expected a whole number of 1 or more, got 0",
    ),
    BadInput(
        "config: whole number as a text",
        configured("latent_dim: '10'\n"),
        r"latent_dim: expected a whole number of 1 or more, got '10'",
    ),
    BadInput(
        "config: truth value as a number",
        configured("epochs: true\n"),
        r"epochs: expected a whole number of 1 or more, or none, got True",
    ),
    BadInput(
        "config: fraction of an epoch",
        configured("epochs: 2.5\n"),
        r"epochs: expected a whole number of 1 or more, or none, got 2\.5",
    ),
    BadInput(
        "config: learning rate of zero",
        configured("learning_rate: 0\n"),
        r"learning_rate: expected a number above 0, got 0",
    ),
    BadInput(
        "config: infinite learning rate",
        configured("learning_rate: .inf\n"),
        r"learning_rate: expected a number above 0, got inf",
    ),
    BadInput(
        "config: negative beta",
        configured("beta: -1\n"),
        r"beta: expected a number of 0 or more, got -1",
    ),
    BadInput(
        "config: warm-up of no length",
        configured("beta: {name: warm_up}\n"),
        r"beta: expected the setting 'epochs' beside warm_up",
    ),
    BadInput(
        "config: negative weight",
        configured("weights: {genes: -1}\n"),
        r"weights\[genes\]: expected a number of 0 or more, got -1",
    ),
    BadInput(
        "config: everything held out",
        configured("validation: 1\n"),
        r"validation: expected a number from 0 to below 1, got 1",
    ),
    BadInput(
        "config: too few rows to train on",
        configured("validation: 0.99\n"),
        r"validation: expected rows to train on beside a share of 0\.99, got 10 in all",
    ),
    BadInput(
        "config: unknown schedule",
        configured("schedule: cosinus\n"),
        r"schedule: expected one of constant, .*, got 'cosinus' \(did you mean 'cosine'\?\)",
    ),
    BadInput(
        "config: preset beside a bound",
        configured("preset: mvae\nbound: masked\n"),
        r"preset: expected mvae alone, .*, got bound beside it",
    ),
    BadInput(
        "config: estimator that a preset has not",
        configured("preset: mmjsd\nestimator: stl\n"),
        r"estimator: expected none beside mmjsd, whose bound takes none",
    ),
    BadInput(
        "config: preset's setting out of range",
        configured("preset: {name: mvtcae, alpha: 2}\n"),
        r"preset: mvtcae: alpha: expected a number in \[0, 1\], got 2",
    ),
    BadInput(
        "config: head of an aggregation that has its own",
        configured("aggregation: corrected_product\nhead: mixture\n"),
        r"head: expected none beside aggregation corrected_product",
    ),
    BadInput(
        "config: law of subsets that a bound has not",
        configured("bound: mixture_of_experts\nsubsets: unimodal\n"),
        r"subsets: expected none beside mixture_of_experts, whose bound takes none",
    ),
    BadInput(
        "config: law of subsets of another length",
        configured("subsets: {name: by_size, weights: [1, 2]}\n"),
        r"subsets\.weights: expected 3 entries for 2 modalities, got 2",
    ),
    BadInput(
        "config: estimator that is wrong for the bound",
        configured("estimator: dreg\n"),
        r"bound: masked: estimator: expected STL\(\).*, got DReG\(\)",
    ),
    BadInput(
        "config: aggregation that the bound cannot use",
        configured("bound: mixture_of_experts\naggregation: sum_pooling\n"),
        r"aggregation: expected mixture_of_experts for bound mixture_of_experts, got sum_p",
    ),
    BadInput(
        "config: patience without held-out rows",
        configured("patience: 5\nvalidation: 0\n"),
        r"patience: expected rows that are held out, got validation: 0",
    ),
    BadInput(
        "config: counts standardised",
        configured("standardize: [counts]\n"),
        r"standardize: modality 'counts': expected a likelihood of real numbers",
    ),
    BadInput(
        "config: modality named twice",
        configured("standardize: [genes, genes]\n"),
        r"standardize: expected .*, in which one comes twice",
    ),
    BadInput(
        "config: unknown column of ids",
        configured("id_column: smaple\n"),
        r"id_column: .*: expected one of its columns .*, got 'smaple'",
    ),
    BadInput(
        "config: line that is not YAML",
        configured("likelihoods:\n  genes: normal\n counts: poisson\n"),
        r"run\.yaml, line 3, column 2: not YAML",
    ),
    BadInput(
        "config: key twice",
        configured("epochs: 3\nepochs: 5\n"),
        r"run\.yaml, line 2, column 1: not YAML: the key 'epochs' comes twice",
    ),
    BadInput(
        "config: list",
        configured("- epochs\n"),
        r"run\.yaml: expected lines such as `likelihoods: student_t`, got a list",
    ),
    BadInput(
        "config: nothing",
        configured(""),
        r"run\.yaml: expected lines such as .*, got an empty file",
    ),
    BadInput(
        "config: bytes",
        configured(b"\xff\xfe\x00e"),
        r"run\.yaml: expected text in UTF-8, got other bytes",
    ),
    BadInput(
        "config: no file",
        configured(None),
        r"run\.yaml: expected a file, found none",
    ),
    BadInput(
        "config: file of another kind",
        configured("epochs = 3", "run.ini"),
        r"run\.ini: expected a file that ends in \.yaml, \.yml, \.toml",
    ),
    BadInput(
        "config: line that is not TOML",
        configured("epochs = \n", "run.toml"),
        r"run\.toml: not TOML: .*line 1",
    ),
]

OPTIONS = [
    BadInput(
        "option: unknown option",
        option("--epoch", "3"),
        r"unrecognized arguments: --epoch 3 \(did you mean '--epochs'\?\)",
    ),
    BadInput(
        "option: value out of range",
        option("--batch-size", "0"),
        r"--batch-size: expected a whole number of 1 or more, got 0",
    ),
    BadInput(
        "option: one for all and one for a modality",
        option("--likelihoods", "genes=normal", "--likelihoods", "poisson"),
        r"--likelihoods: expected one of .*, for all modalities or by modality",
    ),
    BadInput(
        "option: setting of another type",
        option("--likelihoods", "genes=student_t:df=many"),
        r"--likelihoods\[genes\]\.df: expected a number, got 'many'",
    ),
    BadInput(
        "option: weight without a modality",
        option("--weights", "2"),
        r"--weights: expected modalities, each with a number of 0 or more, got '2'",
    ),
    BadInput(
        "option: unknown course of beta",
        option("--beta", "warm:epochs=3"),
        r"--beta: expected one of warm_up, cyclical, got 'warm' \(did you mean",
    ),
]

COMMANDS = [
    BadInput(
        "command: a folder that is no run",
        made(lambda folder: ("encode", folder, data(folder))),
        r"expected the folder of a run, .*, but there is no config\.yaml",
    ),
    BadInput(
        "command: a run whose data.json is another's",
        made(lambda folder: ("resume", there(folder))),
        r"data\.json: expected what `consilience fit` wrote",
    ),
    BadInput(
        "command: one run to compare",
        made(lambda folder: ("compare", folder / "run")),
        r"RUN: expected two or more, got .*run alone",
    ),
    BadInput(
        "command: a run compared with itself",
        made(lambda folder: ("compare", folder / "run", folder / "run")),
        r"RUN: expected each once, got .*run twice",
    ),
    BadInput(
        "command: a file of unknown kind",
        made(lambda folder: ("encode", folder, folder, "--out", folder / "z.xlsx")),
        r"--out: expected a file that ends in \.csv, .*, got '.*z\.xlsx'",
    ),
    BadInput(
        "command: a file that is there",
        made(
            lambda folder: (
                "encode",
                there(folder),
                folder,
                "--out",
                data(folder) / "genes.csv",
            )
        ),
        r"--out: .*genes\.csv is there already; name another file or add --overwrite",
    ),
    BadInput(
        "command: a run that is there",
        made(lambda folder: ("fit", data(folder), "--out", there(folder))),
        r"--out: .*run holds config\.yaml of an earlier run",
    ),
]

BAD = [*CONFIG, *OPTIONS, *COMMANDS]
