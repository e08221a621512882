"""Refuses models and guides that a bound would silently get wrong."""

from collections.abc import Callable

import jax
import numpy as np

from consilience.datasets.data import MultimodalData
from consilience.inference.counted import check_counted
from consilience.inference.dataflow import labels_of
from consilience.inference.names import Names
from consilience.inference.programs import (
    FEATURES,
    PRIVATE_PRIOR,
    Sites,
    in_plate,
    is_mixture,
    latent_sites,
    name_of,
    run,
    sites_of,
)
from consilience.nn.executables import remembered, tracing


def inspect(
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    *,
    stratified: bool = True,
    by_row: bool = False,
    also: Callable[[Sites, dict, MultimodalData], None] = lambda *_: None,
) -> Sites:
    """Trace both programs abstractly, check the contract and name the latent sites.

    Args:
        model: as in the contract.
        guide: as in the contract.
        params: parameters of both.
        data: rows.
        stratified: a first site that is a mixture will be drawn component by component,
            which need be reparameterised each; the mixture itself need not.
        by_row: whether the model itself must leave out rows that lack a modality, for a
            bound that counts all that it observes.
        also: further checks of the bound, given sites, the guide's trace and data.

    Raises:
        TypeError: `data` is no `MultimodalData`; a latent of the guide cannot be
            reparameterised.
        ValueError: the latents of model and guide differ; a site of rows stands outside
            the plate or has more axes than rows; their event shapes differ; a modality
            has no observed site, or one of other values than the data's, or one that
            counts what is missing; a site is scaled by hand; two sites share a name.
    """
    require_data(data)
    leaves, tree = jax.tree.flatten((params, data.bare()))
    shapes = (tree, *map(jax.typeof, leaves))
    settings = (stratified, by_row, also)
    known = remembered("contract", model, guide, settings, shapes)
    if "sites" not in known:
        known["sites"] = _inspected(model, guide, params, data, *settings)
    return known["sites"]


def _inspected(model, guide, params, data, stratified, by_row, also) -> Sites:
    found: list[Sites] = []

    def abstract(key):
        names = Names(data.names)
        with names.of("guide"):
            guide_trace = run(guide, params, key, {}, data, data.present)
        sites = _guide_sites(guide_trace, data, stratified)
        latents = {
            name: guide_trace[name]["value"] for name in sites.local + sites.shared
        }

        def model_trace(data):
            with names.of("model"):
                trace = run(model, params, key, latents, data)
            _check_model(trace, guide_trace, sites, data)
            _check_private_prior(trace, guide_trace)
            return trace

        check_counted(model_trace, data, by_row=by_row)
        also(sites, guide_trace, data)
        found.append(sites)

    with tracing():
        jax.eval_shape(abstract, jax.random.key(0))
    return found[0]


def check_names(model: Callable, guide: Callable, data: MultimodalData) -> None:
    """Refuse a name with two uses in model and guide, before either has parameters.

    Raises:
        ValueError: naming it and its uses.
    """
    names = Names(data.names)

    def both(key):
        for of, program in (("guide", guide), ("model", model)):
            with names.of(of):
                run(program, {}, key, {}, data)

    with tracing():
        jax.eval_shape(both, jax.random.key(0))


def parameters_of_prior(
    model: Callable, params: dict, data: MultimodalData, site: str
) -> tuple[str, ...]:
    """Names of the parameters that the law of a latent depends on, by data flow."""

    def law(params):
        return run(model, params, jax.random.key(0), {}, data, data.present)[site]["fn"]

    own = {n: jax.tree.map(lambda _, n=n: frozenset((n,)), params[n]) for n in params}
    found = jax.tree.leaves(labels_of(law, (own,), params))
    used = frozenset().union(*found)
    return tuple(name for name in sorted(params) if name in used)


def require_data(data: object, argument: str = "data") -> None:
    """Refuse anything but `MultimodalData`."""
    if not isinstance(data, MultimodalData):
        raise TypeError(
            f"{argument}: expected MultimodalData, got {type(data).__name__}; build it with "
            "MultimodalData.from_arrays"
        )


def require_features(sites: Sites, guide_trace: dict, data: MultimodalData) -> None:
    """Refuse a guide that does not say what its features are."""
    if FEATURES not in guide_trace:
        raise ValueError(
            f"guide: expected the deterministic site {FEATURES!r}, from which q of other "
            "subsets is made, got none"
        )


def _guide_sites(trace: dict, data: MultimodalData, stratified: bool) -> Sites:
    latents = latent_sites(trace)
    for name, site in latents.items():
        _check_shape("guide", name, site, data)
    sites = sites_of(latents)
    for name, site in latents.items():
        by_component = stratified and name == sites.root and is_mixture(site["fn"])
        if not (by_component or site["fn"].has_rsample):
            raise TypeError(
                f"guide: site {name!r}: expected a distribution that can be "
                f"reparameterised, got {name_of(site['fn'])}; its pathwise gradient "
                "would be wrong. " + _advice(site["fn"])
            )
    return sites


def _advice(fn) -> str:
    if is_mixture(fn):
        return (
            "Use a bound of this library with an estimator that is stratified, such as "
            "STL(), or draw from a ReparameterizedMixture"
        )
    return "Use one of HEADS, or sum the variable out of the model"


def _check_model(
    trace: dict, guide_trace: dict, sites: Sites, data: MultimodalData
) -> None:
    latents = latent_sites(trace)
    ours = set(sites.local + sites.shared)
    if set(latents) != ours:
        raise ValueError(
            "model and guide: expected the same latent sites, got "
            f"{', '.join(sorted(latents)) or 'none'} in the model and "
            f"{', '.join(sorted(ours))} in the guide"
        )
    for name, site in latents.items():
        _check_shape("model", name, site, data)
        ours, theirs = site["fn"].event_shape, guide_trace[name]["fn"].event_shape
        if tuple(ours) != tuple(theirs):
            raise ValueError(
                f"site {name!r}: expected one event shape, got {tuple(ours)} in the model "
                f"and {tuple(theirs)} in the guide"
            )
        if in_plate(site) != (name in sites.local):
            raise ValueError(
                f"site {name!r}: expected model and guide to have it both inside "
                "`with data.plate():` or both outside"
            )
    observed = {
        name: site
        for name, site in trace.items()
        if site["type"] == "sample" and site["is_observed"]
    }
    if set(observed) != set(data.names):
        raise ValueError(
            "model: expected one observed site for each of the modalities "
            f"{', '.join(data.names)}, got {', '.join(observed) or 'none'}"
        )
    for name, site in observed.items():
        _check_shape("model", name, site, data)
        if not in_plate(site):
            raise ValueError(
                f"model: observed site {name!r}: expected it inside `with data.plate():`"
            )


def _check_private_prior(model_trace: dict, guide_trace: dict) -> None:
    """A learned private prior must reach the guide, which gives it to absent latents."""
    ours, theirs = (
        {name for name in trace if name.startswith(PRIVATE_PRIOR)}
        for trace in (model_trace, guide_trace)
    )
    if ours != theirs:
        raise ValueError(
            f"{PRIVATE_PRIOR}: expected the same in model and guide, got the parameters "
            f"{', '.join(sorted(ours)) or 'none'} in the model and "
            f"{', '.join(sorted(theirs)) or 'none'} in the guide"
        )


def _check_shape(program: str, name: str, site: dict, data: MultimodalData) -> None:
    batch = tuple(site["fn"].batch_shape)
    expected = (data.size,) if in_plate(site) else ()
    if batch != expected:
        advice = "move axes of one row into the event with .to_event(...)"
        if not in_plate(site):
            advice = "put sites of rows into `with data.plate():`, or " + advice
        raise ValueError(
            f"{program}: site {name!r}: expected batch shape {expected}, got {batch}; "
            + advice
        )
    plate_scale = (data.total or data.size) / data.size if in_plate(site) else 1.0
    if not _is_number(site["scale"], plate_scale):
        raise ValueError(
            f"{program}: site {name!r}: expected no handlers.scale around it; use the "
            "bound's `weights` for modalities and its `beta` for latents"
        )


def _is_number(scale: object, expected: float) -> bool:
    if scale is None:
        return expected == 1.0
    return not isinstance(scale, jax.core.Tracer) and bool(np.allclose(scale, expected))
