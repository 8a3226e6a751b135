"""Pictures of scored streams and pages that hold them."""

import io
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.plotting import page, plot_anomalies
from gmmaudio.plotting.anomalies import MOST_COLUMNS

SCORES = np.random.default_rng(0).exponential(size=10 * MOST_COLUMNS)
PARTS = np.random.default_rng(1).random((len(SCORES), 3))


def drawn(figure):
    """The figure, after everything in it was drawn once."""
    figure.savefig(io.BytesIO(), format="png")
    return figure


def test_of_many_samples_each_column_has_its_highest_score():
    line = drawn(plot_anomalies(SCORES)).axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(line, SCORES.reshape(MOST_COLUMNS, -1).max(axis=1))


def test_the_heat_map_has_each_columns_largest_parts():
    mesh = drawn(plot_anomalies(SCORES, contributions=PARTS)).axes[1].collections[0]
    np.testing.assert_array_equal(mesh.get_array(), PARTS.reshape(MOST_COLUMNS, -1, 3).max(axis=1).T)


def test_threshold_and_events_are_drawn_and_named():
    axes = plot_anomalies([0, 1, 5, 6, 0, 5], threshold=4, events=[(2, 3), (5, 5)]).axes[0]
    assert axes.lines[1].get_ydata()[0] == 4
    assert [patch.get_x() for patch in axes.patches] == [2, 5]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["an event begins at 4", "2 events"]


def test_an_event_of_one_sample_can_be_seen():
    quiet = np.zeros(100_000)
    axes = plot_anomalies(quiet, events=[(50_000, 50_000)]).axes[0]
    pictures = []
    for visible in (False, True):
        axes.patches[0].set_visible(visible)
        file = io.BytesIO()
        axes.figure.savefig(file, format="rgba")
        pictures.append(file.getvalue())
    assert pictures[0] != pictures[1]


def test_channels_are_named_as_they_are_whatever_is_in_their_names():
    axes = drawn(plot_anomalies([1, 2], contributions=np.eye(2), channels=["$x_1$", "<b>"])).axes[1]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["$x_1$", "<b>"]


def test_times_may_be_dates():
    times = np.datetime64("2026-01-01") + np.arange(4) * np.timedelta64(1, "h")
    figure = plot_anomalies(
        [0, 1, 2, 3], times=times, time_label="time", contributions=np.ones((4, 1)), events=[(3, 3)]
    )
    assert drawn(figure).axes[1].get_xlabel() == "time"


def test_one_sample_can_be_drawn():
    drawn(plot_anomalies([1.0], contributions=[[1.0]], events=[(0, 0)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [np.nan]}, "finite"),
        ({"scores": []}, "finite"),
        ({"scores": [1, 2], "times": [2, 1]}, "times that rise"),
        ({"scores": [1, 2], "contributions": [[1.0]]}, "contributions has shape"),
        ({"scores": [1], "contributions": [[1.0]], "channels": ["a", "b"]}, "2 channels"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        plot_anomalies(**arguments)


def test_the_extra_is_named_when_matplotlib_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(GmmAudioError, match=r"gmmaudio\[plot\]"):
        plot_anomalies([1.0])


class Reader(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self):
        super().__init__()
        self.elements, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data.strip())


def read(text):
    reader = Reader()
    reader.feed(text)
    return reader


NASTY = '<script>alert("x")</script>&amp;\'"'


def test_a_page_shows_every_text_as_it_is():
    reader = read(page(NASTY, paragraphs=[NASTY + "2"], columns=[NASTY + "3"], rows=[[NASTY + "4", 1.5]]))
    assert {NASTY, NASTY + "2", NASTY + "3", NASTY + "4", "1.5"} <= set(reader.texts)
    assert "script" not in {tag for tag, _ in reader.elements}


def test_a_page_needs_nothing_but_itself():
    text = page("x", figures=[(NASTY, plot_anomalies([1.0, 2.0]))])
    links = [
        value for _, attributes in read(text).elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert len(links) == 1
    assert links[0].startswith("data:image/png;base64,")
    assert not re.search(r"https?://|url\(|@import", text)
