"""A run that goes on from a checkpoint is the one never stopped, to the last bit."""

from functools import partial

import jax
import numpy as np
import pytest
from numpyro.infer import SVI

import consilience as cs

KEY = jax.random.key(5)
SETTINGS = {"num_epochs": 3, "batch_size": 4, "progress": False}
STEPS = 3 * 5  # 17 rows


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    values = {"a": generator.normal(size=(17, 3)), "b": generator.normal(size=(17, 2))}
    values["b"][:6] = np.nan
    return cs.MultimodalData.from_arrays(values)


def make_svi(width=4):
    model = cs.multimodal_model(
        cs.gaussian_mixture(2, 2), cs.LearnedNormalLikelihood(), cs.LinearDecoder
    )
    small = {"width": width, "hidden": (width,)}
    encoder = partial(cs.MLPEncoder, hidden=(width,))
    guide = cs.amortized_guide(2, encoder, partial(cs.SumPooling, **small), width)
    return SVI(model, guide, cs.adam(1e-2, STEPS, schedule="cosine"), cs.MaskedELBO())


@pytest.fixture(scope="module")
def svi():
    return make_svi()


def run(svi, data, folder, **settings):
    kept = cs.Checkpoints(folder, every_steps=2, keep=99, **settings)
    more = {"validation": data.take(range(5)), "beta": cs.warm_up(8)}
    return cs.fit(KEY, svi, data, checkpoints=kept, **more, **SETTINGS)


@pytest.fixture(scope="module")
def whole(svi, data, tmp_path_factory):
    """A run that was never stopped, and its checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    return run(svi, data, folder), folder


def leaves(state):
    return [
        jax.random.key_data(x)
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        else x
        for x in jax.tree.leaves(state)
    ]


def assert_same_fit(one, other):
    for name in ("state", "best_state"):
        pairs = zip(
            leaves(getattr(one, name)), leaves(getattr(other, name)), strict=True
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)
    for name in set(one.history._fields) - {"seconds"}:
        columns = getattr(one.history, name), getattr(other.history, name)
        np.testing.assert_array_equal(*columns)


def copied(folder, target, last):
    """The checkpoints that there were when a run was stopped after `last` steps."""
    for path in folder.glob("step-*.npz"):
        if int(path.stem.removeprefix("step-")) <= last:
            (target / path.name).write_bytes(path.read_bytes())
    log = (folder / "log.jsonl").read_text()
    (target / "log.jsonl").write_text(log + '{"step": 99, "bou')  # cut off in a line


@pytest.mark.parametrize("last", [0, 2, 7, 10])
def test_from_within_an_epoch_and_between_two(last, svi, data, whole, tmp_path):
    fitted, folder = whole
    copied(folder, tmp_path, last)
    again = run(svi, data, tmp_path, resume=True)
    assert_same_fit(again, fitted)
    log, before = ((f / "log.jsonl").read_text() for f in (tmp_path, folder))
    assert log.count("\n") == before.count("\n") == 3


def test_there_is_a_checkpoint_in_the_middle_of_an_epoch(whole):
    steps = {int(p.stem.removeprefix("step-")) for p in whole[1].glob("step-*.npz")}
    assert STEPS in steps
    assert any(step % 5 for step in steps)


def test_checkpoints_and_segments_do_not_change_the_run_but_for_rounding(
    svi, data, whole
):
    more = {"validation": data.take(range(5)), "beta": cs.warm_up(8)}
    plain = cs.fit(KEY, svi, data, **more, **SETTINGS)
    bounds = plain.history.bound, whole[0].history.bound
    np.testing.assert_allclose(*bounds, rtol=1e-5)


def test_more_epochs_go_on_from_the_end(svi, data, whole, tmp_path):
    copied(whole[1], tmp_path, STEPS)
    kept = cs.Checkpoints(tmp_path, every_steps=2, resume=True)
    more = {"validation": data.take(range(5)), "beta": cs.warm_up(8)}
    settings = SETTINGS | {"num_epochs": 4}
    longer = cs.fit(KEY, svi, data, checkpoints=kept, **more, **settings)
    np.testing.assert_array_equal(longer.history.bound[:3], whole[0].history.bound)
    assert len(longer.history.bound) == 4


def test_another_run_is_refused_by_name(svi, data, whole, tmp_path):
    copied(whole[1], tmp_path, STEPS)
    kept = cs.Checkpoints(tmp_path, every_steps=2, resume=True)
    resume = partial(cs.fit, **SETTINGS | {"checkpoints": kept})
    with pytest.raises(ValueError, match="rng_key: the run had"):
        resume(jax.random.key(6), svi, data)
    with pytest.raises(ValueError, match=r"data: the run had another .*\['a'\]"):
        resume(KEY, svi, data.take(range(17)[::-1]))
    with pytest.raises(ValueError, match=r"guide: \S+: the run had 4, now 5"):
        resume(KEY, make_svi(5), data)
    more = {"validation": data.take(range(5)), "beta": cs.warm_up(8)}
    with pytest.raises(ValueError, match="validation: the run had"):
        resume(KEY, svi, data, **more | {"validation": data.take(range(6))})
    with pytest.raises(ValueError, match="beta: the run had"):
        resume(KEY, svi, data, **more | {"beta": cs.warm_up(9)})
    with pytest.raises(ValueError, match="num_epochs: expected at least the 3"):
        resume(KEY, svi, data, **more, num_epochs=2)


def test_a_used_folder_is_refused_without_resume(svi, data, whole):
    with pytest.raises(ValueError, match=r"holds .*resume=True"):
        run(svi, data, whole[1])


def test_what_stopped_a_run_is_judged_anew(svi, data, tmp_path):
    """A callback of the first part, and early stopping without patience of the second."""
    kept = partial(cs.Checkpoints, tmp_path, every_steps=2)
    settings = {"validation": data.take(range(5)), **SETTINGS}
    stop = lambda epoch, fitted: epoch.epoch == 0  # noqa: E731
    first = cs.fit(KEY, svi, data, checkpoints=kept(), callbacks=[stop], **settings)
    assert len(first.history.bound) == 1
    more = cs.fit(KEY, svi, data, checkpoints=kept(resume=True), **settings)
    assert len(more.history.bound) == 3
    steps = {int(p.stem.removeprefix("step-")) for p in tmp_path.glob("step-*.npz")}
    assert max(steps) == STEPS
