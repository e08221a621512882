"""What is always known of a row and enters its likelihoods."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Covariates = Mapping[str, Array]


def offset(
    covariates: Covariates, argument: str, name: str, rows: int
) -> Float[Array, " rows"]:
    """The covariate that a likelihood's setting names, one number a row.

    Raises:
        ValueError: it is not among the covariates, or is no single number a row.
    """
    if name not in covariates:
        raise unknown(argument, name, covariates)
    if covariates[name].shape != (rows,):
        raise ValueError(
            f"{argument}: expected covariate {name!r} to have shape ({rows},), got "
            f"{covariates[name].shape}"
        )
    return covariates[name]


def integer_covariate(covariates: Covariates, name: str) -> Int[Array, " rows"]:
    """A covariate of one label a row.

    Raises:
        ValueError: it is not among the covariates.
        TypeError: it is not one integer a row.
    """
    if name not in covariates:
        raise unknown("covariate", name, covariates)
    label = covariates[name]
    if label.ndim != 1 or not jnp.issubdtype(label.dtype, jnp.integer):
        raise TypeError(
            f"covariate {name!r}: expected one integer label a row, got {label.dtype} of "
            f"shape {label.shape}"
        )
    return label


def unknown(argument: str, name: str, covariates: Covariates) -> ValueError:
    """The error that says what there is."""
    known = ", ".join(sorted(covariates)) or "none"
    return ValueError(
        f"{argument}: expected the name of a covariate of the data ({known}), got "
        f"{name!r}; pass covariates={{{name!r}: ...}} to MultimodalData.from_arrays"
    )
