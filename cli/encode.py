"""Posteriors q(z | x_S) of samples: means, standard deviations, draws."""

import argparse
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array, Bool, Float

import consilience as cs
from consilience.cli import applied, outputs, runs
from consilience.cli.arguments import add_data, add_draws, add_run
from consilience.cli.pictures import SUFFIXES, latent_means
from consilience.datasets.writing import replacing
from consilience.experiments.pictures import save

if TYPE_CHECKING:
    from pandas import DataFrame

AT_ONCE = 50_000_000  # numbers drawn, 200 MB

USAGE = "consilience encode RUN DATA [--out FILE] [options]"
EXAMPLES = """examples:
  consilience encode run measurements --out latents.csv
  consilience encode run measurements --out posterior.nc --out z.png --given genes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of encoding."""
    add_run(parser)
    add_data(parser)
    outputs.add_files(
        parser,
        "latents.csv",
        (*outputs.TABLES, *outputs.TREES, *SUFFIXES),
        "means and standard deviations as .csv or .parquet, draws and all that belongs "
        "to them as .nc (an ArviZ DataTree), a picture as .png, .pdf or .svg",
    )
    applied.add_given(parser)
    add_draws(parser, 1000, "of each sample")


def run(options: argparse.Namespace) -> None:
    """Encode the samples of DATA with the model in RUN, whatever of them was measured.

    DATA may lack whole modalities. A table has the mean and the standard deviation of each
    latent dimension, `z0_mean, …, z0_sd, …`, from the draws.
    """
    read = (options.data, *runs.files(options.run_folder))
    paths = outputs.files(options, read)
    found = applied.apply(options.run_folder, options.data)
    subset = applied.given(found.rows, getattr(options, "given", None))
    outputs.make_folders(paths)
    keys = jax.random.split(jax.random.key(options.seed))
    frame = None
    for path in paths:
        if path.suffix in outputs.TREES:
            tree = found.fitted.to_datatree(
                keys[1], found.rows, subset, num_samples=options.draws
            )
            with replacing(path) as partial:
                tree.to_netcdf(partial)
        else:
            if frame is None:
                frame = moments(keys[0], found, subset, options.draws)
            _write(frame, found.rows, path)
        print(f"wrote {path}")


def moments(
    rng_key, found: applied.Applied, subset: Bool[Array, "rows modalities"], draws: int
) -> "DataFrame":
    """A row a sample: mean and standard deviation of each latent dimension."""
    import pandas as pd

    parts: dict[str, list] = {}
    rows, size = found.rows, max(1, AT_ONCE // (draws * found.run.config["latent_dim"]))
    for i, start in enumerate(range(0, rows.size, size)):
        index = np.minimum(
            np.arange(start, start + min(size, rows.size)), rows.size - 1
        )
        kept = slice(None, min(size, rows.size - start))
        key = jax.random.fold_in(rng_key, i)
        drawn = found.fitted.posterior(
            key, rows.take(index), subset[index], num_samples=draws
        )
        for site, x in sorted(drawn.items(), reverse=True):  # z before w
            for name, value in _columns(site, np.asarray(x, float), rows.names):
                parts.setdefault(name, []).append(value[kept])
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    return pd.DataFrame(columns, index=applied.sample_index(found))


def _columns(site: str, draws: Float[np.ndarray, "draws rows ..."], names) -> list:
    """Names and values of the columns of one site; private latents by modality."""
    if draws.ndim == 4:
        return [
            pair
            for i, name in enumerate(names)
            for pair in _columns(f"{site}_{name}_", draws[:, :, i], names)
        ]
    mean, sd = draws.mean(0), draws.std(0)
    both = (("mean", mean), ("sd", sd))
    return [
        (f"{site}{d}_{what}", x[:, d]) for what, x in both for d in range(x.shape[1])
    ]


def _write(frame: "DataFrame", rows: cs.MultimodalData, path) -> None:
    if outputs.is_picture(path):
        save(latent_means(frame, np.asarray(rows.present), rows.names), path)
    else:
        outputs.write_table(frame, path)
