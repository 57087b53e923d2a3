"""`ForestDisplay`: what is drawn are the numbers of the summary."""

import numpy as np
import pytest
from published_data import ENDOMETRIAL, LOW_BIRTH_WEIGHT, LOW_BIRTH_WEIGHT_NAMES

from sklearn_bce import BCENeuronClassifier
from sklearn_bce.inference import ForestDisplay, firth, summarize

pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def without_windows():
    before = pyplot.get_backend()
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(before)


def low_birth_weight():
    import pandas as pd

    X, y = LOW_BIRTH_WEIGHT
    X = pd.DataFrame(X, columns=LOW_BIRTH_WEIGHT_NAMES)
    return summarize(BCENeuronClassifier(C=np.inf).fit(X, y), X, y)


@pytest.mark.parametrize("odds_ratios", [False, True])
def test_points_and_lines_are_estimates_and_intervals(odds_ratios):
    summary = low_birth_weight()
    display = ForestDisplay.from_summary(summary, odds_ratios=odds_ratios)
    change = np.exp if odds_ratios else np.asarray
    np.testing.assert_allclose(display.points_.get_xdata(), change(summary.coef[:-1]))
    drawn = [line.get_xdata() for line in display.lines_]
    np.testing.assert_allclose(drawn, change(summary.conf_int()[:-1]))
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels == LOW_BIRTH_WEIGHT_NAMES
    assert display.ax_.get_ylim() == (7.5, -0.5)  # the first feature is at the top
    assert display.ax_.get_xscale() == ("log" if odds_ratios else "linear")
    assert set(display.null_line_.get_xdata()) == {1.0 if odds_ratios else 0.0}
    kind = "odds ratio" if odds_ratios else "coefficient"
    assert display.ax_.get_xlabel() == f"{kind} (95 % interval, Wald)"


def test_profile_intervals_the_intercept_and_scaled_features():
    summary = firth(*ENDOMETRIAL).summary
    display = ForestDisplay.from_summary(summary, method="profile", intercept=True)
    drawn = [line.get_xdata() for line in display.lines_]
    np.testing.assert_allclose(drawn, summary.conf_int(method="profile"))
    assert display.ax_.get_yticklabels()[-1].get_text() == "intercept"
    scale = ENDOMETRIAL[0].std(axis=0)
    display = ForestDisplay.from_summary(summary, feature_scale=scale)
    np.testing.assert_allclose(display.points_.get_xdata(), summary.coef[:3] * scale)


def test_bounds_without_end_are_arrows():
    display = ForestDisplay(
        names=["a", "b"], estimates=[2.0, 3.0], low=[0.0, 1.0], high=[np.inf, 9.0], odds_ratios=True
    ).plot()
    left, right = display.ax_.get_xlim()
    assert list(display.lines_[0].get_xdata()) == [left, right]
    arrows = {line.get_marker(): line.get_xdata()[0] for line in display.ax_.lines}
    assert (arrows["<"], arrows[">"]) == (left, right)


def test_given_axes_and_styles_are_used():
    _, ax = pyplot.subplots()
    display = ForestDisplay.from_summary(low_birth_weight(), ax=ax, line_kw={"c": "red"})
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert {line.get_color() for line in [display.points_, *display.lines_]} == {"red"}


def test_a_table_without_intervals_cannot_be_drawn():
    X, y = LOW_BIRTH_WEIGHT
    with pytest.raises(ValueError, match="covariance=None"):
        ForestDisplay.from_summary(summarize(BCENeuronClassifier().fit(X, y), covariance=None))
