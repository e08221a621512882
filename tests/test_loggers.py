"""Loggers: what is written, what a resumed run takes back, what is refused."""

import importlib.machinery
import json
import math
import struct
import sys
import types

import numpy as np
import pytest
import tiny

import consilience as cs
from consilience.training.history import Epoch
from consilience.training.watch import Watch

NAN = float("nan")


def record(epoch, steps=10, **numbers):
    plain = Epoch(epoch, steps * (epoch + 1), -3.5, -1.0, 2.5, NAN, -4.25, 0, 0.5, 20.0)
    return plain._replace(**numbers)


def run(logger, epochs, step=None):
    """A run, or the rest of one that goes on behind `step` steps."""
    logger.open(step)
    for epoch in epochs:
        logger.log(record(epoch).step, record(epoch)._asdict())
    logger.close()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# JSON lines


def test_a_line_an_epoch_and_null_for_what_is_no_number(tmp_path):
    path = tmp_path / "a" / "log.jsonl"
    logger = cs.JSONLines(path)
    logger.open(None)
    for i, bound in enumerate([-3.5, math.inf, NAN]):
        seen = record(i, bound=bound)
        logger.log(seen.step, seen._asdict())
        assert len(lines(path)) == i + 1  # as it happens
    logger.close()
    assert tuple(lines(path)[0]) == Epoch._fields
    assert [line["bound"] for line in lines(path)] == [-3.5, None, None]
    assert lines(path)[1]["beta"] is None
    assert Epoch(**{**lines(path)[0], "beta": 0.0}) == record(0, beta=0.0)
    assert [type(lines(path)[0][n]) for n in ("epoch", "step")] == [int, int]


def test_a_run_that_goes_on_takes_later_lines_back(tmp_path):
    """Those of later steps, and a last one that was cut off; what stays is untouched."""
    path = tmp_path / "log.jsonl"
    run(cs.JSONLines(path), range(4))
    before = path.read_text().splitlines()
    with open(path, "a") as file:
        file.write(before[0][:20])
    run(cs.JSONLines(path), [2, 3], step=20)
    after = path.read_text().splitlines()
    assert after == before
    run(cs.JSONLines(path), [], step=40)
    assert path.read_text().splitlines() == before
    run(cs.JSONLines(path), [0], step=0)
    assert path.read_text().splitlines() == before[:1]
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


@pytest.mark.parametrize("step", [None, 20])
@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "not a log", '{"a": 1}\n{"step": 2}\n', "\x00\x01\n"]
)
def test_a_file_that_is_no_log_stays_as_it_is(text, step, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"path: expected a new file.*table\.csv"):
        cs.JSONLines(path).open(step)
    assert path.read_text() == text


def test_a_new_run_refuses_the_log_of_another(tmp_path):
    path = tmp_path / "log.jsonl"
    run(cs.JSONLines(path), range(2))
    before = path.read_text()
    with pytest.raises(ValueError, match=r"path: expected a new file.*another run"):
        cs.JSONLines(path).open(None)
    assert path.read_text() == before
    path.write_text("")
    run(cs.JSONLines(path), range(2))
    assert path.read_text() == before


def test_a_training_logs_its_epochs(tmp_path):
    """What is logged is the history; with checkpoints beside them by default."""
    path = tmp_path / "other.jsonl"
    settings = {"validation": tiny.data(), "beta": cs.warm_up(4)}
    fitted = tiny.fit(loggers=[cs.JSONLines(path)], **settings)
    seen = lines(path)
    assert [line["epoch"] for line in seen] == [0, 1, 2]
    for name in cs.History._fields:
        expected = getattr(fitted.history, name).tolist()
        assert [line[name] for line in seen] == expected
    for line in seen:
        speed = line["rows_per_second"] * line["seconds"]
        np.testing.assert_allclose(speed, tiny.ROWS, rtol=1e-12)


def untimed(path):
    return [
        {n: x for n, x in line.items() if "second" not in n} for line in lines(path)
    ]


def test_a_resumed_training_logs_each_epoch_once(tmp_path):
    """Killed behind the line of an epoch whose end is in no checkpoint yet."""
    folders = [tmp_path / "whole", tmp_path / "resumed"]
    kept = [cs.Checkpoints(f, every_seconds=None, every_steps=2) for f in folders]
    tiny.fit(checkpoints=kept[0])

    def killed(epoch, fitted):
        if epoch.epoch == 1:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        tiny.fit(checkpoints=kept[1], callbacks=[killed])
    assert len(lines(folders[1] / "log.jsonl")) == 2
    again = cs.Checkpoints(folders[1], every_seconds=None, every_steps=2, resume=True)
    tiny.fit(checkpoints=again)
    whole, resumed = (untimed(f / "log.jsonl") for f in folders)
    assert resumed == whole
    tiny.fit(checkpoints=again)  # over already: nothing is taken back, nothing comes
    assert untimed(folders[1] / "log.jsonl") == whole


# TensorBoard


def events(folder):
    """Of all files in their order, as TensorBoard reads them: TFRecords of protobufs."""
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            [length] = struct.unpack("<Q", content[at : at + 8])
            event = Event()
            event.ParseFromString(content[at + 12 : at + 12 + length])
            yield event
            at += 12 + length + 4


def scalars(folder):
    """What TensorBoard shows: tag → step → value, less what a restart purges."""
    shown = {}
    for event in events(folder):
        if event.HasField("session_log"):
            for values in shown.values():
                for step in [s for s in values if s >= event.step]:
                    del values[step]
        for value in event.summary.value:
            shown.setdefault(value.tag, {})[event.step] = value.simple_value
    return shown


def test_tensorboard_reads_what_is_logged(tmp_path):
    pytest.importorskip("tensorboardX")
    folder = tmp_path / "a" / "events"
    fitted = tiny.fit(loggers=[cs.TensorBoard(folder)], validation=tiny.data())
    seen, history = scalars(folder), fitted.history
    assert {*seen} == {*Epoch._fields} - {"step", "beta"}
    for name in ("bound", "validation", "reconstruction", "rate"):
        assert list(seen[name]) == history.step.tolist()
        np.testing.assert_allclose(
            list(seen[name].values()), getattr(history, name), rtol=1e-6
        )


def test_tensorboard_forgets_what_will_come_again(tmp_path):
    pytest.importorskip("tensorboardX")
    run(cs.TensorBoard(tmp_path), range(4))
    run(cs.TensorBoard(tmp_path), [3], step=20)
    assert list(scalars(tmp_path)["epoch"].items()) == [(10, 0), (20, 1), (40, 3)]
    run(cs.TensorBoard(tmp_path), [], step=40)
    assert list(scalars(tmp_path)["epoch"]) == [10, 20, 40]
    with pytest.raises(ValueError, match=r"folder: expected a new one.*of another run"):
        cs.TensorBoard(tmp_path).open(None)


# Weights & Biases


@pytest.fixture
def wandb(monkeypatch):
    """A module of that name that remembers."""
    module, calls = types.ModuleType("wandb"), []
    module.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
    module.init = lambda **settings: calls.append(("init", settings)) or module
    module.log = lambda numbers, step: calls.append(("log", numbers, step))
    module.finish = lambda: calls.append(("finish",))
    monkeypatch.setitem(sys.modules, "wandb", module)
    return calls


def test_weights_and_biases_get_what_is_logged(wandb):
    logger = cs.WeightsAndBiases(project="p", id="x", resume="allow")
    assert wandb == []
    fitted = tiny.fit(loggers=[logger])
    start, *logs, end = wandb
    assert start == ("init", {"project": "p", "id": "x", "resume": "allow"})
    assert end == ("finish",)
    assert [step for _, _, step in logs] == fitted.history.step.tolist()
    assert [n["bound"] for _, n, _ in logs] == fitted.history.bound.tolist()
    assert "validation" not in logs[0][1]


@pytest.mark.parametrize(
    ("make", "package"),
    [
        (lambda: cs.TensorBoard("folder"), "tensorboardX"),
        (lambda: cs.WeightsAndBiases(), "wandb"),
    ],
)
def test_a_package_that_is_not_there_is_named_at_once(make, package, monkeypatch):
    def nowhere(name):
        assert name == package

    monkeypatch.setattr("importlib.util.find_spec", nowhere)
    extra = package.removesuffix("X").lower()
    match = rf"package {package}, .* pip install 'consilience\[{extra}\]'"
    with pytest.raises(ImportError, match=match):
        make()


# All of them


class Remembers:
    """A logger that may fail."""

    def __init__(self, calls, name, fails=()):
        self.calls, self.name, self.fails = calls, name, fails

    def _say(self, what):
        self.calls.append(f"{what} {self.name}")
        if what in self.fails:
            raise RuntimeError(f"{what} {self.name}")

    def open(self, step):
        self._say("open")

    def log(self, step, numbers):
        self._say("log")

    def close(self):
        self._say("close")


def test_what_was_opened_is_closed_when_another_does_not_open():
    calls = []
    loggers = [Remembers(calls, "a"), Remembers(calls, "b", {"open"})]
    with pytest.raises(RuntimeError):
        tiny.fit(loggers=loggers)
    assert calls == ["open a", "open b", "close a"]


@pytest.mark.parametrize("fails", [("log",), ("close",), ("log", "close")])
def test_a_logger_that_fails_is_said_once_and_costs_no_fit(fails):
    calls = []
    loggers = [Remembers(calls, "a"), Remembers(calls, "b", fails)]
    with pytest.warns(UserWarning, match="loggers: Remembers could not") as said:
        fitted = tiny.fit(loggers=loggers)
    assert len(said) == len(fails)
    for what, warned in zip(fails, said, strict=True):
        assert f"(RuntimeError: {what} b)" in str(warned.message)
    assert fitted.history.bound.shape == (3,)
    assert calls.count("log a") == 3
    assert calls.count("log b") == (1 if "log" in fails else 3)
    assert calls[-2:] == ["close b", "close a"]


def test_loggers_are_closed_when_a_callback_fails():
    calls = []

    def broken(epoch, fitted):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tiny.fit(loggers=[Remembers(calls, "a")], callbacks=[broken])
    assert calls == ["open a", "log a", "close a"]


def test_only_the_first_process_logs_and_calls(monkeypatch):
    calls = []
    watch = Watch([Remembers(calls, "a")], [lambda *a: calls.append("callback")])
    monkeypatch.setattr("jax.process_index", lambda: 1)
    watch.open(None)
    assert watch.epoch(record(0), lambda: None) is False
    watch.close()
    assert calls == []


@pytest.mark.usefixtures("untyped")
def test_refusals():
    with pytest.raises(TypeError, match="loggers: expected objects with open, log and"):
        tiny.fit(loggers=[print])
    with pytest.raises(TypeError, match=r"loggers: expected objects .* got <class"):
        tiny.fit(loggers=[cs.JSONLines])
    for wrong in ("log.jsonl", cs.JSONLines("log.jsonl")):
        with pytest.raises(TypeError, match="loggers: expected a list of them, got"):
            tiny.fit(loggers=wrong)
