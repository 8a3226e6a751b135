"""A fleet: the numbers of single detectors, whatever comes between, and wherever states have been meanwhile."""

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

import gmmaudio
from gmmaudio.anomaly import AnomalyDetector, AnomalyFleet
from gmmaudio.errors import GmmAudioError, ParameterError

MACHINES = ("pump", "fan", "../../etc/\N{SNOWMAN}")
ROUNDING = 1e-9


def stream(n, seed=0, level=0.0):
    """Two channels that follow their past and each other."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
    for t in range(1, n):
        noise[t] += 0.7 * noise[t - 1]
    return noise + level


@functools.cache
def prior(adaptive=False):
    return AnomalyDetector(adaptive=adaptive, memory=300).fit(stream(2000), 600.0 * np.arange(2000))


@pytest.mark.parametrize("adaptive", [False, True])
@given(order=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=12))
@settings(max_examples=15, deadline=None)
def test_each_machine_has_the_bits_of_a_detector_of_its_own(adaptive, order):
    fleet = AnomalyFleet(prior(adaptive))
    data = [stream(800, seed) for seed in range(3)]
    single = [prior(adaptive).score_samples(rows) for rows in data]
    done = [0, 0, 0]
    for number, n in order:
        rows = data[number][done[number] : done[number] + n]
        scores = fleet.process(MACHINES[number], rows).scores
        assert np.array_equal(scores, single[number][done[number] : done[number] + n])
        done[number] += n


@pytest.mark.parametrize("n_adapt", [0, 100])
def test_states_that_went_to_files_come_back_with_the_same_bits(n_adapt, tmp_path):
    whole = AnomalyFleet(prior(), n_adapt=n_adapt)
    small = AnomalyFleet(prior(), n_adapt=n_adapt, n_live=1, folder=tmp_path / "states")
    for part, machine in itertools.product(range(6), MACHINES):
        rows = stream(300, seed=len(machine), level=2.0)[50 * part : 50 * part + 50]
        stamps = 600.0 * np.arange(50 * part, 50 * part + 50)
        assert np.array_equal(small.process(machine, rows, stamps).scores, whole.process(machine, rows, stamps).scores)
    assert small.machines == MACHINES[-1:]
    assert len(list((tmp_path / "states").iterdir())) == len(MACHINES)


def test_without_a_folder_the_machine_that_was_used_least_recently_begins_anew():
    fleet = AnomalyFleet(prior(), n_live=2)
    for machine in ("a", "b", "a", "c"):
        fleet.process(machine, stream(50))
    assert fleet.machines == ("a", "c")
    assert fleet.n_dropped == 1
    assert np.array_equal(fleet.process("b", stream(50)).scores, prior().score_samples(stream(50)))


@given(cuts=st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=10, deadline=None)
def test_the_first_samples_adapt_the_prior_and_are_not_judged_however_they_are_cut(cuts):
    rows, stamps = stream(300, seed=3, level=20.0), 600.0 * np.arange(300)
    detector = prior().twin().adapt(rows[:150], stamps[:150], relevance_factor=50.0)
    expected = detector.process(rows[150:], stamps[150:])
    fleet = AnomalyFleet(prior(), n_adapt=150, relevance_factor=50.0)
    parts = [fleet.process("x", rows[a:b], stamps[a:b]) for a, b in itertools.pairwise([0, *sorted(cuts), 300])]
    scores = np.concatenate([part.scores for part in parts])
    assert sum((part.statuses for part in parts), ())[:150] == ("warmup",) * 150
    assert np.array_equal(scores[150:], expected.scores)
    assert sum((part.events for part in parts), ()) == expected.events


def test_a_machine_of_another_level_is_normal_after_its_adaptation_and_not_before():
    rows = stream(2000, seed=4, level=20.0)
    assert prior().score_samples(rows[500:]).min() > 4
    fleet = AnomalyFleet(prior(), n_adapt=500)
    assert np.mean(fleet.process("x", rows).scores[500:] >= 3) < 0.01


def test_an_adapted_machine_still_finds_faults_and_counts_its_samples_from_the_first():
    fleet = AnomalyFleet(prior(), n_adapt=200)
    rows = stream(400, seed=5, level=-7.0)
    rows[300:305, 1] += 12.0
    events = fleet.process("x", rows).events
    assert [(event.start, event.channels[0]) for event in events if event.start == 300] == [(300, 1)]


def test_adaptation_is_estimation_with_the_prior_as_pseudo_samples():
    rows, relevance = stream(400, seed=6), 150.0
    detector = prior().twin()
    before = detector.state_dict()
    detector.adapt(rows, relevance_factor=relevance)
    after = detector.start_state()
    engine = detector._stream().engine
    z = engine.block(rows, np.full(len(rows), -1)).standard
    joint = np.array([np.concatenate([z[t - 1], z[t - 2], z[t - 3], z[t]]) for t in range(3, len(z))])
    mean = (relevance * before["conditional.learned.mean"] + joint.sum(axis=0)) / (relevance + len(joint))
    np.testing.assert_allclose(after["conditional.learned.mean"], mean, atol=ROUNDING)
    np.testing.assert_allclose(after["conditional.learned.count"][0], relevance + len(joint))


def test_adaptation_moves_the_level_by_what_the_samples_say():
    detector = prior().twin().adapt(stream(500, seed=7) + 1e4)
    moved = detector.state_dict()["center"] - prior().state_dict()["center"]
    np.testing.assert_allclose(moved, 1e4, atol=1.0)


def test_adapting_and_scoring_leave_the_prior_alone():
    before = prior().to_stored()
    fleet = AnomalyFleet(prior(), n_adapt=100)
    fleet.process("x", stream(300, level=5.0))
    after = prior().to_stored()
    assert all(np.array_equal(array, after.arrays[name], equal_nan=True) for name, array in before.arrays.items())


@pytest.mark.parametrize("n_adapt", [0, 100])
def test_a_saved_fleet_goes_on_with_the_same_bits(n_adapt, tmp_path):
    fleet = AnomalyFleet(prior(adaptive=True), n_adapt=n_adapt)
    fleet.process("early", stream(60, seed=8))
    fleet.process("late", stream(250, seed=9))
    fleet.save(tmp_path / "fleet.gmm")
    again = gmmaudio.load(tmp_path / "fleet.gmm", kind="anomaly_fleet")
    assert again.machines == fleet.machines
    for machine in ("early", "late", "new"):
        rows = stream(200, seed=10)
        assert np.array_equal(again.process(machine, rows).scores, fleet.process(machine, rows).scores)


def test_flushed_states_are_found_by_another_fleet(tmp_path):
    fleet = AnomalyFleet(prior(), folder=tmp_path)
    fleet.process("x", stream(100, seed=11))
    fleet.flush()
    other = AnomalyFleet(prior(), folder=tmp_path)
    rows = stream(100, seed=12)
    assert np.array_equal(other.process("x", rows).scores, fleet.process("x", rows).scores)


def test_a_forgotten_machine_begins_anew(tmp_path):
    fleet = AnomalyFleet(prior(), folder=tmp_path)
    fleet.process("x", stream(100))
    fleet.flush()
    fleet.forget("x")
    fleet.forget("never seen")
    assert np.array_equal(fleet.process("x", stream(50)).scores, prior().score_samples(stream(50)))


def test_update_gives_the_bits_of_process():
    fleet = AnomalyFleet(prior(), n_adapt=100)
    rows = stream(150, seed=13)
    whole = AnomalyFleet(prior(), n_adapt=100).process("x", rows)
    results = [fleet.update("x", row) for row in rows]
    assert [result.score for result in results] == whole.scores.tolist()
    assert tuple(result.status for result in results) == whole.statuses


def test_a_damaged_state_file_is_an_error_and_not_a_new_machine(tmp_path):
    fleet = AnomalyFleet(prior(), n_live=1, folder=tmp_path)
    fleet.process("x", stream(10))
    fleet.process("y", stream(10))
    next(tmp_path.iterdir()).write_bytes(b"no model")
    with pytest.raises(GmmAudioError):
        fleet.process("x", stream(10))


def test_a_member_whose_arrays_do_not_fit_is_refused():
    stored = AnomalyFleet(prior())
    stored.process("x", stream(10))
    whole = stored.to_stored()
    broken = whole.arrays | {"0.now.center": np.zeros(7)}
    with pytest.raises(ParameterError, match="center"):
        AnomalyFleet.from_stored(gmmaudio.persistence.StoredModel(whole.kind, whole.config, broken))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_live": 0}, "n_live is 0"),
        ({"n_adapt": 5}, "n_adapt is 5"),
        ({"relevance_factor": 0}, "relevance_factor is 0"),
    ],
)
def test_unusable_settings_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        AnomalyFleet(prior(), **options)


def test_a_prior_must_be_fitted():
    with pytest.raises(NotFittedError):
        AnomalyFleet(AnomalyDetector())


def test_samples_and_times_must_be_as_many():
    with pytest.raises(ParameterError, match="timestamps"):
        AnomalyFleet(prior()).process("x", stream(5), [0.0])
