"""Names of the dimensions and coordinates of a DataTree."""

from collections.abc import Mapping

from consilience.datasets.data import MultimodalData


def dimensions(
    data: MultimodalData, local: Mapping, shared: Mapping
) -> dict[str, list[str]]:
    """By variable, without chain and draw.

    Args:
        data: N rows.
        local: latents of rows by site, `[samples, N, ...]`.
        shared: global latents by site, `[samples, ...]`.
    """
    dims = {name: ["datapoint", *_axes(name, x.ndim - 2)] for name, x in local.items()}
    dims |= {name: _axes(name, x.ndim - 1) for name, x in shared.items()}
    for name, shape in zip(data.names, data.event_shapes, strict=True):
        dims[name] = ["datapoint", *_axes(name, len(shape))]
    for name, value in data.covariates.items():
        dims[name] = ["datapoint", *_axes(name, value.ndim - 1)]
    both = ["datapoint", "modality"]
    return dims | {"log_weight": ["datapoint"], "present": both, "subset": both}


def _axes(name: str, count: int) -> list[str]:
    if name == "z" and count == 1:
        return ["latent"]
    return [f"{name}_dim_{i}" for i in range(count)]


def coordinates(data: MultimodalData) -> dict[str, list[str]]:
    """Names of modalities, and of rows and columns where they have some."""
    coords = {"modality": list(data.names)}
    if data.row_names:
        coords["datapoint"] = list(data.row_names)
    names = zip(data.names, data.feature_names, data.event_shapes, strict=True)
    for name, features, shape in names:
        if features and len(shape) == 1:
            coords[f"{name}_dim_0"] = list(features)
    return coords
