"""Modes of operation: the filter against prefixes, exact marginals, and what only a mode can tell."""

import functools
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gmmaudio
from gmmaudio.anomaly import AnomalyDetector
from gmmaudio.anomaly.heads import Block, HeadConfig
from gmmaudio.anomaly.modes import ModeHead, mode_moments
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.hmm import HmmParams, MixtureEmissions, forward_backward

ROUNDING = 1e-9
N_MODES = 2


def two_modes(n, seed=0, length=200):
    """A quiet mode and a loud one in turn, of the same mean: only the mode says whether a value is strange."""
    rng = np.random.default_rng(seed)
    mode = (np.arange(n) // length + seed) % 2
    return rng.normal(size=(n, 3)) * np.where(mode == 0, 0.2, 3.0)[:, np.newaxis], mode


@functools.cache
def fitted(n_modes=N_MODES, adaptive=False):
    """A detector that has seen both modes."""
    return AnomalyDetector(n_modes=n_modes, adaptive=adaptive).fit(two_modes(6000)[0])


@pytest.fixture(scope="module")
def hmm():
    """Two modes of three channels, two Gaussians each."""
    rng = np.random.default_rng(0)
    mixtures = [GmmParams([0.4, 0.6], rng.normal(size=(2, 3)), rng.uniform(0.5, 2.0, (2, 3))) for _ in range(2)]
    return HmmParams([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], MixtureEmissions(mixtures))


def run(head, rows):
    return head.run(Block(rows, rows, np.full(len(rows), -1)), learn=False)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_the_surprise_is_what_the_log_likelihood_of_the_stream_loses_less_the_entropy_of_the_modes(hmm, missing):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(12, 3))
    rows[rng.random(rows.shape) < missing] = np.nan
    score, _ = run(ModeHead(HeadConfig(3, 1, 4, 1.0, 0.0, 2), hmm), rows)
    log_likelihoods = hmm.frame_log_likelihoods(rows, precision="double")
    _, variance = mode_moments(hmm)
    before = 0.0
    for t in range(len(rows)):
        prefix = forward_backward(hmm.start_probs, hmm.transition_matrix, log_likelihoods[: t + 1])
        seen = ~np.isnan(rows[t])
        entropies = 0.5 * np.log(2 * math.pi * math.e * variance[:, seen]).sum(axis=1)
        expected = before - prefix.log_likelihood - prefix.state_posteriors[-1] @ entropies
        if seen.any():
            np.testing.assert_allclose(score[t], expected, atol=ROUNDING)
        else:
            assert np.isnan(score[t])
        before = prefix.log_likelihood


def test_moments_of_a_mode_are_those_of_its_mixture(hmm):
    mean, variance = mode_moments(hmm)
    for mode, mixture in enumerate(hmm.emissions.mixtures):
        expected = mixture.weights @ mixture.means
        second = mixture.weights @ (mixture.covariances.array + mixture.means**2)
        np.testing.assert_allclose(mean[mode], expected, rtol=ROUNDING)
        np.testing.assert_allclose(variance[mode], second - expected**2, rtol=ROUNDING)


def test_the_mode_of_each_sample_is_named():
    detector = fitted()
    detector.reset()
    rows, mode = two_modes(1000, seed=1)
    named = detector.process(rows).modes
    agreement = np.mean(named == mode)
    assert max(agreement, 1 - agreement) > 0.97


def three_corners(n, seed=0):
    """Two channels in one of three modes: both low, both high, or low and high; never high and low."""
    rng = np.random.default_rng(seed)
    mode = rng.integers(0, 3, size=n // 50 + 1).repeat(50)[:n]
    return np.array([[-3.0, -3.0], [3.0, 3.0], [-3.0, 3.0]])[mode] + 0.3 * rng.normal(size=(n, 2))


@functools.cache
def fitted_to_corners(n_modes):
    """A detector that has seen the three modes."""
    return AnomalyDetector(n_modes=n_modes).fit(three_corners(8000))


def test_a_combination_that_no_mode_has_alarms_and_only_because_of_the_modes():
    results = {}
    for n_modes in (0, 3):
        detector = fitted_to_corners(n_modes)
        detector.reset()
        detector.process(three_corners(200, seed=1))
        results[n_modes] = detector.update([3.0, -3.0])
    assert results[0].score < 3 < results[3].score
    assert results[3].head == "modes"


def test_an_event_names_the_mode_at_its_peak():
    detector = fitted_to_corners(3)
    detector.reset()
    rows = three_corners(200, seed=1)
    rows[150:160, 0] += 15.0
    block = detector.process(rows)
    event = next(event for event in block.events if event.start == 150)
    assert event.mode == block.modes[event.peak]


@pytest.mark.parametrize("adaptive", [False, True])
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=15, deadline=None)
def test_modes_and_scores_have_the_same_bits_however_the_stream_is_cut(adaptive, cuts):
    detector, rows = fitted(adaptive=adaptive), two_modes(200, seed=3, length=60)[0]
    rows[np.random.default_rng(0).random(rows.shape) < 0.2] = np.nan
    rows[50] = np.nan
    rows[100, 0] = 1e100
    detector.reset()
    whole, state = detector.process(rows), detector.state_dict()
    detector.reset()
    parts = [detector.process(rows[a:b]) for a, b in itertools.pairwise([0, *sorted(cuts), 200])]
    assert np.array_equal(np.concatenate([part.scores for part in parts]), whole.scores)
    assert np.array_equal(np.concatenate([part.modes for part in parts]), whole.modes)
    assert all(np.array_equal(array, detector.state_dict()[name], equal_nan=True) for name, array in state.items())


def test_single_samples_give_the_bits_of_the_batch():
    detector, rows = fitted(), two_modes(150, seed=4, length=50)[0]
    batch = detector.score_samples(rows)
    detector.reset()
    assert [detector.update(row).score for row in rows] == batch.tolist()


def test_saved_in_mid_stream_it_goes_on_with_the_same_bits(tmp_path):
    detector, rows = fitted(), two_modes(300, seed=5, length=70)[0]
    detector.reset()
    detector.process(rows[:130])
    detector.save(tmp_path / "detector.gmm")
    expected = detector.process(rows[130:])
    resumed = gmmaudio.load(tmp_path / "detector.gmm").process(rows[130:])
    assert np.array_equal(resumed.scores, expected.scores)
    assert np.array_equal(resumed.modes, expected.modes)


def test_a_row_without_data_has_no_mode():
    detector = fitted()
    detector.reset()
    result = detector.update([np.nan] * 3)
    assert (result.status, result.mode) == ("nodata", None)


def test_a_detector_without_modes_names_none():
    detector = fitted(0)
    detector.reset()
    assert detector.process(np.zeros((3, 3))).modes is None
    assert detector.update(np.zeros(3)).mode is None


def test_a_file_with_other_modes_than_its_settings_is_refused(hmm):
    stored = fitted().to_stored()
    other = {f"modes.{name}": array for name, array in hmm.to_stored().arrays.items()}
    smaller = {name: array[:1] for name, array in other.items() if name != "modes.n_components"}
    broken = stored.arrays | smaller | {"modes.transition_matrix": np.ones((1, 1)), "modes.n_components": np.array([1])}
    broken["modes.start_probs"] = broken["modes.weights"] = np.ones(1)
    with pytest.raises(GmmAudioError, match="1 modes of 3 channels"):
        AnomalyDetector.from_stored(gmmaudio.persistence.StoredModel(stored.kind, stored.config, broken))


@pytest.mark.parametrize("n_modes", [1, -1, 1000])
def test_impossible_numbers_of_modes_are_refused(n_modes):
    with pytest.raises(ParameterError, match="n_modes is"):
        AnomalyDetector(n_modes=n_modes)
