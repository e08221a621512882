"""The paper's tables: the harness, exact columns, and the trends in fast runs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from numpyro.infer import SVI

import consilience as cs
from consilience.experiments.paper import gaussian_laws, page, table1, table2
from consilience.experiments.paper.command import TABLES, _chosen, add_arguments, run
from consilience.experiments.paper.mixture_optimum import mixture_optimum
from consilience.experiments.paper.study import Cell, read, run_study, write
from consilience.experiments.paper.training import train_seeds

KEY = jax.random.key(20240131)


def quiet(_):
    pass


# Studies


class Counted:
    """Cells that say what they were asked for, and may break."""

    def __init__(self, breaks_at=None):
        self.asked, self.breaks_at = [], breaks_at

    def cells(self):
        return [Cell({"row": r}, partial(self.work, r)) for r in ("a", "b")]

    def work(self, row, seeds):
        if (row, seeds[0]) == self.breaks_at:
            raise KeyboardInterrupt
        self.asked.append((row, seeds))
        return [{"x": 10.0 * seed} for seed in seeds]


def test_a_killed_study_goes_on_where_it_stopped(tmp_path):
    path, broken, whole = tmp_path / "t.json", Counted(("b", 1)), Counted()
    with pytest.raises(KeyboardInterrupt):
        run_study(path, broken.cells(), 3, say=quiet)
    assert broken.asked == [("a", [0]), ("a", [1]), ("a", [2]), ("b", [0])]
    found = run_study(path, whole.cells(), 3, say=quiet)
    assert whole.asked == [("b", [1]), ("b", [2])]
    assert [r["figures"]["x"] for r in found] == [0.0, 10.0, 20.0] * 2
    assert [r["settings"]["seed"] for r in found] == [0, 1, 2] * 2
    assert not (tmp_path / "t.json.part").exists()


def test_more_seeds_are_added_and_may_run_side_by_side(tmp_path):
    path, first, more = tmp_path / "t.json", Counted(), Counted()
    run_study(path, first.cells(), 1, say=quiet)
    found = run_study(path, more.cells(), 3, side_by_side=True, say=quiet)
    assert more.asked == [("a", [1, 2]), ("b", [1, 2])]
    assert [r["figures"]["x"] for r in found] == [0.0, 10.0, 20.0] * 2


class Diverging(Counted):
    """The second seed of every row diverges."""

    def work(self, row, seeds):
        found = super().work(row, seeds)
        if 1 in seeds:
            raise FloatingPointError("the bound is nan")
        return found


@pytest.mark.parametrize("side_by_side", [False, True])
def test_what_diverges_is_a_result_and_stops_nothing(tmp_path, side_by_side):
    said = []
    settings = {"side_by_side": side_by_side, "say": said.append}
    found = run_study(tmp_path / "t.json", Diverging().cells(), 3, **settings)
    assert [r.get("failed") for r in found] == [None, "the bound is nan", None] * 2
    assert [r["figures"] for r in found[:2]] == [{"x": 0.0}, {}]
    assert any("diverged: the bound is nan" in line for line in said)
    again = Diverging()
    run_study(tmp_path / "t.json", again.cells(), 3, **settings)
    assert again.asked == []


def test_another_process_may_write_the_same_file(tmp_path):
    path, first, second = tmp_path / "t.json", Counted(), Counted()

    class Busy(Counted):
        def work(self, row, seeds):
            run_study(path, second.cells()[1:], 1, say=quiet)
            return super().work(row, seeds)

    run_study(path, Busy().cells()[:1], 2, say=quiet)
    assert set(read(path)) == {"row=a, seed=0", "row=a, seed=1", "row=b, seed=0"}
    run_study(path, first.cells(), 1, say=quiet)
    assert first.asked == []


def test_a_study_does_not_go_on_with_other_learning_rates(tmp_path):
    path = tmp_path / "t.json"
    slow, fast = (
        [cell._replace(fixed={"rate": rate}) for cell in Counted().cells()]
        for rate in (0.1, 0.2)
    )
    run_study(path, slow[:1], 1, say=quiet)
    with pytest.raises(ValueError, match=r"expected results with {'rate': 0.2}"):
        run_study(path, fast, 2, say=quiet)
    assert len(read(path)) == 1
    run_study(path, fast, 1, anew=True, say=quiet)
    assert {r["fixed"]["rate"] for r in read(path).values()} == {0.2}


def test_anew_replaces_these_rows_and_no_others(tmp_path):
    path, again = tmp_path / "t.json", Counted(("a", 0))
    run_study(path, Counted().cells(), 2, say=quiet)
    before = path.read_text()
    with pytest.raises(KeyboardInterrupt):
        run_study(path, again.cells()[:1], 1, anew=True, say=quiet)
    assert path.read_text() == before
    run_study(path, Counted().cells()[:1], 1, anew=True, say=quiet)
    assert set(read(path)) == {"row=a, seed=0", "row=b, seed=0", "row=b, seed=1"}


def test_results_say_what_ran_them(tmp_path):
    path = tmp_path / "t.json"
    run_study(path, Counted().cells()[:1], 1, say=quiet)
    (result,) = read(path).values()
    assert set(result) == {"settings", "figures", "fixed", "seconds", "ran"}
    assert result["ran"]["versions"]["jax"] == jax.__version__
    assert result["ran"]["device"]


def test_a_write_that_breaks_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "t.json"
    old = {"c": {"settings": {}, "figures": {"x": float("nan")}}}
    write(path, old)
    assert read(path)["c"]["figures"] == {"x": None}

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write(path, {})
    assert read(path)["c"]["figures"] == {"x": None}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cells": 3}', '{"cells": {"a": 1}}']
)
def test_other_files_are_refused_and_stay(tmp_path, text):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="expected results of `consilience paper`"):
        run_study(path, Counted().cells(), 1, say=quiet)
    assert path.read_text() == text


def test_cells_of_one_name_are_refused(tmp_path):
    twice = Counted().cells()[:1] * 2
    with pytest.raises(ValueError, match="cells: expected different settings"):
        run_study(tmp_path / "t.json", twice, 1, say=quiet)


# Training


def tiny_svi(optimizer=optax.adam(1e-2)):  # noqa: B008
    model = cs.multimodal_model(
        cs.standard_normal(2), cs.NormalLikelihood(), cs.LinearDecoder
    )
    encoder = partial(cs.MLPEncoder, hidden=())
    guide = cs.amortized_guide(2, encoder, cs.ProductOfExperts, 3)
    return SVI(model, guide, optimizer, cs.MaskedELBO())


def tiny_data(seed, rows=13):
    return cs.illustrative_example().simulate(jax.random.key(seed), rows)[0]


def test_seeds_side_by_side_are_seeds_one_by_one():
    svi, keys = tiny_svi(), jax.random.split(KEY, 2)
    data = [tiny_data(0), tiny_data(1)]
    settings = {"steps": 9, "batch_size": 4}
    together = train_seeds(keys, svi, data, **settings)
    for i in range(2):
        (alone,) = train_seeds(keys[i : i + 1], svi, data[i : i + 1], **settings)
        close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
        jax.tree.map(close, together[i], alone)
    first, second = (jax.tree.leaves(each) for each in together)
    assert any((a != b).any() for a, b in zip(first, second, strict=True))


def test_training_makes_the_steps_that_were_asked_for():
    """13 rows in batches of 4: 3 full ones an epoch; parameters break at the tenth step."""
    breaks = optax.sgd(lambda step: jnp.where(step < 9, 0.0, jnp.nan))
    svi = tiny_svi(breaks)
    train = partial(train_seeds, KEY[None], svi, [tiny_data(0)], batch_size=4)
    assert np.isfinite(train(steps=7)[0]["decoder.x1$params"]["linear"]["bias"]).all()
    with pytest.raises(FloatingPointError, match="after 4 of 4 epochs"):
        train(steps=10)


def test_beta_follows_the_steps():
    """One epoch of three steps: β = 1 is the bound's own, a first step of 0 is not."""
    data, key = tiny_data(0), KEY[None]
    settings = {"steps": 3, "batch_size": 4}
    svi = tiny_svi(optax.adam(1e-1))

    def trained(beta):
        return train_seeds(key, svi, [data], beta=beta, **settings)[0]

    usual = train_seeds(key, svi, [data], **settings)[0]
    same = trained(lambda step: jnp.ones(()))
    jax.tree.map(np.testing.assert_array_equal, usual, same)
    from_second = trained(lambda step: jnp.where(step < 1, 0.0, 1.0))
    without = trained(lambda step: jnp.zeros(()))
    leaves = [jax.tree.leaves(each) for each in (usual, from_second, without)]
    for first, second in ((0, 1), (1, 2)):
        pairs = zip(leaves[first], leaves[second], strict=True)
        assert any((a != b).any() for a, b in pairs)


@pytest.mark.parametrize("seeds", [1, 2])
def test_training_begins_where_it_is_told_to(seeds):
    svi, data = tiny_svi(optax.sgd(0.0)), [tiny_data(s) for s in range(seeds)]
    fresh = svi.get_params(svi.init(KEY, data[0]))["decoder.x1$params"]
    start = [
        {"decoder.x1$params": jax.tree.map(lambda x, s=s: x + s + 1, fresh)}
        for s in range(seeds)
    ]
    keys = jax.random.split(KEY, seeds)
    settings = {"steps": 2, "batch_size": 5}
    found = train_seeds(keys, svi, data, start=start, **settings)
    for params, given in zip(found, start, strict=True):
        began = params["decoder.x1$params"]
        jax.tree.map(np.testing.assert_allclose, began, given["decoder.x1$params"])


def test_each_seed_needs_its_rows():
    with pytest.raises(ValueError, match="one data set for each of 2 keys, got 1"):
        train_seeds(
            jax.random.split(KEY), tiny_svi(), [tiny_data(0)], steps=1, batch_size=4
        )


# Exact columns


def model_and_rows():
    generator = np.random.default_rng(0)
    sizes = {"a": 2, "b": 3}
    loadings = {n: jnp.asarray(generator.normal(size=(w, 2))) for n, w in sizes.items()}
    biases = {n: jnp.asarray(generator.normal(size=w)) for n, w in sizes.items()}
    model = cs.LinearGaussian(loadings, biases, 0.7)
    return model, model.simulate(KEY, 7)[0]


def test_exact_posteriors_are_those_of_the_oracle(x64):
    model, data = model_and_rows()
    for names in (("a",), ("b",), ("a", "b")):
        (law,) = gaussian_laws.exact(model, data, *names)
        oracle = model.posterior(data, data.subset_of(*names))
        np.testing.assert_allclose(law.mean, oracle.loc, rtol=1e-9)
        np.testing.assert_allclose(
            law.covariance, oracle.covariance_matrix, rtol=1e-9, atol=1e-12
        )


def test_exact_posteriors_make_the_elbo_the_likelihood(x64):
    """Σ_s E log p(x_s | z) − KL(p(z | x) ‖ p(z)) = log p(x), in closed form."""
    model, data = model_and_rows()
    law = gaussian_laws.exact(model, data, "a", "b")
    reconstruction = sum(
        gaussian_laws.expected_log(model, data, n, law) for n in data.names
    )
    rate = gaussian_laws.kl(law, [gaussian_laws.prior_of(7, 2)])
    found, expected = reconstruction - rate, gaussian_laws.log_likelihood(model, data)
    np.testing.assert_allclose(found.mean(), expected, rtol=1e-10)
    np.testing.assert_allclose(model.log_likelihood(data), found, rtol=1e-8)


def random_law(seed, rows=5, dim=3):
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(rows, dim, dim))
    covariance = np.eye(dim) + root @ root.swapaxes(1, 2)
    return gaussian_laws.Law(generator.normal(size=(rows, dim)), covariance)


def test_kl_of_gaussians_is_that_of_the_reference():
    """After an affine map that makes the other law N(0, I)."""
    p, q = random_law(0), random_law(1)
    expected = []
    for m, c, n, d in zip(*p, *q, strict=True):
        white = np.linalg.inv(np.linalg.cholesky(d))
        expected.append(reference.gaussian_kl(white @ (m - n), white @ c @ white.T))
    np.testing.assert_allclose(gaussian_laws.kl([p], [q]), expected, rtol=1e-10)


def test_a_mixture_of_equals_is_one_gaussian():
    p, q = random_law(0, 400), random_law(1, 400)
    away = gaussian_laws.kl([p, p], [q]) - gaussian_laws.kl([p], [q])
    assert abs(away.mean()) <= 4.5 * reference.standard_error(away)
    model = cs.LinearGaussian({"a": jnp.ones((2, 3))}, {"a": jnp.zeros(2)}, 1.0)
    data, _ = model.simulate(KEY, 400)
    alone = gaussian_laws.expected_log(model, data, "a", [p])
    both = gaussian_laws.expected_log(model, data, "a", [p, p])
    np.testing.assert_allclose(both, alone, rtol=1e-12)


def test_the_gap_of_maximum_likelihood_is_zero_and_of_others_positive():
    _, data = model_and_rows()
    best = cs.maximum_likelihood(data, 2, 0.7)
    assert abs(gaussian_laws.gap(best, data)) < 1e-6
    moved = {n: W + 0.05 for n, W in best.loadings.items()}
    assert gaussian_laws.gap(cs.LinearGaussian(moved, best.biases, 0.7), data) > 1e-4


def test_learned_laws_are_those_of_the_guide():
    data, svi = tiny_data(0), tiny_svi()
    params = svi.get_params(svi.init(KEY, data))
    (law,) = gaussian_laws.learned(svi.guide, params, data, "x1")
    z = np.random.default_rng(0).normal(size=(13, 2))
    from consilience.inference import programs

    subset = data.subset_of("x1")
    fn = programs.run(svi.guide, params, KEY, {}, data, subset)["z"]["fn"]
    np.testing.assert_allclose(law.log_prob(z), fn.log_prob(jnp.asarray(z)), rtol=1e-4)


def test_learned_mixtures_have_the_experts_of_the_subset():
    data, encoder = tiny_data(0), partial(cs.MLPEncoder, hidden=())
    guide = cs.amortized_guide(2, encoder, cs.MixtureOfExperts, 3)
    svi = SVI(tiny_svi().model, guide, optax.adam(1e-2), cs.MaskedELBO())
    law = partial(
        gaussian_laws.learned, guide, svi.get_params(svi.init(KEY, data)), data
    )
    both, second = law("x1", "x2"), law("x2")
    assert len(both) == 2
    (only,) = second
    np.testing.assert_array_equal(both[1].mean, only.mean)
    assert (both[0].mean != both[1].mean).all()


# The optimum of the mixture bound


@pytest.mark.parametrize("law", table1.LAWS.values(), ids=table1.LAWS)
def test_nothing_exceeds_the_optimum_of_the_mixture_bound(law):
    """Not other decoders with their own best posteriors, nor other posteriors."""
    data, _ = cs.illustrative_example().simulate(KEY, 500)
    best = mixture_optimum(data, 3, 1.0, law)

    def bound(model, moved=0.0, wider=1.0):
        subsets, weights = law.listed(data.present[:1])
        total = 0.0
        for members, weight in zip(np.asarray(subsets)[:, 0], weights, strict=True):
            names = [n for n, m in zip(data.names, members, strict=True) if m]
            (q,) = best._replace(model=model).posterior(data, *names)
            q = [gaussian_laws.Law(q.mean + moved, q.covariance * wider)]
            value = sum(
                gaussian_laws.expected_log(model, data, n, q) for n in data.names
            )
            rate = gaussian_laws.kl(q, [gaussian_laws.prior_of(500, 3)])
            total += float(weight[0]) * (value - rate).mean()
        return total

    top = bound(best.model)
    assert bound(best.model, moved=0.05) < top
    assert bound(best.model, wider=1.05) < top
    assert bound(best.model, wider=0.95) < top
    generator = np.random.default_rng(0)
    for _ in range(10):
        other = {
            n: W + 0.05 * generator.normal(size=W.shape)
            for n, W in best.model.loadings.items()
        }
        biases = {n: b + 0.02 for n, b in best.model.biases.items()}
        assert bound(cs.LinearGaussian(other, best.model.biases, 1.0)) < top
        assert bound(cs.LinearGaussian(best.model.loadings, biases, 1.0)) < top


def test_population_columns_of_table_1():
    """Of the population, known beforehand."""
    data, _ = cs.illustrative_example().simulate(KEY, 100_000)
    masked = table1.best(data, "masked", "hierarchical")
    mixture = table1.best(data, "mixture", "hierarchical")
    assert masked["best_gap"] == pytest.approx(0, abs=1e-9)
    assert mixture["best_gap"] == pytest.approx(0.0539, abs=5e-4)
    expected = {
        "full_reconstruction": (-2.838, -3.184),
        "full_rate": (2.860, 2.822),
        "cross_reconstruction": (-52.75, -27.41),
        "cross_rate": (1.429, 25.16),
    }
    for column, values in expected.items():
        for found, value in zip((masked, mixture), values, strict=True):
            away = abs(found[f"best_{column}"] - value)
            assert away <= 4.5 * found[f"error_{column}"] + 1e-3, column


# The command and its page


def options(*words):
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


class Quick:
    """A table of one row that needs no training."""

    TITLE = "Table 0: quick"
    BUDGETS = table1.BUDGETS
    TRAINED = "In no time."
    SETTLING, SIDE_BY_SIDE = ("gap",), False

    def __init__(self):
        self.budgets = []

    def cells(self, budget, options):
        self.budgets.append(budget)
        rates = {"a": 0.1, "b": 0.2}
        return [
            Cell(self.row(r, budget), self.work, {"batch": 5, "rate": rate})
            for r, rate in rates.items()
        ]

    def row(self, name, budget):
        return {"row": name, "rows": budget.rows, "steps": budget.steps}

    def work(self, seeds):
        return [{"x": float(seed), "gap": 1 / (1 + seed)} for seed in seeds]

    def section(self, results):
        return page.markdown(("x",), [[page.spread(page.figures(results, "x"))]])


@pytest.fixture
def quick(monkeypatch):
    table = Quick()
    monkeypatch.setitem(TABLES, "quick", table)
    return table


def test_the_command_keeps_results_and_writes_the_page(tmp_path, quick, capsys):
    run(options("quick", "--out", tmp_path / "new", "--fast", "--seeds", 3))
    assert quick.budgets == [Quick.BUDGETS["fast"]._replace(seeds=3)]
    text = (tmp_path / "new" / "paper.md").read_text()
    assert "## Table 0: quick" in text
    assert "| 1.000 ± 0.894 |" in text
    assert "6 trainings, seeds 0 to 2" in text
    assert "Settings beside those of the rows: batch 5; rate *0.1* or *0.2*." in text
    assert "quick 3/6: row=a, rows=2000, steps=2000, seed=2" in capsys.readouterr().out
    assert "How many steps" not in text


def test_a_table_may_show_other_budgets(tmp_path, quick):
    quick.of_other_budgets = lambda others, shown: f"{len(others)} by {len(shown)}"
    run(options("quick", "--out", tmp_path, "--seeds", 2))
    run(options("quick", "--out", tmp_path, "--resume", "--seeds", 1, "--steps", 7))
    assert "2 by 4" in (tmp_path / "paper.md").read_text()


def test_single_rows_may_be_run_and_with_other_steps(tmp_path, quick):
    run(options("quick", "--out", tmp_path, "--seeds", 2))
    more = ("--resume", "--seeds", 1, "--steps", 7)
    run(options("quick", "--out", tmp_path, "--only", "b", *more))
    found = read(tmp_path / "quick.json").values()
    assert [r["settings"]["row"] for r in found] == ["a", "a", "b", "b", "b"]
    text = (tmp_path / "paper.md").read_text()
    steps = Quick.BUDGETS["default"].steps
    assert f"| gap by steps | 7 | {steps} |" in text
    assert "| b, 5000 | 1.000 | 1.000 |" in text  # seed 0 alone has both
    assert "| 0.500 ± 0.577 |" in text  # the four of the usual number of steps
    with pytest.raises(ValueError, match=r"--only: expected words .* got c"):
        run(options("quick", "--out", tmp_path, "--resume", "--only", "c"))


def test_earlier_results_are_neither_lost_nor_mixed_in_silence(tmp_path, quick):
    run(options("quick", "--out", tmp_path, "--seeds", 2))
    before = (tmp_path / "quick.json").read_text()
    with pytest.raises(
        ValueError, match="add --resume to go on with it, or --overwrite"
    ):
        run(options("quick", "--out", tmp_path))
    assert (tmp_path / "quick.json").read_text() == before
    run(options("quick", "--out", tmp_path, "--resume", "--seeds", 2))
    assert (tmp_path / "quick.json").read_text() == before
    run(options("quick", "--out", tmp_path, "--overwrite", "--seeds", 1))
    assert len(read(tmp_path / "quick.json")) == 2


def test_the_page_alone_needs_results(tmp_path, quick):
    with pytest.raises(ValueError, match="expected results in"):
        run(options("page", "--out", tmp_path))
    run(options("quick", "--out", tmp_path, "--seeds", 1))
    (tmp_path / "paper.md").unlink()
    run(options("page", "--out", tmp_path))
    assert "| 0.000 ± 0.000 |" in (tmp_path / "paper.md").read_text()


def test_what_diverged_is_on_the_page_and_in_no_mean(tmp_path, quick):
    quick.work = Diverging().work
    quick.cells = lambda budget, options: Diverging().cells()
    drawn = []
    quick.draw = lambda results, folder: drawn.extend(results)
    run(options("quick", "--out", tmp_path, "--seeds", 2))
    assert [each["settings"]["seed"] for each in drawn] == [0, 0]
    text = (tmp_path / "paper.md").read_text()
    assert "**Diverged**: 2 (a, 1; b, 1)" in text
    assert "0 rows, 0 steps: 2 trainings, seeds 0 to 0" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table1", "--data", "x"), "--data: expected with mst only, got table1"),
        (("page", "--fast"), "--fast: expected with a table, got page"),
    ],
)
def test_options_that_would_say_nothing_are_refused(tmp_path, words, message):
    with pytest.raises(ValueError, match=message):
        run(options(*words, "--out", tmp_path))


def test_rows_are_chosen_by_name_and_word():
    cells = table1.cells(table1.BUDGETS["default"], None)
    words = ("bound=mixture", "law=hierarchical", "PoE")
    (cell,) = _chosen(cells, words)
    assert cell.settings["aggregation"] == "PoE"
    with pytest.raises(ValueError, match=r"--only: expected words .* bound=masked"):
        _chosen(cells, ("bound=mixtures",))


def test_out_must_be_a_folder(tmp_path, quick):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="expected a folder, but"):
        run(options("quick", "--out", tmp_path / "file"))


@pytest.mark.parametrize("table", [table1, table2], ids=["table1", "table2"])
def test_tables_have_all_rows_and_every_budget(table):
    assert set(table.BUDGETS) == {"default", "fast", "full"}
    cells = table.cells(table.BUDGETS["full"], None)
    assert len({cell.name(0) for cell in cells}) == len(cells) == 16
    few = table.cells(table.BUDGETS["fast"], None)
    assert len(few) <= 4


# Trends, in runs of seconds


def trained(tmp_path, name):
    """Figures of the fast study, by row."""
    run(options(name, "--out", tmp_path, "--fast"))
    found = read(tmp_path / f"{name}.json").values()
    assert (tmp_path / "paper.md").read_text().startswith("# The paper's tables")
    return list(found)


def row(results, **settings):
    (found,) = [r for r in results if settings.items() <= r["settings"].items()]
    return found["figures"]


@pytest.mark.slow
def test_trends_of_table_1(tmp_path):
    results = trained(tmp_path, "table1")
    masked = row(results, aggregation="SumPooling", bound="masked")
    mixture = row(results, aggregation="SumPooling", bound="mixture")
    product = row(results, aggregation="PoE", bound="masked")
    assert masked["gap"] < 5e-3 < 4e-2 < mixture["gap"]
    assert product["gap"] < 2e-2
    assert abs(masked["full_rate"] - masked["best_full_rate"]) < 0.05
    assert masked["full_reconstruction"] > mixture["full_reconstruction"] + 0.2
    assert masked["cross_reconstruction"] < mixture["cross_reconstruction"] - 15
    assert masked["cross_rate"] < 2 < 15 < mixture["cross_rate"]


@pytest.mark.slow
def test_trends_of_table_2(tmp_path):
    results = trained(tmp_path, "table2")
    pooled = row(results, latents="shared", aggregation="SumPooling")
    experts = row(results, latents="shared", aggregation="MoE")
    private = row(results, latents="private")
    assert max(pooled["gap"], experts["gap"]) < 0.02
    assert pooled["mcc_samples"] > experts["mcc_samples"] + 0.05
    assert abs(pooled["mcc_samples"] - pooled["exact_mcc_samples"]) < 0.02
    assert abs(pooled["mcc_means"] - pooled["exact_mcc_means"]) < 0.02
    assert private["gap"] < 0.03
    assert abs(private["mcc_samples"] - private["exact_mcc_samples"]) < 0.02
