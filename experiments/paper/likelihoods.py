"""Likelihoods of rows in figures; how far to trust them stands on the page."""

import warnings

import numpy as np

from consilience.inference import LogLikelihood, Reliability

SHOWN = 0.7  # k̂ that the page counts rows above, whatever the number of samples


def summarized(found: LogLikelihood) -> Reliability:
    """`found.summary()` without its warning: the page shows the share of rows beside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        summary = found.summary()
    *_, k = found.counted()
    return summary._replace(unreliable=float(np.mean(~(k <= SHOWN))))
