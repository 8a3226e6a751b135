"""Sound as rows of numbers."""

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from gmmaudio import load, save
from gmmaudio.anomaly import AnomalyDetector
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.sound import SoundConfig, SoundRows, read_sound
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import FeaturePipeline

RATE = 16000
FLOAT32 = 1e-4  # natural logarithms of about 10, turned there and back by a float32 cosine transform


@pytest.fixture
def noise(tmp_path):
    path = tmp_path / "noise.wav"
    soundfile.write(path, np.random.default_rng(0).normal(scale=0.05, size=2 * RATE), RATE, subtype="FLOAT")
    return path


def by_definition(signal, config):
    """Log mel powers of every frame, filter by filter, from the Fourier transform."""
    m = config.mfcc
    size, shift = m.frame_length_samples, m.frame_shift_samples
    mel = lambda f: 1127 * np.log(1 + f / 700)  # noqa: E731
    edges = np.linspace(mel(m.fmin), mel(RATE / 2), config.n_mels + 2)
    lines = mel(np.arange(m.fft_length // 2) * RATE / m.fft_length)
    rise = (lines - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - lines) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rise, fall))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = []
    for start in range(0, len(signal) - size + 1, shift):
        frame = 32768 * signal[start : start + size]
        power = np.abs(np.fft.rfft((frame - frame.mean()) * window, n=m.fft_length)) ** 2
        frames.append(np.log(filters @ power[:-1]))
    return np.array(frames)


def test_rows_are_means_of_log_mel_powers(noise):
    config = SoundConfig(n_mels=12)
    frames = by_definition(soundfile.read(noise)[0], config)
    starts = np.arange(len(frames)) * config.mfcc.frame_shift
    expected = [frames[(starts > k * 0.25 - 1e-9) & (starts < (k + 1) * 0.25 - 1e-9)].mean(axis=0) for k in range(7)]
    assert_allclose(read_sound(noise, config).values, expected, rtol=FLOAT32)


def test_cepstra_are_those_of_the_pipeline(noise):
    config = SoundConfig(features="mfcc", pooling="max", period=0.032)
    frames = FeaturePipeline(mfcc=config.mfcc, deltas=None).transform(soundfile.read(noise, dtype="float32")[0])
    np.testing.assert_array_equal(read_sound(noise, config).values, frames)


@pytest.mark.parametrize(
    ("config", "n_rows"), [(SoundConfig(), 11), (SoundConfig(features="mfcc", pooling="max", period=0.1), 29)]
)
def test_a_stream_gives_the_bits_of_the_batch_however_it_is_cut(config, n_rows):
    signal = np.random.default_rng(1).normal(scale=0.1, size=3 * RATE).astype(np.float32)
    whole = SoundRows(config).transform(signal)
    assert len(whole) == n_rows
    for size in (1000, 1024, 7777):
        stage, rows = SoundRows(config), []
        for start in range(0, len(signal), size):
            rows.append(stage.push(signal[start : start + size]))
            fresh = SoundRows(config)
            fresh.load_state(stage.state_dict())
            stage = fresh
        np.testing.assert_array_equal(np.concatenate([*rows, stage.flush()]), whole)


def test_another_rate_is_resampled(tmp_path):
    time = np.arange(2 * 44100) / 44100
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(2 * np.pi * 1000 * time), 44100)
    table = read_sound(tmp_path / "tone.wav", SoundConfig())
    loudest = float(table.channels[int(table.values[2].argmax())].removesuffix(" Hz"))
    assert abs(loudest - 1000) < 200


def test_digital_silence_is_finite(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(RATE), RATE)
    assert np.isfinite(read_sound(tmp_path / "silence.wav", SoundConfig()).values).all()


def test_a_recording_shorter_than_a_row_is_refused(tmp_path):
    soundfile.write(tmp_path / "short.wav", np.zeros(2000), RATE)
    with pytest.raises(GmmAudioError, match=r"shorter than the 0\.25 s"):
        read_sound(tmp_path / "short.wav", SoundConfig())


@pytest.mark.parametrize("field", [{"period": 0.01}, {"n_mels": 0}, {"pooling": "sum"}, {"sample_rate": 10}])
def test_values_that_no_front_end_can_have_are_refused(field):
    with pytest.raises(ParameterError):
        SoundConfig(**field)


def test_a_model_of_sound_goes_through_a_file(noise, tmp_path):
    config = SoundConfig(n_mels=4)
    rows = np.random.default_rng(0).normal(size=(300, 4)) + read_sound(noise, config).values.mean(axis=0)
    model = AnomalyModel(AnomalyDetector().fit(rows, channels=config.channels), sound=config)
    save(model, tmp_path / "m.gmm")
    loaded = load(tmp_path / "m.gmm")
    assert loaded.sound == config
    np.testing.assert_array_equal(loaded.score(loaded.read(noise)).scores, model.score(model.read(noise)).scores)
