"""Configurations of a fit: misspelt, of other types, damaged, contradictory."""

import numpy as np

from attack.case import Case, mechanism, pick
from attack.running import TINY, RefusedError, command, write_data
from attack.tables import accept

VALUES = {
    "latent_dim": (
        0,
        -1,
        2.5,
        "two",
        True,
        [1],
        ".nan",
        ".inf",
        "1e3x",
        "{a: 1}",
        "null",
    ),
    "epochs": (0, -3, 1.5, "many", True, ".nan", "[1]"),
    "batch_size": (0, -1, 2.5, "all", ".inf", True, "null"),
    "learning_rate": (0, -0.1, ".nan", ".inf", "fast", True, "[0.1]", "null"),
    "clip_norm": (0, -1, ".nan", "true", "x"),
    "validation": (-0.1, 1, 1.5, ".nan", "half", True, "null"),
    "patience": (0, -1, 2.5, "true", "x"),
    "seed": (-1, 2.5, "x", True, 99999999999999999999, ".nan", 2**64, "null"),
    "num_features": (0, -1, 2.5, "x", True),
    "likelihoods": (
        "gaussian",
        3,
        "{genes: gaussian}",
        "{gene: normal}",
        "[normal]",
        "{genes: {name: student_t, df: -1}}",
        "{genes: {df: 3}}",
        "{genes: {name: student_t, dof: 3}}",
        "{genes: {name: normal, scale: .nan}}",
        "{genes: poisson}",
        "{genes: bernoulli}",
        "{genes: {name: categorical, num_classes: 3}}",
        "{genes: {name: student_t, df: .inf}}",
        "{genes: {name: learned_normal, initial_scale: .inf}}",
    ),
    "prior": (
        "normal",
        3,
        "{name: gaussian_mixture}",
        "{name: gaussian_mixture, num_components: 0}",
        "{num_components: 2}",
    ),
    "decoders": (
        "mpl",
        "{genes: nothing}",
        3,
        "{name: mlp, hidden: [0]}",
        "{name: mlp, hidden: x}",
        "{name: mlp, hidden: [-3]}",
        "conv",
    ),
    "encoders": (
        "mpl",
        "{genes: nothing}",
        3,
        "{name: mlp, hidden: [0]}",
        "{name: mlp, hidden: 2.5}",
        "conv",
    ),
    "aggregation": ("sum", 3, "{name: sum_pooling, size: 3}", "[sum_pooling]"),
    "head": (
        "gauss",
        3,
        "{name: normal, min_scale: -1}",
        "{name: mixture, num_components: 0}",
    ),
    "bound": (
        "elbo",
        3,
        "{name: importance_weighted, num_samples: 0}",
        "{name: masked, exhaustive: 2}",
        "{name: masked, beta: 2}",
    ),
    "subsets": (
        "some",
        "{name: independent, probability: 2}",
        "{name: by_size, weights: [1, x]}",
        "{name: fixed, members: [true]}",
    ),
    "beta": (
        -1,
        ".nan",
        "x",
        "{name: warm_up}",
        "{name: warm_up, epochs: 0}",
        "{name: cyclical, epochs: 3, rise: 2}",
    ),
    "weights": (2, "{genes: -1}", "{genes: x}", "{gene: 1}", "{genes: .nan}", "[1, 2]"),
    "schedule": ("cosinus", 3, "null"),
    "nonfinite": ("ignore", 3, "true"),
    "standardize": ("some", "[gene]", "[counts]", 3, "{genes: true}"),
    "log": ("some", "[gene]", 3),
    "samples": ("both", 3, "[union]"),
    "modalities": ("[gene]", 3, "[]", "{rna: gene}", "[genes, genes]"),
    "id_column": ("patients", 3, "[patient]"),
    "allow_empty_rows": (1, "x", "[true]"),
    "entry_masks": (1, "x"),
    "covariates": ("[age]", 3, "none.csv"),
    "categories": ("{sex: [f]}", 3, "[sex]"),
    "label": ("gene", 3, "genes", "[genes]"),
    "preset": (
        "vae",
        3,
        "{name: mvtcae, alpha: 2}",
        "{name: mmvae_plus, private_dim: 0}",
    ),
}
PAIRS = [(key, value) for key, values in VALUES.items() for value in values]


def fit(folder, text: str | bytes, *more, name: str = "run.yaml") -> str:
    """A fit with this configuration, which trains for one epoch if it may."""
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(raw)
    small = () if more else TINY
    try:
        return command(
            "fit",
            write_data(folder),
            "--out",
            folder / "run",
            "--config",
            folder / name,
            *small,
            *more,
        )
    except RefusedError:
        left = (
            [p.name for p in (folder / "run").rglob("*")]
            if (folder / "run").exists()
            else []
        )
        assert not left, f"refused, and leaves {left} behind"
        raise


@mechanism("config: values of another kind", 90, quick=3, seconds=300)
def values(rng, seed):
    """The file and the key are named, and nothing is left behind."""
    order = np.random.default_rng(4).permutation(len(PAIRS))
    key, value = PAIRS[order[seed % len(PAIRS)]]
    text = f"{key}: {str(value).lower() if isinstance(value, bool) else value}\n"
    small = [
        TINY[i : i + 2]
        for i in range(1, len(TINY), 2)
        if TINY[i] != "--" + key.replace("_", "-")
    ]
    more = ("--quiet", *(word for pair in small for word in pair))
    return Case(
        text.strip(),
        lambda folder: fit(folder, text, *more),
        None,
        (rf"{key}|{key.replace('_', '-')}|{key.rstrip('s')}|an image",),
    )


@mechanism("config: keys misspelt", 30, quick=2, seconds=300)
def misspelt(rng, seed):
    """One letter lost, doubled or exchanged: the nearest key is offered."""
    key = list(VALUES)[seed % len(VALUES)]
    where = int(rng.integers(1, len(key)))
    wrong = pick(
        rng,
        [
            key[:where] + key[where + 1 :],
            key[:where] + key[where] + key[where:],
            key[:where] + "x" + key[where + 1 :],
        ],
    )
    if wrong == key or wrong in VALUES:
        wrong = key + "x"
    return Case(
        wrong,
        lambda folder: fit(folder, f"{wrong}: 3\n"),
        None,
        (r"run\.yaml", wrong, "did you mean"),
    )


TEXTS = (
    b"",
    b"\n",
    b"epochs",
    b"- 1\n",
    b"epochs: 3\n  seed: 2\n",
    b"epochs: 3\nepochs: 4\n",
    b"epochs: [\n",
    b"epochs: 3\n\ttab: 1\n",
    b"{",
    b"epochs: *a\n",
    b"a: &a [*a]\n",
    b"!!python/object/apply:os.system ['true']\n",
    b"epochs: !!int x\n",
    b"\xff\xfee\0p\0",
    b"\0",
    b"epochs: 3\0\n",
    b"---\nepochs: 1\n---\nepochs: 2\n",
    b"3: 4\n",
    b"null: 1\n",
    b"? [a]\n: 1\n",
    b"epochs: 2024-01-01\n",
    b"seed: 0x10\n",
    b"[" * 2000,
    b"a: " * 2000,
    b"x: &a [1,1]\ny: &b [*a,*a]\nz: &c [*b,*b]\n",
)


@mechanism("config: texts that are no configuration", len(TEXTS), quick=2, seconds=300)
def texts(rng, seed):
    raw = TEXTS[seed % len(TEXTS)]
    good = accept if raw == b"seed: 0x10\n" else None
    return Case(
        f"{raw[:40]!r}",
        lambda folder: fit(folder, raw),
        good,
        (r"run\.yaml", "expected|YAML|key|UTF-8|yaml|got"),
    )


GOOD = """epochs: 1
latent_dim: 1
num_features: 2
encoders: {name: mlp, hidden: [2]}
decoders: linear
batch_size: 8
validation: 0.1
likelihoods: {genes: normal}
seed: 3
"""


@mechanism("config: damaged at random", 20, quick=0, seconds=300)
def damaged(rng, seed):
    """Of a good one: refused, or trained with what it says."""
    raw = bytearray(GOOD.encode())
    for _ in range(int(rng.integers(1, 3))):
        raw[int(rng.integers(len(raw)))] = int(
            pick(rng, [ord(c) for c in "{}[]:,#&*!|>-0 x\n\t\"'%@`?"])
        )
    raw = bytes(raw)
    return Case(
        f"{raw!r}",
        lambda folder: fit(folder, raw, "--quiet"),
        accept,
        (r"run\.yaml|--",),
    )


@mechanism("config: TOML", 8, quick=1, seconds=300)
def toml(rng, seed):
    raw = (
        b"epochs = \n",
        b"epochs = 0\n",
        b"[epochs]\na = 1\n",
        b"epohcs = 3\n",
        b"\xff",
        b"epochs = 3\nepochs = 4\n",
        b"seed = 1979-05-27\n",
        b"latent_dim = nan\n",
    )[seed % 8]
    return Case(
        f"{raw!r}",
        lambda folder: fit(folder, raw, name="run.toml"),
        None,
        (r"run\.toml",),
    )


OPTIONS = (
    ("--epochs", "0"),
    ("--epochs", "x"),
    ("--epochs",),
    ("--epochs", "3", "4"),
    ("--epoch", "3"),
    ("--latent-dim", "-1"),
    ("--likelihoods", "gene=normal"),
    ("--likelihoods", "=normal"),
    ("--likelihoods", "genes="),
    ("--likelihoods", "genes=student_t:df"),
    ("--likelihoods", "genes=student_t:df=x"),
    ("--likelihoods", "genes=student_t:"),
    ("--encoders", "mlp:hidden=[2"),
    ("--encoders", "mlp:hidden=2,3"),
    ("--seed", "99999999999999999999"),
    ("--seed", "-1"),
    ("--seed", "1.5"),
    ("--seed", str(2**32)),
    ("--seed", str(2**63)),
    ("--config", "none.yaml"),
    ("--config", "."),
    ("--weights", "genes"),
    ("--weights", "genes=-1"),
    ("--beta", "warm"),
    ("--out", ""),
    ("--validation", "2"),
    ("--modalities", "gene"),
    ("--standardize", "counts"),
    ("--nonsense",),
    ("--aggregation", ""),
    ("--transpose", "gene"),
    ("--transpose", "genes"),
)


@mechanism("config: options", len(OPTIONS), quick=3, seconds=300)
def options(rng, seed):
    given = OPTIONS[seed % len(OPTIONS)]

    def run(folder):
        try:
            return command(
                "fit", write_data(folder), "--out", folder / "run", *TINY, *given
            )
        except RefusedError:
            left = (
                list((folder / "run").rglob("*")) if (folder / "run").exists() else []
            )
            assert not left, f"refused, and leaves {left} behind"
            raise

    large = given[-1] in (str(2**32), str(2**63), "genes=student_t:")
    word = rf"{given[0]}|{given[0][2:]}|none\.yaml|expected a file|arguments: 4"
    return Case(" ".join(given), run, accept if large else None, (word,))
