"""What a trained model is worth: rates, metrics, checks of its posteriors, pictures."""

from consilience.evaluation.clustering import ClusteringScores, clustering_scores
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

__all__ = [
    "ClusteringScores",
    "Identification",
    "InformationBounds",
    "MeanCorrelation",
    "Rates",
    "RowRates",
    "clustering_scores",
    "frechet_distance",
    "identification",
    "information_bounds",
    "mean_correlation",
    "rates",
    "row_rates",
]
