"""A mixture of Gaussians that one common linear map makes independent.

Covariances W⁻¹ diag(σ_c²) W⁻ᵀ are called semi-tied (Gales 1999, Semi-Tied Covariance
Matrices for Hidden Markov Models).
"""

import warnings
from collections.abc import Callable, Mapping
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

PARAMS = (
    "prior.logits",
    "prior.source_loc",
    "prior.source_scale",
    "prior.unmixing",
)
FLAT = 1e-10  # of a variance beside the largest one
SWEEPS, SETTLED = 2000, 1e-12


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
        return dict(zip(PARAMS, self, strict=True))


@recorded
def semitied_mixture(
    latent_dim: int, num_components: int, start: SemitiedClusters | None = None
) -> Callable[[], dist.Distribution]:
    """p(z) = |det W| Σ_c π_c N(W z; μ_c, diag σ_c²), all learned.

    The sources s = W z are independent within each component. Beside decoders that begin
    with an affine map, which absorbs W⁻¹, the model p(x) is that of `gaussian_mixture`, with
    s for its latents. It differs in training: W alone can turn the directions that are
    independent, without decoders and guide. So does the guide: independent in z, it is not
    in s; `MixtureHead` and `CholeskyHead` mind least.

    Take it to find sources (identifiability, Hirt et al. 2024, Proposition 15), **with
    `start`**, since random components often collapse into one, and read them with
    `sources`. (Not in the paper.)

    Args:
        latent_dim: D.
        num_components: K.
        start: what parameters start as, such as `semitied_clusters` of posterior draws of
            a guide trained under another prior.

    Raises:
        ValueError: a size is not positive, or `start` is of other sizes.
    """
    check_positive(latent_dim=latent_dim, num_components=num_components)
    shape = (num_components, latent_dim)
    if start is not None and start.loc.shape != shape:
        raise ValueError(
            f"start: expected {num_components} clusters in {latent_dim} dimensions, got "
            f"loc of shape {start.loc.shape}"
        )
    first = start or SemitiedClusters(
        jnp.zeros(num_components),
        lambda key: jax.random.normal(key, shape),
        jnp.ones(shape),
        jnp.eye(latent_dim),
    )

    def prior() -> dist.Distribution:
        logits, loc, scale, matrix = (
            numpyro.param(name, value, **_constraint(name))
            for name, value in zip(PARAMS, first, strict=True)
        )
        within = dist.Normal(loc, scale).to_event(1)
        components = dist.TransformedDistribution(within, Unmixing(matrix))
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)

    return prior


def _constraint(name: str) -> dict:
    return {"constraint": constraints.positive} if name.endswith("scale") else {}


def semitied_clusters(
    points: Shaped[Array | np.ndarray, "points latent"], num_components: int
) -> SemitiedClusters:
    """Clusters of scikit-learn's `GaussianMixture`, and what makes them independent.

    Points are whitened first: another basis of theirs gives the same sources.

    Args:
        points: `[P, D]`, such as posterior draws.
        num_components: K.

    Raises:
        ValueError: points are not finite, not more than D for each component, or do not
            spread in every direction.
    """
    from sklearn.mixture import GaussianMixture

    check_positive(num_components=num_components)
    points = np.asarray(points, float)
    whitening = _whitening(points, num_components)
    white = points @ whitening.T
    found = GaussianMixture(num_components, n_init=10, random_state=0).fit(white)
    W = unmixing_matrix(found.covariances_, found.weights_)
    W = W / (white @ W.T).std(0)[:, None]
    scale = np.sqrt(_variances(W, found.covariances_))
    parts = (np.log(found.weights_), found.means_ @ W.T, scale, W @ whitening)
    return SemitiedClusters(*(jnp.asarray(x, float) for x in parts))


def _whitening(points: np.ndarray, num_components: int) -> Float[np.ndarray, "_ _"]:
    """A map to points of unit covariance; what has none is refused."""
    count, dim = points.shape
    least = num_components * (dim + 1)
    if count < least:
        raise ValueError(
            f"points: expected at least {least} for {num_components} clusters in {dim} "
            f"dimensions, got {count}"
        )
    if not np.isfinite(points).all():
        raise ValueError("points: expected finite numbers, got some that are not")
    spread = np.where(np.ptp(points, 0) > 0, points.std(0), 1.0)
    variances, axes = np.linalg.eigh(np.cov((points / spread).T).reshape(dim, dim))
    rank = int((variances > FLAT * variances[-1]).sum())
    if rank < dim:
        raise ValueError(
            f"points: expected a spread in all {dim} directions, got one in {rank}"
        )
    return (axes / np.sqrt(variances)).T / spread


def sources(
    params: Mapping, z: Float[Array | np.ndarray, "*batch latent"]
) -> Float[Array, "*batch latent"]:
    """s = W z: the latents in which components of a `semitied_mixture` are independent.

    Args:
        params: trained parameters.
        z: latents, such as posterior draws, `[*batch, D]`.

    For ArviZ, with a tree of `to_datatree`:

        z = tree["posterior"]["z"]
        tree["posterior"]["s"] = z.copy(data=cs.sources(fitted.params, z.values))

    Raises:
        ValueError: `params` are of another prior.
    """
    if "prior.unmixing" not in params:
        raise ValueError(
            "params: expected those of a semitied_mixture, with prior.unmixing, got "
            f"{', '.join(params)}"
        )
    return z @ params["prior.unmixing"].T


def unmixing_matrix(
    covariances: Float[np.ndarray, "components latent latent"],
    weights: Float[np.ndarray, " components"],
) -> Float[np.ndarray, "latent latent"]:
    """W that makes Gaussians of these covariances as independent as can be.

    It maximises the likelihood of points from them under semi-tied covariances,

        log |det W| − ½ Σ_c π_c Σ_d log w_dᵀ S_c w_d

    row by row; no step lowers it (Gales 1999):

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
            return W
    warnings.warn(
        f"unmixing_matrix: the likelihood still rises by {value - last:.1e} a sweep after "
        f"{SWEEPS}; components may be too alike to tell directions apart",
        stacklevel=2,
    )
    return W


def _likelihood(W, covariances, weights) -> float:
    logs = np.log(_variances(W, covariances)).sum(-1)
    return np.linalg.slogdet(W)[1] - 0.5 * float(weights @ logs)


def _variances(W, covariances) -> Float[np.ndarray, "components latent"]:
    return np.einsum("di,kij,dj->kd", W, covariances, W)
