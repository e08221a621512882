"""The attack tells outcomes apart, a seeded part of it passes, and fits do not pile up."""

import os
import re
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
from attack import judge, workers
from attack.__main__ import report
from attack.case import GOOD, OUTCOMES, Case, Mechanism, mechanisms

ROOT = Path(__file__).parents[1]


def outcome(run, **given):
    return judge.judged(Case("a case", run, **given), Path()).outcome


def raises(error):
    def run(folder):
        raise error

    return run


def is_three(found):
    assert found == 3


def warns(folder):
    warnings.warn("values of 'a' were merged", stacklevel=1)
    return 4


EXPECTED = {
    "right": [
        (lambda f: 3, {"right": is_three}),
        (warns, {"right": is_three, "warned": "'a'"}),
    ],
    "refused": [
        (raises(ValueError("a: expected b")), {"words": ("a", "expected")}),
        (raises(IndexError("index 9")), {"words": ("index",), "errors": (IndexError,)}),
    ],
    "misleading": [
        (raises(ValueError("b: expected b")), {"words": ("a:", "expected")}),
        (raises(ValueError("a: expected b")), {"right": is_three}),
    ],
    "traceback": [
        (raises(KeyError("a")), {"words": ("a",)}),
        (raises(AssertionError("a")), {"words": ("a",)}),
    ],
    "silently wrong": [
        (lambda f: 4, {"right": is_three}),
        (lambda f: 3, {"words": ("a",)}),
        (warns, {"right": is_three, "warned": "'b'"}),
    ],
}


@pytest.mark.parametrize("expected", EXPECTED)
def test_outcomes_are_told_apart(expected):
    for run, given in EXPECTED[expected]:
        assert outcome(run, **given) == expected


def test_there_are_enough_inputs_by_enough_mechanisms():
    known = mechanisms()
    assert len(known) >= 60
    assert sum(m.count for m in known.values()) >= 500
    assert all(0 <= m.quick <= m.count for m in known.values())


def test_an_input_is_a_function_of_its_seed():
    made = mechanisms()["CSV: one byte flipped"]
    assert made.case(3).about == made.case(3).about != made.case(4).about


def sleeping(rng, seed):
    return Case("sleeps", lambda folder: time.sleep(60))


def test_what_is_late_hangs():
    made = Mechanism("sleeping", sleeping, 1, 1, 0.1, None, False)
    worker = workers.Worker.__new__(workers.Worker)
    worker.job, worker.began = (made, 0), time.monotonic()
    assert not worker.late()
    worker.began -= 0.2
    assert worker.late()


def test_memory_is_limited():
    def eats(rng, seed):
        return Case("eats", lambda folder: bytes(1 << 30), words=("a",))

    limited = Mechanism("eating", eats, 1, 1, 60, 200, False)
    assert workers.run(limited, 0)["outcome"] == "traceback"
    free = limited._replace(megabytes=None)
    assert workers.run(free, 0)["outcome"] == "silently wrong"


SEEN = {"about": "it", "said": "so", "seconds": 1.0}


def test_the_report_counts_and_says_how_to_run_one_alone():
    results = [
        {
            "mechanism": "m",
            "seed": seed,
            "outcome": outcome,
            "about": "it",
            "said": "so",
            "seconds": 1.0,
        }
        for seed, outcome in enumerate(OUTCOMES)
    ]
    text = report(results, ["m"], 6.0)
    assert re.search(r"m +6 +1 +1 +1 +1 +1 +1 +6\.0", text)
    assert "python -m attack --only 'm' --seed 2" in text
    assert GOOD == ("right", "refused")


def alone(*arguments):
    """In a process as users have it, without the checks of types that tests add."""
    paths = [str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT
    )


@pytest.mark.slow
def test_a_seeded_part_of_the_attack():
    found = alone("-m", "attack", "--quick", "--jobs", "1", "--patience", "20")
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


@pytest.mark.slow
def test_maps_do_not_grow_with_the_number_of_fits():
    few = ("--same", "20", "--different", "0", "--every", "5")
    found = alone("benchmarks/many_fits.py", *few)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    assert "maps a fit" in found.stdout
