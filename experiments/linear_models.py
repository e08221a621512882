"""Linear models whose densities are known: with private latents, and trained ones."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array
from scipy import stats

from consilience.datasets import MultimodalData
from consilience.models import LinearGaussian, observe


def split_loadings(dense: Mapping[str, Array], shared: int) -> dict[str, Array]:
    """Loadings of the latent (z, w_1 .. w_M): all but the first `shared` are private."""
    private = next(iter(dense.values())).shape[1] - shared
    loadings = {}
    for index, (name, W) in enumerate(dense.items()):
        own = jnp.zeros((len(W), len(dense) * private))
        columns = slice(private * index, private * (index + 1))
        own = own.at[:, columns].set(W[:, shared:])
        loadings[name] = jnp.concatenate([W[:, :shared], own], -1)
    return loadings


def private_program(truth: LinearGaussian, shared: int) -> Callable:
    """The same model, of such loadings, with sites "z" `[N, D]` and "w" `[N, M, W]`."""
    private = (truth.latent_dim - shared) // len(truth.loadings)

    def model(data, subset=None):
        shape = (len(data.names), private)
        with data.plate():
            z = numpyro.sample("z", dist.Normal(jnp.zeros(shared), 1.0).to_event(1))
            w = numpyro.sample("w", dist.Normal(jnp.zeros(shape), 1.0).to_event(2))
            latent = jnp.concatenate([z, w.reshape(*w.shape[:-2], -1)], -1)
            for name in data.names:
                mean = latent @ truth.loadings[name].T + truth.biases[name]
                observe(data, name, dist.Normal(mean, truth.scale), subset)

    return model


def exact_log_density(
    params: Mapping, data: MultimodalData, names: Sequence[str]
) -> np.ndarray:
    """log p(x_S) `[N]` of complete rows, in their own units, under trained parameters.

    Of `LinearDecoder`s and a `LearnedNormalLikelihood` under a standard normal prior:
    x_S ~ N(b, W Wᵀ + diag σ²).
    """
    layers = [params[f"decoder.{name}$params"]["linear"] for name in names]
    W = np.concatenate([layer["kernel"].T for layer in layers]).astype(float)
    b = np.concatenate([layer["bias"] for layer in layers]).astype(float)
    scale = np.concatenate([params[f"{name}.scale"] for name in names]).astype(float)
    x = np.concatenate([np.asarray(data.values[n], float) for n in names], -1)
    density = stats.multivariate_normal(b, W @ W.T + np.diag(scale**2)).logpdf(x)
    return density + np.asarray(data.log_jacobian(data.subset_of(*names)))
