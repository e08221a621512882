"""All that a fit can be told, by options and in a file: one table of keys."""

from functools import partial
from typing import NamedTuple

import consilience as cs
from consilience.cli.beta import Beta
from consilience.cli.choices import Choice, Choices
from consilience.cli.kinds import (
    CATEGORY,
    NON_NEGATIVE,
    POSITIVE,
    SHARE,
    TEXT,
    TRUTH,
    Kind,
    OneOf,
    OrNone,
    whole_number,
)
from consilience.cli.nested import ByModality, ListOf, Names, Renamed
from consilience.cli.presets import Preset
from consilience.experiments.options import MOST_SEED

DATA, MODEL, GUIDE = "data", "model p(x, z)", "guide q(z | x_S)"
BOUND, TRAINING = "bound", "training"
# Closed forms where there are any, in place of a refusal where there are none.
ESTIMATORS = cs.ESTIMATORS | {"analytic_kl": partial(cs.AnalyticKL, otherwise=cs.STL())}
OTHERS = ("beta", "weights", "estimator", "subsets")  # settings of bounds with own keys


class Key(NamedTuple):
    """One setting of a fit.

    Attributes:
        group: heading in the help.
        kind: of its values.
        default: None where nothing is set, or where it is found later.
        help: what it is; ends in words for the default where that is None.
        metavar: placeholder of its values.
    """

    group: str
    kind: Kind
    default: object
    help: str
    metavar: str = "NAME"


def _names(registry: dict) -> str:
    return ", ".join(registry)


KEYS: dict[str, Key] = {
    "modalities": Key(
        DATA,
        Renamed(),
        None,
        "what to read, in this order, or NEW=OLD to rename; may come again (default: "
        "all)",
        "MODALITY",
    ),
    "samples": Key(
        DATA,
        OneOf(("union", "intersection")),
        "union",
        "samples that any table has (union) or that all have (intersection)",
        "WHICH",
    ),
    "id_column": Key(
        DATA,
        OrNone(TEXT),
        None,
        "column of tables that has the sample ids (default: the first)",
        "COLUMN",
    ),
    "transpose": Key(
        DATA,
        Names(("all", "none")),
        None,
        "modalities whose tables have samples in columns, all or none; may come again "
        "(default: none, and tables that look like it are refused)",
        "MODALITY",
    ),
    "covariates": Key(
        DATA,
        Names(of="covariates"),
        None,
        "what is always known: names of columns, or a table; may come again (default: "
        "all of covariates.csv)",
    ),
    "categories": Key(
        DATA,
        ByModality(ListOf(CATEGORY), "covariates"),
        None,
        "of covariates that are words: COVARIATE=[first, second]; may come again",
        "COVARIATE=LIST",
    ),
    "allow_empty_rows": Key(
        DATA, TRUTH, False, "true: keep samples without any measurement", "true|false"
    ),
    "log": Key(
        DATA,
        Names(("all", "none")),
        "none",
        "modalities to take log(1 + x) of, or all; may come again",
        "MODALITY",
    ),
    "standardize": Key(
        DATA,
        Names(("auto", "all", "none")),
        "auto",
        "modalities to bring to mean 0 and standard deviation 1, all, none, or auto: "
        "those whose likelihood learns its scale; may come again",
        "MODALITY",
    ),
    "entry_masks": Key(
        DATA,
        TRUTH,
        False,
        "true: be ready for rows that miss single entries of modalities which miss "
        "none here",
        "true|false",
    ),
    "latent_dim": Key(MODEL, whole_number(1), 10, "dimensions of z", "D"),
    "likelihoods": Key(
        MODEL,
        Choices(Choice(cs.LIKELIHOODS)),
        None,
        f"of all modalities, or MODALITY=NAME; may come again: {_names(cs.LIKELIHOODS)} "
        "(default: found from the data, and said)",
    ),
    "prior": Key(
        MODEL,
        Choice(cs.PRIORS),
        None,
        f"of z: {_names(cs.PRIORS)} (default: standard_normal)",
    ),
    "label": Key(
        MODEL,
        OrNone(TEXT),
        None,
        "modality of whole numbers that says which component of a mixture prior a sample "
        "is of (default: none)",
        "MODALITY",
    ),
    "decoders": Key(
        MODEL,
        Choices(Choice(cs.DECODERS)),
        None,
        f"networks from z: {_names(cs.DECODERS)} (default: mlp)",
    ),
    "encoders": Key(
        GUIDE,
        Choices(Choice(cs.ENCODERS)),
        None,
        f"networks to features: {_names(cs.ENCODERS)} (default: mlp, of log(1 + x) for "
        "counts)",
    ),
    "num_features": Key(GUIDE, whole_number(1), 128, "width of features", "F"),
    "aggregation": Key(
        GUIDE,
        Choice(cs.AGGREGATIONS, ("head",)),
        None,
        f"from features to q: {_names(cs.AGGREGATIONS)} (default: corrected_product, or "
        "mixture_of_experts where the bound needs it)",
    ),
    "head": Key(
        GUIDE,
        Choice(cs.HEADS),
        None,
        f"family of q, for aggregations that take one: {_names(cs.HEADS)} (default: the "
        "aggregation's own)",
    ),
    "preset": Key(
        BOUND,
        Preset(cs.PRESETS, OTHERS),
        None,
        f"a published method in place of prior, aggregation and bound: "
        f"{_names(cs.PRESETS)} (default: none)",
    ),
    "bound": Key(
        BOUND,
        Choice(cs.BOUNDS, OTHERS),
        None,
        f"to train by: {_names(cs.BOUNDS)} (default: masked)",
    ),
    "subsets": Key(
        BOUND,
        Choice(cs.SUBSETS),
        None,
        f"law of the subset S: {_names(cs.SUBSETS)} (default: the bound's own)",
    ),
    "estimator": Key(
        BOUND,
        Choice(ESTIMATORS),
        None,
        f"of its rates: {_names(ESTIMATORS)} (default: the bound's own)",
    ),
    "beta": Key(
        BOUND,
        Beta(),
        1.0,
        "weight of the rates: a number, warm_up:epochs=20 or cyclical:epochs=20",
        "BETA",
    ),
    "weights": Key(
        BOUND,
        ByModality(NON_NEGATIVE),
        None,
        "weight of a modality's likelihood in training; may come again (default: 1 each)",
        "MODALITY=NUMBER",
    ),
    "epochs": Key(
        TRAINING,
        OrNone(whole_number(1)),
        None,
        "passes over the rows (default: enough for about 5000 steps, 20 to 1000)",
        "NUMBER",
    ),
    "batch_size": Key(TRAINING, whole_number(1), 128, "rows a step", "ROWS"),
    "learning_rate": Key(TRAINING, POSITIVE, 1e-3, "of Adam", "RATE"),
    "schedule": Key(
        TRAINING,
        OneOf(("constant", "cosine", "linear", "exponential")),
        "cosine",
        "of the learning rate: constant, or down to 0 by a cosine or linear, or "
        "exponential to a hundredth",
    ),
    "clip_norm": Key(
        TRAINING, OrNone(POSITIVE), None, "longest gradient (default: none)", "NORM"
    ),
    "patience": Key(
        TRAINING,
        OrNone(whole_number(1)),
        None,
        "stop after so many epochs in which the validation bound did not rise (default: "
        "none)",
        "EPOCHS",
    ),
    "validation": Key(
        TRAINING,
        SHARE,
        0.1,
        "share of the rows to hold out; the model kept is the one that is best on them",
        "SHARE",
    ),
    "nonfinite": Key(
        TRAINING,
        OneOf(("stop", "skip")),
        "stop",
        "what to do at a step that is not finite",
        "WHAT",
    ),
    "seed": Key(
        TRAINING,
        whole_number(0, MOST_SEED),
        0,
        "of parameters, order and noise, not of which rows are held out",
        "NUMBER",
    ),
}
