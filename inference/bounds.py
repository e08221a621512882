"""All bounds by name."""

from consilience.inference.experts import (
    AuxiliaryMixtureOfExpertsELBO,
    JensenShannonELBO,
    MixtureOfExpertsELBO,
)
from consilience.inference.importance_weighted import (
    ImportanceWeightedELBO,
    ImportanceWeightedMaskedELBO,
)
from consilience.inference.masked_elbo import MaskedELBO
from consilience.inference.mixture_elbo import MixtureELBO
from consilience.inference.subsampled import SubsampledELBO
from consilience.inference.total_correlation import (
    InterpolatedTotalCorrelationELBO,
    TotalCorrelationELBO,
)

BOUNDS = {
    "masked": MaskedELBO,
    "mixture": MixtureELBO,
    "total_correlation": TotalCorrelationELBO,
    "interpolated_total_correlation": InterpolatedTotalCorrelationELBO,
    "subsampled": SubsampledELBO,
    "importance_weighted": ImportanceWeightedELBO,
    "importance_weighted_masked": ImportanceWeightedMaskedELBO,
    "mixture_of_experts": MixtureOfExpertsELBO,
    "auxiliary_mixture_of_experts": AuxiliaryMixtureOfExpertsELBO,
    "jensen_shannon": JensenShannonELBO,
}
