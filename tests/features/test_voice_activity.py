import numpy as np
import pytest
import scipy.io.wavfile
from features.signals import speechlike
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.features import MFCC, EnergyVad, EnergyVadConfig

LEAST_KEPT = 0.8
"""FSDD clips are cut at the word; their speech must not be thrown away."""
MOST_NOISE_KEPT = 0.05


def levels_of(signal, sample_rate=16000):
    return MFCC(sample_rate=sample_rate).push_with_level(signal)[1]


def speech_levels(n_frames=1000, seed=0):
    """Return levels that alternate between noise at −60 dB and speech around −30 dB, 50 frames each."""
    rng = np.random.default_rng(seed)
    is_speech = np.arange(n_frames) // 50 % 2 == 1
    return np.where(is_speech, rng.normal(-30, 6, n_frames), rng.normal(-60, 1, n_frames)), is_speech


def test_speech_is_found_between_pauses():
    levels, is_speech = speech_levels()
    decisions = EnergyVad(EnergyVadConfig(hangover=0)).transform(levels)
    assert np.mean(decisions == is_speech) > 0.98


@pytest.mark.parametrize("gain_db", [-30.0, 15.0])
def test_decisions_do_not_depend_on_the_level(gain_db):
    levels, _ = speech_levels()
    np.testing.assert_array_equal(EnergyVad().transform(levels + gain_db), EnergyVad().transform(levels))


@pytest.mark.parametrize("rms", [1e-4, 1e-2, 0.3])
def test_steady_noise_is_rejected(rms):
    noise = rms * np.random.default_rng(0).standard_normal(160_000)
    assert EnergyVad().transform(levels_of(noise)).mean() < MOST_NOISE_KEPT


def test_a_quarter_second_of_noise_before_speech_is_rejected():
    rng = np.random.default_rng(0)
    levels = np.concatenate([rng.normal(-60, 1, 25), rng.normal(-30, 6, 100)])
    assert EnergyVad().transform(levels)[:25].mean() < MOST_NOISE_KEPT


def test_hum_is_rejected():
    hum = 0.2 * np.sin(2 * np.pi * 50 * np.arange(80_000) / 16000)
    assert not EnergyVad().transform(levels_of(hum)).any()


@pytest.mark.parametrize("level", [-120.0, -96.0])
def test_frames_below_the_floor_are_never_speech(level):
    levels, _ = speech_levels(200)
    levels[100:130] = level
    assert not EnergyVad().transform(levels)[100:130].any()


def test_a_background_that_becomes_louder_is_rejected_after_three_seconds():
    levels = np.random.default_rng(0).normal(-60, 1, 1200)
    levels[400:] += 20
    assert EnergyVad().transform(levels)[750:].mean() < MOST_NOISE_KEPT


def test_hangover_keeps_that_many_frames():
    levels = np.repeat([-60.0, -20.0, -60.0], 60)
    lengths = [EnergyVad(EnergyVadConfig(hangover=n)).transform(levels).sum() for n in (0, 4)]
    assert lengths == [60, 64]


def test_a_click_has_no_hangover():
    levels = np.full(200, -60.0)
    levels[100] = -10.0
    assert np.flatnonzero(EnergyVad().transform(levels)).tolist() == [100]


def test_a_frame_far_below_the_speech_is_rejected_in_a_silent_room():
    levels = np.tile(np.repeat([-90.0, -60.0, -20.0], [30, 10, 60]), 8)
    decisions = EnergyVad(EnergyVadConfig(hangover=0)).transform(levels)
    assert not decisions[400:][levels[400:] == -60].any()


def test_most_of_trimmed_words_is_kept(shared_data):
    kept = []
    for path in sorted((shared_data / "fsdd" / "recordings").glob("*_7.wav")):
        _, samples = scipy.io.wavfile.read(path)
        kept.append(EnergyVad().transform(levels_of(samples, 8000)))
    assert np.concatenate(kept).mean() > LEAST_KEPT


def test_pauses_of_read_speech_are_dropped(shared_data):
    kept = []
    for path in sorted((shared_data / "librispeech_spk" / "ubm").glob("1*.wav"))[:8]:
        _, samples = scipy.io.wavfile.read(path)
        kept.append(EnergyVad().transform(levels_of(samples)).mean())
    assert 0.6 < np.mean(kept) < 0.95


LEVELS = levels_of(speechlike(3.0, 16000))


@pytest.mark.parametrize("config", [EnergyVadConfig(), EnergyVadConfig(lookahead=0, hangover=0, memory=20)], ids=str)
@settings(max_examples=40, deadline=None)
@given(cuts=cuttings(len(LEVELS)), resume_after=st.integers(0, 12))
def test_stream_gives_the_decisions_of_the_batch(config, cuts, resume_after):
    vad = EnergyVad(config)
    assert np.array_equal(fed(vad, LEVELS, cuts, resume_after), vad.transform(LEVELS))


def test_a_decision_is_final_after_the_declared_lookahead():
    vad = EnergyVad()
    assert len(vad.push(LEVELS)) == len(LEVELS) - vad.lookahead


def test_no_levels_give_no_decisions():
    assert EnergyVad().transform(np.zeros(0)).shape == (0,)


def test_a_matrix_of_levels_is_refused():
    with pytest.raises(ParameterError, match=r"\(5, 2\).*\(n_frames,\)"):
        EnergyVad().push(np.zeros((5, 2)))


def test_a_long_vowel_at_the_start_does_not_make_all_that_follows_noise():
    vowel, pause = np.full(50, -17.0), np.full(15, -50.0)
    syllables = -25.0 + 8.0 * np.sin(np.arange(60) / 3.0)
    is_speech = EnergyVad().transform(np.concatenate([vowel, pause, syllables]))
    assert is_speech[-60:].mean() > 0.9
