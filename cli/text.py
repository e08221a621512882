"""Text to values: YAML without its surprises, and TOML."""

import re
import tomllib
from functools import cache
from pathlib import Path

SUFFIXES = (".yaml", ".yml", ".toml")
FLOAT = (
    r"[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)"
)
PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?(?:0|[1-9]\d*)", "-+0123456789"),
    "float": (FLOAT, "-+.0123456789"),
}


def scalar(text: str) -> object:
    """The value that a text would have in a YAML file; the text itself if it has none."""
    import yaml

    try:
        return yaml.load(text, _loader())
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def read_mapping(path: Path) -> dict:
    """The keys of a YAML or TOML file.

    Raises:
        ValueError: another kind of file, a mistake in its syntax with the line, no mapping.
        OSError: it cannot be read.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"{path}: expected a file that ends in {', '.join(SUFFIXES)}, got "
            f"{path.suffix or 'no ending'!r}"
        )
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path}: expected a file, got a device or a pipe")
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path}: expected a file, found none") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: expected a file, got a folder") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected text in UTF-8, got other bytes") from None
    found = _toml(path, text) if path.suffix == ".toml" else _yaml(path, text)
    if not isinstance(found, dict) or not found:
        got = "an empty file" if not found else f"a {type(found).__name__}"
        raise ValueError(
            f"{path}: expected lines such as `likelihoods: student_t`, got {got}"
        )
    return found


def _toml(path: Path, text: str) -> dict:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from None


def _yaml(path: Path, text: str) -> object:
    import yaml

    try:
        return yaml.load(text, _loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ValueError(f"{path}{where}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = (str(error).splitlines() or ["nested too deeply"])[0]
        raise ValueError(f"{path}: not YAML: {said}") from None


@cache
def _loader() -> type:
    """YAML 1.2's plain values, no dates, keys as text, each key once.

    YAML 1.1, which PyYAML reads, takes `1e-3` for a text, and for truth values `no` and
    `on`, which are names of modalities as good as others.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own name)

        def compose_node(self, parent, index):
            if self.check_event(yaml.AliasEvent):  # a page of them grows without end
                said, mark = "expected no aliases", self.peek_event().start_mark
                raise yaml.MarkedYAMLError(problem=said, problem_mark=mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node, deep=False):
            found = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    said = "expected plain text as a key"
                    raise yaml.MarkedYAMLError(
                        problem=said, problem_mark=key.start_mark
                    )
                if key.value in found:
                    said = f"the key {key.value!r} comes twice"
                    raise yaml.MarkedYAMLError(
                        problem=said, problem_mark=key.start_mark
                    )
                found[key.value] = self.construct_object(value, deep=True)
            return found

    for tag, (pattern, first) in PLAIN.items():
        name, whole = f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$")
        Loader.add_implicit_resolver(name, whole, list(first))
    return Loader
