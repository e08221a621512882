"""What is found from the data where nothing was said, and the words to say it."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from consilience.cli.choices import for_all, of_modality
from consilience.cli.names import check_known
from consilience.datasets.contents import Arrays
from consilience.guides.encoders import usual_settings

STEPS, FEWEST, MOST = 5000, 20, 1000  # of a training; the last two are epochs
SCALED = ("learned_normal", "learned_laplace", "student_t", "heteroscedastic_normal")
COUNTS = ("poisson", "negative_binomial", "zero_inflated_negative_binomial")
WHOLE = ("bernoulli", "categorical", "one_hot", *COUNTS)
NEED_EXPERTS = ("mixture_of_experts", "jensen_shannon")


class Found(NamedTuple):
    """What a modality looks like.

    Attributes:
        kind: of its values, in words.
        likelihood: that fits them.
    """

    kind: str
    likelihood: dict


def measured(arrays: Arrays, name: str) -> Bool[np.ndarray, "rows ..."]:
    """Which entries of a modality were measured."""
    values = np.ma.asanyarray(arrays.values[name])
    seen = ~np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        seen &= ~np.isnan(np.ma.getdata(values))
    if name in (arrays.entries or {}):
        seen &= arrays.entries[name]
    if name in (arrays.present or {}):
        seen &= np.reshape(arrays.present[name], (-1,) + (1,) * (seen.ndim - 1))
    return seen


def looks(arrays: Arrays, name: str) -> Found:
    """Zeros and ones, counts or real numbers, by the entries that were measured."""
    seen = np.ma.getdata(arrays.values[name])[measured(arrays, name)]
    if not len(seen):
        raise ValueError(f"modality {name!r}: expected measurements, got none at all")
    whole = bool((seen == np.round(seen)).all() and (seen >= 0).all())
    if whole and seen.max() <= 1:
        return Found("0 and 1", {"name": "bernoulli"})
    if whole:
        return Found("counts", {"name": "negative_binomial"})
    return Found("reals", {"name": "learned_normal"})


def resolve(config: dict, arrays: Arrays, num_rows: int) -> dict:
    """Every key that depends on the data, by modality where it can differ.

    Args:
        config: merged keys.
        arrays: the data as they came.
        num_rows: that are trained on.

    Raises:
        ValueError: a key names a modality that the data have not, or does not suit it.
    """
    names = tuple(arrays.values)
    _check_modalities(config, names)
    _check_law(config["subsets"], len(names))
    logged = _names(config["log"], names)
    by_modality = {key: {} for key in ("likelihoods", "encoders", "decoders")}
    for name in names:
        likelihood = of_modality(config["likelihoods"] or {}, name)
        found = looks(arrays, name).likelihood
        if name in logged:
            found = {"name": "learned_normal"}
        if name == config["label"]:
            likelihood = _of_label(config)
        by_modality["likelihoods"][name] = likelihood = likelihood or found
        encoder = of_modality(config["encoders"] or {}, name)
        by_modality["encoders"][name] = encoder or _encoder(likelihood, arrays, name)
        decoder = of_modality(config["decoders"] or {}, name)
        by_modality["decoders"][name] = decoder or {"name": "mlp"}
    resolved = config | by_modality | _parts(config)
    resolved["log"] = logged or "none"
    resolved["standardize"] = _scaled(resolved, logged, names) or "none"
    resolved["epochs"] = config["epochs"] or _epochs(num_rows, config["batch_size"])
    return resolved


def _of_label(config: dict) -> dict:
    """As what a label is encoded and completed; p(label | z) is the prior's."""
    count = config["prior"]["num_components"]
    return {"name": "categorical", "num_classes": count}


def _parts(config: dict) -> dict:
    """Prior, bound and aggregation where no preset says them."""
    if config["preset"]:
        return {}
    usual = {
        "prior": {"name": "standard_normal"},
        "bound": {"name": "masked"},
        "aggregation": {"name": usual_aggregation(config)},
    }
    return {key: config[key] or choice for key, choice in usual.items()}


def usual_aggregation(config: Mapping) -> str:
    """The one that the bound needs, or one that does not ask for a choice."""
    bound = (config.get("bound") or {}).get("name")
    return "mixture_of_experts" if bound in NEED_EXPERTS else "corrected_product"


def _encoder(likelihood: dict, arrays: Arrays, name: str) -> dict:
    seen = measured(arrays, name)
    if likelihood["name"] == "categorical":
        by_row = seen.reshape(len(seen), -1)
        masked = bool((by_row.any(1) & ~by_row.all(1)).any())
        classes = likelihood["num_classes"]
        return {"name": "mlp", "num_classes": classes, "masked": masked}
    counts = likelihood["name"] in COUNTS
    return {"name": "mlp"} | usual_settings(counts=counts, event_shape=seen.shape[1:])


def _names(wanted: str | list[str], names: tuple[str, ...]) -> list[str]:
    """Modalities by name, in the order of the data."""
    if isinstance(wanted, list):
        return [name for name in names if name in wanted]
    return [*names] if wanted == "all" else []


def _scaled(config: dict, logged: list[str], names: tuple[str, ...]) -> list[str]:
    """Modalities that are standardised; those of which the logarithm is taken are.

    Raises:
        ValueError: the likelihood of one is of whole numbers.
    """
    wanted, likelihoods = config["standardize"], config["likelihoods"]
    chosen = {*logged, *_names(wanted, names)}
    if wanted == "auto":
        chosen |= {name for name in names if likelihoods[name]["name"] in SCALED}
    for key, asked in (("log", config["log"]), ("standardize", wanted)):
        for name in _names(asked, names):
            if likelihoods[name]["name"] in WHOLE:
                raise ValueError(
                    f"{key}: modality {name!r}: expected a likelihood of real numbers, "
                    f"got {likelihoods[name]['name']}; leave it out, or say likelihoods: "
                    f"{{{name}: learned_normal}}"
                )
    return [name for name in names if name in chosen]


def _epochs(num_rows: int, batch_size: int) -> int:
    return min(max(math.ceil(STEPS / steps(num_rows, batch_size)), FEWEST), MOST)


def steps(num_rows: int, batch_size: int) -> int:
    """Of an epoch."""
    return math.ceil(num_rows / min(batch_size, num_rows))


def _check_modalities(config: dict, names: tuple[str, ...]) -> None:
    if config["label"] is not None:
        check_known("label", "modality called", [config["label"]], names)
    for key in ("likelihoods", "encoders", "decoders", "weights", "log", "standardize"):
        value = config[key]
        if isinstance(value, list):
            check_known(key, "modality called", value, names)
        if isinstance(value, dict) and not for_all(value):
            check_known(key, "modality called", value, names)


def _check_law(law: dict | None, modalities: int) -> None:
    """Laws that have a number for each size or modality."""
    needs = {"by_size": ("weights", modalities + 1), "fixed": ("members", modalities)}
    if law is None or law["name"] not in needs:
        return
    setting, count = needs[law["name"]]
    if len(law[setting]) != count:
        raise ValueError(
            f"subsets.{setting}: expected {count} entries for {modalities} modalities, got "
            f"{len(law[setting])}"
        )
