"""Alignments as files, read back by another program's reader."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.words.acceptor import GARBAGE, SILENCE
from gmmaudio.words.formats import Alignment, Interval, write_ctm, write_json, write_textgrid

MILLISECOND = 5.1e-4  # half of one, and rounding

SAMPLE = Alignment(
    1.25,
    (
        Interval("one", 0.1, 0.4, log_likelihood=-12.5, confidence=0.875),
        Interval(SILENCE, 0.4, 0.5),
        Interval("zwölf", 0.5, 1.1, log_likelihood=-30.0, confidence=0.5),
    ),
    (Interval("0", 0.1, 0.3), Interval("1", 0.3, 0.4), Interval("0", 0.5, 1.1)),
)

LABELS = st.one_of(
    st.sampled_from(['say "x"', '"', "two words", "零", "a|b", "\\", "'", "new\nline", "text = ", "!", "1.5", GARBAGE]),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5),
)


@st.composite
def alignments(draw):
    """Alignments of any labels, with and without gaps."""
    labels = draw(st.lists(LABELS, max_size=5))
    edges = np.cumsum(draw(st.lists(st.integers(1, 2000), min_size=2 * len(labels) + 1, max_size=2 * len(labels) + 1)))
    starts_after_gaps = draw(st.booleans())
    words = []
    for k, label in enumerate(labels):
        start = edges[2 * k] if starts_after_gaps or k == 0 else round(words[-1].end * 1000)
        words.append(Interval(label, float(start / 1000), float(edges[2 * k + 1] / 1000)))
    return Alignment(float(edges[-1] / 1000), tuple(words))


@given(alignments())
@settings(max_examples=60, deadline=None)
def test_textgrid_is_read_back_by_praatio(tmp_path_factory, alignment):
    textgrid = pytest.importorskip("praatio.textgrid")
    path = tmp_path_factory.mktemp("grids") / "words.TextGrid"
    write_textgrid(alignment, path)
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    entries = [(entry.label, entry.start, entry.end) for entry in grid.getTier("words").entries]
    # praatio strips blanks around labels
    assert entries == [(word.label.strip(), word.start, word.end) for word in alignment.words]
    assert grid.maxTimestamp == alignment.duration


def test_textgrid_fills_gaps_and_leaves_pauses_empty(tmp_path):
    textgrid = pytest.importorskip("praatio.textgrid")
    write_textgrid(SAMPLE, tmp_path / "a.TextGrid")
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    assert [(e.start, e.end, e.label) for e in grid.getTier("words").entries] == [
        (0.0, 0.1, ""),
        (0.1, 0.4, "one"),
        (0.4, 0.5, ""),
        (0.5, 1.1, "zwölf"),
        (1.1, 1.25, ""),
    ]
    assert [e.label for e in grid.getTier("states").entries] == ["", "0", "1", "", "0", ""]


def test_ctm_has_one_line_for_each_word_and_none_for_pauses(tmp_path):
    write_ctm({"clip": SAMPLE, "empty": Alignment(1.0, ())}, tmp_path / "a.ctm")
    assert (tmp_path / "a.ctm").read_text(encoding="utf-8").splitlines() == [
        "clip 1 0.100 0.300 one 0.875",
        "clip 1 0.500 0.600 zwölf 0.500",
    ]


def test_ctm_words_never_overlap_by_rounding(tmp_path):
    edges = np.cumsum(np.random.default_rng(0).uniform(0.0006, 0.01, 200))
    words = tuple(Interval("w", float(a), float(b)) for a, b in itertools.pairwise(edges))
    write_ctm({"clip": Alignment(float(edges[-1]), words)}, tmp_path / "a.ctm")
    fields = [line.split() for line in (tmp_path / "a.ctm").read_text(encoding="utf-8").splitlines()]
    starts, durations = (np.array([float(field[n]) for field in fields]) for n in (2, 3))
    assert (starts[1:] - (starts + durations)[:-1] > -1e-9).all()
    np.testing.assert_allclose(starts, edges[:-1], atol=MILLISECOND, rtol=0)


@pytest.mark.parametrize(("name", "label"), [("my clip", "one"), ("clip", "New York"), ("clip", ""), (";;clip", "one")])
def test_ctm_refuses_what_would_shift_its_columns(tmp_path, name, label):
    with pytest.raises(ParameterError, match="cannot stand in a CTM file"):
        write_ctm({name: Alignment(1.0, (Interval(label, 0.0, 1.0),))}, tmp_path / "a.ctm")
    assert list(tmp_path.iterdir()) == []


def test_json_holds_what_is_known(tmp_path):
    write_json({"clip": SAMPLE}, tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert content["clip"]["duration"] == 1.25
    assert content["clip"]["words"][:2] == [
        {"label": "one", "start": 0.1, "end": 0.4, "log_likelihood": -12.5, "confidence": 0.875},
        {"label": SILENCE, "start": 0.4, "end": 0.5},
    ]
    assert content["clip"]["states"][0] == {"label": "0", "start": 0.1, "end": 0.3}


@given(alignments())
@settings(max_examples=30, deadline=None)
def test_json_is_read_back(tmp_path_factory, alignment):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json({"clip": alignment}, path)
    words = json.loads(path.read_text(encoding="utf-8"))["clip"]["words"]
    assert tuple(Interval(**word) for word in words) == alignment.words


@pytest.mark.parametrize("write", [write_textgrid, lambda a, path: write_ctm({"c": a}, path)])
def test_folder_that_is_not_there_is_said(tmp_path, write):
    with pytest.raises(GmmAudioError, match="cannot write"):
        write(SAMPLE, tmp_path / "missing" / "file")


@pytest.mark.parametrize(
    "words",
    [
        (Interval("a", 0.2, 0.2),),
        (Interval("a", 0.0, 0.5), Interval("b", 0.4, 0.6)),
        (Interval("a", 0.5, 1.5),),
        (Interval("a", -0.1, 0.5),),
        (Interval("a", float("nan"), 0.5),),
    ],
)
def test_intervals_that_overlap_or_leave_the_recording_are_refused(words):
    with pytest.raises(ParameterError, match="the interval"):
        Alignment(1.0, words)
