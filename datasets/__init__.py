"""The data container, its readers and writers, what is missing, and scaling."""

from consilience.datasets.completion import complete
from consilience.datasets.data import MultimodalData
from consilience.datasets.digits import quadrants_and_word
from consilience.datasets.frames import to_frames, write_frame, write_frames
from consilience.datasets.missing import missing_completely_at_random
from consilience.datasets.pairing import pair_by_label
from consilience.datasets.read import read, read_arrays
from consilience.datasets.standardization import Standardization
from consilience.datasets.stores import stream
from consilience.datasets.streaming import StreamedData

__all__ = [
    "MultimodalData",
    "Standardization",
    "StreamedData",
    "complete",
    "missing_completely_at_random",
    "pair_by_label",
    "quadrants_and_word",
    "read",
    "read_arrays",
    "stream",
    "to_frames",
    "write_frame",
    "write_frames",
]
