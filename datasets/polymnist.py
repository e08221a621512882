"""One digit on several photographs: many modalities that share nothing but the class."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, Key, Num

from consilience.datasets.data import MultimodalData
from consilience.datasets.pairing import pair_by_label
from consilience.nn.kinds import checked_kinds

INK = 0.5


@checked_kinds
def polymnist_like(
    rng_key: Key[Array, ""],
    images: Num[np.ndarray | Array, "images ..."],
    labels: Num[np.ndarray | Array, " images"],
    backgrounds: Mapping[str, Num[np.ndarray | Array, "..."]],
    num_pairings: int = 1,
) -> MultimodalData:
    """Digits on random cuts of photographs, one photograph a modality.

    As PolyMNIST is made (Sutter et al. 2021): the images of a row show the same digit,
    drawn from all images of it, seldom the same one; a modality's image is a cut of its
    photograph at a random place, with inverted colours where there is ink. The digit is
    what modalities share, hand and place are their own. Any images of classes serve, and
    any photographs. Ten thousand rows of 28 × 28 × 3 take 94 MB a modality.

    Args:
        rng_key: random key of who meets whom, and of the cuts.
        images: grey images `[n, H, W]`, whole numbers 0..255 or floats 0..1; ink is what
            is above half.
        labels: class of each image, whole numbers.
        backgrounds: modality name → photograph `[H', W', C]`, at least as large as the
            images, in numbers likewise.
        num_pairings: how often all images are paired anew.

    Returns:
        complete rows of images `[H, W, C]`, floats from 0 to 1, by modality, sorted by
        pairing and class; the class is the covariate "label".

    Raises:
        ValueError: shapes or numbers that are not as said; no background.
    """
    images = _unit("images", images, 3)
    photographs = {
        n: _unit(f"backgrounds[{n!r}]", p, 3) for n, p in backgrounds.items()
    }
    if not photographs:
        raise ValueError("backgrounds: expected at least one photograph, got none")
    for name, photograph in photographs.items():
        _check_size(name, photograph, images.shape[1:])
    key_pairs, key_cuts = jax.random.split(rng_key)
    paired = pair_by_label(
        key_pairs, {name: (images, labels) for name in photographs}, num_pairings
    )
    generator = np.random.default_rng(np.asarray(jax.random.key_data(key_cuts)))
    values = {
        name: _on(generator, photographs[name], np.asarray(paired.values[name]) > INK)
        for name in paired.names
    }
    return MultimodalData.from_arrays(values, covariates=dict(paired.covariates))


def _on(
    generator: np.random.Generator, photograph: np.ndarray, ink: np.ndarray
) -> np.ndarray:
    """A cut for each image, its colours inverted where there is ink."""
    count, height, width = ink.shape
    tops = generator.integers(photograph.shape[0] - height + 1, size=count)
    lefts = generator.integers(photograph.shape[1] - width + 1, size=count)
    rows = tops[:, None, None] + np.arange(height)[:, None]
    columns = lefts[:, None, None] + np.arange(width)
    cuts = photograph[rows, columns]
    return np.where(ink[..., None], 1 - cuts, cuts)


def _unit(argument: str, given: object, axes: int) -> np.ndarray:
    """As float32 from 0 to 1."""
    array = np.asarray(given)
    whole = array.dtype.kind in "iu"
    scaled = array.astype(np.float32) / (255 if whole else 1)
    if array.ndim != axes or not array.size:
        raise ValueError(
            f"{argument}: expected an array of {axes} axes, got shape {array.shape}"
        )
    if not (scaled.min() >= 0 and scaled.max() <= 1):
        raise ValueError(
            f"{argument}: expected whole numbers from 0 to 255 or floats from 0 to 1, got "
            f"{array.dtype} from {array.min()} to {array.max()}"
        )
    return scaled


def _check_size(name: str, photograph: np.ndarray, least: tuple[int, ...]) -> None:
    if photograph.shape[0] < least[0] or photograph.shape[1] < least[1]:
        raise ValueError(
            f"backgrounds[{name!r}]: expected a photograph of {least[0]} × {least[1]} or "
            f"more, got {photograph.shape[0]} × {photograph.shape[1]}"
        )
