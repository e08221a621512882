"""From the values of single draws to the bound of a row: means, and logs of means.

The second come with the doubly reparameterised gradient (DReG, Tucker et al. 2019). With
w̃ the normalised weights of the draws of one sum, every draw's path must count with

    (1 − β) w̃ + β w̃²        in place of        w̃

`tagged` marks the draws, `log_average` and `average_of_logs` say the factor, and
backpropagation multiplies with it where it reaches the mark: no value is computed twice.
"""

import jax
import jax.numpy as jnp
from jax.nn import logsumexp
from jaxtyping import Array, Float

Draws = Float[Array, "samples strata views rows"]
Rows = Float[Array, "views rows"]


def average(value: Draws, log_weights: Draws) -> Rows:
    """1/J Σ_j Σ_k π_k value_jk; a stratum of weight 0 is not read."""
    weights = jnp.exp(log_weights)
    return (weights * jnp.where(weights > 0, value, 0.0)).sum(1).mean(0)


def log_average(
    value: Draws, log_weights: Draws, tag: Draws | None, beta: float | Array
) -> Rows:
    """log 1/J Σ_j Σ_k π_k exp value_jk (Burda et al. 2016; Morningstar et al. 2021)."""
    present = jnp.exp(log_weights) > 0
    terms = jnp.where(present, value + log_weights, jnp.finfo(value.dtype).min)
    terms, tag = (None if x is None else _joined(x) for x in (terms, tag))
    return log_sum_exp(terms, tag, beta) - jnp.log(len(value))


def average_of_logs(
    value: Draws, log_weights: Draws, tag: Draws | None, beta: float | Array
) -> Rows:
    """Σ_k π_k log 1/J Σ_j exp value_jk (Shi et al. 2019)."""
    value = jnp.where(jnp.exp(log_weights) > 0, value, 0.0)
    logs = log_sum_exp(value, tag, beta) - jnp.log(len(value))
    return average(logs[None], log_weights[:1])


def log_sum_exp(
    terms: Float[Array, "draws ..."],
    tag: Float[Array, "draws ..."] | None,
    beta: float | Array,
) -> Float[Array, "..."]:
    """Of the first axis; with the tag of the draws, their paths count as DReG has it."""
    if tag is None:
        return logsumexp(terms, 0)
    return _log_sum_exp(terms, tag, jnp.asarray(beta, terms.dtype))


@jax.custom_vjp
def tagged(
    latents: dict[str, Array], log_weights: Float[Array, "views strata rows"]
) -> tuple[dict[str, Array], Float[Array, "views strata rows"]]:
    """The draws themselves `[V, K, N, ...]`, and the tag through which factors come.

    The tag is zero, but computed from the draws: under a vmap over samples each must have
    its own, or factors would be summed over them.
    """
    draw = next(iter(latents.values()))
    drawn = draw.reshape(*log_weights.shape, -1)[..., 0]
    return latents, jnp.where(drawn > 0, 0.0, jnp.zeros_like(log_weights))


def _tag(latents, log_weights):
    return tagged(latents, log_weights), log_weights


def _multiply(log_weights, cotangents):
    gradients, factor = cotangents

    def times(g):
        return g * factor.reshape(*factor.shape, *[1] * (g.ndim - factor.ndim))

    return jax.tree.map(times, gradients), jnp.zeros_like(log_weights)


tagged.defvjp(_tag, _multiply)


@jax.custom_vjp
def _log_sum_exp(terms, tag, beta):
    return logsumexp(terms, 0)


def _sum(terms, tag, beta):
    return logsumexp(terms, 0), (jax.nn.softmax(terms, 0), beta)


def _shares(residuals, gradient):
    share, beta = residuals
    return gradient * share, (1 - beta) + beta * share, jnp.zeros_like(beta)


_log_sum_exp.defvjp(_sum, _shares)


def _joined(x: Draws) -> Float[Array, "draws views rows"]:
    return x.reshape(-1, *x.shape[2:])
