"""The cost of a step in FLOPs, by XLA's own count; what compiles when; the benchmark."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import clocks
import jax
import numpy as np
import pytest
import step_cost
from figures import Figure, as_json, cells, table

import consilience as cs

bench = importlib.import_module("bench")  # not the folder that it writes
BENCHMARK = Path(bench.__file__)
MOST = dict.fromkeys(cs.PRESETS, 1.05) | {"mmvae_plus": 1.06}


@pytest.mark.parametrize(
    "name",
    [
        n if n == "masked" else pytest.param(n, marks=[pytest.mark.long])
        for n in cs.PRESETS
    ],
)
def test_a_step_costs_what_hand_written_code_costs(name):
    """Of every preset, in FLOPs."""
    ours, theirs = (
        clocks.count(*f(name)) for f in (step_cost.library, step_cost.floor)
    )
    assert ours <= MOST[name] * theirs


def test_one_compilation_per_shape():
    """New masks and values of one shape do not compile anew."""
    step, state, data = step_cost.library("masked")
    update = jax.jit(step)
    state, _ = update(state, data)
    other = data.restrict(
        data.present.at[:, 0].set(False), allow_empty_rows=True
    ).batch(jax.numpy.arange(256))
    same = jax.tree.unflatten(jax.tree.structure(data), jax.tree.leaves(other))
    update(state, same)
    assert update._cache_size() == 1


def test_flops_are_of_one_step():
    """A product of known size, however many steps the timed program takes."""
    x = jax.numpy.ones((32, 32))
    program = clocks.Program(lambda x, y: (x @ y, None), x, x, length=7)
    assert clocks.count(lambda x: x @ x, x) == 2**16
    assert 0 <= program.flops - 2**16 <= 4  # the loop counts its steps
    assert program() > 0


def test_exponents_are_those_of_power_laws():
    assert clocks.slope([1, 10, 100], [3, 300, 30_000]) == pytest.approx(2)


REPORT = {"machine": {"device": "a"}} | as_json(
    {
        "one": [Figure("bytes", 2000.0, "MB"), Figure("time", 3.0, "ms", 2.0, "≤ 2")],
        "two": [Figure("exponent", 1.25)],
    }
)


def test_ratios_come_first():
    """Also what has no unit; only figures of their own right come after."""
    assert [r["name"] for r in REPORT["ratios"]] == ["time", "exponent"]
    assert [r["name"] for r in REPORT["absolute"]] == ["bytes"]
    assert cells(REPORT["ratios"][0]) == ["time", "1.50", "≤ 2", "3.000", "2.000", "ms"]
    assert cells(REPORT["ratios"][1]) == ["exponent", "1.25", "", "", "", ""]
    assert cells(REPORT["absolute"][0]) == ["bytes", "", "", "2000", "", "MB"]
    assert list(table(REPORT).columns[0].cells)[1] == "time"


def test_the_page_has_the_table_of_the_last_run(tmp_path):
    """And keeps what stands around it."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    (tmp_path / "bench.json").write_text(json.dumps(REPORT))
    bench.main(["--out", str(tmp_path), "--page", str(page)])
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{bench.END}\nafter\n")
    assert "| time | 1.50 | ≤ 2 | 3.000 | 2.000 | ms |" in text
    assert "old" not in text
    bench.main(["--out", str(tmp_path), "--page", str(page)])
    assert page.read_text() == text


@pytest.mark.long
@pytest.mark.slow
def test_the_benchmark_runs(tmp_path):
    """Every section, at small sizes; times mean nothing then."""
    command = [sys.executable, str(BENCHMARK), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "bench.json").read_text())
    assert set(report) == {"machine", "ratios", "absolute"}
    assert {"device", "date", "jax", "numpyro"} <= set(report["machine"])
    assert {r["section"] for r in report["ratios"]} == set(bench.SECTIONS)
    own = {r["name"] for r in report["absolute"] if r["section"] == "this run"}
    assert own >= {f"{name}: largest resident memory" for name in bench.SECTIONS}
    for record in report["ratios"] + report["absolute"]:
        assert set(record) == {*Figure._fields, "section", "ratio"}
        assert np.isfinite(record["value"])
    ratios = {(r["section"], r["name"]): r["ratio"] for r in report["ratios"]}
    for name in step_cost.QUICK:
        assert ratios["steps", f"{name}: FLOPs"] <= MOST[name]
