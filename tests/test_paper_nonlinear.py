"""Tables 3 and 4: rows, comparisons, pictures, and trends in runs of seconds."""

import argparse
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax import nnx

from consilience.datasets.nonlinear_simulators import LABEL, apply_layers
from consilience.experiments.paper import (
    command,
    figures,
    nonlinear_page,
    page,
    table3,
    table3_page,
    table4,
)
from consilience.experiments.paper.injective import InjectiveDecoder, holding
from consilience.experiments.paper.nonlinear import (
    Row,
    cooling,
    measured,
)
from consilience.experiments.paper.nonlinear import (
    trained as trained_row,
)
from consilience.experiments.paper.study import read

KEY = jax.random.key(20240131)


# Programs


def test_the_true_map_is_a_decoder():
    truth = table3.case(0, 50).simulated.truth
    decoder = InjectiveDecoder(2, (2,), pairs=3, rngs=nnx.Rngs(0))
    state = nnx.state(decoder, nnx.Param)
    nnx.replace_by_pure_dict(state, holding(truth.layers["x"], 6))
    nnx.update(decoder, state)
    z = jax.random.normal(KEY, (7, 2)) * 3
    expected = apply_layers(truth.layers["x"], truth.slope, z)
    np.testing.assert_allclose(decoder(z), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dim", "features", "pairs"), [(4, 9, None), (2, 2, 8)])
def test_decoders_are_isometries_at_first(dim, features, pairs):
    decoder = InjectiveDecoder(dim, (features,), pairs=pairs, rngs=nnx.Rngs(1))
    z = jax.random.normal(KEY, (50, dim))
    norms = [np.linalg.norm(np.asarray(x), axis=1) for x in (decoder(z), z)]
    np.testing.assert_allclose(*norms, rtol=1e-5)


def test_cooling_ends_at_the_rows_own_beta():
    beta = cooling(0.1, 300)
    found = [float(beta(i)) for i in (0, 50, 100, 299)]
    np.testing.assert_allclose(found, [10.0, 1.0, 0.1, 0.1], rtol=1e-5)


@pytest.mark.parametrize(
    ("table", "count"), [(table3, 46), (table4, 84)], ids=["table3", "table4"]
)
def test_tables_have_all_rows_and_every_budget(table, count, tmp_path):
    options = SimpleNamespace(out=tmp_path)
    assert set(table.BUDGETS) == {"default", "fast", "full"}
    cells = table.cells(table.BUDGETS["full"], options)
    assert len({cell.name(0) for cell in cells}) == len(cells) == count
    assert len(table.cells(table.BUDGETS["fast"], options)) <= 4


def test_seeds_are_other_data_and_test_rows_are_no_training_rows():
    case = table4.case(0, 4, 0.5, 60)
    other = table4.case(1, 4, 0.5, 60)
    name = case.train.names[0]
    parts = (case.train, case.test, other.train)
    rows = [np.asarray(x.values[name])[np.asarray(x.present)[:, 0]] for x in parts]
    assert not any((a[:, None] == b).all(-1).any() for a, b in [rows[:2], rows[::2]])
    share = float(np.asarray(case.train.present).mean())
    assert 0.4 < share < 0.7
    assert np.asarray(case.train.present).any(1).all()


# Comparisons


def result(bound, aggregation, prior, seed, llh, **more):
    row = Row(aggregation, prior, bound, **more)._asdict()
    figures = {"llh": llh, "exact_llh": -3.0, "mcc_samples": 0.9, "mcc_means": 0.95}
    figures |= {"exact_mcc_samples": 0.96, "exact_mcc_means": 0.98}
    figures |= {"unreliable": 0.1, "exact_effective_share": 0.9, "bound": llh - 0.1}
    settings = row | {"rows": 1000, "seed": seed}
    return {"settings": settings, "figures": figures, "seconds": 3.0}


def test_runs_are_paired_by_seed_and_rows_beside_the_truth():
    results = [result("masked", "SumPooling", "standard", s, -3.5 - s) for s in (0, 1)]
    results += [result("mixture", "SumPooling", "standard", s, -4 - s) for s in (1, 0)]
    results += [result("masked", "PoE", "standard", 1, -5.0)]
    results += [result("masked", "SumPooling", "mixture", s, -3.1) for s in (0, 1)]
    found = {p.what: p for p in nonlinear_page.orders(results)}
    point = found["SumPooling, standard prior: masked over mixture bound"]
    assert point.ours == "2 of 2 seeds, 0.500 ± 0.000 nats a row"
    assert point.holds
    assert found["masked: SumPooling over PoE"].ours.startswith("1 of 1")
    assert found["masked: SumPooling, mixture over standard prior"].holds
    *_, truth = nonlinear_page.rows(results)
    assert truth[4:6] == ("2", "-3.00 ± 0.00")
    first = next(nonlinear_page.rows(results))
    assert first[4:7] == ("2", "-4.00 ± 0.71", "1.000 ± 0.707")


def test_fits_of_all_budgets_stand_by_their_likelihood():
    found = [result("masked", "SumPooling", "mixture", 0, -2.0)]  # of another family
    for start, steps, llh in (
        ("anywhere", 100, -3.1),
        ("truth", 900, -2.95),
        ("clusters", 100, -2.9),
    ):
        row = ("masked", "SumPoolingMixture", "mixture")
        found.append(result(*row, 0, llh, start=start))
        found[-1]["settings"]["steps"] = steps
    others = [each for each in found[1:] if each["settings"]["steps"] == 900]
    shown = [each for each in found[1:] if each not in others]
    text = table3.of_other_budgets(others, shown)
    assert "1000 rows, 900 steps:" in text
    assert "| masked | SumPoolingMixture | mixture, from the truth |" in text
    assert "100 steps:" not in text
    lines = text.splitlines()[-3:]
    assert lines == [
        "| SumPoolingMixture | 0 | mixture | clusters | 100 | +100 | 0.900 | 0.960 |",
        "| SumPoolingMixture | 0 | mixture | the truth | 900 | +50 | 0.900 | 0.960 |",
        "| SumPoolingMixture | 0 | mixture | anywhere | 100 | -100 | 0.900 | 0.960 |",
    ]
    assert table3.of_other_budgets([], found[:1]) == ""


def test_rows_from_clusters_are_compared_with_the_others():
    results = [result("masked", "SumPooling", "standard", s, -3.5 - s) for s in (0, 1)]
    for start, llh in (("anywhere", -3.4), ("clusters", -3.2)):
        row = ("masked", "SumPooling", "mixture")
        results += [result(*row, s, llh - s, start=start) for s in (0, 1)]
    row = ("masked", "SumPoolingMixture", "mixture")
    results += [result(*row, s, -3.3 - s, start="clusters") for s in (0, 1)]
    found = {p.what: p for p in nonlinear_page.orders(results)}
    said = {
        "SumPooling, mixture from clusters over standard prior": (True, "0.300"),
        "SumPooling, mixture from clusters over from anywhere": (True, "0.200"),
        "SumPooling, from clusters, mixture over Gaussian posterior": (False, "-0.100"),
    }
    for words, (holds, size) in said.items():
        for end in ("", ", by the bound"):
            point = found[f"masked: {words}{end}"]
            assert point.holds is holds
            assert size in point.ours
    priors = [line[2] for line in nonlinear_page.rows(results)]
    assert priors == [
        "standard",
        "mixture",
        "mixture, from clusters",
        "mixture, from clusters",
        "",
    ]


def test_rows_of_labels_are_held_against_the_truth_and_against_decoded_labels():
    def both(llh, mcc):
        results = []
        for prior, correlations in (("labelled", mcc), ("mixture", (0.8, 0.85))):
            for seed, found in enumerate(correlations):
                row = ("masked", "SumPoolingMixture", prior, seed, llh)
                results.append(result(*row, start="clusters"))
                results[-1]["figures"]["mcc_samples"] = found
        return {p.what: p for p in table3_page.compared(results)}

    found = both(-3.1, (0.94, 0.97))
    point = found["SumPoolingMixture, mixture of labels, masked: MCC, draws"]
    assert point.holds
    point = found[
        "SumPoolingMixture, masked, from clusters: mixture of labels, not with labels "
        "decoded"
    ]
    assert point.ours == (
        "MCC 0.130 ± 0.014 higher, in 2 of 2 seeds; LLH 0.000 ± 0.000 higher"
    )
    what = "SumPoolingMixture, mixture of labels, masked: MCC, draws"
    point = both(-3.1, (0.94, 0.95))[what]
    assert not point.holds
    assert point.reason == table3_page.BEHIND_TRUTH
    assert both(-2.9, (0.94, 0.95))[what].reason == table3_page.LIKELY
    rows = list(nonlinear_page.rows([result("masked", "PoE", "labelled", 0, -3.1)]))
    assert rows[0][2] == "mixture of labels"


def test_rows_of_other_budgets_have_their_orders():
    results = []
    for name, llh in (("SumPooling", -3.1), ("PoE", -3.4)):
        results += [result("masked", name, "standard", s, llh) for s in (0, 1)]
    for each in results:
        each["settings"] |= {"modalities": 5, "missing": 0.0, "steps": 700}
    text = table4.of_other_budgets(results, [])
    assert text.startswith("1000 rows, 700 steps:")
    assert "| masked | SumPooling | standard |" in text
    assert "masked, M = 5, complete: SumPooling over PoE | higher | 2 of 2" in text
    for each in results[:2]:
        each["settings"]["size"] = "paper"
    text = table4.of_other_budgets(results, [])
    assert text.index("1000 rows, 700 steps:") < text.index(
        "700 steps, paper networks:"
    )
    assert "SumPooling over PoE" not in text


def test_nothing_is_said_where_seeds_disagree():
    def point(*differences):
        sides = [
            [result("masked", "PoE", "standard", s, llh) for s, llh in enumerate(side)]
            for side in (differences, [0.0] * len(differences))
        ]
        return next(page.higher("a over b", *sides, "llh"))

    assert point(0.1, 0.2, 0.3).holds is True
    assert point(-0.1, -0.2).holds is False
    assert point(0.1, -0.1, 0.1).holds is None
    assert point(0.1, 0.1, 0.11, 0.12, -0.01).holds is True
    assert list(page.higher("a over b", [], [], "llh")) == []


def test_estimators_are_compared_on_the_same_seeds():
    mixture = ("masked", "SumPoolingMixture", "mixture")
    results = [result(*mixture, s, -3.1 - s) for s in (0, 1)]
    results += [result(*mixture, s, -3.3 - s, estimator="implicit") for s in (0, 1)]
    (point,) = nonlinear_page.estimators(results)
    assert "0.200 ± 0.000 apart" in point.ours
    assert point.holds is None


@pytest.mark.parametrize(
    ("table", "settings"),
    [(table3, {}), (table4, {"modalities": 4, "missing": 0.0})],
    ids=["table3", "table4"],
)
def test_sections_say_what_was_aimed_at(table, settings):
    results = [
        result("masked", "SumPoolingMixture", "mixture", s, -3.1) for s in (0, 1)
    ]
    for each in results:
        each["settings"] |= settings
    text = table.section(results)
    assert "*true model*" in text
    assert "| SumPoolingMixture, " in text
    assert "**no**" in text  # .9 is none of the aims


def test_labels_are_components_and_have_no_decoder():
    row = Row("SumPooling", "labelled", "masked", start="clusters")
    case = table3.case(0, 100)
    settings = {"steps": 4, "batch_size": 50, "cool": cooling}
    data = [case.simulated.data]
    _, params = trained_row(KEY[None], table3.programs, row, data, **settings)
    labels = np.asarray(case.simulated.data.values[LABEL])
    shares = np.bincount(labels) / len(labels)
    weights = jax.nn.softmax(params[0]["prior.logits"])
    np.testing.assert_allclose(weights, shares, atol=0.02)  # a few small steps
    assert f"decoder.{LABEL}$params" not in params[0]


@pytest.mark.long
def test_each_seed_starts_from_clusters_of_its_own():
    row = Row("SumPoolingMixture", "mixture", "masked", start="clusters")
    cases = [table3.case(seed, 100) for seed in (0, 1)]
    data = [each.simulated.data for each in cases]
    keys = jax.numpy.stack([each.key_train for each in cases])
    settings = {"steps": 12, "batch_size": 50, "cool": cooling}
    svi, params = trained_row(keys, table3.programs, row, data, **settings)
    turns = [np.asarray(each["prior.unmixing"]) for each in params]
    assert not np.allclose(*turns)
    assert all(abs(turn - np.eye(2)).max() > 1e-3 for turn in turns)
    found = measured(KEY, svi, params[0], data[0], cases[0].simulated.latents, 8)
    plain = {"prior.unmixing": jax.numpy.eye(2)}
    other = measured(
        KEY, svi, params[0] | plain, data[0], cases[0].simulated.latents, 8
    )
    assert found["mcc_means"] != other["mcc_means"]


# Pictures


def test_latents_are_put_in_the_order_of_the_truth():
    truth = np.random.default_rng(0).normal(size=(200, 2))
    panel = figures.Panel("a", np.stack([-truth[:, 1], truth[:, 0]], 1), truth)
    np.testing.assert_array_equal(figures.aligned(panel, truth).z, truth)


def test_pictures_need_all_their_rows(tmp_path):
    made = np.random.default_rng(0).normal(size=(4, 30, 2)).astype(np.float32)
    arrays = dict(zip(("z", "x", "true_z", "true_x"), made, strict=True))
    arrays["label"] = np.arange(30) % 5
    methods, bound, _ = figures.PICTURES["figure1"]
    (tmp_path / "latents").mkdir()
    for method in methods:
        assert figures.draw_kept(tmp_path) == []
        row = Row(*method, bound)
        name = f"{row.bound}-{row.aggregation}-{row.prior}.npz"
        np.savez(tmp_path / "latents" / name, **arrays)
    assert figures.draw_kept(tmp_path) == [tmp_path / "figure1.png"]
    assert (tmp_path / "figure1.png").stat().st_size > 10_000


# Trends


def trained(tmp_path, name):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    command.run(parser.parse_args([name, "--out", str(tmp_path), "--fast"]))
    json.loads((tmp_path / f"{name}.json").read_text())
    keys = ("bound", "prior")
    found = {
        tuple(each["settings"][k] for k in keys): each["figures"]
        for each in read(tmp_path / f"{name}.json").values()
    }
    assert found["masked", "standard"]["llh"] > found["mixture", "standard"]["llh"]
    return found


@pytest.mark.slow
def test_trends_of_table_3(tmp_path):
    found = trained(tmp_path, "table3")
    best = found["masked", "mixture"]
    assert best["llh"] > found["masked", "standard"]["llh"]
    assert 0 < best["exact_llh"] - best["llh"] < 0.5
    assert best["mcc_samples"] > 0.5
    assert (tmp_path / "latents" / "masked-SumPooling-mixture.npz").exists()


@pytest.mark.slow
def test_trends_of_table_4(tmp_path):
    found = trained(tmp_path, "table4")
    truth = found["masked", "standard"]["exact_llh"]
    assert all(each["llh"] < truth for each in found.values())
    plain, turned = (found["masked", p]["mcc_samples"] for p in ("standard", "mixture"))
    assert turned > plain + 0.1
