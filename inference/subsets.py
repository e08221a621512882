"""Laws ρ of the random subset S ⊆ O that a bound conditions on.

A law is called as `law(rng_key, present)` and returns one subset a row. A function of
your own serves as well; what it returns is restricted to present modalities. Those here
can also list all subsets with their probabilities.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Key

from consilience.nn.sets import (
    all_subsets,
    log_binomial,
    random_non_empty,
    random_of_size,
)
from consilience.nn.sizes import check_within

SubsetLaw = Callable[[Array, Array], Array]
Listed = tuple[Bool[Array, "subsets rows modalities"], Float[Array, "subsets rows"]]


class KnownLaw(ABC):
    """A law that knows its probabilities."""

    @abstractmethod
    def __call__(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        """One S a row."""

    @abstractmethod
    def listed(self, present: Bool[Array, "rows modalities"]) -> Listed:
        """Every subset that may come, and ρ of each for each row."""


class SizeLaw(KnownLaw):
    """A law under which subsets of one size are equally likely."""

    @abstractmethod
    def log_weight(
        self, size: Float[Array, "*#batch"], count: Float[Array, "*#batch"]
    ) -> Float[Array, "*batch"]:
        """log ρ(S) up to a constant, from |S| and |O|; −inf where it cannot be."""

    def listed(self, present: Bool[Array, "rows modalities"]) -> Listed:
        """All subsets of all modalities, and ρ of each for each row.

        Raises:
            ValueError: there are more than 4096.
        """
        table = jnp.asarray(all_subsets(present.shape[-1]))
        S = table[:, None] & jnp.ones_like(present)
        inside = ~(S & ~present).any(-1)
        size, count = (x.sum(-1).astype(float) for x in (S, present))
        log_weight = jnp.where(inside, self.log_weight(size, count), -jnp.inf)
        possible = jnp.isfinite(log_weight).any(0)
        everything = jnp.where((present == S).all(-1), 0.0, -jnp.inf)
        log_weight = jnp.where(possible, log_weight, everything)
        return S & present, jax.nn.softmax(log_weight, 0)


@dataclasses.dataclass(frozen=True)
class Hierarchical(SizeLaw):
    """λ ~ U(0, 1) a row, then s ∈ S with probability λ (Hirt et al. 2024, Remark 6).

    The size of S is uniform on {0..|O|}.
    """

    def __call__(self, rng_key, present):
        key_rate, key_subset = jax.random.split(rng_key)
        rate = jax.random.uniform(key_rate, (*present.shape[:-1], 1))
        return present & jax.random.bernoulli(key_subset, rate, present.shape)

    def log_weight(self, size, count):
        return gammaln(size + 1) + gammaln(count - size + 1)


@dataclasses.dataclass(frozen=True)
class Independent(SizeLaw):
    """s ∈ S with one probability, independently; ½ makes all subsets equally likely.

    Attributes:
        probability: of a modality being in S.
    """

    probability: float = 0.5

    def __post_init__(self):
        check_within("probability", self.probability, 0, 1, "[]")

    def __call__(self, rng_key, present):
        return present & jax.random.bernoulli(rng_key, self.probability, present.shape)

    def log_weight(self, size, count):
        chance = jnp.array(self.probability, float)
        return _times_log(size, chance) + _times_log(count - size, 1 - chance)


@dataclasses.dataclass(frozen=True)
class UniformNonEmpty(SizeLaw):
    """Uniform over the 2^|O| − 1 non-empty subsets of O."""

    def __call__(self, rng_key, present):
        return random_non_empty(rng_key, present)

    def log_weight(self, size, count):
        return jnp.where(size > 0, jnp.zeros_like(count), -jnp.inf)


@dataclasses.dataclass(frozen=True)
class Unimodal(KnownLaw):
    """One modality of O, uniformly."""

    def __call__(self, rng_key, present):
        logits = jnp.where(present, 0.0, jnp.finfo(jnp.float32).min)
        one = jax.random.categorical(rng_key, logits)
        return present & jax.nn.one_hot(one, present.shape[-1], dtype=bool)

    def listed(self, present: Bool[Array, "rows modalities"]) -> Listed:
        """The M single modalities."""
        return unimodal(present)


@dataclasses.dataclass(frozen=True)
class BySize(SizeLaw):
    """|S| = n with probability ∝ weights[n], then any S of that size.

    Rows whose modalities are too few for any size of positive weight get S = O.

    Attributes:
        weights: one number of 0 or more for each size 0, 1, .. M.
    """

    weights: tuple[float, ...]

    def __post_init__(self):
        check_within("weights", self.weights, 0, math.inf, "[)", several=True)
        values = np.asarray(self.weights, float)
        if values.ndim != 1 or not values.any():
            raise ValueError(
                "weights: expected numbers of 0 or more for sizes 0, 1, .. M, not all "
                f"zero, got {self.weights!r}"
            )

    def __call__(self, rng_key, present):
        log_weights = self._log_weights(present)
        count = present.sum(-1, keepdims=True)
        size = jnp.arange(len(log_weights))
        lowest = jnp.finfo(log_weights.dtype).min
        logits = jnp.where(size <= count, jnp.maximum(log_weights, lowest), lowest)
        possible = (logits > lowest).any(-1, keepdims=True)
        logits = jnp.where(possible, logits, jnp.where(size == count, 0.0, lowest))
        return random_of_size(rng_key, present, logits)

    def log_weight(self, size, count):
        log_weight = jnp.log(jnp.array(self.weights, float))[size.astype(int)]
        return log_weight - log_binomial(count, size)

    def listed(self, present):
        self._log_weights(present)
        return super().listed(present)

    def _log_weights(self, present) -> Float[Array, " sizes"]:
        expected = present.shape[-1] + 1
        if len(self.weights) != expected:
            raise ValueError(
                f"weights: expected {expected} numbers, for sizes 0 to {expected - 1}, "
                f"got {len(self.weights)}"
            )
        return jnp.log(jnp.array(self.weights, float))


@dataclasses.dataclass(frozen=True)
class Fixed(KnownLaw):
    """The same modalities always, as far as a row has them.

    Attributes:
        members: one boolean per modality, in the order of `data.names`.
    """

    members: tuple[bool, ...]

    def __post_init__(self):
        if not all(isinstance(member, bool | np.bool_) for member in self.members):
            raise TypeError(
                f"members: expected one boolean per modality, got {self.members!r}"
            )

    def __call__(self, rng_key, present):
        if len(self.members) != present.shape[-1]:
            raise ValueError(
                f"members: expected {present.shape[-1]} booleans, one per modality, got "
                f"{len(self.members)}"
            )
        return present & jnp.array(self.members, dtype=bool)

    def listed(self, present: Bool[Array, "rows modalities"]) -> Listed:
        """The one."""
        S = self(jax.random.key(0), present)
        return S[None], jnp.ones((1, len(present)))


def unimodal(present: Bool[Array, "rows modalities"]) -> Listed:
    """Each single modality `[M, N, M]`, and 1/|O| where it is present `[M, N]`."""
    each = jnp.eye(present.shape[-1], dtype=bool)[:, None] & present
    count = jnp.maximum(present.sum(-1), 1)
    return each, each.any(-1) / count


def check_law(subsets: SubsetLaw, exhaustive: bool) -> None:
    """Refuse what is no law, or a class in place of an instance.

    Raises:
        TypeError: naming the argument.
    """
    if not callable(subsets) or isinstance(subsets, type):
        raise TypeError(
            f"subsets: expected a law such as Hierarchical(), got {subsets!r}"
        )
    if exhaustive and not isinstance(subsets, KnownLaw):
        raise TypeError(
            "subsets: expected a law that knows its probabilities, such as "
            f"Hierarchical(), with exhaustive=True, got {subsets!r}"
        )


def _times_log(count: Array, chance: Array) -> Array:
    """count · log chance, 0 where count is."""
    return jnp.where(count > 0, count * jnp.log(chance), 0.0)


SUBSETS = {
    "hierarchical": Hierarchical,
    "independent": Independent,
    "uniform_non_empty": UniformNonEmpty,
    "unimodal": Unimodal,
    "by_size": BySize,
    "fixed": Fixed,
}
