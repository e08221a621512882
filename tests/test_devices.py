"""Several devices and several processes train as one device does.

Four devices of one process and two processes of two each run `several.py`, side by side.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from several import DATA, KEY

from consilience.training.order import Order

SCRIPT = Path(__file__).with_name("several.py")
LIKELIHOOD = "log p(a | z), log p(b | z)"  # of a z of 1e30 neither is finite


def start(num_devices, *arguments):
    flags = f"--xla_force_host_platform_device_count={num_devices}"
    quick = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-W", "error", SCRIPT, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        command, env=os.environ | quick | {"XLA_FLAGS": flags}, **pipes
    )


def free_port():
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("several")


@pytest.fixture(scope="module")
def ran(folder):
    """What each program has found, and what it has written to the terminal."""
    port = free_port()
    programs = {
        "devices": start(4, "devices", folder),
        "process-0": start(2, "process", folder, port, 0),
        "process-1": start(2, "process", folder, port, 1),
    }
    found = {}
    try:
        for name, running in programs.items():
            _, shown = running.communicate(timeout=400)
            assert running.returncode == 0, f"{name}:\n{shown}"
            found[name] = json.loads((folder / f"{name}.json").read_text())
            found[name]["shown"] = shown
    finally:
        for running in programs.values():
            running.kill()
    return found


@pytest.fixture(scope="module")
def devices(ran):
    return ran["devices"]


@pytest.fixture(scope="module")
def processes(ran):
    return ran["process-0"], ran["process-1"]


def step_of(row):
    """The first epoch's step that sees a row."""
    order = Order(jax.random.split(KEY, 4)[1], DATA.size, 8)(0)
    return np.argwhere(order == row)[0, 0].item()


def assert_close(ours, theirs):
    """Bounds and parameters to 1e-5, relative; sums of few small numbers to 1e-6."""
    check = {"rtol": 1e-5, "atol": 1e-6}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **check), ours, theirs)


@pytest.mark.slow
def test_four_devices_train_as_one(devices):
    assert_close(devices["four"], devices["alone"])
    bound = devices["alone"]["bound"]
    assert len(bound) == 4
    assert bound[-1] > bound[0] + 10  # it was no standing still that they agree on
    assert devices["devices of the result"] == 1


@pytest.mark.slow
def test_a_device_works_on_its_share_and_waits_once_a_step(devices):
    """FLOPs of a quarter of the batch, to 1 %; one all-reduce, in the scan's body."""
    alone, four, quarter = devices["programs"]
    assert four["waits"] == ["all-reduce"]
    assert alone["waits"] == quarter["waits"] == []
    np.testing.assert_allclose(four["flops"], quarter["flops"], rtol=0.01)
    assert four["flops"] < alone["flops"] / 3


@pytest.mark.slow
def test_checkpoints_know_no_devices(devices):
    """The same bits on as many devices as before, the same training on one."""
    on_four, on_one = devices["four, resumed on four"], devices["four, resumed on one"]
    assert on_four["from"] == on_one["from"] == [["open", 6]]
    assert on_four["numbers"] == devices["four"]
    assert_close(on_one["numbers"], devices["alone"])


@pytest.mark.slow
def test_early_stopping_and_guard_on_devices(devices):
    assert devices["stopped early"] == 2
    alone, four = devices["skipping"]
    assert four["skipped"] == [1, 1]
    assert_close(four, alone)
    assert devices["blamed"] == [step_of(17), LIKELIHOOD, [17]]


@pytest.mark.slow
def test_two_processes_train_as_one(devices, processes):
    first, second = processes
    assert_close(first["whole"], devices["alone"])
    assert first["whole"] == second["whole"]
    assert first["drawn"] == second["drawn"]  # each by itself, with what it was given


@pytest.mark.slow
def test_only_the_first_process_logs_shows_and_writes(processes, folder):
    first, second = processes
    steps = [["log", 3 * (epoch + 1)] for epoch in range(4)]
    assert first["log"] == [["open", None], *steps, ["close"]]
    assert second["log"] == []
    assert "epoch 4/4" in first["shown"]
    assert "epoch" not in second["shown"]
    lines = (folder / "half" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [3, 6]
    assert not (folder / "half1").exists()


@pytest.mark.slow
def test_processes_resume_stop_and_are_told_to_stop_together(processes):
    """SIGTERM reaches the second process only, a callback is asked in the first only."""
    for process in processes:
        assert process["resumed"]["numbers"] == process["whole"]
        assert process["told"] == ["SystemExit", "143"]
        assert process["told, resumed"]["numbers"] == process["whole"]
        assert process["says stop"] == 2
    assert processes[0]["resumed"]["from"] == [["open", 6]]
    assert processes[0]["told, resumed"]["from"] == [["open", 6]]


@pytest.mark.slow
def test_each_process_reads_its_share_of_rows_on_disk(devices, processes):
    """Half of each of 12 batches; a whole one only to begin with."""
    assert devices["streamed"]["reads"] == {"4": 0, "8": 13}
    assert_close(devices["streamed"]["numbers"], devices["alone"])
    for process in processes:
        assert process["streamed"]["reads"] == {"4": 12, "8": 1}
        assert_close(process["streamed"]["numbers"], devices["alone"])
        assert process["streamed, blamed"] == [step_of(17), LIKELIHOOD, [17]]


REFUSED = {
    "batch": "batch_size: expected rows that the mesh's 4 devices divide, got 6",
    "few rows": "batch_size: .* divide, got 22",
    "context": r"mesh: expected no jax\.set_mesh",
    "axes": "mesh: expected one axis, got 2: data, model",
    "no mesh": r"mesh: expected a jax\.sharding\.Mesh, .*, got int",
}
REFUSED_BY_BOTH = {
    "another folder": r"folder: .* all processes share, .* steps \[12, 0\]",
    "data": "data: expected the same in all 2 processes, but process 1 has another",
    "key": "rng_key: expected the same in all 2 processes, but process 1 has another",
    "epochs": "num_epochs: expected the same in all 2 processes",
    "no mesh": r"mesh: expected as many devices of each of the 2 processes, such as "
    r"jax\.make_mesh\(\(4,\), \('data',\)\), got 0, 0",
    "own mesh": "mesh: expected as many devices of each .* got (2, 0|0, 2)",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_refused_of_devices(name, devices):
    kind, message = devices["refused"][name]
    assert kind == ("TypeError" if name == "no mesh" else "ValueError")
    assert re.search(REFUSED[name], message)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_refused_by_both_processes(name, processes):
    for process in processes:
        kind, message = process["refused"][name]
        assert kind == "ValueError"
        assert re.search(REFUSED_BY_BOTH[name], message)


@pytest.mark.slow
def test_what_breaks_one_process_ends_the_other(processes):
    first, second = (process["refused"]["broken"] for process in processes)
    assert first == ["OSError", "no space left"]
    assert second[0] == "RuntimeError"
    assert re.match("process 1 stops, as process 0 could not go on", second[1])
    first, second = (process["refused"]["unreadable"] for process in processes)
    assert first[0] == "RuntimeError"
    assert second == ["OSError", "no such disk"]
