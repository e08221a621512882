"""The data container, its readers and writers, what is missing, and scaling."""

from consilience.datasets.completion import complete
from consilience.datasets.data import MultimodalData
from consilience.datasets.digits import quadrants_and_word
from consilience.datasets.frames import to_frames, write_frame, write_frames
from consilience.datasets.labelled import Labelled, Parts, read_labelled
from consilience.datasets.linear_simulators import simulate_linear
from consilience.datasets.missing import missing_completely_at_random
from consilience.datasets.nonlinear_simulators import (
    simulate_nonlinear,
    simulate_with_label,
)
from consilience.datasets.pairing import pair_by_label
from consilience.datasets.polymnist import polymnist_like
from consilience.datasets.read import read, read_arrays
from consilience.datasets.read_mnist import read_mnist
from consilience.datasets.read_svhn import read_svhn
from consilience.datasets.simulated import LinearTruth, NonlinearTruth, Simulated
from consilience.datasets.standardization import Standardization
from consilience.datasets.stores import stream
from consilience.datasets.streaming import StreamedData
from consilience.datasets.text_digits import read_words, write_words

__all__ = [
    "Labelled",
    "LinearTruth",
    "MultimodalData",
    "NonlinearTruth",
    "Parts",
    "Simulated",
    "Standardization",
    "StreamedData",
    "complete",
    "missing_completely_at_random",
    "pair_by_label",
    "polymnist_like",
    "quadrants_and_word",
    "read",
    "read_arrays",
    "read_labelled",
    "read_mnist",
    "read_svhn",
    "read_words",
    "simulate_linear",
    "simulate_nonlinear",
    "simulate_with_label",
    "stream",
    "to_frames",
    "write_frame",
    "write_frames",
    "write_words",
]
