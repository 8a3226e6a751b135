"""Plots show the numbers they were given, headless and without touching pyplot."""

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from scipy.special import ndtri

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.metrics import det_curve, eer
from gmmaudio.plotting import plot_confusion, plot_det, plot_scores, plot_separation

SCREEN_ATOL = 1e-6  # of the axes' length: matplotlib inverts the stretched axis in double precision
IS_TARGET = np.arange(600) % 3 == 0
SCORES = np.random.default_rng(0).standard_normal(600) + 2 * IS_TARGET
NAMES = ["anna", "bruno", "clara"]


def png_size(axes):
    file = io.BytesIO()
    axes.figure.savefig(file, format="png")
    return len(file.getvalue())


@pytest.mark.parametrize(
    "draw",
    [
        lambda **options: plot_det({"ours": (SCORES, IS_TARGET)}, **options),
        lambda **options: plot_confusion(np.eye(3), NAMES, **options),
        lambda **options: plot_scores(SCORES, IS_TARGET, threshold=1.0, **options),
    ],
    ids=["det", "confusion", "scores"],
)
class TestEveryPlot:
    def test_draws_on_the_axes_that_it_is_given(self, draw):
        axes = Figure().add_subplot()
        assert draw(axes=axes) is axes

    def test_draws_on_a_new_figure_each_time(self, draw):
        assert draw().figure is not draw().figure

    def test_adds_something_to_the_picture(self, draw):
        assert png_size(draw()) > png_size(Figure(figsize=draw().figure.get_size_inches(), dpi=120).add_subplot())

    def test_names_the_extra_when_matplotlib_is_missing(self, draw, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(GmmAudioError, match=r"gmmaudio\[plot\]"):
            draw()


def test_plotting_does_not_import_pyplot():
    code = (
        "import sys; from gmmaudio.plotting import plot_scores; assert 'matplotlib' not in sys.modules;"
        "plot_scores([1.0, 0.0], [True, False]); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plot_det_draws_the_det_curve_where_it_can_be_shown():
    curve = plot_det({"ours": (SCORES, IS_TARGET)}).lines[1].get_xydata()
    p_miss, p_fa, _ = det_curve(SCORES, IS_TARGET)
    shown = (p_miss > 0) & (p_miss < 1) & (p_fa > 0) & (p_fa < 1)
    np.testing.assert_array_equal(curve[shown], np.column_stack([p_fa, p_miss])[shown])


def test_plot_det_stretches_both_axes_by_normal_deviates():
    axes = plot_det({"ours": (SCORES, IS_TARGET)})
    rates = np.array([0.001, 0.01, 0.1, 0.5])
    low, high = ndtri(np.array(axes.get_xlim()))
    on_screen = axes.transAxes.inverted().transform(axes.transData.transform(np.column_stack([rates, rates])))
    expected = (ndtri(rates) - low) / (high - low)
    assert_allclose(on_screen, np.column_stack([expected, expected]), rtol=0, atol=SCREEN_ATOL)


def test_plot_det_marks_the_eer():
    mark = plot_det({"ours": (SCORES, IS_TARGET)}).lines[2].get_xydata()
    assert_allclose(mark, [[eer(SCORES, IS_TARGET)] * 2], rtol=0, atol=0)


def test_plot_det_of_a_perfect_system_puts_its_mark_into_the_corner():
    axes = plot_det({"perfect": ([1.0, 0.0], [True, False])})
    assert tuple(axes.lines[2].get_xydata()[0]) == (axes.get_xlim()[0], axes.get_ylim()[0])


def test_plot_det_of_a_system_worse_than_chance_shows_its_mark():
    axes = plot_det({"reversed": (-SCORES, IS_TARGET)})
    low, high = axes.get_xlim()
    assert low < eer(-SCORES, IS_TARGET) < high


def test_plot_det_names_every_curve_with_its_eer():
    axes = plot_det({"ours": (SCORES, IS_TARGET), "perfect": ([1.0, 0.0], [True, False])})
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [f"ours (EER {100 * eer(SCORES, IS_TARGET):.1f} %)", "perfect (EER 0.0 %)"]


def test_plot_det_without_curves_is_refused():
    with pytest.raises(ParameterError, match="curves is empty"):
        plot_det({})


def test_plot_confusion_writes_each_count_into_its_cell_and_leaves_zeros_empty():
    axes = plot_confusion([[7, 0, 2], [0, 9, 0]], NAMES[:2], decisions=[*NAMES[:2], "unknown"])
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "7", (2, 0): "2", (1, 1): "9"}


def test_plot_confusion_paints_right_blue_wrong_orange_and_nothing_white():
    image = plot_confusion([[7, 2, 0], [0, 9, 0], [0, 0, 1]], NAMES).images[0].get_array()
    red, blue = image[..., 0], image[..., 2]
    expected_sign = [[1, -1, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(np.sign(blue - red), expected_sign)


def test_plot_confusion_counts_the_decision_unknown_as_right_for_a_stranger():
    image = plot_confusion([[1, 0], [0, 1]], ["anna", "unknown"], decisions=["anna", "unknown"]).images[0].get_array()
    np.testing.assert_array_equal(image[0, 0], image[1, 1])


def test_plot_confusion_names_rows_and_columns():
    axes = plot_confusion(np.ones((3, 4)), NAMES, decisions=[*NAMES, "unknown"])
    ticks = [[text.get_text() for text in labels] for labels in (axes.get_yticklabels(), axes.get_xticklabels())]
    assert ticks == [NAMES, [*NAMES, "unknown"]]


def test_plot_confusion_of_a_speaker_without_recordings_is_drawn():
    assert [text.get_text() for text in plot_confusion([[0, 0], [0, 3]], NAMES[:2]).texts] == ["3"]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((3, 4)), r"shape \(3, 4\) but 3 labels and 3 decisions"),
        (np.ones(3), r"need \(3, 3\)"),
        (-np.eye(3), "negative or non-finite"),
        (np.full((3, 3), np.nan), "negative or non-finite"),
    ],
)
def test_plot_confusion_refuses_a_matrix_that_is_not_counts_of_the_names(matrix, message):
    with pytest.raises(ParameterError, match=message):
        plot_confusion(matrix, NAMES)


def test_plot_scores_bars_of_each_kind_add_up_to_100_per_cent():
    polygons = [patch.get_xy() for patch in plot_scores(SCORES, IS_TARGET).patches]
    # The outline of the bars runs along their tops (every second corner) and back along zero.
    totals = [corners[1:81:2, 1].sum() for corners in polygons]
    assert_allclose(totals, [100.0, 100.0], rtol=1e-12)


def test_plot_scores_names_both_error_rates_at_the_threshold():
    axes = plot_scores([2.0, 0.5, 1.0, -1.0, 0.0, 0.0], [True, True, False, False, False, False], threshold=1.0)
    assert axes.get_legend().get_texts()[-1].get_text() == "threshold 1: 50.0 % missed, 25.0 % falsely accepted"


def test_plot_scores_of_equal_scores_is_drawn():
    assert len(plot_scores([1.0, 1.0], [True, False]).patches) == 2


def test_the_mask_of_a_source_is_its_share_of_the_mixture():
    tone = np.sin(np.arange(8000) * 0.5)
    figure = plot_separation(tone, {"all": tone, "half": 0.5 * tone}, 8000)
    masks = [axes.images[0].get_array() for axes in figure.axes if axes.get_title().startswith("mask")]
    assert_allclose(masks[0].compressed(), 1.0, rtol=1e-12)
    assert_allclose(masks[1].compressed(), 0.5, rtol=1e-12)


def test_a_silent_or_very_short_mixture_can_be_drawn():
    for mixture in (np.zeros(8000), np.ones(3)):
        assert png_size(plot_separation(mixture, {"a": mixture}, 8000).axes[0]) > 1000


def test_estimates_of_another_length_than_the_mixture_are_refused():
    with pytest.raises(ParameterError, match="one and the same"):
        plot_separation(np.zeros(800), {"a": np.zeros(801)}, 8000)
