"""What a stream learns and what it must not: new levels, drifts, faults that end."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmmaudio
from gmmaudio.anomaly import AnomalyDetector, EventRule
from gmmaudio.anomaly.regime import is_stable, level_shift
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import StoredModel

SETTLE = 480
RARE = 5e-3  # share of alarms at p = 1e-4 that chance, in clusters, may give
ROUNDING = 1e-9


def normal_stream(n, seed=0):
    """Three channels that follow their past and each other, standard deviation about 1.7."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 3)) @ np.array([[1.0, 0.7, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]])
    for t in range(1, n):
        noise[t] += 0.8 * noise[t - 1]
    return noise


@functools.cache
def fitted(**options):
    """A detector that has seen normal data."""
    return AnomalyDetector(**options).fit(normal_stream(4000))


def regime_changes(block):
    """The events that ended as changes of regime."""
    return [event for event in block.events if event.kind == "regime change"]


@pytest.mark.parametrize("options", [{"adaptive": True}, {"settle_after": SETTLE}])
@pytest.mark.parametrize("step", [5.0, 25.0])
def test_a_new_level_that_stays_is_one_regime_change_and_normal_from_then_on(options, step):
    detector = fitted(**options)
    detector.reset()
    rows = normal_stream(5000, seed=6)
    rows[1000:, 0] += step
    block = detector.process(rows)
    (event,) = regime_changes(block)
    assert event.start == 1000
    assert event.end < 1000 + SETTLE
    assert event.channels[0] == 0
    assert [other for other in block.events if other.end > 1000 and other.start < event.end] == [event]
    assert np.mean(block.scores[2000:] >= 4) < RARE


def test_without_settling_a_frozen_detector_never_gets_used_to_a_new_level():
    detector = fitted()
    detector.reset()
    block = detector.process(normal_stream(3000, seed=6) + 15.0)
    assert block.events == ()
    assert block.open_event.start < 10


def test_the_other_channels_keep_their_level_in_a_regime_change():
    detector = fitted(settle_after=SETTLE)
    detector.reset()
    before = detector.state_dict()["center"]
    rows = normal_stream(1000, seed=7)
    rows[:, 2] += 10.0
    detector.process(rows)
    moved = detector.state_dict()["center"] - before
    assert moved[:2].tolist() == [0.0, 0.0]
    assert abs(moved[2] - 10.0) < 1.0


def test_a_slow_drift_is_followed_without_an_event():
    detector = fitted(adaptive=True)
    detector.reset()
    rows = normal_stream(20_000, seed=8) + np.linspace(0.0, 20.0, 20_000)[:, np.newaxis]
    block = detector.process(rows)
    assert np.mean(block.scores >= 4) < RARE
    assert np.mean(np.array(block.statuses) == "alarm") < 0.01


def test_a_ramp_is_an_event_until_it_levels_off_and_settles():
    detector = fitted(settle_after=SETTLE)
    detector.reset()
    rows = normal_stream(4000, seed=9)
    rows[:, 1] += np.concatenate([np.zeros(500), np.linspace(0.0, 40.0, 1500), np.full(2000, 40.0)])
    block = detector.process(rows)
    (event,) = regime_changes(block)
    assert event.start < 1000
    assert 2000 < event.end < 2000 + 2 * SETTLE
    assert np.mean(block.scores[3000:] >= 4) < RARE


def test_a_rapid_ramp_does_not_lock_an_adaptive_detector_out():
    detector = fitted(adaptive=True)
    detector.reset()
    rows = normal_stream(4000, seed=9)
    rows[:, 1] += np.concatenate([np.zeros(500), np.linspace(0.0, 40.0, 100), np.full(3400, 40.0)])
    block = detector.process(rows)
    assert any(event.start < 600 for event in block.events)
    assert np.mean(block.scores[2000:] >= 4) < RARE


def test_a_fault_that_ends_is_not_learnt():
    detector = fitted(adaptive=True)
    fault = normal_stream(1000, seed=11)
    gap = fault.copy()
    fault[300:600, 0] += 10.0
    gap[300:600] = np.nan
    learnt = []
    for rows in (fault, gap):
        detector.reset()
        detector.process(rows)
        learnt.append(detector.state_dict())
    for name in ("conditional.learned.mean", "level.learned.mean", "center"):
        np.testing.assert_allclose(learnt[0][name], learnt[1][name], atol=0.05)  # in standard deviations
    assert learnt[0]["range.learned.high"][0] < normal_stream(4000)[:, 0].max() + 5.0


def test_the_same_fault_alarms_again():
    detector = fitted(adaptive=True)
    detector.reset()
    rows = normal_stream(3000, seed=12)
    for start in (500, 1500, 2500):
        rows[start : start + 100, 0] += 10.0
    starts = [event.start for event in detector.process(rows).events]
    assert {500, 1500, 2500} <= set(starts)


def test_an_unguarded_detector_learns_a_fault():
    detector = fitted(adaptive=True, guarded=False)
    detector.reset()
    rows = normal_stream(1000, seed=11)
    rows[300:600, 0] += 10.0
    detector.process(rows)
    assert detector.state_dict()["range.learned.high"][0] > normal_stream(4000)[:, 0].max() + 5.0


def test_an_event_lasts_as_long_as_its_fault_although_p_values_get_used_to_it():
    detector = fitted(adaptive=True)
    detector.reset()
    rows = normal_stream(1000, seed=13)
    rows[300:600, 0] += 12.0
    event = next(event for event in detector.process(rows).events if event.start == 300)
    assert 599 <= event.end < 599 + 2 * detector.window


def test_a_course_that_never_settles_is_no_event_for_ever():
    detector = fitted(adaptive=True)
    detector.reset()
    wild = 10.0 * np.random.default_rng(0).normal(size=(200, 3)).repeat(60, axis=0)
    block = detector.process(normal_stream(12_000, seed=14) + wild)
    assert np.mean(np.array(block.statuses[3000:]) == "alarm") < 0.5


@given(cuts=st.lists(st.integers(0, 600), max_size=8))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("options", [{"adaptive": True, "settle_after": 96}, {"settle_after": 96}])
def test_a_regime_change_comes_with_the_same_bits_however_the_stream_is_cut(options, cuts):
    detector, rows = fitted(**options), normal_stream(600, seed=15)
    rows[200:] += 15.0
    detector.reset()
    whole = detector.process(rows)
    assert regime_changes(whole)
    state = detector.state_dict()
    detector.reset()
    parts = [detector.process(rows[a:b]) for a, b in itertools.pairwise([0, *sorted(cuts), 600])]
    assert np.array_equal(np.concatenate([part.scores for part in parts]), whole.scores)
    assert sum((part.events for part in parts), ()) == whole.events
    assert all(np.array_equal(array, detector.state_dict()[name], equal_nan=True) for name, array in state.items())


def test_update_tells_the_regime_change_at_the_sample_that_completes_it():
    detector, rows = fitted(settle_after=96), normal_stream(400, seed=15) + 15.0
    detector.reset()
    told = [result.event for result in map(detector.update, rows)]
    kinds = [event.kind for event in told if event is not None and event.state == "closed"]
    assert kinds.count("regime change") == 1


def test_numbers_of_any_size_that_stay_do_not_poison_the_level():
    detector = fitted(adaptive=True)
    detector.reset()
    detector.process(np.full((1500, 3), 1e140))
    block = detector.process(normal_stream(3000, seed=16))
    assert np.isfinite(block.scores).all()
    assert all(np.isfinite(detector.state_dict()[name]).all() for name in ("center", "conditional.learned.covariance"))


def test_the_level_shift_is_that_of_greatest_likelihood():
    rng = np.random.default_rng(0)
    covariance = np.cov(rng.normal(size=(3, 50)))
    rows = rng.normal(size=(20, 3))
    shift = level_shift(rows, covariance, np.array([0, 2]))
    pull = np.linalg.solve(covariance, rows.mean(axis=0) - shift)  # gradient of the likelihood
    np.testing.assert_allclose(pull[[0, 2]], 0.0, atol=ROUNDING)
    assert shift[1] == 0.0


def test_a_channel_without_values_has_not_moved():
    rows = np.column_stack([np.full(10, 2.0), np.full(10, np.nan)])
    assert level_shift(rows, np.eye(2), np.array([0, 1])).tolist() == [2.0, 0.0]


def test_only_moved_channels_must_be_stable():
    rows = np.column_stack([np.full(100, 5.0), np.linspace(0, 9, 100)])
    assert is_stable(rows, np.array([5.0, 0.0]), np.zeros(2))
    assert not is_stable(rows, np.array([5.0, 4.5]), np.zeros(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": 10}, "memory is 10"),
        ({"settle_after": -1}, "settle_after is -1"),
        ({"adaptive": True, "guarded": False, "settle_after": 100}, "never settles"),
    ],
)
def test_unusable_settings_are_refused_with_a_reason(options, message):
    with pytest.raises(ParameterError, match=message):
        AnomalyDetector(**options)


@pytest.mark.parametrize("name", ["now.past.count", "now.past.marks", "start.conditional.running.count"])
def test_a_file_whose_counts_are_negative_is_refused(name):
    stored = fitted(adaptive=True).to_stored()
    broken = stored.arrays | {name: stored.arrays[name] - 10**6}
    with pytest.raises(GmmAudioError, match="from 0 on"):
        AnomalyDetector.from_stored(StoredModel(stored.kind, stored.config, broken))


def test_a_saved_settling_detector_goes_on_with_the_same_bits(tmp_path):
    detector, rows = fitted(adaptive=True, settle_after=96), normal_stream(600, seed=15)
    rows[200:] += 15.0
    detector.reset()
    detector.process(rows[:250])
    detector.save(tmp_path / "detector.gmm")
    resumed = gmmaudio.load(tmp_path / "detector.gmm")
    expected, got = detector.process(rows[250:]), resumed.process(rows[250:])
    assert np.array_equal(got.scores, expected.scores)
    assert got.events == expected.events
    assert EventRule() == resumed.rule
