"""Bugs that other programs have had between samples and frames, one test each; none of them may ever be ours."""

import librosa
import numpy as np
import pytest
import soundfile
from speaker.voices import RATE, clips

from gmmaudio import audio
from gmmaudio.errors import GmmAudioError
from gmmaudio.features import MFCC, MfccConfig

SPEECH = soundfile.read(clips("test", "anna")[0], dtype="float32")[0] / 100
WITH_A_BANG = np.concatenate([SPEECH, np.random.default_rng(0).uniform(-1, 1, RATE).astype(np.float32)])


def test_librosas_mfcc_of_a_frame_depends_on_the_loudest_moment_of_the_clip():
    """The premise of the next test: without it, a passing test would say nothing."""
    before, after = (librosa.feature.mfcc(y=signal, sr=RATE)[:, :50] for signal in (SPEECH, WITH_A_BANG))
    assert np.abs(before - after).max() > 1.0


@pytest.mark.parametrize("preset", ["kaldi", "htk", "librosa"])
def test_mfcc_of_a_frame_does_not_depend_on_the_loudest_moment_of_the_clip(preset):
    """librosa #2094, #1734, #1039: `top_db` cuts 80 dB below the peak of the whole clip."""
    mfcc = MFCC.from_config(MfccConfig.from_preset(preset, sample_rate=RATE))
    before, after = (mfcc.transform(signal)[:50] for signal in (SPEECH, WITH_A_BANG))
    np.testing.assert_array_equal(before, after)


def test_kaldi_mfcc_is_the_same_in_every_run():
    """pytorch/audio #263, #328: the default dither made each run another one."""
    first, second = (MFCC(sample_rate=RATE).transform(SPEECH) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_kaldi_mfcc_does_not_depend_on_the_sample_type():
    """pytorch/audio #2665: samples in ±1 gave other features than 16-bit ones."""
    samples = soundfile.read(clips("test", "anna")[0], dtype="int16")[0]
    mfcc = MFCC(sample_rate=RATE)
    np.testing.assert_array_equal(mfcc.transform(samples), mfcc.transform(samples / 32768))


def test_stereo_is_not_read_as_one_interleaved_channel(tmp_path):
    """python_speech_features #79: two channels silently became one of twice the length."""
    soundfile.write(tmp_path / "stereo.wav", np.column_stack([SPEECH, SPEECH]), RATE)
    with pytest.raises(GmmAudioError, match="has 2 channels and one is needed"):
        audio.read(tmp_path / "stereo.wav")
