"""Draw what each aggregation makes of one data point, beside the exact posterior.

Three modalities, each of which sees one direction of a two-dimensional latent: the exact
posterior of one is a long ridge, that of two or three the place where the ridges cross.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro.infer import SVI

from consilience.datasets import MultimodalData
from consilience.evaluation.style import BLUE, ORANGE, STYLE
from consilience.experiments.options import whole_number
from consilience.experiments.pictures import save
from consilience.experiments.stops import train_with_stops
from consilience.guides import (
    CholeskyHead,
    CorrectedProductOfExperts,
    MixtureHead,
    MixtureOfExperts,
    MixtureOfProductsOfExperts,
    MLPEncoder,
    ProductOfExperts,
    SelfAttention,
    SumPooling,
    amortized_guide,
)
from consilience.inference import MaskedELBO, programs
from consilience.models import LinearGaussian

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = {"width": 64, "hidden": (64,)}
COLUMNS = {
    "product of\nexperts": ProductOfExperts,
    "mixture of\nexperts": MixtureOfExperts,
    "mixture of products\nof experts": MixtureOfProductsOfExperts,
    "corrected product\nof experts": partial(
        CorrectedProductOfExperts, correction=partial(SumPooling, **SMALL)
    ),
    "sum pooling": partial(SumPooling, **SMALL),
    "sum pooling,\nmixture": partial(SumPooling, head=MixtureHead(), **SMALL),
    "self-attention": partial(SelfAttention, **SMALL),
    "sum pooling,\nfull covariance": partial(SumPooling, head=CholeskyHead(), **SMALL),
}
ROWS = (("a",), ("b",), ("a", "b"), ("a", "b", "c"))
SEEN = np.array([1.3, -0.6])
MASS = (0.9, 0.5)


def truth() -> LinearGaussian:
    """x_s = w_s · z + noise, w_s of length 3 in three directions, 60 degrees apart."""
    angles = np.deg2rad([15.0, 75.0, 135.0])
    directions = 3.0 * np.stack([np.cos(angles), np.sin(angles)], -1)
    loadings = {n: jnp.asarray(d)[None] for n, d in zip("abc", directions, strict=True)}
    return LinearGaussian(loadings, {n: jnp.zeros(1) for n in "abc"}, 1.0)


def point(model: LinearGaussian) -> MultimodalData:
    """One measurement without noise, at z = (1.3, −0.6)."""
    values = {n: (W @ SEEN)[None] for n, W in model.loadings.items()}
    return MultimodalData.from_arrays({n: np.asarray(v) for n, v in values.items()})


def trained_density(rng_key, model, aggregation: Callable, steps: int) -> Callable:
    """log q(z | x_S) of the point at `[points, 2]`, as a function of S and z."""
    encoder = partial(MLPEncoder, hidden=(32,))
    guide = amortized_guide(2, encoder, aggregation, 32)
    data, _ = model.simulate(rng_key, 20_000)
    rate = optax.cosine_decay_schedule(3e-3, steps)
    svi = SVI(model, guide, optax.adam(rate), MaskedELBO())
    params = next(train_with_stops(rng_key, svi, data, stops=[steps], batch_size=256))[
        1
    ]

    def density(rows, subset, z):
        trace = programs.run(guide, params, rng_key, {}, rows, subset)
        return trace["z"]["fn"].log_prob(z[:, None])[:, 0]

    return density


def picture(model: LinearGaussian, densities: dict[str, Callable]) -> "Figure":
    """A row for each subset, a column for each guide; the exact posterior behind all."""
    import matplotlib.pyplot as plt

    axis = np.linspace(-2.3, 2.6, 161)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    rows = point(model)
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            len(ROWS),
            len(densities),
            figsize=(1.75 * len(densities) + 0.8, 1.75 * len(ROWS) + 1.3),
            layout="constrained",
            sharex=True,
            sharey=True,
        )
        for line, given in zip(panels, ROWS, strict=True):
            subset = rows.subset_of(*given)
            exact = model.posterior(rows, subset).log_prob(grid[:, None])[:, 0]
            for axes, density in zip(line, densities.values(), strict=True):
                _contours(axes, axis, exact, "0.75", filled=True)
                log_q = density(rows, subset, jnp.asarray(grid))
                _contours(axes, axis, log_q, BLUE, filled=False)
                axes.plot(*SEEN, "+", color=ORANGE, markersize=9, markeredgewidth=2)
                axes.set(xticks=[], yticks=[], aspect="equal")
                axes.spines[:].set_visible(False)
            line[0].set_ylabel("given " + ", ".join(given))
        for axes, name in zip(panels[0], densities, strict=True):
            axes.set_title(name, fontsize=10)
        figure.suptitle(
            "Posteriors of a two-dimensional latent after one measurement: exact (grey) and "
            "learned (blue), 50 % and 90 % regions; + is the truth.\nOne modality leaves a "
            "ridge; several cross. A mixture of experts keeps the ridges, not the crossing."
        )
    return figure


def _contours(axes, axis: np.ndarray, log_density, color: str, filled: bool) -> None:
    """Regions of highest density that hold 90 % and 50 % of the mass on the grid."""
    density = np.exp(np.asarray(log_density, float)).reshape(len(axis), len(axis))
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = [ordered[np.searchsorted(mass, share)] for share in MASS]
    if filled:
        levels = [*levels, density.max() * 1.01]
        axes.contourf(axis, axis, density, levels, colors=["0.86", "0.7"])
    else:
        axes.contour(axis, axis, density, levels, colors=color, linewidths=1.3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path("contours.png"))
    parser.add_argument("--steps", type=whole_number(1), default=6000)


def run(options: argparse.Namespace) -> None:
    """Train every guide on the true model and draw."""
    key, model = jax.random.key(0), truth()
    densities = {
        name: trained_density(key, model, make, options.steps)
        for name, make in COLUMNS.items()
    }
    save(picture(model, densities), options.out)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
