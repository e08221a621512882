"""Laws ρ of the random subset S ⊆ O that a bound conditions on.

A law is called as `law(rng_key, present)` and returns one subset a row. A function of
your own serves as well; what it returns is restricted to present modalities.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key

SubsetLaw = Callable[[Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class Hierarchical:
    """λ ~ U(0, 1) a row, then s ∈ S with probability λ (Hirt et al. 2024, Remark 6).

    The size of S is uniform on {0..|O|}.
    """

    def __call__(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        key_rate, key_subset = jax.random.split(rng_key)
        rate = jax.random.uniform(key_rate, (*present.shape[:-1], 1))
        return present & jax.random.bernoulli(key_subset, rate, present.shape)


@dataclasses.dataclass(frozen=True)
class Independent:
    """s ∈ S with one probability, independently; ½ makes all subsets equally likely.

    Attributes:
        probability: of a modality being in S.
    """

    probability: float = 0.5

    def __post_init__(self):
        if not 0 <= self.probability <= 1:
            raise ValueError(
                f"probability: expected a number in [0, 1], got {self.probability!r}"
            )

    def __call__(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        return present & jax.random.bernoulli(rng_key, self.probability, present.shape)


@dataclasses.dataclass(frozen=True)
class UniformNonEmpty:
    """Uniform over the 2^|O| − 1 non-empty subsets of O."""

    def __call__(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        # P(the first member of S is the k-th of O) ∝ 2^-k; the later ones are free.
        key_first, key_rest = jax.random.split(rng_key)
        rank = jnp.cumsum(present, -1)
        logits = jnp.where(present, -rank * np.log(2.0), jnp.finfo(jnp.float32).min)
        first = jax.random.categorical(key_first, logits)[..., None]
        rest = jax.random.bernoulli(key_rest, 0.5, present.shape)
        column = jnp.arange(present.shape[-1])
        return present & ((column == first) | ((column > first) & rest))


@dataclasses.dataclass(frozen=True)
class Unimodal:
    """One modality of O, uniformly."""

    def __call__(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        logits = jnp.where(present, 0.0, jnp.finfo(jnp.float32).min)
        one = jax.random.categorical(rng_key, logits)
        return present & jax.nn.one_hot(one, present.shape[-1], dtype=bool)


@dataclasses.dataclass(frozen=True)
class Fixed:
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

    def __call__(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Bool[Array, "rows modalities"]:
        if len(self.members) != present.shape[-1]:
            raise ValueError(
                f"members: expected {present.shape[-1]} booleans, one per modality, got "
                f"{len(self.members)}"
            )
        return present & jnp.array(self.members, dtype=bool)


SUBSETS = {
    "hierarchical": Hierarchical,
    "independent": Independent,
    "uniform_non_empty": UniformNonEmpty,
    "unimodal": Unimodal,
    "fixed": Fixed,
}
