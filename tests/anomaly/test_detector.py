"""The detector: one stream however it is cut, exact marginals, awkward data, and p-values that mean what they say."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import NotFittedError

import gmmaudio
from gmmaudio.anomaly import AnomalyDetector, EventRule
from gmmaudio.errors import GmmAudioError, ParameterError

FACTOR = 2.0  # realised false-alarm rates may differ from nominal ones by this
SUM_ROUNDING = 1e-9  # contributions are scaled by one division
N_CHANNELS = 3


def normal_stream(n, seed=0):
    """Three channels that follow their past and each other."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, N_CHANNELS)) @ np.array([[1.0, 0.7, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]])
    stream = np.empty_like(noise)
    state = np.zeros(N_CHANNELS)
    for t in range(n):
        state = 0.8 * state + noise[t]
        stream[t] = state
    return stream


@functools.cache
def fitted(adaptive=False):
    """A detector that has seen normal data; tests reset or copy it."""
    n = 4000
    return AnomalyDetector(adaptive=adaptive).fit(normal_stream(n), 600.0 * np.arange(n))


def gappy(n, seed=1):
    """A stream with missing values, an all-missing row, an infinity, a huge number and a fault."""
    rng = np.random.default_rng(seed)
    rows = normal_stream(n, seed)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[n // 3] = np.nan
    rows[n // 2, 0] = np.inf
    rows[n // 2 + 1, 1] = 1e300
    rows[n // 2 + 2, 2] = 1e100
    rows[2 * n // 3 : 2 * n // 3 + 10, 1] += 12.0
    return rows


@pytest.mark.parametrize("adaptive", [False, True])
@given(cuts=st.lists(st.integers(0, 300), max_size=8))
@settings(max_examples=25, deadline=None)
def test_blocks_of_any_size_give_the_bits_of_one_batch(adaptive, cuts):
    detector, rows, stamps = fitted(adaptive), gappy(300), 600.0 * np.arange(300)
    detector.reset()
    whole = detector.process(rows, stamps)
    state = detector.state_dict()
    detector.reset()
    edges = [0, *sorted(cuts), 300]
    parts = [detector.process(rows[a:b], stamps[a:b]) for a, b in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate([part.scores for part in parts]), whole.scores)
    assert np.array_equal(np.concatenate([part.contributions for part in parts]), whole.contributions)
    assert sum((part.statuses for part in parts), ()) == whole.statuses
    assert sum((part.events for part in parts), ()) == whole.events
    assert all(np.array_equal(array, detector.state_dict()[name], equal_nan=True) for name, array in state.items())


@pytest.mark.parametrize("adaptive", [False, True])
def test_single_samples_give_the_bits_of_score_samples(adaptive):
    detector, rows = fitted(adaptive), gappy(300)
    batch = detector.score_samples(rows)
    detector.reset()
    assert [detector.update(row).score for row in rows] == batch.tolist()


def test_score_samples_leaves_the_current_stream_alone():
    detector, rows = fitted(), gappy(200)
    detector.reset()
    detector.process(rows[:100])
    before = detector.state_dict()
    detector.score_samples(rows)
    assert all(np.array_equal(array, detector.state_dict()[name], equal_nan=True) for name, array in before.items())


@pytest.mark.parametrize("adaptive", [False, True])
def test_saved_in_mid_stream_it_goes_on_with_the_same_bits(adaptive, tmp_path):
    detector, rows = fitted(adaptive), gappy(300)
    detector.reset()
    detector.process(rows[:203])  # in the middle of the fault
    detector.save(tmp_path / "detector.gmm")
    expected = detector.process(rows[203:])
    resumed = gmmaudio.load(tmp_path / "detector.gmm", kind="anomaly_detector").process(rows[203:])
    assert np.array_equal(resumed.scores, expected.scores)
    assert resumed.events == expected.events


def test_a_loaded_detector_scores_new_streams_as_before(tmp_path):
    detector, rows = fitted(), gappy(100)
    detector.save(tmp_path / "detector.gmm")
    assert np.array_equal(gmmaudio.load(tmp_path / "detector.gmm").score_samples(rows), detector.score_samples(rows))


@pytest.mark.parametrize("adaptive", [False, True])
def test_no_score_is_ever_nan_or_infinite(adaptive):
    assert np.isfinite(fitted(adaptive).score_samples(gappy(300))).all()


def test_a_row_without_any_number_has_status_nodata_and_score_0():
    detector = fitted()
    detector.reset()
    detector.process(normal_stream(60, seed=5))
    result = detector.update([np.nan, np.inf, np.nan])
    assert (result.status, result.score, result.p) == ("nodata", 0.0, 1.0)


@pytest.mark.parametrize("adaptive", [False, True])
def test_contributions_are_not_negative_and_add_up_to_the_score(adaptive):
    detector = fitted(adaptive)
    detector.reset()
    block = detector.process(gappy(300))
    known = block.contributions.sum(axis=1) > 0
    assert block.contributions.min() >= 0
    np.testing.assert_allclose(block.contributions.sum(axis=1)[known], block.scores[known], rtol=SUM_ROUNDING)


@pytest.mark.parametrize("channel", range(N_CHANNELS))
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_an_outlier_of_8_sigma_alarms_and_names_its_channel(channel, offset):
    detector = AnomalyDetector().fit(normal_stream(3000) + offset)
    rows = normal_stream(100, seed=2)
    rows[60, channel] += 8.0 * normal_stream(3000)[:, channel].std()
    detector.process(rows[:60] + offset)
    result = detector.update(rows[60] + offset)
    assert result.status == "alarm"
    assert result.event.channels[0] == channel


def test_an_outlier_alarms_although_the_other_channels_are_missing():
    detector = fitted()
    detector.reset()
    detector.process(normal_stream(60, seed=3))
    assert detector.update([np.nan, 40.0, np.nan]).status == "alarm"


def test_a_constant_channel_alarms_when_it_moves_and_not_before():
    rows = np.column_stack([normal_stream(2000)[:, 0], np.full(2000, 5.0)])
    detector = AnomalyDetector().fit(rows)
    assert "alarm" not in detector.process(rows[:100]).statuses
    assert detector.update([rows[100, 0], 5.5]).status == "alarm"


def test_rows_that_all_occur_twice_can_be_learnt_and_scored():
    rows = np.repeat(normal_stream(1000), 2, axis=0)
    assert np.isfinite(AnomalyDetector().fit(rows).score_samples(rows)).all()


def test_two_equal_channels_can_be_learnt_and_their_parting_alarms():
    rows = np.repeat(normal_stream(2000)[:, :1], 2, axis=1)
    detector = AnomalyDetector().fit(rows)
    assert detector.update([rows[0, 0], rows[0, 0] + 1.0]).status == "alarm"


def test_realised_false_alarm_rates_are_near_nominal_on_unseen_normal_data():
    detector = AnomalyDetector().fit(normal_stream(30_000, seed=3))
    realised = detector.calibration_report(normal_stream(60_000, seed=4)).realised
    for nominal in (1e-2, 1e-3):
        assert nominal / FACTOR < realised[nominal] < nominal * FACTOR


def test_the_calibration_report_prints_a_line_for_each_rate():
    text = str(fitted().calibration_report(normal_stream(500, seed=4)))
    assert [line.split()[0] for line in text.splitlines()] == ["nominal", "1e-02", "1e-03", "1e-04", "500"]


def test_an_adaptive_detector_gets_used_to_a_new_level():
    detector = fitted(adaptive=True)
    detector.reset()
    shifted = normal_stream(8000, seed=6) + 15.0
    scores = detector.process(shifted).scores
    assert scores[:10].max() > 4
    assert np.mean(scores[-2000:] > 3) < 0.01


def test_a_frozen_detector_is_not_changed_by_what_it_sees():
    detector = fitted()
    before = detector.score_samples(gappy(100))
    detector.process(normal_stream(500, seed=7) + 15.0)
    assert np.array_equal(detector.score_samples(gappy(100)), before)


def test_a_value_unusual_at_its_hour_is_found_by_the_hour():
    n = 6 * 24 * 30
    stamps = 600.0 * np.arange(n)
    values = 5.0 * np.sin(2 * np.pi * stamps / 86400) + np.random.default_rng(0).normal(size=n)
    detector = AnomalyDetector(n_lags=0).fit(values, stamps)
    block = detector.process([5.0], [18 * 3600.0])  # the day's top value at the time of its lowest
    assert block.heads == ("seasonal",)
    assert block.scores[0] > 4


def test_events_open_while_they_last_and_close_after():
    detector = AnomalyDetector(rule=EventRule(alarm_p=1e-4, leave_p=1e-2, merge_gap=3)).fit(normal_stream(3000))
    rows = normal_stream(200, seed=8)
    rows[100:120, 2] += 15.0
    opened = detector.process(rows[:110]).open_event
    assert (opened.state, opened.start, opened.channels[0]) == ("open", 100, 2)
    assert detector.process(rows[110:]).events[0].state == "closed"


def test_an_unfitted_detector_says_so():
    with pytest.raises(NotFittedError, match="call fit"):
        AnomalyDetector().score_samples([[1.0]])


def test_training_without_complete_rows_is_refused_with_advice():
    rows = normal_stream(500)
    rows[::2, 0] = np.nan
    with pytest.raises(ParameterError, match="without gaps"):
        AnomalyDetector().fit(rows)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AnomalyDetector(window=0), "window 0"),
        (lambda: AnomalyDetector().fit(normal_stream(99)), "99 samples"),
        (lambda: AnomalyDetector().fit([["a"]]), "real numbers"),
        (lambda: AnomalyDetector().fit(np.full((200, 1), np.nan)), "channel 0"),
        (lambda: fitted().process(np.zeros((5, 2))), r"\(n_samples, 3\)"),
        (lambda: fitted().process(np.zeros((5, 3)), [0.0]), "5 samples"),
        (lambda: fitted().load_state({}), "other arrays"),
        (lambda: fitted().load_state({k: np.zeros(9) for k in fitted().state_dict()}), "needs"),
    ],
)
def test_unusable_arguments_are_refused_with_a_reason(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_a_file_with_a_negative_scale_is_refused(tmp_path):
    stored = fitted().to_stored()
    broken = gmmaudio.persistence.StoredModel(
        stored.kind, stored.config, {**stored.arrays, "scale": -stored.arrays["scale"]}
    )
    with pytest.raises(GmmAudioError, match="scale above 0"):
        AnomalyDetector.from_stored(broken)


def test_a_file_whose_settings_ask_for_more_memory_than_it_holds_is_refused():
    stored = fitted().to_stored()
    config = {part: stored.config[part] | {"window": 10**12} for part in ("head", "settings")}
    config = stored.config | config
    with pytest.raises(GmmAudioError, match="size that its settings say"):
        AnomalyDetector.from_stored(gmmaudio.persistence.StoredModel(stored.kind, config, stored.arrays))


@pytest.mark.parametrize("adaptive", [False, True])
@given(rows=arrays(np.float64, st.tuples(st.integers(0, 40), st.just(N_CHANNELS)), elements=st.floats(width=64)))
@settings(max_examples=50, deadline=None)
def test_no_numbers_whatever_give_a_score_that_is_not_finite_and_not_negative(adaptive, rows):
    detector = fitted(adaptive)
    detector.reset()
    block = detector.process(rows)
    assert np.isfinite(block.scores).all()
    assert (block.scores >= 0).all()
    assert np.isfinite(detector.process(normal_stream(5)).scores).all()


def test_a_file_whose_event_memory_is_not_a_number_is_refused():
    stored = fitted().to_stored()
    arrays_of_file = {**stored.arrays, "now.events.place": np.full(6, np.nan)}
    with pytest.raises(GmmAudioError, match=r"now\.events\.place"):
        AnomalyDetector.from_stored(gmmaudio.persistence.StoredModel(stored.kind, stored.config, arrays_of_file))


def test_the_state_of_a_stream_does_not_grow():
    detector = fitted(adaptive=True)
    detector.reset()
    before = {name: array.nbytes for name, array in detector.state_dict().items()}
    detector.process(normal_stream(5000, seed=9))
    assert {name: array.nbytes for name, array in detector.state_dict().items()} == before


def test_the_same_training_gives_the_same_file_byte_for_byte(tmp_path):
    for name in ("one", "other"):
        AnomalyDetector().fit(normal_stream(500)).save(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_a_level_is_not_judged_from_a_few_windows():
    detector = AnomalyDetector(window=48).fit(normal_stream(1000))
    assert "level" not in detector.process(normal_stream(300, seed=2) + 3.0).heads
