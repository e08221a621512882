"""The configuration of a fit: options over a file over defaults."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from consilience.cli.choices import shown
from consilience.cli.contradictions import check_together
from consilience.cli.keys import KEYS
from consilience.cli.names import check_known
from consilience.cli.text import read_mapping
from consilience.datasets.writing import write_text

Config = dict[str, object]


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


def write(config: Mapping[str, object], path: Path) -> None:
    """The configuration as a file that `--config` takes again."""
    import yaml

    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True, width=88)
    write_text(path, text)


def plain(config: Mapping[str, object]) -> dict:
    """What is set, as files hold it."""
    given = {name: shown(value) for name, value in config.items() if value is not None}
    return json.loads(json.dumps(given))  # or YAML would write anchors


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
