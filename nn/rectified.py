"""Initial weights for networks with rectifiers."""

from collections.abc import Callable
from functools import partial

from flax import nnx


def rectified(constructor: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    """The same network, whose linear layers start √2 times as large (He et al. 2015).

    A rectifier halves the mean square of a signal, and the usual initial weights keep it
    as it is: after encoder, χ and ρ of a sum pooling, ten layers in all, a thirtieth is
    left, and less of one-hot text. What is so faint is learned late. For any constructor
    of encoders, decoders and aggregations:

        amortized_guide(20, rectified(MLPEncoder), rectified(SumPooling))

    Args:
        constructor: a class, a `functools.partial` of one, or a function, of a module.
    """
    return partial(_rectified, constructor)


def _rectified(constructor: Callable[..., nnx.Module], *args, **more) -> nnx.Module:
    built = constructor(*args, **more)
    for _, layer in nnx.iter_modules(built):
        if isinstance(layer, nnx.Linear):
            layer.kernel[...] = layer.kernel[...] * 2**0.5
    return built
