"""Kinds of values that hold others: lists, names, and mappings by modality."""

from collections.abc import Mapping
from dataclasses import dataclass

from consilience.cli.kinds import TEXT, Kind
from consilience.cli.text import scalar


@dataclass(frozen=True)
class ListOf(Kind):
    """A list of values of one kind; one value stands for a list of one."""

    kind: Kind

    @property
    def expects(self) -> str:
        return f"a list, each entry {self.kind.expects}"

    def read(self, where: str, value: object) -> list:
        values = value if isinstance(value, list) else [value]
        return [self.kind.read(f"{where}[{i}]", x) for i, x in enumerate(values)]


@dataclass(frozen=True)
class Either(Kind):
    """Plain values of one kind, lists and mappings of another."""

    plain: Kind
    nested: Kind

    @property
    def expects(self) -> str:
        return f"{self.plain.expects}, or {self.nested.expects}"

    def read(self, where: str, value: object) -> object:
        nested = isinstance(value, list | Mapping)
        return (self.nested if nested else self.plain).read(where, value)


@dataclass(frozen=True)
class ByModality(Kind):
    """A value for each modality that is named; as options, `MODALITY=VALUE` each."""

    kind: Kind
    of: str = "modalities"

    @property
    def expects(self) -> str:
        return f"{self.of}, each with {self.kind.expects}"

    def read(self, where: str, value: object) -> dict:
        if not isinstance(value, Mapping) or not value:
            self.refuse(where, value)
        return {n: self.kind.read(f"{where}[{n}]", x) for n, x in value.items()}

    def parse(self, texts: list[str]) -> object:
        return pairs(texts)


@dataclass(frozen=True)
class Names(Kind):
    """A list of names, or a word in its place; options may come again."""

    words: tuple[str, ...] = ()
    of: str = "modalities"

    @property
    def expects(self) -> str:
        return ", or ".join([*self.words, f"a list of names of {self.of}"])

    def read(self, where: str, value: object) -> str | list[str]:
        if isinstance(value, str) and value in self.words:
            return value
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not names:
            self.refuse(where, value)
        if not all(isinstance(name, str) and name for name in names):
            self.refuse(where, value)
        if len(set(names)) < len(names):
            self.refuse(where, value, ", in which one comes twice")
        return names

    def parse(self, texts: list[str]) -> object:
        return texts if len(texts) > 1 else texts[0]


@dataclass(frozen=True)
class Renamed(Names):
    """A list of names, or a mapping from new names to those of the source."""

    @property
    def expects(self) -> str:
        return f"{super().expects}, or a mapping from new names to those of the source"

    def read(self, where: str, value: object) -> object:
        if isinstance(value, Mapping) and value:
            return {n: TEXT.read(f"{where}[{n}]", x) for n, x in value.items()}
        return super().read(where, value)

    def parse(self, texts: list[str]) -> object:
        found = pairs(texts)
        return super().parse(texts) if not isinstance(found, dict) else found


def pairs(texts: list[str]) -> object:
    """`["a=1", "b=2"]` as a mapping; the texts as they are where one is no pair."""
    if not all("=" in text for text in texts):
        return texts[0] if len(texts) == 1 else texts
    split = [text.partition("=") for text in texts]
    return {name: scalar(value) for name, _, value in split}
