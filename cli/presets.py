"""Published methods as a key: their own settings and those of their bounds."""

import inspect
from functools import cache

import consilience as cs
from consilience.cli.choices import Choice
from consilience.cli.settings import Setting, settings_of


class Preset(Choice):
    """One of `PRESETS`, which hand what they do not know to their bound."""

    def known(self, name: str) -> dict[str, Setting]:
        of_bound = settings_of(bound_of(name), self.without)
        return of_bound | settings_of(self.registry[name], self.without)


@cache
def bound_of(preset: str) -> type:
    """The class of a preset's bound."""
    make = cs.PRESETS[preset]
    private = {"private_dim": 1} if "private_dim" in _parameters(make) else {}
    return type(make(latent_dim=1, likelihoods=cs.NormalLikelihood(), **private).elbo)


def _parameters(make) -> list[str]:
    return [*inspect.signature(make).parameters]
