"""From a configuration and its data to what `SVI` takes; by public names only."""

from collections.abc import Callable, Mapping
from functools import partial

import numpyro

import consilience as cs
from consilience.cli import beta
from consilience.cli.choices import build, of_modality
from consilience.cli.keys import ESTIMATORS

Config = Mapping[str, object]


def svi(config: Config, data: cs.MultimodalData, num_steps: int) -> numpyro.infer.SVI:
    """Model, guide, optimiser and bound.

    Args:
        config: resolved, `defaults.resolve`.
        data: training rows.
        num_steps: of the whole training, for the schedule of the learning rate.

    Raises:
        ValueError: a constructor refuses a setting, naming the key.
    """
    method = _preset(config, data) if config["preset"] else _method(config, data)
    optimizer = cs.adam(
        config["learning_rate"],
        num_steps,
        schedule=config["schedule"],
        clip_norm=config["clip_norm"],
    )
    return numpyro.infer.SVI(method.model, method.guide, optimizer, method.elbo)


def _method(config: Config, data: cs.MultimodalData) -> cs.Method:
    latent_dim, networks = config["latent_dim"], _networks(config, data)
    prior = build("prior", cs.PRIORS, config["prior"], latent_dim)
    label = config["label"]
    decoded = (
        {name: make for name, make in given.items() if name != label}
        for given in (_likelihoods(config, data), networks.decoders)
    )
    model = cs.multimodal_model(prior, *decoded, label=label)
    aggregation = _aggregation(config)
    sizes = (networks.encoders, aggregation, networks.num_features)
    elbo = build("bound", cs.BOUNDS, config["bound"], **_of_bound(config))
    return cs.Method(model, cs.amortized_guide(latent_dim, *sizes), elbo)


def _preset(config: Config, data: cs.MultimodalData) -> cs.Method:
    return build(
        "preset",
        cs.PRESETS,
        config["preset"],
        latent_dim=config["latent_dim"],
        likelihoods=_likelihoods(config, data),
        networks=_networks(config, data),
        **_of_bound(config),
    )


def _likelihoods(config: Config, data: cs.MultimodalData) -> dict[str, Callable]:
    chosen = config["likelihoods"]
    return {
        name: build(f"likelihoods[{name}]", cs.LIKELIHOODS, of_modality(chosen, name))
        for name in data.names
    }


def _networks(config: Config, data: cs.MultimodalData) -> cs.Networks:
    def constructors(key: str, registry: Mapping) -> dict[str, Callable]:
        return {n: _later(registry, of_modality(config[key], n)) for n in data.names}

    return cs.Networks(
        constructors("encoders", cs.ENCODERS),
        constructors("decoders", cs.DECODERS),
        config["num_features"],
    )


def _aggregation(config: Config) -> Callable:
    more = {}
    if config["head"]:
        more["head"] = build("head", cs.HEADS, config["head"])
    return _later(cs.AGGREGATIONS, config["aggregation"], **more)


def _later(registry: Mapping, choice: Mapping, **more) -> Callable:
    """A constructor with its settings, which learns its sizes from the data."""
    settings = {k: x for k, x in choice.items() if k != "name"} | more
    made = registry[choice["name"]]
    settings = {k: tuple(x) if isinstance(x, list) else x for k, x in settings.items()}
    return partial(made, **settings) if settings else made


def _of_bound(config: Config) -> dict[str, object]:
    """Settings of the bound that have keys of their own."""
    found = {"beta": beta.of_bound(config["beta"])}
    if config["weights"]:
        found["weights"] = config["weights"]
    registries = {"subsets": cs.SUBSETS, "estimator": ESTIMATORS}
    for key, registry in registries.items():
        if config[key]:
            found[key] = build(key, registry, config[key])
    return found
