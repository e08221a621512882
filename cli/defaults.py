"""What is found from the data where nothing was said, and the words to say it."""

import math
from typing import NamedTuple

import numpy as np

import consilience as cs
from consilience.cli.choices import of_modality
from consilience.cli.names import check_known

STEPS, FEWEST, MOST = 5000, 20, 1000  # of a training; the last two are epochs
WIDE = 1000  # columns from which on layers are normalised
SCALED = ("learned_normal", "learned_laplace", "student_t", "heteroscedastic_normal")
COUNTS = ("poisson", "negative_binomial", "zero_inflated_negative_binomial")
NEED_EXPERTS = ("mixture_of_experts", "jensen_shannon")


class Found(NamedTuple):
    """What a modality looks like.

    Attributes:
        kind: of its values, in words.
        likelihood: that fits them.
    """

    kind: str
    likelihood: dict


def of_values(values: np.ndarray, observed: np.ndarray) -> Found:
    """Zeros and ones, counts or real numbers, by the entries that were measured."""
    seen = np.asarray(values)[np.asarray(observed)]
    whole = bool((seen == np.round(seen)).all() and (seen >= 0).all())
    if whole and seen.max() <= 1:
        return Found("zeros and ones", {"name": "bernoulli"})
    if whole:
        return Found("counts", {"name": "negative_binomial"})
    return Found("real numbers", {"name": "learned_normal"})


def resolve(config: dict, data: cs.MultimodalData, num_rows: int) -> dict:
    """Every key that depends on the data, by modality where it can differ.

    Args:
        config: merged keys.
        data: all rows, unscaled.
        num_rows: that are trained on.

    Raises:
        ValueError: a key names a modality that the data have not.
    """
    _check_modalities(config, data.names)
    by_modality = {key: {} for key in ("likelihoods", "encoders", "decoders")}
    for name in data.names:
        likelihood = of_modality(config["likelihoods"] or {}, name)
        found = of_values(data.values[name], data.observed(name)).likelihood
        by_modality["likelihoods"][name] = likelihood = likelihood or found
        encoder = of_modality(config["encoders"] or {}, name)
        by_modality["encoders"][name] = encoder or _encoder(likelihood, data, name)
        decoder = of_modality(config["decoders"] or {}, name)
        by_modality["decoders"][name] = decoder or {"name": "mlp"}
    resolved = config | by_modality | _parts(config)
    resolved["standardize"] = _scaled(resolved, data)
    resolved["log"] = [*data.names] if config["log"] == "all" else config["log"]
    resolved["epochs"] = config["epochs"] or _epochs(num_rows, config["batch_size"])
    return resolved


def _parts(config: dict) -> dict:
    """Prior, bound and aggregation where no preset says them."""
    if config["preset"]:
        return {}
    bound = config["bound"] or {"name": "masked"}
    usual = "corrected_product"
    if bound["name"] in NEED_EXPERTS:
        usual = "mixture_of_experts"
    return {
        "prior": config["prior"] or {"name": "standard_normal"},
        "bound": bound,
        "aggregation": config["aggregation"] or {"name": usual},
    }


def _encoder(likelihood: dict, data: cs.MultimodalData, name: str) -> dict:
    encoder = {"name": "mlp"}
    if likelihood["name"] in COUNTS:
        encoder["log1p"] = True
    if likelihood["name"] == "categorical":
        encoder["num_classes"] = likelihood["num_classes"]
        encoder["masked"] = name in data.entries
    elif math.prod(data.event_shapes[data.index(name)]) >= WIDE:
        encoder["layer_norm"] = True
    return encoder


def _scaled(config: dict, data: cs.MultimodalData) -> list[str] | str:
    """Modalities that are standardised."""
    wanted = config["standardize"]
    if wanted == "auto":
        likelihoods = config["likelihoods"]
        wanted = [n for n in data.names if likelihoods[n]["name"] in SCALED]
    return [*data.names] if wanted == "all" else wanted or "none"


def _epochs(num_rows: int, batch_size: int) -> int:
    return min(max(math.ceil(STEPS / steps(num_rows, batch_size)), FEWEST), MOST)


def steps(num_rows: int, batch_size: int) -> int:
    """Of an epoch."""
    return math.ceil(num_rows / min(batch_size, num_rows))


def _check_modalities(config: dict, names: tuple[str, ...]) -> None:
    for key in ("likelihoods", "encoders", "decoders", "weights", "log", "standardize"):
        value = config[key]
        if isinstance(value, list):
            check_known(key, "modality called", value, names)
        if isinstance(value, dict) and not isinstance(value.get("name"), str):
            check_known(key, "modality called", value, names)
