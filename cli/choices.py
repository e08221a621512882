"""A name in a registry and its settings: `student_t`, or `{name: student_t, df: 3}`.

On the command line: `student_t:df=3`, and `genes=student_t:df=3` for one modality.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import consilience as cs
from consilience.cli.kinds import Kind
from consilience.cli.names import check_known
from consilience.cli.settings import Setting, keywords, settings_of, unwrapped
from consilience.cli.text import scalar
from consilience.datasets.names import nearest


@dataclass(frozen=True, eq=False)
class Choice(Kind):
    """One of a registry's constructors.

    Attributes:
        registry: name → constructor.
        without: settings that other keys hold.
    """

    registry: Mapping[str, Callable]
    without: tuple[str, ...] = ()

    @property
    def expects(self) -> str:
        return f"one of {', '.join(self.registry)}"

    def read(self, where: str, value: object) -> dict:
        """The name as "name", and its settings."""
        value = self.split(value) if isinstance(value, str) else value
        if not isinstance(value, Mapping):
            self.refuse(where, value)
        name = value.get("name")
        if not isinstance(name, str) or name not in self.registry:
            if name is None:
                self.refuse(where, dict(value), "; the key `name` says which")
            self.refuse(where, name, nearest(name, self.registry))
        return {"name": name} | self._settings(where, name, value)

    def known(self, name: str) -> dict[str, Setting]:
        """The settings of one of the constructors."""
        return settings_of(self.registry[name], self.without)

    def _settings(self, where: str, name: str, value: Mapping) -> dict:
        known = self.known(name)
        given = {key: x for key, x in value.items() if key != "name"}
        check_known(where, f"setting of {name} called", given, known)
        for key, setting in known.items():
            if setting.required and key not in given:
                raise ValueError(
                    f"{where}: expected the setting {key!r} beside {name}, "
                    f"{setting.kind.expects}, got none"
                )
        read = {k: known[k].kind.read(f"{where}.{k}", x) for k, x in given.items()}
        _try(where, self.registry, {"name": name} | read)
        return read

    def parse(self, texts: list[str]) -> object:
        return texts[-1]

    def split(self, text: str) -> dict:
        """`"student_t:df=3,min_scale=0.1"` as a mapping."""
        name, _, rest = text.partition(":")
        settings = scalar("{" + re.sub(r"(\w+)\s*=\s*", r"\1: ", rest) + "}")
        if not isinstance(settings, dict):
            return {"name": text}
        return {"name": name.strip()} | settings


@dataclass(frozen=True, eq=False)
class Choices(Kind):
    """One choice for all modalities, or one for each that is named."""

    choice: Choice

    @property
    def expects(self) -> str:
        return f"{self.choice.expects}, for all modalities or by modality"

    def read(self, where: str, value: object) -> dict:
        """{"name": ...} for all modalities, or such a mapping by modality."""
        if isinstance(value, str) or for_all(value):
            return self.choice.read(where, value)
        if not isinstance(value, Mapping) or not value:
            self.refuse(where, value)
        return {n: self.choice.read(f"{where}[{n}]", x) for n, x in value.items()}

    def parse(self, texts: list[str]) -> object:
        """Texts such as `student_t:df=3` or `genes=student_t:df=3`."""
        split = [self._modality(text) for text in texts]
        by_modality = {name: choice for name, choice in split if name is not None}
        if not by_modality:
            return texts[-1]
        return by_modality if len(by_modality) == len(texts) else texts

    def _modality(self, text: str) -> tuple[str | None, str]:
        if text.partition(":")[0] in self.choice.registry or "=" not in text:
            return None, text
        name, _, choice = text.partition("=")
        return name, choice


def for_all(value: object) -> bool:
    """Whether a choice is one for all modalities, and not by name."""
    return isinstance(value, Mapping) and isinstance(value.get("name"), str)


def of_modality(choices: dict, name: str) -> dict | None:
    """The choice that holds for a modality, if there is one."""
    return choices if for_all(choices) else choices.get(name)


def shown(choice: object) -> object:
    """As a file holds it: the name alone where there are no settings."""
    if not isinstance(choice, dict):
        return choice
    if [*choice] == ["name"] and isinstance(choice["name"], str):
        return choice["name"]
    return {key: shown(value) for key, value in choice.items()}


def build(where: str, registry: Mapping[str, Callable], choice: dict, *given, **more):
    """Call the constructor.

    Raises:
        ValueError: it refuses a setting.
    """
    settings = {k: _hashable(x) for k, x in choice.items() if k != "name"}
    try:
        return registry[choice["name"]](*given, **settings, **more)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {choice['name']}: {error}") from error


def _try(where: str, registry: Mapping[str, Callable], choice: dict) -> None:
    """Build what needs no data, so that its own checks are heard where they belong."""
    names = [
        parameter.name for parameter in keywords(unwrapped(registry[choice["name"]]))
    ]
    stand_ins = {"latent_dim": 1, "likelihoods": cs.NormalLikelihood()}
    if "rngs" not in names:
        build(
            where,
            registry,
            choice,
            **{n: x for n, x in stand_ins.items() if n in names},
        )


def _hashable(value: object) -> object:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value
