"""Neural networks as lazily created Flax NNX modules."""

from consilience.nn.lazy import module
from consilience.nn.mlp import MLP, ResidualMLP

__all__ = ["MLP", "ResidualMLP", "module"]
