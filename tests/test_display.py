"""The plots of loss curves, of weights and of scores against C, and their arguments."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import same_color
from numpy.testing import assert_array_equal
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import scale

from sklearn_bce import (
    BCENeuronClassifier,
    BCENeuronClassifierCV,
    CVDisplay,
    LossCurveDisplay,
    PathDisplay,
    regularization_path,
)

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)


@pytest.fixture(autouse=True)
def no_window():
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")


def fitted(**parameters):
    parameters = {"tol": 0, "max_iter": 8, "random_state": 0} | parameters
    return BCENeuronClassifier(**parameters).fit(X, Y)


def assert_is_curve(line, curve):
    assert_array_equal(line.get_xdata(), range(1, len(curve) + 1))
    assert_array_equal(line.get_ydata(), curve)


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_loss_curve_of_training_alone_is_drawn(solver):
    model = fitted(solver=solver)
    display = LossCurveDisplay.from_estimator(model)
    assert_is_curve(display.line_, model.loss_curve_)
    assert len(model.loss_curve_) == 8
    assert display.validation_line_ is None
    assert display.best_line_ is None
    assert list(display.ax_.lines) == [display.line_]


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_curve_and_best_pass_are_drawn(early_stopping):
    model = BCENeuronClassifier(early_stopping=early_stopping, C=np.inf, tol=0, max_iter=8)
    model.fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:])
    display = LossCurveDisplay.from_estimator(model)
    assert_is_curve(display.line_, model.loss_curve_)
    assert_is_curve(display.validation_line_, model.validation_loss_curve_)
    assert_array_equal(display.best_line_.get_xdata(), [model.best_iter_] * 2)
    lines = [display.line_, display.validation_line_, display.best_line_]
    assert list(display.ax_.lines) == lines
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels == [line.get_label() for line in lines]
    for word, label in zip(["train", "valid", "best"], labels, strict=True):
        assert word in label


def test_curve_of_one_pass_is_visible():
    model = fitted(max_iter=1, early_stopping=True)
    display = LossCurveDisplay.from_estimator(model)
    for line in (display.line_, display.validation_line_):
        assert len(line.get_xdata()) == 1
        assert line.get_marker() not in {"", "None", None}


def test_display_can_be_made_of_numbers():
    display = LossCurveDisplay(loss_curve=[0.6, 0.5], validation_loss_curve=[0.7, 0.8], best_iter=1)
    assert not hasattr(display, "ax_")  # nothing is drawn yet
    assert display.plot() is display
    assert_is_curve(display.line_, [0.6, 0.5])
    assert_is_curve(display.validation_line_, [0.7, 0.8])
    assert_array_equal(display.best_line_.get_xdata(), [1, 1])


@pytest.mark.parametrize("draw", ["from_estimator", "plot"])
def test_given_axes_are_used(draw):
    model = fitted()
    figure, (left, right) = pyplot.subplots(1, 2)
    if draw == "from_estimator":
        display = LossCurveDisplay.from_estimator(model, ax=right)
    else:
        display = LossCurveDisplay(loss_curve=model.loss_curve_).plot(right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert list(right.lines) == [display.line_]
    assert not left.lines
    assert pyplot.get_fignums() == [figure.number]  # no other one was made


def test_second_plot_is_in_a_figure_of_its_own():
    display = LossCurveDisplay.from_estimator(fitted())
    first = display.ax_, display.figure_, display.line_
    display.plot()
    for before, now in zip(first, (display.ax_, display.figure_, display.line_), strict=True):
        assert now is not before
    assert_is_curve(display.line_, first[2].get_ydata())


@pytest.mark.parametrize("draw", ["from_estimator", "plot"])
@pytest.mark.parametrize(
    ("color", "style", "width"), [("color", "linestyle", "linewidth"), ("c", "ls", "lw")]
)
def test_keywords_reach_the_artists(draw, color, style, width):
    model = fitted(early_stopping=True)
    names = ["line_kw", "validation_line_kw", "best_line_kw"]
    looks = [("r", "--", 1.5), ("g", "-.", 2.5), ("b", "-", 3.5)]
    given = {
        name: dict(zip((color, style, width), look, strict=True))
        for name, look in zip(names, looks, strict=True)
    }
    given["line_kw"]["label"] = "my label"
    if draw == "from_estimator":
        display = LossCurveDisplay.from_estimator(model, **given)
    else:
        display = LossCurveDisplay.from_estimator(model).plot(**given)
    lines = [display.line_, display.validation_line_, display.best_line_]
    for line, (color, style, width) in zip(lines, looks, strict=True):
        assert same_color(line.get_color(), color)
        assert (line.get_linestyle(), line.get_linewidth()) == (style, width)
    assert display.ax_.get_legend().get_texts()[0].get_text() == "my label"
    assert_array_equal(display.best_line_.get_xdata(), [model.best_iter_] * 2)


@pytest.mark.parametrize(
    ("name", "parameters", "expected"),
    [
        (None, {}, "BCENeuronClassifier"),
        (None, {"C": 0.5, "early_stopping": True, "random_state": 1}, "C=0.5"),
        ("my model", {"C": 0.5}, "my model"),
    ],
)
def test_legend_names_the_estimator(name, parameters, expected):
    model = BCENeuronClassifier(**parameters).fit(X, Y)
    display = LossCurveDisplay.from_estimator(model, name=name)
    assert display.line_.get_label() == f"{expected}, training (with penalty)"
    assert "another" in display.plot(name="another").line_.get_label()
    assert expected in display.plot().line_.get_label()


@pytest.mark.parametrize(
    ("solver", "iteration"), [("newton", "iteration"), ("gd", "pass"), ("sgd", "pass")]
)
def test_axes_labels_say_what_is_shown(solver, iteration):
    display = LossCurveDisplay.from_estimator(fitted(solver=solver, early_stopping=True))
    ax = display.ax_
    assert ax.get_xlabel() == iteration
    assert display.best_line_.get_label().endswith(f"best {iteration}: {display.best_iter}")
    assert "loss" in ax.get_ylabel()
    ticks = ax.get_xticks()
    assert_array_equal(ticks, np.round(ticks))


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize("name", [None, "mine"])
def test_curves_of_several_estimators_are_told_apart(name):
    """Each has a colour and labels of its own, also if the parameters are the same."""
    models = [fitted(early_stopping=True, C=C) for C in (0.1, 10.0, 10.0)]
    displays, ax = [], None
    for model in models:
        displays.append(LossCurveDisplay.from_estimator(model, ax=ax, name=name))
        ax = displays[0].ax_
    lines = [[d.line_, d.validation_line_, d.best_line_] for d in displays]
    assert len(set(labels_of(ax))) == 9
    assert len({line.get_color() for triple in lines for line in triple}) == 3
    for triple in lines:
        assert [line.get_linestyle() for line in triple] == ["-", "--", ":"]
        assert len({line.get_color() for line in triple}) == 1
    if name is None:
        names = ["C=0.1, max_iter=8, tol=0", "C=10.0, max_iter=8, tol=0"]
        names.append(f"{names[1]} (2)")
        assert [line[0].get_label() for line in lines] == [
            f"{name}, training (with penalty)" for name in names
        ]
    else:
        prefixes = [line[0].get_label().split(",")[0] for line in lines]
        assert prefixes == ["mine", "mine (2)", "mine (3)"]


def test_curves_without_a_name_are_told_apart():
    first = LossCurveDisplay(loss_curve=[0.6, 0.5]).plot()
    second = LossCurveDisplay(loss_curve=[0.7, 0.4]).plot(first.ax_)
    assert labels_of(first.ax_) == ["training (with penalty)", "(2), training (with penalty)"]
    assert not same_color(first.line_.get_color(), second.line_.get_color())


def test_long_names_are_cut():
    model = fitted(penalty_factor=np.ones(X.shape[1]), solver="gd")
    label = LossCurveDisplay.from_estimator(model).line_.get_label()
    assert label.startswith("max_iter=8, penalty_factor=")
    assert label.endswith("…, training (with penalty)")
    assert len(label) == 30 + len(", training (with penalty)")


def test_unfitted_estimator_is_a_not_fitted_error():
    with pytest.raises(NotFittedError, match="BCENeuronClassifier"):
        LossCurveDisplay.from_estimator(BCENeuronClassifier())
    assert not pyplot.get_fignums()


@pytest.mark.parametrize(
    "draw",
    [
        lambda model: LossCurveDisplay.from_estimator(model),
        lambda model: LossCurveDisplay(loss_curve=model.loss_curve_).plot(),
    ],
    ids=["from_estimator", "plot"],
)
def test_missing_matplotlib_is_named_in_the_error(monkeypatch, draw):
    model = fitted()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"matplotlib.*sklearn-bce\[plot\]"):
        draw(model)


LAZY = """
import sys
from sklearn_bce import (
    BCENeuronClassifier,
    BCENeuronClassifierCV,
    CVDisplay,
    LossCurveDisplay,
    PathDisplay,
    regularization_path,
)
model = BCENeuronClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
LossCurveDisplay(loss_curve=model.loss_curve_)
print([name for name in sys.modules if name.split(".")[0] == "matplotlib"])
"""


def test_matplotlib_is_imported_only_to_draw():
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Weights and scores against C.


def test_path_is_drawn_in_ascending_order_and_the_largest_weights_are_named():
    path = regularization_path(X, Y, Cs=[1.0, 0.01, 0.1])
    names = [f"f{k}" for k in range(30)]
    display = PathDisplay.from_path(path, feature_names=names, n_named=3, line_kw={"c": "red"})
    assert display.ax_.get_xscale() == "log"
    for k, line in enumerate(display.lines_):
        assert_array_equal(line.get_xdata(), [0.01, 0.1, 1.0])
        assert_array_equal(line.get_ydata(), path.coefs[[1, 2, 0], k])
        assert line.get_color() == "red"
    largest = np.argsort(-np.abs(path.coefs).max(axis=0))[:3]
    named = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert named == [names[k] for k in largest]


def test_weights_are_drawn_in_units_that_make_them_comparable():
    path = regularization_path(X, Y, Cs=[0.1, 1.0])
    display = PathDisplay.from_path(path, feature_scale=np.arange(30.0), n_named=0)
    assert_array_equal(display.lines_[7].get_ydata(), 7 * path.coefs[:, 7])
    assert display.ax_.get_legend() is None


def test_path_of_a_search_is_the_mean_of_its_folds_with_the_chosen_C():
    model = BCENeuronClassifierCV(Cs=[0.01, 0.1, 1.0], l1_ratios=[0.0, 1.0]).fit(X, Y)
    display = PathDisplay.from_estimator(model, n_named=2)
    j = list(model.l1_ratios_).index(model.l1_ratio_)
    expected = model.coefs_paths_[:, j, :, 0, 4].mean(axis=0)
    assert_array_equal(display.lines_[4].get_ydata(), expected)
    (line,) = (each for each in display.ax_.lines if each not in display.lines_)
    assert_array_equal(line.get_xdata(), [model.C_] * 2)


def test_scores_are_drawn_with_their_errors_and_both_rules():
    model = BCENeuronClassifierCV(Cs=12, l1_ratios=[0.5, 1.0], standardize=True).fit(X, Y)
    display = CVDisplay.from_estimator(model)
    mean = model.scores_.mean(axis=0)
    for j, line in enumerate(display.lines_):
        assert_array_equal(line.get_ydata(), mean[j])
        band = display.ax_.collections[j].get_paths()[0].vertices
        assert band[:, 1].max() == pytest.approx((mean[j] + model.standard_errors_[j]).max())
    assert_array_equal(display.best_line_.get_xdata(), [model.C_] * 2)
    simple = BCENeuronClassifierCV(**model.get_params() | {"rule": "1se"}).fit(X, Y)
    assert_array_equal(display.one_se_line_.get_xdata(), [simple.C_] * 2)
    j = list(model.l1_ratios_).index(model.l1_ratio_)
    numbers = (model.coefs_paths_[:, j, :, 0, :30] != 0).sum(axis=-1).mean(axis=0)
    assert_array_equal(display.weights_ax_.lines[0].get_ydata(), numbers)
    assert display.ax_.get_ylabel() == "neg_log_loss"


def test_without_standard_errors_and_l1_norm_there_is_neither_line_nor_axis():
    model = BCENeuronClassifierCV(Cs=5, cv="loo", scoring="roc_auc").fit(X, Y)
    display = CVDisplay.from_estimator(model, line_kw={"marker": "x"})
    assert display.one_se_line_ is None
    assert display.weights_ax_ is None
    assert display.lines_[0].get_marker() == "x"


@pytest.mark.parametrize("display", [CVDisplay, PathDisplay])
def test_a_search_that_is_not_fitted_is_an_error(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(BCENeuronClassifierCV())
