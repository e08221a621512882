"""The linear Gaussian model: every quantity of it in closed form, the oracle of all tests.

    z ~ N(0, I_D),    x_s | z ~ N(W_s z + b_s, σ² I)

Notation of Hirt et al. 2024, section 5.1 and appendix J: W stacks the rows of all
modalities, m ∈ {0, 1}^P says which features of a row count, M = diag(m).

A = [M W / σ; I] and y = [m (x − b) / σ; 0]: AᵀA is the precision of p(z | x_S), and what
least squares of y on A leave is the square in the density (`least_squares.py`).
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.datasets.pytree import pytree_dataclass
from consilience.models.least_squares import LeastSquares
from consilience.models.multimodal import observe
from consilience.nn.kinds import checked_kinds

LOG_2PI = math.log(2 * math.pi)


@pytree_dataclass()
@dataclasses.dataclass(frozen=True, eq=False)
class LinearGaussian:
    """x_s = W_s z + b_s + σ ε; a `model(data, subset=None)` and its exact answers.

    Modalities keep the order of `data.names` wherever data are given.

    Attributes:
        loadings: W_s by modality, each `[D_s, D]`.
        biases: b_s by modality, each `[D_s]`.
        scale: σ, the standard deviation of the noise.
    """

    loadings: dict[str, Float[Array, "features latent"]]
    biases: dict[str, Float[Array, " features"]]
    scale: Float[Array, ""] | float

    def __post_init__(self):
        if not self.loadings or self.loadings.keys() != self.biases.keys():
            raise ValueError(
                "expected loadings and biases of the same modalities, got "
                f"{', '.join(self.loadings) or 'none'} and "
                f"{', '.join(self.biases) or 'none'}"
            )
        for name, W in self.loadings.items():
            expected = (W.shape[0], self.latent_dim)
            if W.shape != expected or self.biases[name].shape != expected[:1]:
                raise ValueError(
                    f"modality {name!r}: expected loadings {expected} and biases "
                    f"{expected[:1]}, got {W.shape} and {self.biases[name].shape}"
                )

    def __call__(
        self, data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> None:
        """Run the model as a NumPyro program."""
        for name in data.names:
            self._check(name)
        with data.plate():
            prior = dist.Normal(jnp.zeros(self.latent_dim), 1.0).to_event(1)
            z = numpyro.sample("z", prior)
            for name in data.names:
                mean = z @ self.loadings[name].T + self.biases[name]
                observe(data, name, dist.Normal(mean, self.scale), subset)

    @property
    def latent_dim(self) -> int:
        """D."""
        return next(iter(self.loadings.values())).shape[-1]

    def posterior(
        self, data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> dist.MultivariateNormal:
        """p(z | x_S) = N(A⁺ y, (AᵀA)⁻¹), a batch over rows.

        Missing entries are left out. `subset` None means all that is present.
        """
        A, y = self._regression(data, subset)
        found = LeastSquares.of(A)
        loc, _ = found.solve(y)
        return dist.MultivariateNormal(loc, scale_tril=found.scale_tril())

    def log_likelihood(
        self, data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> Float[Array, " rows"]:
        """log p(x_S) of each row in nats, over the units of the unscaled data.

        −½ [ |y − A μ|² + log det AᵀA + |m| log 2πσ² ], μ the posterior's mean. Memory goes
        with rows · features · latents.
        """
        A, y = self._regression(data, subset)
        found = LeastSquares.of(A)
        _, square = found.solve(y)
        count = counted(data, subset).sum(-1)
        log_variance = LOG_2PI + 2 * jnp.log(self.scale)
        value = -0.5 * (square + count * log_variance) - found.half_log_det()
        return value + data.log_jacobian(subset)

    @checked_kinds
    def simulate(
        self, rng_key: Key[Array, ""], num_rows: int
    ) -> tuple[MultimodalData, Float[Array, "rows latent"]]:
        """Draw complete rows and the latents that caused them."""
        key_z, key_x = jax.random.split(rng_key)
        z = jax.random.normal(key_z, (num_rows, self.latent_dim))
        values = {}
        for i, (name, W) in enumerate(self.loadings.items()):
            noise = jax.random.normal(
                jax.random.fold_in(key_x, i), (num_rows, W.shape[0])
            )
            values[name] = z @ W.T + self.biases[name] + self.scale * noise
        return MultimodalData.from_arrays(values), z

    def mutual_information(self, *names: str) -> Float[Array, ""]:
        """I(x_S; z) = ½ log det(I + W_SᵀW_S/σ²), in nats; all modalities if none named.

        It is the rate of the exact posterior, E KL(p(z|x_S) ‖ p(z)). The cross rate
        E KL(p(z|x) ‖ p(z|x_S)) is `mutual_information() - mutual_information(*names)`.
        """
        return self._complete(names or self.loadings).half_log_det()

    def entropy(self, *names: str) -> Float[Array, ""]:
        """H(x_S) in nats: I(x_S; z) + the entropy of the noise."""
        information = self.mutual_information(*names)
        width = sum(self.loadings[n].shape[0] for n in names or self.loadings)
        return information + 0.5 * width * (LOG_2PI + 1 + 2 * jnp.log(self.scale))

    def reconstruction(
        self, target: tuple[str, ...], given: tuple[str, ...]
    ) -> Float[Array, ""]:
        """E log p(x_T | z), z ~ p(z | x_S), x ~ p: expected reconstruction in nats.

        A modality of T that is in S has a posterior draw z distributed like the true
        cause: −½ D_t (log 2πσ² + 1). One outside adds the posterior's own spread twice:
        − tr(W_t Σ_S W_tᵀ)/σ², Σ_S the covariance of p(z|x_S).
        """
        posterior, total = self._complete(given), jnp.zeros(())
        for name in target:
            self._check(name)
            W = self.loadings[name]
            total -= 0.5 * W.shape[0] * (LOG_2PI + 1 + 2 * jnp.log(self.scale))
            if name not in given:
                total -= posterior.variance_of(W / self.scale).sum()
        return total

    def _complete(self, names) -> LeastSquares:
        """A of complete rows: the precision of p(z | x_S) is I + W_SᵀW_S/σ²."""
        for name in names:
            self._check(name)
        parts = [self.loadings[name] / self.scale for name in names]
        return LeastSquares.of(jnp.concatenate([*parts, jnp.eye(self.latent_dim)]))

    def _check(self, name: str) -> None:
        if name not in self.loadings:
            known = ", ".join(self.loadings)
            raise ValueError(f"expected one of the modalities {known}, got {name!r}")

    def _stack(self, data, subset):
        """W `[P, D]`, m (x − b) `[N, P]`, m `[N, P]` over the features of all modalities."""
        for name in data.names:
            self._check(name)
        W = jnp.concatenate([self.loadings[name] for name in data.names])
        b = jnp.concatenate([self.biases[name] for name in data.names])
        x = jnp.concatenate([data.filled(name) for name in data.names], -1)
        m = counted(data, subset)
        return W, jnp.where(m, x - b, 0.0), m

    def _regression(self, data, subset):
        """A `[N, P + D, D]` and y `[N, P + D]`."""
        W, r, m = self._stack(data, subset)
        A = jnp.where(m[..., None], W / self.scale, 0.0)
        D = self.latent_dim
        A = jnp.concatenate([A, jnp.broadcast_to(jnp.eye(D), (len(A), D, D))], 1)
        return A, jnp.pad(r / self.scale, ((0, 0), (0, D)))


def counted(
    data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
) -> Bool[Array, "rows features"]:
    """M `[N, P]`: the features of all modalities, side by side, that count."""
    subset = data.subset(subset)
    columns = [data.observed(n) & subset[:, [i]] for i, n in enumerate(data.names)]
    return jnp.concatenate(columns, -1)


def illustrative_example() -> LinearGaussian:
    """x_1 = z_0 + z_1 + u_1, x_2 = z_0 + 10 z_2 + u_2 (Hirt et al. 2024, Table 1)."""
    loadings = {"x1": jnp.array([[1.0, 1.0, 0.0]]), "x2": jnp.array([[1.0, 0.0, 10.0]])}
    return LinearGaussian(loadings, {"x1": jnp.zeros(1), "x2": jnp.zeros(1)}, 1.0)
