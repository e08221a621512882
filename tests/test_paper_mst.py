"""MNIST-SVHN-Text on small digits that the tests write in the files' own formats."""

import argparse
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import savemat
from scipy.special import expit

from consilience.datasets import read_words, write_words
from consilience.datasets.digits import WORDS
from consilience.experiments.paper import command, mst
from consilience.experiments.paper.mst_data import Sources, modalities, paired_rows
from consilience.experiments.paper.mst_networks import (
    ENLARGED,
    Case,
    program,
    relative_weights,
    unit_laplace,
)
from consilience.experiments.paper.mst_page import section
from consilience.experiments.paper.mst_pictures import words_as_images
from consilience.experiments.paper.mst_points import compared
from consilience.experiments.paper.rows import AGGREGATIONS, BOUNDS, CORRECTED
from consilience.experiments.paper.study import read

KEY = jax.random.key(0)
TRAIN = 1200
SHAPES = (("mnist", (8, 8)), ("svhn", (32, 32, 3)), ("text", (8, 71)))


@pytest.fixture(scope="module")
def digits():
    """Real handwritten digits of 8 × 8 in bytes, and in colour, 32 × 32."""
    from sklearn.datasets import load_digits

    found = load_digits()
    grey = (found.images * 15).astype(np.uint8)
    large = grey.repeat(4, 1).repeat(4, 2)
    colours = np.array([1.0, 0.7, 0.4])
    return grey, (large[..., None] * colours).astype(np.uint8), found.target


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """MNIST's IDX files and SVHN's MATLAB files."""
    made = tmp_path_factory.mktemp("files")
    grey, colour, labels = digits
    for part, end, rows in (
        ("train", "train", slice(TRAIN)),
        ("t10k", "test", slice(TRAIN, None)),
    ):
        for kind, array in (("images-idx3", grey), ("labels-idx1", labels)):
            array = array[rows].astype(np.uint8)
            head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (made / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
        X = np.moveaxis(colour[rows], 0, 3)
        y = np.where(labels[rows] == 0, 10, labels[rows])[:, None].astype(np.uint8)
        savemat(made / f"{end}_32x32.mat", {"X": X, "y": y})
    return made


# Rows


def found_in(images, measurements):
    """The place of each image among the measurements, by its bytes."""
    places = {m.tobytes(): i for i, m in enumerate(measurements)}
    images = np.rint(np.asarray(images) * 255).astype(np.uint8)
    return np.array([places[image.tobytes()] for image in images])


def test_rows_are_of_one_digit_and_parts_share_nothing(folder, digits):
    grey, colour, labels = digits
    rows = paired_rows(KEY, Sources(folder), 1500, 90, 400)
    assert rows.train.names == ("mnist", "svhn", "text")
    assert (rows.train.size, rows.test.size) == (1500, 90)
    for data, first, last in ((rows.train, 0, TRAIN), (rows.test, TRAIN, 1797)):
        label = np.asarray(data.covariates["label"])
        for name, measurements in (("mnist", grey), ("svhn", colour)):
            places = found_in(data.values[name], measurements)
            assert (labels[places] == label).all()
            assert ((first <= places) & (places < last)).all()
        assert (read_words(data.values["text"]) == np.array(WORDS)[label]).all()
    assert not np.array_equal(
        found_in(rows.train.values["mnist"], grey),
        found_in(rows.train.values["svhn"], colour),
    )


def test_classifiers_see_training_measurements_only(folder, digits):
    grey, colour, labels = digits
    alone = paired_rows(KEY, Sources(folder), 50, 10, 400).alone
    assert {name: len(each.labels) for name, each in alone.items()} == {
        "mnist": 400,
        "svhn": 400,
        "text": 400,
    }
    for name, measurements in (("mnist", grey), ("svhn", colour)):
        places = found_in(alone[name].values, measurements)
        assert (places < TRAIN).all()
        assert (labels[places] == alone[name].labels).all()
    said = read_words(alone["text"].values)
    assert (said == np.array(WORDS)[alone["text"].labels]).all()


def test_stand_ins_have_names_of_their_own(folder, digits, tmp_path):
    grey, colour, labels = digits
    np.savez(tmp_path / "c.npz", x=colour, y=labels)
    np.savez(tmp_path / "s.npz", logmel=grey, label=labels)
    sources = Sources(folder, tmp_path / "c.npz", tmp_path / "s.npz")
    assert modalities(Sources(folder)) == ("mnist", "svhn", "text")
    rows = paired_rows(KEY, sources, 60, 20, 50)
    assert rows.train.names == ("mnist", "photograph", "speech", "text")
    assert modalities(sources) == rows.train.names
    label = np.asarray(rows.train.covariates["label"])
    for name, measurements in (("photograph", colour), ("speech", grey)):
        assert (labels[found_in(rows.train.values[name], measurements)] == label).all()


def test_other_numbers_than_bytes_are_refused(folder, digits, tmp_path):
    _, colour, labels = digits
    np.savez(tmp_path / "c.npz", x=colour / 255, y=labels)
    with pytest.raises(ValueError, match="photograph: expected bytes, got float64"):
        paired_rows(KEY, Sources(folder, tmp_path / "c.npz"), 60, 20, 50)


def test_colours_are_averaged_over_blocks(folder, digits):
    whole, halved = (
        paired_rows(KEY, Sources(folder), 40, 20, 30, shrink) for shrink in (1, 2)
    )
    large, small = (np.asarray(x.test.values["svhn"]) for x in (whole, halved))
    means = large.reshape(20, 16, 2, 16, 2, 3).mean((2, 4))
    np.testing.assert_allclose(small, means, atol=0.5 / 255 + 1e-6)
    for name in ("mnist", "text"):
        same = (x.test.values[name] for x in (whole, halved))
        np.testing.assert_array_equal(*same)
    with pytest.raises(ValueError, match="svhn: expected a height and width that 5"):
        paired_rows(KEY, Sources(folder), 40, 20, 30, 5)


# Programs


def test_weights_are_relative_dimensions():
    weights = relative_weights(dict(SHAPES))
    assert weights == {"mnist": 3072 / 64, "svhn": 1.0, "text": 3072 / 568}


def test_images_have_laplace_laws_around_a_sigmoid():
    from numpyro import handlers

    eta = jnp.linspace(-3.0, 3.0, 12).reshape(3, 4)
    with handlers.seed(rng_seed=0), handlers.trace() as trace:
        law = unit_laplace(eta, {})
    np.testing.assert_allclose(law.loc, expit(np.asarray(eta)), rtol=1e-6)
    assert trace["scale"]["value"].shape == (4,)


def shapes_of_guide(case):
    """Numbers of parameters of the guide; nothing is computed."""
    import consilience as cs

    svi = program(case, 10, "few", SHAPES)
    text = write_words(KEY, [3, 4])
    values = {n: np.zeros((2, *s), np.float32) for n, s in SHAPES[:2]}
    data = cs.MultimodalData.from_arrays({**values, "text": text})

    def params(key):
        return svi.get_params(svi.init(key, data))

    sizes = jax.tree.map(lambda leaf: leaf.size, jax.eval_shape(params, KEY))
    ours = {n: x for n, x in sizes.items() if n.startswith(("encoder", "aggregation"))}
    return sum(jax.tree.leaves(ours))


def test_enlarged_experts_have_no_fewer_parameters():
    learned = [shapes_of_guide(Case("masked", a)) for a in AGGREGATIONS[2:]]
    for name in ENLARGED:
        assert shapes_of_guide(Case("masked", name)) >= max(learned)
        plain = shapes_of_guide(Case("masked", name.removesuffix("+")))
        assert plain < min(learned)


def test_one_program_for_the_same_arguments():
    first = program(Case("masked", "PoE"), 10, "few", SHAPES)
    assert program(Case("masked", "PoE"), 10, "few", SHAPES) is first
    other = program(Case("mixture", "PoE", 4.0), 10, "few", SHAPES)
    assert isinstance(other.loss, BOUNDS["mixture"])
    assert other.loss.beta == 4.0


def test_the_table_has_all_rows(folder, tmp_path):
    found = mst.cases()
    assert len(set(found)) == len(found) == 8 + 2 + 8 + 4 + 16
    names = {*AGGREGATIONS, *ENLARGED, CORRECTED}
    assert {case.aggregation for case in found} == names
    given = options("--data", folder, "--out", tmp_path)
    cells = mst.cells(mst.BUDGETS["full"], given)
    assert len({cell.name(0) for cell in cells}) == len(found)
    assert set(mst.BUDGETS) == {"default", "fast", "full"}


# Pictures and page


def test_words_are_drawn():
    text = write_words(KEY, [1, 2, 1], length=5)
    images = words_as_images(np.asarray(text))
    assert images.shape == (3, 32, 35)
    assert images.min() == 0 < 0.5 < images.max() <= 1
    same = [(images[0] == images[i]).all() for i in (1, 2)]
    assert same == [(text[0] == text[i]).all() for i in (1, 2)]
    np.testing.assert_array_equal(words_as_images(text * 0.5), images)


def result(bound, aggregation, seed, joint):
    """One run as the file has it."""
    names = ["mnist", "svhn", "text", "mnist + svhn + text"]
    figures = {f"llh {n}": joint for n in names} | {"llh error mnist": 1.0}
    coherence = 0.5 if bound == "masked" else 0.75
    figures |= {"coherence mnist -> text": coherence}
    figures |= {"coherence mnist + svhn -> text": 0.7}
    figures |= {"real text": 1.0, "class mnist": 0.9, "unreliable mnist": 0.25}
    for name in ("full_reconstruction", "full_rate"):
        figures |= {name: 2.0, name.replace("full", "cross"): 3.0}
    figures["full_reconstruction"] = 2 * joint
    case = Case(bound, aggregation)._asdict()
    shared = {"modalities": "mnist+svhn+text", "files": ""}
    shared |= {"rows": 9, "steps": 8, "size": "few"}
    return {"settings": case | shared | {"seed": seed}, "figures": figures}


def results():
    found = [result("masked", "SumPooling", s, 10.0 + s) for s in (0, 1)]
    found += [result("mixture", "SumPooling", s, 8.0 + 2 * s) for s in (0, 1)]
    return [*found, result("masked", "PoE", 1, 15.0)]


def test_points_are_paired_by_seed():
    first, second, third, fourth, fifth, _ = compared(results())
    assert first.ours == "2 of 2 seeds, 1.5 ± 0.7 nats a row"
    assert first.holds
    assert "masked over mixture" in first.what
    assert (second.ours, second.holds) == ("0 of 1 seeds, -4.0 nats a row", None)
    assert "SumPooling over PoE" in second.what
    assert third.what == "joint bound, SumPooling: masked over mixture bound"
    assert third.ours == "2 of 2 seeds, 3.0 ± 1.4 nats a row"
    assert "SumPooling over PoE" in fourth.what
    assert fifth.what.startswith("mean coherence, one to another, SumPooling: masked")
    assert (fifth.ours, fifth.holds) == ("0 of 2 seeds, -0.25 ± 0.00", False)


def test_the_page_has_every_table():
    text = section(results())
    assert "| shared | 1.0 | masked | SumPooling | 2 | 10.5 ± 0.7 |" in text
    assert "| latents | β | bound | aggregation | seeds | mnist + svhn → text |" in text
    assert "| SumPooling | 2 | 10.5 ± 0.7 | -21.0 ± 1.4 | 19.0 ± 1.4 | 0.50" in text
    assert "SVHN was not at hand" not in text


def test_the_page_says_what_stands_in_for_svhn():
    found = results()
    for each in found:
        each["settings"] |= {"modalities": "mnist+photograph+speech+text"}
        each["settings"] |= {"files": "hands.npz, voices.npz"}
        joint = each["figures"]["llh mnist + svhn + text"]
        for name in ("photograph", "speech", "mnist + photograph + speech + text"):
            each["figures"][f"llh {name}"] = joint
    text = section(found)
    assert text.startswith("**SVHN was not at hand for these figures**")
    assert "colour photographs stand in its place" in text
    assert "spoken digits are a fourth modality (hands.npz, voices.npz)" in text


# The study


def options(*words):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(["mst", *(str(word) for word in words)])


def test_files_are_asked_for_before_anything_is_trained(tmp_path):
    with pytest.raises(ValueError, match="--data: expected a folder with the files"):
        command.run(options("--out", tmp_path / "new"))
    with pytest.raises(FileNotFoundError, match="MNIST database of Yann LeCun"):
        command.run(options("--out", tmp_path / "new", "--data", tmp_path))
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_study_from_files_to_the_page(folder, digits, tmp_path, capsys):
    grey, colour, labels = digits
    np.savez(tmp_path / "hands.npz", x=colour, y=labels)
    np.savez(
        tmp_path / "voices.npz", logmel=grey.repeat(4, 1).repeat(4, 2), label=labels
    )
    words = ("--out", tmp_path, "--data", folder, "--fast", "--steps", 60)
    words += ("--colour", tmp_path / "hands.npz", "--speech", tmp_path / "voices.npz")
    command.run(options(*words))
    results = list(read(tmp_path / "mst.json").values())
    assert [r["settings"]["bound"] for r in results] == ["masked", "mixture"]
    subsets, small, names = 15, 10, ("mnist", "photograph", "speech", "text")
    for each in results:
        figures = each["figures"]
        assert np.isfinite(list(figures.values())).all()
        assert sum(name.startswith("class ") for name in figures) == subsets
        assert sum(name.startswith("coherence ") for name in figures) == small * 4 + 1
        assert figures["real text"] > 0.9
        joint = figures[f"llh {' + '.join(names)}"]
        assert all(joint != figures[f"llh {name}"] for name in names)
    for name in ("mst_rates.png", "mst_masked_SumPooling.png"):
        assert (tmp_path / name).stat().st_size > 5000
    text = (tmp_path / "paper.md").read_text()
    assert "### Coherence from two modalities" in text
    assert "colour photographs stand in its place" in text
    assert "(hands.npz, voices.npz)" in text
    capsys.readouterr()
    command.run(options(*words, "--resume"))
    assert capsys.readouterr().out.count("mst ") == 0
    assert list(read(tmp_path / "mst.json").values()) == results
