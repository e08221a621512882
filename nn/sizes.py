"""Sizes and counts."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool


def check_positive(**sizes: int) -> None:
    """Refuse sizes that are not positive integers, by name.

    Raises:
        ValueError: naming the argument.
    """
    for name, value in sizes.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ValueError(f"{name}: expected a positive integer, got {value!r}")


def check_private_dim(private_dim: int | Mapping[str, int]) -> None:
    """Refuse widths of private latents that are not positive integers.

    Raises:
        ValueError: naming the modality.
    """
    sizes = private_dim if isinstance(private_dim, Mapping) else {"": private_dim}
    for name, size in sizes.items():
        check_positive(**{f"private_dim[{name!r}]" if name else "private_dim": size})


def used_dimensions(
    private_dim: int | Mapping[str, int], names: Sequence[str]
) -> Bool[np.ndarray, "modalities private"]:
    """Which of the W private dimensions each modality uses; W is the largest number.

    Raises:
        ValueError: a mapping whose keys are not `names`.
    """
    if not isinstance(private_dim, Mapping):
        return np.ones((len(names), private_dim), bool)
    if set(private_dim) != set(names):
        raise ValueError(
            f"private_dim: expected the modalities {', '.join(names)}, got "
            f"{', '.join(private_dim)}"
        )
    sizes = np.array([private_dim[name] for name in names])
    return np.arange(sizes.max()) < sizes[:, None]
