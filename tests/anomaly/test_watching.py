"""The watcher: what comes in, what it counts, and that its state is all of it."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmmaudio import AnomalyDetector, load, save
from gmmaudio.anomaly import EventRule
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.sound import SoundConfig
from gmmaudio.anomaly.watching import KINDS, LEFT_OUT, Watcher
from gmmaudio.errors import GmmAudioError

NAMES = ("speed", "load")
MINUTE = 60.0


def normal(n, seed=0):
    rng = np.random.default_rng(seed)
    load_ = rng.normal(size=n)
    return np.column_stack([load_ + 0.5 * rng.normal(size=n), load_])


def line(row, time=None):
    return json.dumps(({} if time is None else {"time": time}) | dict(zip(NAMES, row, strict=True)))


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("watching") / "m.gmm"
    rule = EventRule(alarm_p=1e-3, min_duration=3)
    save(AnomalyDetector(rule=rule).fit(normal(2000), channels=NAMES), path)
    return path


@pytest.fixture
def watcher(stored):
    return Watcher(AnomalyModel(load(stored)))


@pytest.fixture
def on_grid(stored):
    return Watcher(AnomalyModel(load(stored), grid_period=MINUTE))


def faulty_lines(n=200):
    rows = normal(n, seed=1)
    rows[120:140, 1] += 12.0
    return [line(row, MINUTE * i) for i, row in enumerate(rows.tolist())]


def seen(judged):
    """All that a row says, as text, which tells every bit."""
    event = None if judged.event is None else asdict(judged.event)
    return repr(
        (
            judged.index,
            judged.time,
            judged.result.score,
            judged.result.contributions.tolist(),
            event,
            judged.event_times,
        )
    )


def through_file(watcher, path):
    save(watcher, path)
    return load(path, kind="anomaly_watcher")


@pytest.mark.parametrize("kind_of_watcher", ["watcher", "on_grid"])
def test_a_watcher_saved_after_any_line_goes_on_as_if_nothing_had_happened(kind_of_watcher, request, stored, tmp_path):
    lines = faulty_lines()
    lines[60:60] = ["{", lines[10], line([1.0, math.nan], 59.5 * MINUTE)]
    whole = request.getfixturevalue(kind_of_watcher)
    expected = [seen(judged) for text in lines for judged in whole.take(text)]
    cut = Watcher(AnomalyModel(load(stored), whole.model.grid_period))
    rows = []
    for number, text in enumerate(lines):
        if number in (0, 1, 61, 62, 123, 126, 199):
            cut = through_file(cut, tmp_path / "state")
        rows += [seen(judged) for judged in cut.take(text)]
    assert rows == expected
    assert cut.counts == whole.counts
    assert cut.teller.n_events == whole.teller.n_events > 0


def test_an_event_is_told_with_its_times(watcher):
    told = [judged for text in faulty_lines() for judged in watcher.take(text) if judged.event is not None]
    strong = [judged for judged in told if judged.event.start == 120]
    assert [judged.event.state for judged in strong] == ["open", "closed"]
    for judged in strong:
        event = judged.event
        assert judged.event_times == (event.start * MINUTE, event.end * MINUTE, event.peak * MINUTE)


def test_samples_of_one_cell_are_one_row(on_grid):
    rows = [judged for t in (0.0, 20.0, 70.0, 300.0) for judged in on_grid.take(line([1.0, 1.0], t))]
    rows += on_grid.finish()
    assert [judged.time for judged in rows] == [0.0, 60.0, 120.0, 180.0, 240.0, 300.0]
    assert [judged.result.status == "nodata" for judged in rows] == [False, False, True, True, True, False]


def test_a_grid_leaves_out_what_has_no_time(on_grid):
    assert on_grid.take(line([1.0, 1.0])) == []
    assert on_grid.counts == {"no_time": 1}


ODD = {
    "not_json": "{",
    "wrong_length": "1,2,3",
    "no_channel": '{"other": 1}',
    "too_long": None,
    "backwards": line([1.0, 1.0], 5.0),
    "repeated": line([0.5, 0.5], 100.0),
    "same_time": line([0.6, 0.5], 100.0),
    "missing": '{"speed": 1}',
    "unknown_channel": '{"speed": 1, "load": 1, "other": 1}',
    "not_a_number": '{"speed": "fast", "load": 1}',
    "nan": '{"speed": NaN, "load": 1}',
    "infinite": '{"speed": -Infinity, "load": 1}',
    "huge": '{"speed": 1e200, "load": 1}',
    "bad_time": '{"speed": 1, "load": 1, "time": "soon"}',
}


@pytest.mark.parametrize("kind", ODD)
def test_each_kind_of_odd_line_is_counted_once(kind, watcher):
    watcher.take(line([0.5, 0.5], 100.0))
    rows = watcher.take(ODD[kind])
    assert watcher.counts == {kind: 1}
    assert (rows == []) == (kind in LEFT_OUT)
    assert watcher.n_samples == 1 + len(rows)


def test_lines_that_are_left_out_leave_no_trace_in_the_scores(watcher, stored):
    clean = Watcher(AnomalyModel(load(stored)))
    for number, text in enumerate(faulty_lines()):
        expected = [seen(judged) for judged in clean.take(text)]
        if number > 0:
            for odd in ("{", None, "1,2,3", line([9e9, 9e9], -1.0), '{"other": 1}', "\x00"):
                assert watcher.take(odd) == []
        assert [seen(judged) for judged in watcher.take(text)] == expected


def test_every_kind_has_words():
    assert set(ODD) | {"not_csv", "clock_set_back", "no_time"} == set(KINDS)


def test_a_model_of_sound_is_refused(stored):
    config = SoundConfig(n_mels=2, n_mfcc=2, features="mfcc")
    detector = AnomalyDetector().fit(normal(300), channels=config.channels)
    with pytest.raises(GmmAudioError, match="a Listener sound"):
        Watcher(AnomalyModel(detector, sound=config))


def test_models_are_told_apart_by_their_training(stored):
    model, other = AnomalyModel(load(stored)), AnomalyModel(load(stored))
    other.detector.update([1.0, 2.0])
    assert model.same_training(other)
    assert not model.same_training(AnomalyModel(AnomalyDetector().fit(normal(2000, seed=5), channels=NAMES)))
    assert not model.same_training(AnomalyModel(load(stored), grid_period=1.0))


numbers = st.one_of(st.floats(), st.integers(), st.none(), st.booleans(), st.text(max_size=5), st.just(10**400))
fields = st.sampled_from([*NAMES, "time", "timestamp", "other", ""])
texts = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40).map(lambda data: data.decode("utf-8", errors="replace")),
    st.dictionaries(fields, numbers, max_size=5).map(json.dumps),
    st.lists(numbers, max_size=4).map(json.dumps),
    st.lists(st.one_of(st.floats().map(repr), fields, st.text(max_size=5)), max_size=4).map(",".join),
    st.none(),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(texts, max_size=12), cut=st.integers(0, 12))
@pytest.mark.parametrize("period", [None, MINUTE])
def test_whatever_comes_every_score_is_finite_and_the_state_goes_through_a_file(period, data, cut, stored, tmp_path):
    watcher = Watcher(AnomalyModel(load(stored), period))
    other = Watcher(AnomalyModel(load(stored), period))
    for number, text in enumerate(data):
        if number == cut:
            other = through_file(other, tmp_path / "state")
        rows = watcher.take(text)
        assert all(math.isfinite(row.result.score) and np.isfinite(row.result.contributions).all() for row in rows)
        assert [seen(row) for row in other.take(text)] == [seen(row) for row in rows]
    assert watcher.counts.keys() <= KINDS.keys()
    assert watcher.n_samples <= len(data)
