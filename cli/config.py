"""The configuration of a fit: options over a file over defaults."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import consilience as cs
from consilience.cli.choices import shown
from consilience.cli.defaults import usual_aggregation
from consilience.cli.keys import KEYS
from consilience.cli.names import check_known
from consilience.cli.presets import bound_of
from consilience.cli.settings import takes
from consilience.cli.text import read_mapping

Config = dict[str, object]
IN_PRESET = ("prior", "aggregation", "head", "bound", "subsets")


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for each key, under the key's own name."""
    groups = {}
    for name, key in KEYS.items():
        if key.group not in groups:
            groups[key.group] = parser.add_argument_group(key.group)
        default = "" if key.default is None else f" (default: {_word(key.default)})"
        groups[key.group].add_argument(
            option(name),
            action="append",
            default=argparse.SUPPRESS,
            metavar=key.metavar,
            help=key.help + default,
        )


def option(name: str) -> str:
    """The option of a key."""
    return "--" + name.replace("_", "-")


def from_options(options: argparse.Namespace) -> Config:
    """What was given on the command line.

    Raises:
        ValueError: naming the option.
    """
    given = {name: texts for name, texts in vars(options).items() if name in KEYS}
    return {
        name: KEYS[name].kind.read(option(name), KEYS[name].kind.parse(texts))
        for name, texts in given.items()
    }


def from_file(path: Path) -> Config:
    """What a file says.

    Raises:
        ValueError: naming file and key.
    """
    found = read_mapping(path)
    check_known(str(path), "key", found, KEYS)
    return {
        name: KEYS[name].kind.read(f"{path}: {name}", value)
        for name, value in found.items()
    }


def merged(options: argparse.Namespace) -> Config:
    """All keys; None where neither options nor file nor defaults say anything.

    Raises:
        ValueError: a key is refused, or contradicts another.
    """
    file = from_file(options.config) if options.config else {}
    given = file | from_options(options)
    check_together(given)
    return {name: key.default for name, key in KEYS.items()} | given


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
        _check_head(given)
    if given.get("patience") is not None and given.get("validation") == 0:
        raise ValueError("patience: expected rows that are held out, got validation: 0")
    if bound["name"] == "auxiliary_mixture_of_experts":
        raise ValueError(
            "bound: auxiliary_mixture_of_experts needs private latents; expected preset: "
            "{name: mmvae_plus, private_dim: ...} in its place"
        )


def _check_bound(choice: Mapping, made: type, given: Mapping[str, object]) -> None:
    for name in ("subsets", "estimator"):
        if given.get(name) is not None and not takes(made, name):
            can = [b for b, make in cs.BOUNDS.items() if takes(make, name)]
            raise ValueError(
                f"{name}: expected none beside {choice['name']}, whose bound takes none; "
                f"bounds that do are {', '.join(can)}"
            )


def _check_head(given: Mapping[str, object]) -> None:
    aggregation = (given.get("aggregation") or {}).get("name")
    aggregation = aggregation or usual_aggregation(given)
    if given.get("head") is None or takes(cs.AGGREGATIONS[aggregation], "head"):
        return
    can = [a for a, make in cs.AGGREGATIONS.items() if takes(make, "head")]
    raise ValueError(
        f"head: expected none beside aggregation {aggregation}, which has its "
        f"own; those that take one are {', '.join(can)}"
    )


def write(config: Mapping[str, object], path: Path) -> None:
    """The configuration as a file that `--config` takes again."""
    import yaml

    given = {name: shown(value) for name, value in config.items() if value is not None}
    text = yaml.safe_dump(given, sort_keys=False, allow_unicode=True, width=88)
    path.write_text(text, "utf-8")


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
