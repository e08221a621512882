"""What is always known of a row and enters its likelihoods."""

from collections.abc import Mapping

from jaxtyping import Array, Float

Covariates = Mapping[str, Array]


def offset(
    covariates: Covariates, argument: str, name: str, rows: int
) -> Float[Array, " rows"]:
    """The covariate that a likelihood's setting names, one number a row.

    Raises:
        ValueError: it is not among the covariates, or is no single number a row.
    """
    if name not in covariates:
        known = ", ".join(sorted(covariates)) or "none"
        raise ValueError(
            f"{argument}: expected the name of a covariate of the data ({known}), got "
            f"{name!r}; pass covariates={{{name!r}: ...}} to MultimodalData.from_arrays"
        )
    if covariates[name].shape != (rows,):
        raise ValueError(
            f"{argument}: expected covariate {name!r} to have shape ({rows},), got "
            f"{covariates[name].shape}"
        )
    return covariates[name]
