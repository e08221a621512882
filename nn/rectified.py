"""Initial weights for networks with rectifiers."""

from collections.abc import Callable

from flax import nnx

from consilience.nn.recipes import recorded

LINEAR = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose)


@recorded
def rectified(constructor: Callable[..., nnx.Module]) -> Callable[..., nnx.Module]:
    """The same network, whose linear layers start √2 times as large (He et al. 2015).

    The usual initial weights keep the mean square of a signal, and each rectifier halves
    it. Encoder, χ and ρ together have four rectifiers or more, and what comes out of them
    faint, as one-hot text does, is learned late. Take it for networks whose hidden layers
    have rectifiers: every linear layer is scaled, those that follow no rectifier as well.
    A layer is scaled once, however often it is wrapped.

        amortized_guide(20, rectified(MLPEncoder), rectified(SumPooling))

    Args:
        constructor: a class, a `functools.partial` of one, or a function, of a module.

    Returns:
        A constructor with the same arguments.
    """

    def scaled(*args, **more) -> nnx.Module:
        built = constructor(*args, **more)
        for _, layer in nnx.iter_modules(built):
            if isinstance(layer, LINEAR) and not getattr(layer, "rectified", False):
                layer.kernel[...] = layer.kernel[...] * 2**0.5
                layer.rectified = True
        return built

    return scaled
