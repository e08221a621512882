"""Keys that cannot stand together."""

from collections.abc import Callable, Mapping

import consilience as cs
from consilience.cli.choices import build, for_all, shown
from consilience.cli.defaults import NEED_EXPERTS, usual_aggregation
from consilience.cli.keys import ESTIMATORS
from consilience.cli.presets import bound_of
from consilience.cli.settings import takes

IN_PRESET = ("prior", "label", "aggregation", "head", "bound", "subsets")


def check_together(given: Mapping[str, object]) -> None:
    """Refuse keys that contradict one another.

    Raises:
        ValueError: naming both.
    """
    preset, bound = given.get("preset"), given.get("bound") or {"name": "masked"}
    beside = [name for name in IN_PRESET if given.get(name) is not None]
    if preset and beside:
        raise ValueError(
            f"preset: expected {preset['name']} alone, which is prior, aggregation and "
            f"bound in one, got {', '.join(beside)} beside it"
        )
    made = bound_of(preset["name"]) if preset else cs.BOUNDS[bound["name"]]
    _check_bound(preset or bound, made, given)
    if not preset:
        _check_label(given)
        _check_head(given)
        _check_experts(bound["name"], given)
        _check_estimator(bound, given)
    if given.get("patience") is not None and given.get("validation") == 0:
        raise ValueError("patience: expected rows that are held out, got validation: 0")
    if bound["name"] == "auxiliary_mixture_of_experts":
        raise ValueError(
            "bound: auxiliary_mixture_of_experts needs private latents; expected preset: "
            "{name: mmvae_plus, private_dim: ...} in its place"
        )


def _that_take(setting: str, registry: Mapping[str, Callable]) -> list[str]:
    return [name for name, make in registry.items() if takes(make, setting)]


def _check_bound(choice: Mapping, made: type, given: Mapping[str, object]) -> None:
    for name in ("subsets", "estimator"):
        if given.get(name) is not None and not takes(made, name):
            can = _that_take(name, cs.BOUNDS)
            raise ValueError(
                f"{name}: expected none beside {choice['name']}, whose bound takes none; "
                f"bounds that do are {', '.join(can)}"
            )


def _check_label(given: Mapping[str, object]) -> None:
    """It is a component of the prior, and has neither likelihood nor decoder."""
    label = given.get("label")
    if label is None:
        return
    prior = given.get("prior") or {"name": "standard_normal"}
    if not takes(cs.PRIORS[prior["name"]], "num_components"):
        can = _that_take("num_components", cs.PRIORS)
        raise ValueError(
            f"label: expected a mixture as prior, {' or '.join(can)}, got {prior['name']}"
        )
    for key in ("likelihoods", "decoders"):
        chosen = given.get(key) or {}
        if label in chosen and not for_all(chosen):
            raise ValueError(
                f"{key}: expected none for {label}, which is the label of the prior's "
                f"components, got {shown(chosen[label])}"
            )


def _check_head(given: Mapping[str, object]) -> None:
    aggregation = (given.get("aggregation") or {}).get("name")
    aggregation = aggregation or usual_aggregation(given)
    if given.get("head") is None or takes(cs.AGGREGATIONS[aggregation], "head"):
        return
    can = _that_take("head", cs.AGGREGATIONS)
    raise ValueError(
        f"head: expected none beside aggregation {aggregation}, which has its "
        f"own; those that take one are {', '.join(can)}"
    )


def _check_experts(bound: str, given: Mapping[str, object]) -> None:
    aggregation = (given.get("aggregation") or {}).get("name", "mixture_of_experts")
    if bound in NEED_EXPERTS and aggregation != "mixture_of_experts":
        raise ValueError(
            f"aggregation: expected mixture_of_experts for bound {bound}, got {aggregation}"
        )


def _check_estimator(bound: Mapping, given: Mapping[str, object]) -> None:
    """The bound itself refuses estimators that are wrong for it."""
    if given.get("estimator"):
        estimator = build("estimator", ESTIMATORS, given["estimator"])
        build("bound", cs.BOUNDS, bound, estimator=estimator)
