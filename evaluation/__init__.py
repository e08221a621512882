"""What a trained model is worth: rates, metrics, checks of its posteriors, pictures."""

from consilience.evaluation.rate_table import (
    InformationBounds,
    Rates,
    information_bounds,
    rates,
)
from consilience.evaluation.rates import RowRates, row_rates

__all__ = [
    "InformationBounds",
    "Rates",
    "RowRates",
    "information_bounds",
    "rates",
    "row_rates",
]
