"""`LossCurveDisplay`: the plot of the loss curves, and its arguments."""

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

from sklearn_bce import BCENeuronClassifier, LossCurveDisplay

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
    assert [word in label for word, label in zip(["train", "valid", "best"], labels, strict=True)]


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
    ("name", "expected"), [(None, "BCENeuronClassifier"), ("my model", "my model")]
)
def test_legend_names_the_estimator(name, expected):
    display = LossCurveDisplay.from_estimator(fitted(), name=name)
    assert expected in display.line_.get_label()
    assert "another" in display.plot(name="another").line_.get_label()
    assert expected in display.plot().line_.get_label()


def test_axes_labels_say_what_is_shown():
    ax = LossCurveDisplay.from_estimator(fitted()).ax_
    assert ax.get_xlabel() == "pass"
    assert "loss" in ax.get_ylabel()
    ticks = ax.get_xticks()
    assert_array_equal(ticks, np.round(ticks))


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
from sklearn_bce import BCENeuronClassifier, LossCurveDisplay
model = BCENeuronClassifier().fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])
LossCurveDisplay(loss_curve=model.loss_curve_)
print([name for name in sys.modules if name.split(".")[0] == "matplotlib"])
"""


def test_matplotlib_is_imported_only_to_draw():
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
