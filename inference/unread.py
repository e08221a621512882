"""Covariates that neither model nor guide reads, found by data flow."""

import dataclasses
import warnings
from collections.abc import Callable

import jax

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.dataflow import labels_of


def unread_covariates(
    model: Callable, guide: Callable, params: dict, data: MultimodalData
) -> tuple[str, ...]:
    """Names of the covariates on which no law of a site depends."""

    def laws(covariates):
        rows = dataclasses.replace(data, covariates=covariates)
        key = jax.random.key(0)
        traces = (
            programs.run(program, params, key, {}, rows) for program in (model, guide)
        )
        sites = [site for trace in traces for site in trace.values()]
        drawn = [site for site in sites if site["type"] == "sample"]
        return [(s["fn"], s["value"], s["scale"]) for s in drawn]

    if not data.covariates:
        return ()
    labels = {name: frozenset((name,)) for name in data.covariates}
    found = labels_of(laws, (labels,), data.covariates)
    read = frozenset().union(*jax.tree.leaves(found))
    return tuple(name for name in sorted(data.covariates) if name not in read)


def warn_of_unread(
    model: Callable, guide: Callable, params: dict, data: MultimodalData
) -> None:
    """Say which covariates change nothing."""
    unread = unread_covariates(model, guide, params, data)
    if unread:
        several = "s" if len(unread) > 1 else ""
        warnings.warn(
            f"fit: neither model nor guide reads the covariate{several} "
            f"{', '.join(unread)}, which therefore change{'' if several else 's'} nothing; "
            "priors (label_conditional), likelihoods of counts (log_library) and functions "
            "of your own take covariates, the usual encoders and decoders do not",
            stacklevel=4,
        )
