"""What MNIST-SVHN-Text was to show: a few figures of each row, and orders of rows."""

from collections.abc import Iterator, Mapping
from itertools import permutations, product

from consilience.experiments.paper.page import Point, Results, grouped, higher
from consilience.experiments.paper.rows import CORRECTED, FIXED, LEARNED

LLH, BOUND, COHERENCE = "joint LLH", "joint bound", "mean coherence, one to another"
SHARED = "joint LLH less those of each alone"
SUMMARIES = {LLH: 1, SHARED: 1, BOUND: 1, COHERENCE: 2}  # digits
COMPARED = {LLH: " nats a row", BOUND: " nats a row", COHERENCE: ""}  # units


def compared(results: Results) -> Iterator[Point]:
    """Joint log-likelihoods, bounds and coherence at β = 1, paired by seed."""
    usual = [summarized(e) for e in results if e["settings"]["beta"] == 1.0]
    for (latents,), runs in grouped(usual, "latents").items():
        where = "" if latents == "shared" else ", private latents"
        row = grouped(runs, "bound", "aggregation")
        for figure, (words, *sides) in product(COMPARED, _pairs(row)):
            both = (row[side] for side in sides)
            shown = (SUMMARIES[figure], COMPARED[figure])
            yield from higher(f"{figure}{where}, {words}", *both, figure, *shown)


def _pairs(row: Mapping[tuple[str, str], Results]) -> list[tuple]:
    """In words, the row that should be the better one, and the other."""
    pairs = [
        (f"{name}: masked over mixture bound", ("masked", name), ("mixture", name))
        for _, name in row
    ]
    pairs += [
        (f"{bound} bound: {better} over {other}", (bound, better), (bound, other))
        for bound in ("masked", "mixture")
        for other in _rivals()
        for better in (*LEARNED, CORRECTED)
    ]
    there = [pair for pair in pairs if set(pair[1:]) <= row.keys()]
    return list(dict.fromkeys(there))


def summarized(result: Mapping) -> dict:
    """The result with `SUMMARIES`, from figures that are there.

    The bound is E_q(z|x) log p(x|z) − KL(q(z|x) ‖ p(z)); coherence is the mean from each
    single modality to each other one. A joint log-likelihood less those of each modality
    alone would be their total correlation, were all of them exact.
    """
    found, names = result["figures"], names_of([result])
    one_to_one = [f"coherence {a} -> {b}" for a, b in permutations(names, 2)]
    there = [found[name] for name in one_to_one if name in found]
    joint = found[f"llh {' + '.join(names)}"]
    more = {
        LLH: joint,
        SHARED: joint - sum(found[f"llh {name}"] for name in names),
        BOUND: found["full_reconstruction"] - found["full_rate"],
        COHERENCE: sum(there) / len(there),
    }
    return {**result, "figures": found | more}


def _rivals() -> list[str]:
    return [f"{name}{more}" for name in FIXED for more in ("", "+")]


def names_of(results: Results) -> list[str]:
    """The modalities."""
    return results[0]["settings"]["modalities"].split("+")
