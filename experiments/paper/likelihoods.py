"""Likelihoods of rows in figures; how far to trust them stands on the page."""

import warnings

from consilience.inference import LogLikelihood, Reliability


def summarized(found: LogLikelihood) -> Reliability:
    """`found.summary()` without its warning: the page shows the share of rows beside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return found.summary()
