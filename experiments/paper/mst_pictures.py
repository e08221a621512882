"""Pictures of MNIST-SVHN-Text: completions, and rate against distortion."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from consilience.datasets import MultimodalData
from consilience.datasets.text_digits import ALPHABET
from consilience.evaluation import plot_completions, plot_rate_distortion
from consilience.evaluation.rate_table import Mean, Rates
from consilience.experiments.paper.mst_data import TEXT
from consilience.experiments.paper.page import figures, grouped
from consilience.experiments.pictures import save
from consilience.inference import generate

PICTURED = ("SumPooling", "PoE")
DIGITS = (1, 3, 4, 6, 7, 9)
RATES_FILE = "mst_rates.png"
CHARACTER = (32, 7)  # pixels of one: height, width


def completions_file(bound: str, aggregation: str) -> str:
    """Name of the picture."""
    return f"mst_{bound}_{aggregation}.png"


def draw_completions(
    rng_key, programs: tuple[Callable, Callable, dict], test: MultimodalData, path: Path
) -> None:
    """Test rows completed from each single modality; expectations of one draw of z."""
    labels = np.asarray(test.covariates["label"])
    found = [np.flatnonzero(labels == digit)[:1] for digit in DIGITS]
    rows = test.take(np.concatenate(found))
    generated = {}
    for name in rows.names:
        rng_key, key = jax.random.split(rng_key)
        made = _generated(key, programs, rows, name)
        generated[(name,)] = _as_images({n: x[0] for n, x in made.items()})
    truth = _as_images({n: np.asarray(x) for n, x in rows.values.items()})
    save(plot_completions(truth, generated), path, dpi=80)


def draw_rates(results: Sequence[Mapping], path: Path) -> None:
    """Means over seeds, a mark for each bound and aggregation of shared latents.

    Where there are several β they are joined to a curve, on which β may be of fewer seeds
    than others. Enlarged experts are left out.
    """
    shared = [each for each in results if each["settings"]["latents"] == "shared"]
    plain = [e for e in shared if not e["settings"]["aggregation"].endswith("+")]
    curves = {}
    for (bound, aggregation), runs in grouped(plain, "bound", "aggregation").items():
        of_beta = grouped(runs, "beta")
        curve = {beta: _rates(each) for (beta,), each in of_beta.items()}
        several = len(curve) > 1
        name = f"{aggregation}, {bound}"
        curves[name] = curve if several else next(iter(curve.values()))
    save(plot_rate_distortion(curves), path, dpi=80)


def words_as_images(text: np.ndarray) -> np.ndarray:
    """What is read from one-hot text or probabilities `[N, L, V]`, white on black.

    Returns:
        `[N, 32, 7 L]`, from 0 to 1.
    """
    from PIL import Image, ImageDraw

    height, width = CHARACTER
    shape = (len(text), height, width * text.shape[-2])
    found = np.zeros(shape, np.float32)
    for row, word in zip(found, _characters(text), strict=True):
        image = Image.new("L", (shape[2], height))
        drawing = ImageDraw.Draw(image)
        for place, letter in enumerate(word):
            drawing.text((place * width, height // 2 - 6), letter, fill=255)
        row[:] = np.asarray(image, np.float32) / 255
    return found


def _characters(text: np.ndarray) -> list[str]:
    return ["".join(ALPHABET[i] for i in row) for row in np.asarray(text).argmax(-1)]


def _as_images(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        n: words_as_images(np.asarray(x)) if n == TEXT else np.asarray(x)
        for n, x in values.items()
    }


def _generated(key, programs, rows: MultimodalData, name: str):
    return generate(key, *programs, rows, rows.subset_of(name), mean=True)


def _rates(runs: Sequence[Mapping]) -> Rates:
    """Means over seeds of the totals, with their standard errors; of one seed its rows'."""
    count = len(runs)

    def mean(name: str) -> Mean:
        values, errors = figures(runs, name), figures(runs, f"{name} error")
        error = values.std(ddof=1) / np.sqrt(count) if count > 1 else errors.mean()
        return Mean(float(values.mean()), float(error), count)

    return Rates(
        {"total": mean("full_reconstruction")},
        mean("full_rate"),
        {"total": mean("cross_reconstruction")},
        mean("cross_rate"),
    )
