"""Many fits in one process: memory maps and memory against their number.

Linux allows a process 65 530 memory maps, and compiled programs hold some hundreds each.
Fits of one model are made anew each time, as a loop over seeds makes them; different ones
differ in the number of latent dimensions, the width of a modality or a constant.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
from numpyro.infer import SVI

import consilience as cs

MOST = 65_530  # vm.max_map_count of Linux
MAPS, STATUS = Path("/proc/self/maps"), Path("/proc/self/status")


def main() -> int:
    """Fit, print one line a step; 1 if maps grow with the number of fits."""
    options = _options()
    same = walk("one model", options.same, lambda i: fit(i), options.every)
    different = walk(
        "different ones",
        options.different,
        lambda i: fit(i, 1 + i % 7, 1 + i // 7 % 6, 1.0 + i),
        options.every,
    )
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        found = {"same": same, "different": different}
        path = options.out / "many_fits.json"
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(f"wrote {path}")
    return int(grows(same, "one model"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--same", type=int, default=500, help="fits of one model")
    parser.add_argument("--different", type=int, default=200, help="of different ones")
    parser.add_argument("--every", type=int, default=25, help="fits a line")
    parser.add_argument("--out", type=Path, help="folder for many_fits.json")
    return parser.parse_args()


def fit(seed: int, latent_dim: int = 1, width: int = 2, scale: float = 1.0) -> None:
    """A tiny fit of a model made anew."""
    rng = np.random.default_rng(seed)
    values = {"a": rng.normal(size=(8, width)), "b": rng.normal(size=(8, 1))}
    svi = SVI(
        cs.multimodal_model(
            cs.standard_normal(latent_dim), cs.NormalLikelihood(scale), cs.LinearDecoder
        ),
        cs.amortized_guide(latent_dim, num_features=2),
        optax.adam(1e-2),
        cs.MaskedELBO(),
    )
    data = cs.MultimodalData.from_arrays(values)
    settings = {"num_epochs": 1, "batch_size": 4, "progress": False}
    fitted = cs.fit(jax.random.key(seed), svi, data, **settings)
    if not np.isfinite(fitted.history.bound).all():
        raise ArithmeticError(f"fit {seed}: a bound of {fitted.history.bound}")


def walk(name: str, count: int, one, every: int) -> list[dict]:
    """Fit so often; what the process holds after the first and every so many."""
    rows, began = [], time.monotonic()
    for i in range(count):
        one(i)
        if i == 0 or (i + 1) % every == 0 or i + 1 == count:
            rows.append({"fits": i + 1, **held(), "seconds": time.monotonic() - began})
            print(
                f"{name}: {rows[-1]['fits']:>4} fits, {rows[-1]['maps']:>6} maps, "
                f"{rows[-1]['megabytes']:>6} MB, {rows[-1]['seconds']:.0f} s",
                flush=True,
            )
    return rows


def held() -> dict[str, int]:
    """Memory maps, and resident memory in megabytes."""
    lines = STATUS.read_text().splitlines()
    resident = next(line for line in lines if line.startswith("VmRSS"))
    maps = MAPS.read_bytes().count(b"\n")
    return {"maps": maps, "megabytes": int(resident.split()[1]) >> 10}


def grows(rows: list[dict], name: str, most: float = 2.0) -> bool:
    """Whether maps rise by more than `most` a fit, behind the first line of several fits.

    A program that is compiled once has some hundreds of maps; 2 a fit would let a process
    live for 30 000 fits.
    """
    if len(rows) < 3:
        return False
    first, last = rows[1], rows[-1]
    rise = (last["maps"] - first["maps"]) / (last["fits"] - first["fits"])
    print(f"{name}: {rise:+.1f} maps a fit from {first['fits']} to {last['fits']} fits")
    return rise > most


if __name__ == "__main__":
    sys.exit(main())
