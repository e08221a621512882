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
from consilience.evaluation.classifier_accuracy import classifier_accuracy
from consilience.evaluation.classifiers import Classifier, train_classifiers
from consilience.evaluation.clustering import ClusteringScores, clustering_scores
from consilience.evaluation.coherence import Coherence, coherence
from consilience.evaluation.comparison import compare
from consilience.evaluation.discrepancies import (
    Discrepancy,
    inconsistency,
    prior_hole,
)
from consilience.evaluation.distances import energy_distance, sliced_wasserstein
from consilience.evaluation.elpd_data import elpd
from consilience.evaluation.frechet import frechet_distance
from consilience.evaluation.given import Mean
from consilience.evaluation.identification import (
    Identification,
    MeanCorrelation,
    identification,
    mean_correlation,
)
from consilience.evaluation.images import structural_similarity
from consilience.evaluation.joint_coherence import joint_coherence
from consilience.evaluation.latent_classification import (
    LatentClassification,
    latent_classification,
)
from consilience.evaluation.plot_calibration import plot_calibration
from consilience.evaluation.plot_comparison import plot_comparison
from consilience.evaluation.plot_completions import Completion, plot_completions
from consilience.evaluation.plot_latents import plot_latents
from consilience.evaluation.plot_posterior_check import plot_posterior_check
from consilience.evaluation.plot_rates import plot_rate_distortion
from consilience.evaluation.plot_training import plot_training
from consilience.evaluation.prediction import (
    Intervals,
    predictive_intervals,
    predictive_log_density,
)
from consilience.evaluation.rate_table import (
    InformationBounds,
    Rates,
    information_bounds,
    rates,
)
from consilience.evaluation.rates import RowRates, row_rates
from consilience.evaluation.reconstruction_error import ByRow, reconstruction_error
from consilience.evaluation.reference_posterior import (
    Chains,
    ReferencePosterior,
    reference_posterior,
)

__all__ = [
    "ByRow",
    "Calibration",
    "Chains",
    "Classifier",
    "ClusteringScores",
    "Coherence",
    "Completion",
    "Discrepancy",
    "Distance",
    "Identification",
    "InformationBounds",
    "Intervals",
    "LatentClassification",
    "Mean",
    "MeanCorrelation",
    "PosteriorCheck",
    "Rates",
    "ReferencePosterior",
    "RowRates",
    "calibration",
    "check_posterior",
    "classifier_accuracy",
    "clustering_scores",
    "coherence",
    "compare",
    "elpd",
    "energy_distance",
    "frechet_distance",
    "identification",
    "inconsistency",
    "information_bounds",
    "joint_coherence",
    "latent_classification",
    "mean_correlation",
    "plot_calibration",
    "plot_comparison",
    "plot_completions",
    "plot_latents",
    "plot_posterior_check",
    "plot_rate_distortion",
    "plot_training",
    "predictive_intervals",
    "predictive_log_density",
    "prior_hole",
    "rates",
    "reconstruction_error",
    "reference_posterior",
    "row_rates",
    "simultaneous_band",
    "sliced_wasserstein",
    "structural_similarity",
    "train_classifiers",
]
