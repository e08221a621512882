"""What a trained model is worth: rates, metrics, checks of its posteriors, pictures."""

from consilience.evaluation.calibration import (
    Calibration,
    calibration,
    simultaneous_band,
)
from consilience.evaluation.check_posterior import (
    Distance,
    PosteriorCheck,
    check_posterior,
)
from consilience.evaluation.clustering import ClusteringScores, clustering_scores
from consilience.evaluation.comparison import compare
from consilience.evaluation.distances import energy_distance, sliced_wasserstein
from consilience.evaluation.elpd_data import elpd
from consilience.evaluation.frechet import frechet_distance
from consilience.evaluation.identification import (
    Identification,
    MeanCorrelation,
    identification,
    mean_correlation,
)
from consilience.evaluation.rate_table import (
    InformationBounds,
    Rates,
    information_bounds,
    rates,
)
from consilience.evaluation.rates import RowRates, row_rates
from consilience.evaluation.reference_posterior import (
    Chains,
    ReferencePosterior,
    reference_posterior,
)

__all__ = [
    "Calibration",
    "Chains",
    "ClusteringScores",
    "Distance",
    "Identification",
    "InformationBounds",
    "MeanCorrelation",
    "PosteriorCheck",
    "Rates",
    "ReferencePosterior",
    "RowRates",
    "calibration",
    "check_posterior",
    "clustering_scores",
    "compare",
    "elpd",
    "energy_distance",
    "frechet_distance",
    "identification",
    "information_bounds",
    "mean_correlation",
    "rates",
    "reference_posterior",
    "row_rates",
    "simultaneous_band",
    "sliced_wasserstein",
]
