"""Which arrays of an archive, folder or group are modalities, and which describe them."""

from collections.abc import Container, Iterable

import numpy as np

from consilience.datasets.contents import Modalities
from consilience.datasets.names import few, nearest, texts_of

MASK, FEATURES, COVARIATE = "mask_", "features_", "covariate_"
ALONE = ("present", "row_names")


def describes(name: str, found: Container[str]) -> bool:
    """Whether an array describes another; others are modalities."""
    for prefix in (MASK, FEATURES):
        if name.startswith(prefix) and name.removeprefix(prefix) in found:
            return True
    return name in ALONE or name.startswith(COVARIATE)


def modalities_among(
    place: str, found: Iterable[str], modalities: Modalities
) -> list[str]:
    """Names of the modalities in the order of the source.

    Raises:
        ValueError: one is called as what describes others is, but for its case, or as the
            mask or features of what is not there; `modalities` may name it all the same.
    """
    found = list(found)
    own = [name for name in found if not describes(name, found)]
    named = modalities.values() if hasattr(modalities, "values") else modalities or ()
    for name in own:
        if name not in named and _nearly_describes(name):
            known = [prefix + other for other in own for prefix in (MASK, FEATURES)]
            known += [*ALONE, *(n for n in found if n.startswith(COVARIATE))]
            raise ValueError(
                f"{place}: expected present, row_names, covariate_<name>, and mask_ or "
                f"features_ of one of {few(set(own) - {name}, 20) or 'no modality'}, got "
                f"{name!r}{nearest(name, known)}; if it is a modality, name it in "
                "`modalities`"
            )
    return own


def _nearly_describes(name: str) -> bool:
    folded = name.casefold()
    return folded in ALONE or folded.startswith((MASK, FEATURES, COVARIATE))


def texts(place: str, array) -> list[str]:
    """Names out of an array `[N]` of text or bytes.

    Raises:
        ValueError: it has another shape.
    """
    array = np.asarray(array)
    if array.ndim != 1:
        raise ValueError(
            f"{place}: expected names in one line, got an array of shape {array.shape}"
        )
    return list(texts_of(place, array.tolist()))
