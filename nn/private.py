"""What model and guide of private latents have to agree on."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float

from consilience.nn.sizes import check_positive

PrivatePrior = Callable[[Array, Sequence[str], int], dist.Distribution]


def standard_private(
    z: Float[Array, "rows latent"], names: Sequence[str], width: int
) -> dist.Distribution:
    """p(w_s | z) = N(0, I), batch `[N, M, W]`."""
    shape = (*z.shape[:-1], len(names), width)
    return dist.Normal(jnp.zeros(shape, z.dtype), jnp.ones(shape, z.dtype))


def private_law(
    prior: PrivatePrior,
    z: Float[Array, "rows latent"],
    names: Sequence[str],
    width: int,
) -> dist.Normal:
    """p(w | z), checked.

    Raises:
        TypeError: it is no Normal.
        ValueError: its batch shape is not `[N, M, W]`.
    """
    law = prior(z, names, width)
    if not isinstance(law, dist.Normal):
        raise TypeError(
            f"private_prior: expected a Normal with loc and scale, got {type(law).__name__}"
        )
    shape = (*z.shape[:-1], len(names), width)
    if law.batch_shape != shape:
        raise ValueError(
            f"private_prior: expected batch shape {shape}, got {law.batch_shape}"
        )
    return law


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
