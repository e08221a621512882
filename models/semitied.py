"""A mixture of Gaussians that one common linear map makes independent."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform

from consilience.models.semitied_clusters import PARAMS, SemitiedClusters
from consilience.nn.recipes import recorded
from consilience.nn.sizes import check_positive


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


@recorded
def semitied_mixture(
    latent_dim: int, num_components: int, start: SemitiedClusters | None = None
) -> Callable[[], dist.Distribution]:
    """p(z) = |det W| Σ_c π_c N(W z; μ_c, diag σ_c²), all learned.

    The sources s = W z are independent within each component. Beside decoders that begin
    with an affine map, which absorbs W⁻¹, the model p(x) is that of `gaussian_mixture`, with
    s for its latents. It differs in training: W alone can turn the directions that are
    independent, without decoders and guide. A guide whose dimensions are independent in z
    has dependent ones in s, which `MixtureHead` and `CholeskyHead` mind least.

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
