"""Neural networks as lazily created Flax NNX modules."""

from consilience.nn.lazy import module
from consilience.nn.mlp import MLP, ResidualMLP, SkipMLP
from consilience.nn.rectified import rectified

__all__ = ["MLP", "ResidualMLP", "SkipMLP", "module", "rectified"]
