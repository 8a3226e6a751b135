"""Pictures of mixtures show the numbers that they were given."""

import io
import sys

import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, matrices_of, random_mixture
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.plotting import plot_components, plot_history, plot_responsibilities, plot_weights

PARAMS = random_mixture("full", 0, n_components=3, n_features=4)
FRAMES = np.random.default_rng(0).normal(size=(50, 4))
RESPONSIBILITIES = np.random.default_rng(0).dirichlet(np.ones(3), 20)


@pytest.mark.parametrize(
    "draw",
    [
        lambda **options: plot_components(PARAMS, FRAMES, **options),
        lambda **options: plot_weights(PARAMS, **options),
        lambda **options: plot_responsibilities(RESPONSIBILITIES, **options),
        lambda **options: plot_history([-3.0, -2.0], **options),
    ],
    ids=["components", "weights", "responsibilities", "history"],
)
class TestEveryPlot:
    def test_draws_on_the_axes_that_it_is_given(self, draw):
        axes = Figure().add_subplot()
        assert draw(axes=axes) is axes

    def test_can_be_written_as_a_picture(self, draw):
        file = io.BytesIO()
        draw().figure.savefig(file, format="png")
        assert len(file.getvalue()) > 5000

    def test_names_the_extra_when_matplotlib_is_missing(self, draw, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(GmmAudioError, match=r"gmmaudio\[plot\]"):
            draw()


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
def test_the_outline_of_a_component_is_where_its_marginal_distance_is_one_and_two(name):
    params = random_mixture(name, 1, n_components=3, n_features=4)
    axes = plot_components(params, features=(2, 0))
    for index, ellipse in enumerate(axes.patches):
        k, deviations = index // 2, 1.0 + index % 2
        outline = ellipse.get_patch_transform().transform([[1, 0], [0, 1], [-1, 0], [np.sqrt(0.5), np.sqrt(0.5)]])
        marginal = matrices_of(params)[k][np.ix_([2, 0], [2, 0])]
        offsets = outline - params.means[k, [2, 0]]
        distances = np.sqrt(np.einsum("ti,ij,tj->t", offsets, np.linalg.inv(marginal), offsets))
        assert_allclose(distances, deviations, rtol=1e-6)


def test_lines_are_the_fainter_the_less_weight_a_component_has():
    axes = plot_components(GmmParams([0.1, 0.0, 0.9], np.eye(3, 2), np.ones((3, 2))))
    opacities = [ellipse.get_alpha() for ellipse in axes.patches[::2]]
    assert 0.2 < opacities[1] < opacities[0] < opacities[2] == 1.0


def test_frames_are_drawn_in_the_chosen_columns_and_thinned_when_many():
    shown = plot_components(PARAMS, FRAMES, features=(3, 1)).collections[0].get_offsets()
    np.testing.assert_array_equal(shown, FRAMES[:, [3, 1]])
    many = np.zeros((12_000, 4))
    assert len(plot_components(PARAMS, many).collections[0].get_offsets()) == 4000


def test_no_frames_at_all_are_drawn():
    assert len(plot_components(PARAMS, np.empty((0, 4))).collections[0].get_offsets()) == 0


@pytest.mark.parametrize("features", [(0, 4), (1, 1), (-1, 0), (0, 1, 2)])
def test_features_that_are_not_two_columns_are_refused(features):
    with pytest.raises(ParameterError, match="must be two different columns of the 4"):
        plot_components(PARAMS, features=features)


def test_frames_of_another_width_are_refused():
    with pytest.raises(ParameterError, match=r"\(50, 2\) but the mixture needs \(n_frames, 4\)"):
        plot_components(PARAMS, FRAMES[:, :2])


def test_weights_are_bars_from_the_heaviest_on():
    axes = plot_weights(PARAMS)
    assert_allclose([bar.get_height() for bar in axes.patches], np.sort(PARAMS.weights)[::-1], rtol=1e-15)
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(k) for k in np.argsort(-PARAMS.weights)]


def test_responsibilities_are_an_image_over_time():
    axes = plot_responsibilities(RESPONSIBILITIES, frame_shift=0.01)
    np.testing.assert_array_equal(axes.images[0].get_array(), RESPONSIBILITIES.T)
    assert axes.images[0].get_extent() == [0.0, 0.2, -0.5, 2.5]


@pytest.mark.parametrize("table", [[[2.0]], [[-0.1]], [[np.nan]], [1.0], np.empty((0, 2))])
def test_what_is_no_table_of_probabilities_is_refused(table):
    with pytest.raises(ParameterError, match="must be probabilities"):
        plot_responsibilities(table)


def test_names_must_be_as_many_as_components():
    with pytest.raises(ParameterError, match="names are 1 but there are 3"):
        plot_responsibilities(RESPONSIBILITIES, names=["a"])


def test_a_history_is_drawn_from_iteration_one_on():
    line = plot_history([-3.0, -2.5]).lines[0]
    np.testing.assert_array_equal(line.get_xydata(), [[1, -3.0], [2, -2.5]])


@pytest.mark.parametrize("history", [[], [np.nan]])
def test_a_history_without_numbers_is_refused(history):
    with pytest.raises(ParameterError, match="the history 'a'"):
        plot_history({"a": history})
