"""A mixture of Gaussians that one common linear map makes independent.

Covariances W⁻¹ diag(σ_c²) W⁻ᵀ are called semi-tied (Gales 1999, Semi-Tied Covariance
Matrices for Hidden Markov Models).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float, Shaped
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from consilience.nn.recipes import recorded
from consilience.nn.sizes import check_positive

SWEEPS, SETTLED = 2000, 1e-13


class Unmixing(Transform):
    """s ↦ z = W⁻¹ s, given by its inverse W `[D, D]`."""

    domain = codomain = constraints.real_vector

    def __init__(self, matrix: Float[Array, "latent latent"]):
        self.matrix = matrix

    def __call__(self, x: Float[Array, "*batch latent"]):
        return jnp.linalg.solve(self.matrix, x[..., None])[..., 0]

    def _inverse(self, y: Float[Array, "*batch latent"]):
        return y @ self.matrix.T

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        value = -jnp.linalg.slogdet(self.matrix)[1]
        return jnp.broadcast_to(value, jnp.shape(x)[:-1])

    def tree_flatten(self):
        return (self.matrix,), (("matrix",), {})

    def __eq__(self, other):
        same = isinstance(other, Unmixing)
        return same and bool(jnp.array_equal(self.matrix, other.matrix))


class SemitiedClusters(NamedTuple):
    """Clusters of points, and the map that makes each as independent as it can be.

    Attributes:
        logits: log π_c `[K]`.
        loc: means μ_c of the sources s = W z, `[K, D]`.
        scale: their standard deviations σ_c, `[K, D]`.
        unmixing: W `[D, D]`; over all points each source has variance 1.
    """

    logits: Float[Array, " components"]
    loc: Float[Array, "components latent"]
    scale: Float[Array, "components latent"]
    unmixing: Float[Array, "latent latent"]

    def params(self) -> dict[str, Array]:
        """Values for the parameters of a `semitied_mixture`."""
        return {f"prior.{name}": value for name, value in self._asdict().items()}


@recorded
def semitied_mixture(
    latent_dim: int,
    num_components: int,
    start: Shaped[Array | np.ndarray, "points latent"] | None = None,
) -> Callable[[], dist.Distribution]:
    """p(z) = |det W| Σ_c π_c N(W z; μ_c, diag σ_c²), all learned.

    The sources s = W z are independent within each component. Beside decoders that begin
    with an affine map the model is that of `gaussian_mixture`, with s for its latents: the
    map absorbs W⁻¹. It is one to train, though. Which directions are independent is learned
    by W alone, where otherwise every decoder and the guide would have to turn together,
    which they hardly do. Take it to find sources (identifiability, Hirt et al. 2024,
    Proposition 15), with `start`, since random components often collapse into one. (Not in
    the paper.)

    Args:
        latent_dim: D.
        num_components: K.
        start: points `[P, D]`, such as posterior draws of a guide trained under another
            prior; parameters start as `semitied_clusters` of them.

    Raises:
        ValueError: a size is not positive, or `start` has another shape, or too few points.
    """
    check_positive(latent_dim=latent_dim, num_components=num_components)
    shape = (num_components, latent_dim)
    first = {
        "prior.logits": jnp.zeros(num_components),
        "prior.loc": lambda key: jax.random.normal(key, shape),
        "prior.scale": jnp.ones(shape),
        "prior.unmixing": jnp.eye(latent_dim),
    }
    if start is not None:
        if np.ndim(start) != 2 or np.shape(start)[1] != latent_dim:
            raise ValueError(
                f"start: expected points of shape (P, {latent_dim}), got {np.shape(start)}"
            )
        first = semitied_clusters(start, num_components).params()

    def prior() -> dist.Distribution:
        logits, loc, scale, matrix = (
            numpyro.param(name, value, **_constraint(name))
            for name, value in first.items()
        )
        sources = dist.Normal(loc, scale).to_event(1)
        components = dist.TransformedDistribution(sources, Unmixing(matrix))
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)

    return prior


def _constraint(name: str) -> dict:
    return {"constraint": constraints.positive} if name == "prior.scale" else {}


def semitied_clusters(
    points: Shaped[Array | np.ndarray, "points latent"], num_components: int
) -> SemitiedClusters:
    """Clusters of scikit-learn's `GaussianMixture`, and what makes them independent.

    Args:
        points: `[P, D]`, such as posterior draws.
        num_components: K.

    Raises:
        ValueError: there are not more than D points for each component.
    """
    from sklearn.mixture import GaussianMixture

    points = np.asarray(points, float)
    check_positive(num_components=num_components)
    least = num_components * (points.shape[1] + 1)
    if len(points) < least:
        raise ValueError(
            f"start: expected at least {least} points for {num_components} clusters in "
            f"{points.shape[1]} dimensions, got {len(points)}"
        )
    found = GaussianMixture(num_components, n_init=10, random_state=0).fit(points)
    W = unmixing_matrix(found.covariances_, found.weights_)
    W = W / (points @ W.T).std(0)[:, None]
    scale = np.sqrt(_variances(W, found.covariances_))
    parts = (np.log(found.weights_), found.means_ @ W.T, scale, W)
    return SemitiedClusters(*(jnp.asarray(x, float) for x in parts))


def unmixing_matrix(
    covariances: Float[np.ndarray, "components latent latent"],
    weights: Float[np.ndarray, " components"],
) -> Float[np.ndarray, "latent latent"]:
    """W that makes Gaussians of these covariances as independent as can be.

    It maximises the likelihood of points from them under semi-tied covariances,

        log |det W| − ½ Σ_c π_c Σ_d log w_dᵀ S_c w_d

    row by row; no step lowers it (Gales 1999, section 2):

        w_d ∝ G_d⁻¹ (W⁻¹)_d,    G_d = Σ_c π_c S_c / (w_dᵀ S_c w_d)

    Unique up to order and sizes of the rows where the ratios of variances along them
    differ between components.
    """
    S, pi = np.asarray(covariances, float), np.asarray(weights, float)
    W = np.linalg.inv(np.linalg.cholesky(np.einsum("k,kij->ij", pi, S)))
    value = -np.inf
    for _ in range(SWEEPS):
        for d in range(len(W)):
            variances = np.einsum("i,kij,j->k", W[d], S, W[d])
            G = np.einsum("k,kij->ij", pi / variances, S)
            column = np.linalg.inv(W)[:, d]
            row = np.linalg.solve(G, column)
            W[d] = row / np.sqrt(column @ row)
        last, value = value, _likelihood(W, S, pi)
        if value - last < SETTLED:
            break
    return W


def _likelihood(W, covariances, weights) -> float:
    logs = np.log(_variances(W, covariances)).sum(-1)
    return np.linalg.slogdet(W)[1] - 0.5 * float(weights @ logs)


def _variances(W, covariances) -> Float[np.ndarray, "components latent"]:
    return np.einsum("di,kij,dj->kd", W, covariances, W)
