"""Least squares that keep their digits in single precision, with derivatives.

A Gram matrix AᵀA has the squares of A's singular values, and in single precision the
rounding of the largest drowns those of 1 where A has some of 1000. So coordinates come
first in which A is nearly orthogonal: T, from eigenvectors of the Gram matrix, as good as
they are. Whatever T is, all below is exact for B = A T, and T is a constant to derivatives.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float


class LeastSquares(NamedTuple):
    """Regression on A `[*batch, P, D]`, of full column rank.

    Attributes:
        B: A T, of singular values near 1.
        T: the coordinates, `[*batch, D, D]`.
        log_size: log |det T|.
        root: L with L Lᵀ = BᵀB.
    """

    B: Float[Array, "*batch rows latent"]
    T: Float[Array, "*batch latent latent"]
    log_size: Float[Array, "*batch"]
    root: Float[Array, "*batch latent latent"]

    @staticmethod
    def of(A: Float[Array, "*batch rows latent"]) -> "LeastSquares":
        """Of A with a unit matrix below: no singular value is under 1."""
        fixed = lax.stop_gradient(A)
        values, vectors = jnp.linalg.eigh(_product(fixed.mT, fixed))
        rounded = 4 * jnp.finfo(A.dtype).eps * values[..., -1:]
        steps = -jnp.round(0.5 * jnp.log2(jnp.maximum(values, 1.0) + rounded))
        T = vectors * jnp.exp2(steps)[..., None, :]  # powers of two round nothing
        B = _product(A, T)
        root = jnp.linalg.cholesky(_product(B.mT, B))
        return LeastSquares(B, T, steps.sum(-1) * jnp.log(2.0), root)

    def half_log_det(self) -> Float[Array, "*batch"]:
        """½ log det AᵀA."""
        diagonal = jnp.diagonal(self.root, axis1=-2, axis2=-1)
        return jnp.log(diagonal).sum(-1) - self.log_size

    def solve(
        self, y: Float[Array, "*batch rows"]
    ) -> tuple[Float[Array, "*batch latent"], Float[Array, "*batch"]]:
        """The z for which |y − A z|² is least, and that square."""
        y = y[..., None]
        half = solve_triangular(self.root, _product(self.B.mT, y), lower=True)
        u = solve_triangular(self.root.mT, half)
        rest = y - _product(self.B, u)
        return _product(self.T, u)[..., 0], (rest**2).sum((-2, -1))

    def scale_tril(self) -> Float[Array, "*batch latent latent"]:
        """Lower triangular L with L Lᵀ = (AᵀA)⁻¹."""
        upper = jnp.linalg.qr(self._half_of(self.T))[1]
        signs = jnp.sign(jnp.diagonal(upper, axis1=-2, axis2=-1))
        return upper.mT * signs[..., None, :]

    def variance_of(
        self, W: Float[Array, "features latent"]
    ) -> Float[Array, "*batch features"]:
        """w (AᵀA)⁻¹ wᵀ of every row of W."""
        return (self._half_of(_product(W, self.T)) ** 2).sum(-2)

    def _half_of(self, rows: Array) -> Array:
        """L⁻¹ rowsᵀ."""
        return solve_triangular(self.root, rows.mT, lower=True)


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
