"""Amortised posteriors q(z | x_S) as NumPyro programs, and their parts."""

from consilience.guides.aggregations import AGGREGATIONS, ProductOfExperts, SumPooling
from consilience.guides.amortized import amortized_guide
from consilience.guides.encoders import ENCODERS, MLPEncoder
from consilience.guides.heads import HEADS, NormalHead

__all__ = [
    "AGGREGATIONS",
    "ENCODERS",
    "HEADS",
    "MLPEncoder",
    "NormalHead",
    "ProductOfExperts",
    "SumPooling",
    "amortized_guide",
]
