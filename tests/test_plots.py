"""Pictures: what is drawn is what was given; labels; what is refused."""

import itertools

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from examples import exact_guide, linear_gaussian
from matplotlib.colors import to_rgb
from scipy import stats

import consilience as cs
from consilience.evaluation.check_posterior import Distance
from consilience.evaluation.rate_table import Mean
from consilience.evaluation.regions import MASS
from consilience.evaluation.style import COLORS, LINES, MARKERS, STYLE, color, line

matplotlib.use("Agg")
RNG = np.random.default_rng(0)
KEY = jax.random.key(4)
SUBSETS = [(), ("a",), ("b",), ("a", "b"), ("a", "b", "c")]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def truth():
    return linear_gaussian(jax.random.key(2))


def texts(figure):
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text)]


def drawn(figure):
    """Rendering is where layouts fail; nothing is cut at the figure's edges."""
    figure.canvas.draw()
    box, inches = figure.get_tightbbox(), figure.get_size_inches()
    assert min(box.x0, box.y0) > -0.02
    assert box.x1 < inches[0] + 0.02
    assert box.y1 < inches[1] + 0.02
    return texts(figure)


# Style


def test_colours_can_be_told_apart_and_styles_do_not_repeat():
    """Contrast of 2 or more to white, and pairs of colour and style by the dozen."""
    pairs = [(color(i), line(i)) for i in range(len(COLORS) * len(LINES))]
    assert len(set(pairs)) == len(pairs)
    assert np.gcd(len(COLORS), len(MARKERS)) == 1
    for name in COLORS:
        channels = np.array(to_rgb(name))
        linear = np.where(
            channels > 0.04045, ((channels + 0.055) / 1.055) ** 2.4, channels / 12.92
        )
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) > 2


def test_the_users_own_style_stays():
    before = dict(matplotlib.rcParams)
    cs.plot_latents({("a",): RNG.normal(size=(5, 2, 2))})
    assert dict(matplotlib.rcParams) == before
    assert STYLE["font.size"] == 11


# Latents


def test_latents_show_the_draws_and_exact_ellipses(truth):
    data, _ = truth.simulate(KEY, 3)
    exact = {s: truth.posterior(data, data.subset_of(*s)) for s in SUBSETS}
    draws = {s: np.array(q.sample(KEY, (40,))) for s, q in exact.items()}
    figure = cs.plot_latents(draws, exact, dims=(1, 0))
    shown = drawn(figure)
    assert {"given nothing", "given a + b", "row 2", "$z_{0}$", "$z_{1}$"} <= {*shown}
    axes = figure.axes[3]
    points = np.concatenate([c.get_offsets() for c in axes.collections])
    expected = np.moveaxis(draws["a", "b"], 1, 0)[..., ::-1].reshape(-1, 2)
    np.testing.assert_allclose(points, expected, rtol=1e-6)
    loc, precision = (
        np.asarray(x) for x in (exact["a", "b"].loc, exact["a", "b"].precision_matrix)
    )
    for i, (row, mass) in enumerate(itertools.product(range(3), MASS)):
        away = axes.lines[i].get_xydata()[:, ::-1] - loc[row]
        square = np.einsum("ki,ij,kj->k", away, precision[row], away)
        np.testing.assert_allclose(square, stats.chi2.ppf(mass, 2), rtol=1e-3)
        assert axes.lines[i].get_color() == color(row)


def reference(draws):
    """[N, chains, draws, D]."""
    names = tuple(f"z[{d}]" for d in range(draws.shape[-1]))
    ones = np.ones((len(draws), draws.shape[-1]))
    return cs.ReferencePosterior(names, draws, ones, 500 * ones, np.zeros(len(draws)))


def test_contours_of_draws_hold_their_share():
    draws = RNG.normal(size=(1, 4, 1000, 2)) * [1.0, 3.0]
    figure = cs.plot_latents(
        {("a",): draws[:, 0].swapaxes(0, 1)}, {("a",): reference(draws)}
    )
    [contours] = [c for c in figure.axes[0].collections if hasattr(c, "levels")]
    for path, mass in zip(
        contours.get_paths(), sorted(MASS, reverse=True), strict=True
    ):
        inside = path.contains_points(draws[0].reshape(-1, 2)).mean()
        assert abs(inside - mass) < 0.02
    assert np.ptp(figure.axes[0].get_xlim()) == np.ptp(figure.axes[0].get_ylim())


def test_latents_by_label():
    draws = RNG.normal(size=(30, 5, 2))
    figure = cs.plot_latents({("a",): draws}, labels=np.array(list("xyxyy")))
    assert {"x", "y"} <= {*drawn(figure)}
    x, y = (c.get_offsets() for c in figure.axes[0].collections)
    np.testing.assert_allclose(x, draws[:, [0, 2]].reshape(-1, 2))
    assert len(y) == 90


def test_latents_refuse(untyped):
    draws, many = RNG.normal(size=(5, 2, 2)), RNG.normal(size=(5, 8, 2))
    cases = [
        (TypeError, "draws: expected a mapping from subsets", (draws,), {}),
        (ValueError, "got an empty one", ({},), {}),
        (ValueError, "expected an array .S, N, D.", ({("a",): draws[0]},), {}),
        (ValueError, "of the same N and D", ({("a",): draws, (): many},), {}),
        (ValueError, "dims: expected two of 0 to 1", ({(): draws},), {"dims": (0, 2)}),
        (ValueError, "rows: expected at most 7", ({(): many},), {}),
        (ValueError, "labels: expected one for each", ({(): draws},), {"labels": [1]}),
        (
            ValueError,
            "exact: expected subsets of `draws`",
            ({(): draws}, {("a",): 1}),
            {},
        ),
        (TypeError, "expected a MultivariateNormal or", ({(): draws}, {(): 1}), {}),
        (
            ValueError,
            "expected 2 rows of 2 dimensions, got .3, 2.",
            ({(): draws}, {(): reference(RNG.normal(size=(3, 2, 9, 2)))}),
            {},
        ),
    ]
    for error, said, inputs, settings in cases:
        with pytest.raises(error, match=said):
            cs.plot_latents(*inputs, **settings)


# Calibration


def test_calibration_draws_each_quantitys_distribution(truth):
    data, _ = truth.simulate(KEY, 3)
    found = cs.calibration(
        KEY,
        truth,
        exact_guide(truth),
        {},
        data,
        [(), ("a", "b")],
        num_simulations=60,
        num_ranks=9,
    )
    figure = cs.plot_calibration(found)
    shown = drawn(figure)
    assert {"$z_{0}$", "$z_{1}$", "log p(x, z)", "95 % band"} <= {*shown}
    p = min(1.0, found.p_values().loc["a + b"].min() * 3)
    axes = figure.axes[1]
    assert axes.get_title() == f"given a + b\np = {p:.2g}"
    lines = [x for x in axes.lines if len(x.get_xdata()) == 10]
    for i, shown_line in enumerate(lines):
        ranks = found.ranks["a", "b"][:, i]
        ecdf = np.array([(ranks <= r).mean() for r in range(10)])
        np.testing.assert_allclose(shown_line.get_ydata(), ecdf - np.arange(1, 11) / 10)
    band = axes.collections[0].get_paths()[0].vertices
    lower, upper = cs.simultaneous_band(60, 9)
    at = np.arange(1, 11) / 10
    assert band[:, 1].min() == pytest.approx((lower - at).min())
    assert band[:, 1].max() == pytest.approx((upper - at).max())


def test_calibration_refuses(untyped):
    with pytest.raises(TypeError, match="calibration: expected a `Calibration`"):
        cs.plot_calibration({})


# Rates


def some_rates(rate, distortion):
    def mean(value, error):
        return Mean(value, error, 100)

    return cs.Rates(
        {"a": mean(0.0, 0.0), "total": mean(-distortion, 0.3)},
        mean(rate, 0.1),
        {"total": mean(-2 * distortion, 0.5)},
        mean(2 * rate, 0.2),
    )


def test_rates_and_distortions_are_where_they_belong():
    curve = {2.0: some_rates(1.0, 8.0), 0.5: some_rates(3.0, 5.0)}
    models = {"one": some_rates(2.0, 7.0), "two": curve, "three": [*curve.values()]}
    figure = cs.plot_rate_distortion(models)
    shown = drawn(figure)
    assert {"one", "β = 0.5", "2", "full rate, nats a row", "three"} <= {*shown}
    for axes, factor in zip(figure.axes, (1, 2), strict=True):
        one, two, three = axes.containers
        np.testing.assert_allclose(
            one.lines[0].get_xydata(), [[2 * factor, 7 * factor]]
        )
        expected = factor * np.array([[3.0, 5.0], [1.0, 8.0]])
        np.testing.assert_allclose(two.lines[0].get_xydata(), expected)
        np.testing.assert_allclose(three.lines[0].get_xydata(), expected[::-1])
        grey = [x for x in axes.lines if x.get_color() == "0.75"]
        sums = [x.get_xydata().sum(1) for x in grey]
        assert len(sums) > 2
        np.testing.assert_allclose([np.ptp(each) for each in sums], 0, atol=1e-9)
    bar = figure.axes[1].containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 0], [4 - 0.4, 4 + 0.4])


@pytest.mark.parametrize(
    ("near", "far", "scale"),
    [
        ((1.0, 8.0), (1e3, 5.0), "log"),
        ((0.0, 8.0), (1e3, 5.0), "linear"),
        ((30.0, -650.0), (9e3, -1050.0), "log"),
        ((100.0, -1000.0), (2e4, -1000.1), "log"),
    ],
)
def test_lines_of_equal_sums_reach_the_edges_however_far_points_are(near, far, scale):
    models = {"near": some_rates(*near), "far": some_rates(*far)}
    for axes in cs.plot_rate_distortion(models).axes:
        assert axes.get_xscale() == scale
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        lines = [x for x in axes.lines if x.get_color() == "0.75"]
        assert lines
        for x, y in (each.get_xydata().T for each in lines):
            np.testing.assert_allclose(x + y, (x + y)[0], atol=1e-6)
            size = [(right - left) * 1e-6, (top - bottom) * 1e-6]
            assert x[0] <= left + size[0] or y[0] >= top - size[1]
            assert x[-1] >= right - size[0] or y[-1] <= bottom + size[1]


@pytest.mark.parametrize("far", [(40.0, 5.01), (9000.0, 2.0)])
def test_panels_without_room_for_lines_are_drawn(far):
    cs.plot_rate_distortion({"near": some_rates(0.0, 5.0), "far": some_rates(*far)})


def test_rates_refuse(untyped):
    with pytest.raises(TypeError, match="models: expected a mapping from names"):
        cs.plot_rate_distortion([some_rates(1.0, 1.0)])
    for bad in (3, [], [3], {1.0: 3}):
        with pytest.raises(TypeError, match=r"models\['x'\]: expected .* got"):
            cs.plot_rate_distortion({"x": bad})


# Checks of posteriors


def some_check(rows=6, dims=2):
    def noise(*shape):
        return RNG.normal(size=shape)

    error = np.full((rows, dims), 0.05)
    distance = Distance(np.abs(noise(rows)), 0.1 * noise(rows))
    errors = (noise(rows, dims), error, noise(rows, dims), error)
    nuts = reference(noise(rows, 2, 100, dims))
    return cs.PosteriorCheck(*errors, distance, distance, noise(rows, 50, dims), nuts)


def test_the_check_shows_errors_distances_and_draws():
    check = some_check()
    figure = cs.plot_posterior_check(check, rows=(4, 1))
    assert {"row 4", "row 1", "$z_{1}$", "draws of the guide"} <= {*drawn(figure)}
    errors, distances, draws, _ = figure.axes
    points = errors.containers[1].lines[0].get_xydata()
    np.testing.assert_allclose(points[:, 0], check.mean_error[:, 1])
    np.testing.assert_allclose(points[:, 1], check.scale_error[:, 1])
    order = np.argsort(check.energy.value)
    value, floor = (x.get_ydata() for x in distances.lines)
    np.testing.assert_allclose(value, check.energy.value[order])
    np.testing.assert_allclose(floor, check.energy.floor[order])
    np.testing.assert_allclose(draws.collections[0].get_offsets(), check.guide[4])
    assert len(cs.plot_posterior_check(some_check(dims=1)).axes) == 2


def test_the_check_refuses(untyped):
    with pytest.raises(TypeError, match="check: expected a `PosteriorCheck`"):
        cs.plot_posterior_check({})
    with pytest.raises(ValueError, match=r"rows: expected rows 0 to 5, got \[6\]"):
        cs.plot_posterior_check(some_check(), rows=(6,))
    with pytest.raises(ValueError, match="of two dimensions or more, got 1"):
        cs.plot_posterior_check(some_check(dims=1), rows=(0,))


# Comparison


def log_likelihood(value, k=0.2):
    ones = jnp.ones(len(value))
    return cs.LogLikelihood(jnp.asarray(value), 0.1 * ones, 50 * ones, k * ones)


def test_comparison_shows_paired_differences():
    best = RNG.normal(size=200)
    worse, bad = (
        best - 1 + 0.5 * RNG.normal(size=200),
        best + 0.01 * RNG.normal(size=200),
    )
    models = {"best": best, "worse": worse, "no worse": bad - bad.mean() + best.mean()}
    models = {
        n: log_likelihood(x, 0.9 if n == "worse" else 0.2) for n, x in models.items()
    }
    table = cs.compare(models, reference="best")
    figure = cs.plot_comparison(table)
    shown = drawn(figure)
    assert {"best", "worse", "no worse", "rows with k̂ > 0.70: 200"} <= {*shown}
    assert any("that of “best”, nats" in text for text in shown)
    for i, (name, model) in enumerate(table.iterrows()):
        bar = figure.axes[0].containers[i]
        assert bar.lines[0].get_xydata().tolist() == [[model.elpd_diff, i]]
        filled = bar.lines[0].get_markerfacecolor() != "white"
        assert filled == (name == "worse")
        if model.dse:
            ends = bar.lines[2][0].get_segments()[0][:, 0]
            assert np.ptp(ends) == pytest.approx(4 * model.dse)


def test_comparison_refuses(untyped):
    with pytest.raises(ValueError, match="one without elpd_diff, dse, weight"):
        cs.plot_comparison(pd.DataFrame({"elpd": [1.0]}))
    with pytest.raises(ValueError, match="table: expected the table of `compare`"):
        cs.plot_comparison(3)


# Completions


def images(columns=3):
    return {
        "photo": RNG.uniform(size=(columns, 4, 6, 3)),
        "scan": RNG.normal(size=(columns, 5, 5)),
    }


def test_completions_show_the_truth_where_it_was_given():
    truth, made = images(), {s: images() for s in [(), ("scan",)]}
    truth["photo"][1] = np.nan
    figure = cs.plot_completions(truth, made)
    assert {"the truth", "given\nnothing", "given\nscan", "photo"} <= {*drawn(figure)}
    grid = np.reshape(figure.axes, (3, 3))
    low, high = truth["scan"].min(), truth["scan"].max()

    def scan(axes):
        return np.asarray(axes.images[1].get_array()) * (high - low) + low

    for j in range(3):
        np.testing.assert_allclose(scan(grid[0, j]), truth["scan"][j], atol=1e-6)
        np.testing.assert_allclose(scan(grid[2, j]), truth["scan"][j], atol=1e-6)
        clipped = np.clip(made[()]["scan"][j], low, high)
        np.testing.assert_allclose(scan(grid[1, j]), clipped, atol=1e-6)
        photo = grid[2, j].images[0].get_array()
        np.testing.assert_allclose(photo, made["scan",]["photo"][j], atol=1e-6)
        assert [len(axes.patches) for axes in grid[:, j]] == [0, 0, 1]


def test_what_is_missing_is_not_given():
    truth = images()
    truth["scan"][1] = np.nan
    figure = cs.plot_completions(truth, {("scan",): images()})
    assert [len(axes.patches) for axes in figure.axes] == [0, 0, 0, 1, 0, 1]
    assert np.ma.getmaskarray(figure.axes[1].images[1].get_array()).all()


def test_completions_by_a_function_of_ones_own():
    truth = {"x": np.arange(6).reshape(2, 3), "y": np.ones((2, 1))}
    seen = []
    figure = cs.plot_completions(
        truth,
        {("y",): {"x": -truth["x"], "y": 0 * truth["y"]}},
        lambda axes, shown: seen.append(shown),
        title=lambda subset: f"from {subset[0]}",
    )
    assert "from y" in texts(figure)
    assert [s.is_truth for s in seen] == [True, True, False, False]
    assert seen[3].given == ("y",)
    np.testing.assert_array_equal(seen[3].values["x"], [-3, -4, -5])
    np.testing.assert_array_equal(seen[3].values["y"], [1])
    np.testing.assert_array_equal(seen[3].truth["x"], [3, 4, 5])


def test_completions_refuse(untyped):
    truth, made = images(), images()
    cases = [
        (TypeError, "generated: expected a mapping", truth, [made]),
        (
            ValueError,
            "generated: expected tuples of photo, scan",
            truth,
            {"scan": made},
        ),
        (ValueError, "expected tuples of photo, scan", truth, {("x",): made}),
        (ValueError, "of 3 examples, got 2 of 'photo'", truth, {(): images(2)}),
        (
            ValueError,
            "expected modalities photo, scan",
            truth,
            {(): {"x": made["scan"]}},
        ),
        (
            ValueError,
            "truth: 'x': expected images .* got values of shape .4,.; give `draw`",
            {"x": np.ones((3, 4))},
            {(): {"x": np.ones((3, 4))}},
        ),
    ]
    for error, said, one, other in cases:
        with pytest.raises(error, match=said):
            cs.plot_completions(one, other)
