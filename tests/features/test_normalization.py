import numpy as np
import pytest
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import (
    FeatureWarpingConfig,
    GlobalCmvn,
    GlobalCmvnConfig,
    OnlineCmvn,
    OnlineCmvnConfig,
    SlidingCmvn,
    SlidingCmvnConfig,
    UtteranceCmvn,
    UtteranceCmvnConfig,
)
from gmmaudio.features.normalization import frame_moments

FLOAT32_ATOL = 2e-6
"""Two float32 roundings of normalized values of size 1 to 5."""

WINDOWS = [(4, 0, 1), (5, 0, 3), (6, 3, 6), (7, 2, 2), (1, 0, 1), (50, 10, 20)]


def frames_of(n_frames, seed=0, n_features=3):
    return np.random.default_rng(seed).normal(3.0, 2.0, (n_frames, n_features)).astype(np.float32)


def window_by_hand(frames, t, window, lookahead, min_frames):
    """The definition in the docstring of gmmaudio.features.windows."""
    end = min(max(t + lookahead, min_frames - 1), len(frames) - 1)
    return frames[max(0, end - window + 1) : end + 1].astype(np.float64)


def sliding_by_hand(frames, config):
    rows = []
    for t, frame in enumerate(frames):
        around = window_by_hand(frames, t, config.window, config.lookahead, config.min_frames)
        spread = np.sqrt(np.maximum(around.var(axis=0), 1e-10)) if config.normalize_variance else 1.0
        rows.append((frame - around.mean(axis=0)) / spread)
    return np.array(rows)


@pytest.mark.parametrize("n_frames", [1, 2, 5, 23])
@pytest.mark.parametrize("normalize_variance", [True, False])
@pytest.mark.parametrize("window", WINDOWS)
def test_sliding_cmvn_follows_its_definition(window, normalize_variance, n_frames):
    config, frames = SlidingCmvnConfig(*window, normalize_variance), frames_of(n_frames)
    actual = SlidingCmvn(3, config).transform(frames)
    np.testing.assert_allclose(actual, sliding_by_hand(frames, config), rtol=0, atol=FLOAT32_ATOL)


def test_sliding_cmvn_over_the_whole_recording_is_utterance_cmvn():
    frames = frames_of(40)
    actual = SlidingCmvn(3, SlidingCmvnConfig(100, 50, 100)).transform(frames)
    np.testing.assert_allclose(actual, UtteranceCmvn(3).transform(frames), rtol=0, atol=FLOAT32_ATOL)


def test_sliding_cmvn_does_not_drift_at_a_large_offset():
    config = SlidingCmvnConfig(300, 0, 300)
    frames = frames_of(20_000, n_features=1)
    moved = (frames + np.float32(1e6)).astype(np.float32)
    actual = SlidingCmvn(1, config).transform(moved)[-50:]
    np.testing.assert_allclose(actual, sliding_by_hand(moved[-600:], config)[-50:], rtol=0, atol=FLOAT32_ATOL)


def test_utterance_cmvn_gives_mean_zero_and_variance_one_at_a_large_offset():
    frames = frames_of(1000) + np.float32(1e6)
    normalized = UtteranceCmvn(3).transform(frames).astype(np.float64)
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=FLOAT32_ATOL)
    np.testing.assert_allclose(normalized.var(axis=0), 1, atol=FLOAT32_ATOL)


def test_utterance_cmvn_without_variance_subtracts_the_mean():
    frames = frames_of(10)
    actual = UtteranceCmvn(3, UtteranceCmvnConfig(normalize_variance=False)).transform(frames)
    np.testing.assert_allclose(actual, frames - frames.mean(axis=0, dtype=np.float64), rtol=0, atol=FLOAT32_ATOL)


@pytest.mark.parametrize("method", ["push", "flush"])
def test_utterance_cmvn_refuses_to_be_streamed_and_names_alternatives(method):
    arguments = [frames_of(3)] if method == "push" else []
    with pytest.raises(ParameterError, match="SlidingCmvnConfig, OnlineCmvnConfig or GlobalCmvnConfig"):
        getattr(UtteranceCmvn(3), method)(*arguments)


def test_global_cmvn_normalizes_the_recordings_it_was_made_from():
    recordings = [frames_of(5, seed=1), frames_of(1, seed=2), frames_of(0), frames_of(30, seed=3)]
    config = GlobalCmvnConfig.from_frames(recordings)
    normalized = GlobalCmvn(3, config).transform(np.concatenate(recordings)).astype(np.float64)
    np.testing.assert_allclose(normalized.mean(axis=0), 0, atol=FLOAT32_ATOL)
    np.testing.assert_allclose(normalized.var(axis=0), 1, atol=FLOAT32_ATOL)


def test_moments_of_parts_are_those_of_the_whole_at_a_large_offset():
    frames = frames_of(999).astype(np.float64) + 1e6
    means, variances = frame_moments(np.split(frames, [1, 2, 500]))
    np.testing.assert_allclose(means, frames.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(variances, frames.var(axis=0), rtol=1e-9)


def test_moments_of_no_frames_are_refused():
    with pytest.raises(GmmAudioError, match="no frames"):
        GlobalCmvnConfig.from_frames([np.zeros((0, 3))])


def test_statistics_of_other_features_are_refused():
    config = GlobalCmvnConfig((0.0, 0.0), None)
    with pytest.raises(ParameterError, match="2 features but the frames have 3"):
        config.stage(3)


@pytest.mark.parametrize("n_frames", [1, 7, 25])
def test_online_cmvn_adds_prior_frames_until_the_window_is_full(n_frames):
    config = OnlineCmvnConfig((3.0, 0.0, 1.0), (4.0, 1.0, 9.0), window=10, prior_frames=4)
    frames = frames_of(n_frames)
    expected = []
    for t, frame in enumerate(frames):
        past = frames[max(0, t - 9) : t + 1].astype(np.float64)
        weight = min(4, 10 - len(past))
        total = len(past) + weight
        mean = (past.sum(axis=0) + weight * np.array(config.means)) / total
        second = (np.square(past).sum(axis=0) + weight * (np.array(config.variances) + np.square(config.means))) / total
        expected.append((frame - mean) / np.sqrt(second - np.square(mean)))
    actual = OnlineCmvn(3, config).transform(frames)
    # The expected variance is a difference of squares and loses digits itself.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_online_cmvn_has_no_lookahead():
    assert OnlineCmvnConfig((0.0,), (1.0,)).stage(1).lookahead == 0


@pytest.mark.parametrize("config", [UtteranceCmvnConfig(), SlidingCmvnConfig(), FeatureWarpingConfig()], ids=str)
def test_constant_features_become_zero(config):
    constant = np.full((400, 1), 1e6 + 0.3)
    np.testing.assert_array_equal(config.stage(1).transform(constant), 0)


STREAMABLE = [
    SlidingCmvnConfig(6, 0, 1),
    SlidingCmvnConfig(6, 3, 6),
    SlidingCmvnConfig(9, 1, 4),
    OnlineCmvnConfig((1.0, 2.0, 3.0), (1.0, 1.0, 4.0), window=7, prior_frames=3),
    GlobalCmvnConfig((1.0, 2.0, 3.0), (1.0, 1.0, 4.0)),
    FeatureWarpingConfig(6, 3, 6),
    FeatureWarpingConfig(6, 0, 2),
]


@pytest.mark.parametrize("config", STREAMABLE, ids=str)
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), cuttings(n), st.integers(0, 8))))
def test_stream_gives_the_bits_of_the_batch(config, case):
    n_frames, cuts, resume_after = case
    frames, stage = frames_of(n_frames), config.stage(3)
    assert np.array_equal(fed(stage, frames, cuts, resume_after), stage.transform(frames))


@pytest.mark.parametrize("config", STREAMABLE, ids=str)
def test_each_frame_comes_after_at_most_the_declared_lookahead(config):
    stage = config.stage(3)
    n_out = 0
    for n_in, frame in enumerate(frames_of(30), start=1):
        n_out += len(stage.push(frame[None]))
        assert n_out >= n_in - stage.lookahead


@pytest.mark.parametrize(
    "options", [{"window": 0}, {"lookahead": 300}, {"min_frames": 301}, {"min_frames": 0}, {"lookahead": -1}], ids=str
)
def test_windows_that_make_no_sense_are_refused(options):
    with pytest.raises(ParameterError, match="must be from"):
        SlidingCmvnConfig(**options)
