"""Student's t distribution, whose density keeps its digits however near to a normal.

log Γ((ν + 1)/2) − log Γ(ν/2) is a difference of numbers of the size ν log ν, of which
single precision leaves nothing at ν = 10⁷. With a = ν/2 and the error of Stirling's formula
δ of `count_distributions.py` it is ½ log a plus what is of the size 1/a:

    log Γ(a + ½) − log Γ(a) − ½ log a = δ(a + ½) − δ(a) + a log(1 + 1/2a) − ½
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions.util import validate_sample

from consilience.models.count_distributions import HALF_LOG_2PI, stirling_error


def student_t_log_prob(
    x: Float[Array, "..."], df: Float[Array, "..."]
) -> Float[Array, "..."]:
    """log density of t(df) at x, scale 1."""
    a = df / 2
    rise = stirling_error(a + 0.5) - stirling_error(a)
    rise += a * jnp.log1p(0.5 / a) - 0.5
    return rise - HALF_LOG_2PI - (a + 0.5) * jnp.log1p(x**2 / df)


class StudentT(dist.StudentT):
    """`numpyro.distributions.StudentT` with this density."""

    @validate_sample
    def log_prob(self, value: ArrayLike) -> Array:
        x = (value - self.loc) / self.scale
        return student_t_log_prob(x, self.df) - jnp.log(self.scale)
