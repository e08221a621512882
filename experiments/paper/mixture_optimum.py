r"""The joint optimum of the mixture bound over linear decoders and all posteriors, exact.

Of a Gaussian population with the moments of the rows: an encoder flexible enough to learn
how these very rows pair x_S with the rest could exceed it a little.

Under the mixture bound the best posterior of S sees x̂_S: what is in S, and the expectation
of the rest given it (Hirt et al. 2024, Remark 10). For Gaussian data and σ given

    E L^Mix_S = E log N(x̂_S; b, W Wᵀ + σ² I) − ½ tr Cov(x_\S | x_S)/σ²

so that the best W is that of maximum likelihood for the shrunken covariance E_ρ Cov(x̂_S).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from consilience.datasets import MultimodalData
from consilience.experiments.paper.gaussian_laws import Law, Mixture
from consilience.inference.subsets import KnownLaw
from consilience.models import LinearGaussian


class MixtureOptimum(NamedTuple):
    """Model and posteriors that no other exceeds under the mixture bound.

    Attributes:
        model: the decoders.
        moments: mean and covariance of the data, which the posteriors know.
    """

    model: LinearGaussian
    moments: tuple[
        Float[np.ndarray, " features"], Float[np.ndarray, "features features"]
    ]

    def posterior(self, data: MultimodalData, *names: str) -> Mixture:
        """q*(z | x_S) = N(σ⁻² K Wᵀ (x̂_S − b), K), K = (I + Wᵀ W/σ²)⁻¹ for every S."""
        W = np.concatenate(
            [np.asarray(self.model.loadings[n], float) for n in data.names]
        )
        variance = float(self.model.scale) ** 2
        K = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / variance)
        mean, covariance = self.moments
        kept = _columns(data, names)
        gain = _gain(covariance, kept)
        x = np.concatenate([np.asarray(data.values[n], float) for n in data.names], -1)
        completed = (x - mean)[:, kept] @ gain.T
        rows = np.broadcast_to(K, (data.size, *K.shape))
        return [Law(completed @ W @ K / variance, rows)]


def mixture_optimum(
    data: MultimodalData, latent_dim: int, scale: float, law: KnownLaw
) -> MixtureOptimum:
    """Of complete rows of vectors, by their sample moments.

    Args:
        data: rows.
        latent_dim: D.
        scale: σ, given.
        law: ρ of the bound.
    """
    x = np.concatenate([np.asarray(data.values[n], float) for n in data.names], -1)
    mean, covariance = x.mean(0), np.cov(x.T, bias=True)
    subsets, weights = law.listed(data.present[:1])
    shrunken = np.zeros_like(covariance)
    for members, weight in zip(
        np.asarray(subsets)[:, 0], np.asarray(weights), strict=True
    ):
        names = [n for n, member in zip(data.names, members, strict=True) if member]
        kept = _columns(data, names)
        shrunken += weight[0] * _gain(covariance, kept) @ covariance[kept]
    values, vectors = np.linalg.eigh(shrunken)
    stretch = np.sqrt(np.maximum(values[::-1] - scale**2, 0.0))
    W = np.zeros((len(values), latent_dim))
    count = min(latent_dim, len(values))
    W[:, :count] = (vectors[:, ::-1] * stretch)[:, :count]
    cuts = np.cumsum([shape[0] for shape in data.event_shapes])[:-1]
    loadings, biases = (
        {
            n: jnp.asarray(part)
            for n, part in zip(data.names, np.split(a, cuts), strict=True)
        }
        for a in (W, mean)
    )
    return MixtureOptimum(LinearGaussian(loadings, biases, scale), (mean, covariance))


def _columns(data: MultimodalData, names) -> np.ndarray:
    """Indices of the features of some modalities, all side by side."""
    widths = [shape[0] for shape in data.event_shapes]
    member = np.repeat([name in names for name in data.names], widths)
    return np.flatnonzero(member)


def _gain(covariance, kept: np.ndarray) -> Float[np.ndarray, "features kept"]:
    """G with x̂ = G x_S: the identity on S, the regression of the rest on it."""
    if not len(kept):
        return np.zeros((len(covariance), 0))
    return np.linalg.solve(covariance[np.ix_(kept, kept)], covariance[kept]).T
