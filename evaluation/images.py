"""Structural similarity of generated images and real ones."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Shaped

from consilience.datasets.data import MultimodalData
from consilience.evaluation.reconstruction_error import (
    ByRow,
    mean_by_row,
    truth_and_generated,
)
from consilience.inference.contract import require_data
from consilience.nn.sizes import check_numbers, check_positive


def structural_similarity(
    data: MultimodalData,
    generated: Mapping[str, Shaped[Array | np.ndarray, "samples rows ..."]],
    *,
    data_range: float = 1.0,
    window: int = 7,
) -> dict[str, ByRow]:
    """Structural similarity of images (Wang et al. 2004), 1 if they are the same.

    Args:
        data: N rows, the truth.
        generated: modality name → images `[K, N, H, W]` or `[K, N, H, W, C]`, as
            `generate` gives them; the modalities named here are judged.
        data_range: of the unscaled values, largest less smallest that there can be; 1 for
            images from 0 to 1, 255 for bytes.
        window: side of the windows in pixels, odd, not above H or W.

    Returns:
        by modality, from −1 to 1; rows that lack the image or any pixel of it are left out
        and counted.

    Raises:
        ImportError: scikit-image is not installed.
        TypeError: `data` is no `MultimodalData`.
        ValueError: a name is unknown, a shape is another or that of no image, a number is
            not finite where there is a truth, `data_range` is not positive, `window` does
            not fit.
    """
    require_data(data)
    check_positive(window=window)
    check_numbers(data_range=data_range)
    settings = {"data_range": data_range, "win_size": window}
    return {name: _similar(data, name, x, settings) for name, x in generated.items()}


def _similar(
    data: MultimodalData, name: str, generated: object, settings: dict
) -> ByRow:
    similarity = _structural_similarity()
    truth, generated, observed = truth_and_generated(data, name, generated)
    _check_image(name, truth.shape[1:], settings["win_size"])
    settings = settings | {"channel_axis": -1 if truth.ndim == 4 else None}
    whole = observed.reshape(data.size, -1).all(-1)
    by_row = np.full(data.size, np.nan)
    for i in np.flatnonzero(whole):
        each = [similarity(truth[i], draw[i], **settings) for draw in generated]
        by_row[i] = np.mean(each)
    return mean_by_row(by_row)


def _check_image(name: str, shape: tuple[int, ...], window: int) -> None:
    if len(shape) not in (2, 3):
        raise ValueError(
            f"generated: modality {name!r}: expected images (H, W) or (H, W, C), got "
            f"values of shape {shape}"
        )
    if window % 2 == 0 or window < 3 or window > min(shape[:2]):
        raise ValueError(
            f"window: expected an odd number from 3 to {min(shape[:2])}, the smaller side "
            f"of {name!r}, got {window}"
        )


def _structural_similarity():
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError(
            "structural_similarity needs scikit-image, which is not installed: "
            "pip install 'consilience[images]'"
        ) from error
    return structural_similarity
