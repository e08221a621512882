"""Regions of highest density, as contours in two dimensions of a posterior."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpyro.distributions import MultivariateNormal

from consilience.evaluation.reference_posterior import ReferencePosterior

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MASS = (0.5, 0.9)
GRID = 60
Exact = MultivariateNormal | ReferencePosterior
Plane = tuple[int, int]


def check_exact(name: str, exact: Exact, rows: int, latent_dim: int) -> None:
    """Refuse what has no contours, or those of other rows.

    Raises:
        TypeError: neither a Gaussian nor draws of NUTS.
        ValueError: of another number of rows or dimensions.
    """
    if isinstance(exact, MultivariateNormal):
        found = (*exact.batch_shape, *exact.event_shape)
    elif isinstance(exact, ReferencePosterior):
        found = (len(exact.draws), exact.draws.shape[-1])
    else:
        raise TypeError(
            f"{name}: expected a MultivariateNormal or a ReferencePosterior, got "
            f"{type(exact).__name__}"
        )
    if found != (rows, latent_dim):
        raise ValueError(
            f"{name}: expected {rows} rows of {latent_dim} dimensions, got {found}"
        )


def draw_regions(axes: "Axes", exact: Exact, row: int, dims: Plane, color: str) -> None:
    """Contours of the smallest regions that hold 50 % and 90 % of a row's posterior.

    Ellipses of a Gaussian; of the draws of NUTS, those of a kernel density estimate.
    """
    if isinstance(exact, MultivariateNormal):
        center = np.asarray(exact.loc[row])[list(dims)]
        covariance = np.asarray(exact.covariance_matrix[row])[np.ix_(dims, dims)]
        for outline in _ellipses(center, covariance):
            axes.plot(*outline, color=color, linewidth=1.6)
    else:
        draws = exact.draws[row].reshape(-1, exact.draws.shape[-1])[:, list(dims)]
        _contours(axes, draws, color)


def _ellipses(center, covariance) -> list[Float[np.ndarray, "2 points"]]:
    """|L⁻¹(z − μ)|² is χ² with two degrees of freedom: −2 log(1 − mass)."""
    angle = np.linspace(0, 2 * np.pi, 121)
    circle = np.linalg.cholesky(covariance) @ np.stack([np.cos(angle), np.sin(angle)])
    return [center[:, None] + np.sqrt(-2 * np.log1p(-m)) * circle for m in MASS]


def _contours(axes: "Axes", draws: Float[np.ndarray, "draws 2"], color: str) -> None:
    """The panel is to hold the draws, not all of the grid, which contours would ask for."""
    before = axes.dataLim.frozen()
    axes.contour(*_density(draws), colors=color, linewidths=1.6)
    axes.dataLim.set(before)
    axes.update_datalim([draws.min(0), draws.max(0)])
    axes.autoscale_view()


def _density(draws: Float[np.ndarray, "draws 2"]):
    """A grid, densities on it, and the levels that shares of the draws exceed."""
    from scipy.stats import gaussian_kde

    estimate = gaussian_kde(draws.T)
    margin = 0.3 * np.ptp(draws, 0)
    low, high = draws.min(0) - margin, draws.max(0) + margin
    x, y = (np.linspace(*ends, GRID) for ends in zip(low, high, strict=True))
    points = np.stack([each.ravel() for each in np.meshgrid(x, y)])
    levels = np.quantile(estimate(draws.T), [1 - m for m in sorted(MASS, reverse=True)])
    return x, y, estimate(points).reshape(GRID, GRID), levels
