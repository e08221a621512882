"""KL of the best member of a variational family, where the model is linear and Gaussian.

Means over all non-empty subsets and over data of the model; they are floors of what a
guide of the family can reach.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.flatten_util import ravel_pytree

from consilience.models import LinearGaussian


def subsets(count: int) -> np.ndarray:
    """All non-empty subsets `[2^M − 1, M]`."""
    return np.array(list(itertools.product([False, True], repeat=count))[1:])


def precision(truth: LinearGaussian, members: np.ndarray) -> np.ndarray:
    """Λ = I + W_Sᵀ W_S / σ² of the exact posterior."""
    W = np.concatenate([_loadings(truth)[i] for i in np.flatnonzero(members)])
    return np.eye(W.shape[1]) + W.T @ W / truth.scale**2


def _loadings(truth: LinearGaussian) -> list[np.ndarray]:
    return [np.asarray(W, float) for W in truth.loadings.values()]


def _all(truth: LinearGaussian) -> np.ndarray:
    return subsets(len(truth.loadings))


def independent_floor(matrix: np.ndarray) -> float:
    """KL of the best Normal with independent dimensions: ½ (Σ log Λ_ii − log det Λ)."""
    return 0.5 * (np.log(np.diag(matrix)).sum() - np.linalg.slogdet(matrix)[1])


def shared_floor(truth: LinearGaussian) -> float:
    """Mean over subsets."""
    return float(np.mean([independent_floor(precision(truth, s)) for s in _all(truth)]))


def laplace_floor(truth: LinearGaussian) -> float:
    """Of independent Laplaces: scale_i² = 1 / (2 Λ_ii), and ½ (log π − 1) more each."""
    return shared_floor(truth) + 0.5 * truth.latent_dim * (math.log(math.pi) - 1)


def private_floor(truth: LinearGaussian, shared: int) -> float:
    """Of q(z | x_S) Π q(w_s | z, x_S), each with independent dimensions."""

    def floor(members):
        joint = precision(truth, members)
        of_w = joint[shared:, shared:]
        of_z = np.linalg.inv(np.linalg.inv(joint)[:shared, :shared])
        return independent_floor(of_z) + independent_floor(of_w)

    return float(np.mean([floor(s) for s in _all(truth)]))


def product_floor(truth: LinearGaussian, shared: int, prior: float = 1.0) -> float:
    """Of products of Normal experts for z and independent Normals q(w_s | x_s), by L-BFGS.

    Experts are η_s = A_s x_s with a constant Λ_s, and w_s has mean C_s x_s: in a linear
    Gaussian model nothing better depends on x_s otherwise. The expected KL of each subset
    is a quadratic form in A and C, exact. Modalities have one number of features.
    """
    count, features = len(truth.loadings), len(_loadings(truth)[0])
    private = (truth.latent_dim - shared) // count
    problems = [_problem(truth, members, shared, private) for members in _all(truth)]
    sizes = {"A": (count, shared, features), "C": (count, private, features)}
    sizes |= {"precision": (count, shared), "scale": (count, private)}
    start, unravel = ravel_pytree({n: jnp.full(s, 0.01) for n, s in sizes.items()})

    @jax.jit
    @jax.value_and_grad
    def mean_kl(flat):
        return jnp.stack([_kl_of(unravel(flat), prior, *p) for p in problems]).mean()

    result = scipy.optimize.minimize(
        lambda x: [np.asarray(v, float) for v in mean_kl(jnp.asarray(x))],
        np.asarray(start),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 3000, "maxfun": 5000},
    )
    return float(result.fun)


class _Problem(NamedTuple):
    inside: np.ndarray  # indices of S
    matrix: np.ndarray  # precision of (z, w_S) given x_S
    gain: np.ndarray  # its mean as a map of x_S
    covariance: np.ndarray  # of x_S


def _problem(truth, members, shared: int, private: int) -> _Problem:
    inside = np.flatnonzero(members)
    own = [shared + private * i + np.arange(private) for i in inside]
    columns = np.concatenate([np.arange(shared), *own]).astype(int)
    W = np.concatenate([_loadings(truth)[i] for i in inside])
    W = W[:, columns]
    matrix = np.eye(len(columns)) + W.T @ W / truth.scale**2
    gain = np.linalg.solve(matrix, W.T / truth.scale**2)
    return _Problem(inside, matrix, gain, W @ W.T + truth.scale**2 * np.eye(len(W)))


def _kl_of(params: dict, prior: float, inside, matrix, gain, covariance):
    """E KL(q ‖ exact) over x_S ~ N(0, covariance)."""
    of_z = prior + jnp.exp(params["precision"][inside]).sum(0)
    map_z = jnp.concatenate(list(params["A"][inside]), -1) / of_z[:, None]
    map_w = jax.scipy.linalg.block_diag(*params["C"][inside])
    scale_w = jnp.exp(params["scale"][inside]).ravel()
    variance = jnp.concatenate([1 / of_z, scale_w**2])
    error = jnp.concatenate([map_z, map_w[: len(scale_w)]]) - gain
    return 0.5 * (
        (jnp.diag(matrix) * variance).sum()
        - len(variance)
        - jnp.log(variance).sum()
        - jnp.linalg.slogdet(matrix)[1]
        + jnp.trace(matrix @ error @ covariance @ error.T)
    )
