"""Transform and inverse: exact, and the same in any cutting."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from gmmaudio.errors import ParameterError
from gmmaudio.separation import Analysis, StftConfig, Synthesis
from gmmaudio.separation.stft import OVERLAP

CONFIG = StftConfig(8000, 0.016)
ROUNDING = 1e-6  # float32 transforms of signals of about 1
N_BEFORE = CONFIG.frame_samples - CONFIG.shift_samples


def signal(n_samples: int, n_channels: int = 1) -> np.ndarray:
    return np.random.default_rng(n_samples).uniform(-1, 1, (n_samples, n_channels)).astype(np.float32)


@pytest.mark.parametrize("n_samples", [1, 31, 32, 127, 128, 129, 1000, 4096])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_inverse_gives_the_signal_back(n_samples, n_channels):
    samples = signal(n_samples, n_channels)
    spectra = Analysis(CONFIG, n_channels).transform(samples)
    restored = Synthesis(CONFIG, n_channels).transform(spectra)[N_BEFORE : N_BEFORE + n_samples]
    assert_allclose(restored, samples, rtol=0, atol=ROUNDING)


def test_a_spectrum_is_the_transform_of_the_windowed_samples():
    samples = signal(1000)
    padded = np.concatenate([np.zeros(N_BEFORE), samples[:, 0]])
    start = 7 * CONFIG.shift_samples
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(CONFIG.frame_samples) / CONFIG.frame_samples))
    expected = np.fft.rfft(window * padded[start : start + CONFIG.frame_samples])
    assert_allclose(Analysis(CONFIG).transform(samples)[7, 0], expected, rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=8))
def test_any_cutting_gives_the_same_bits(cuts):
    samples = signal(2500, 2)
    edges = [*np.minimum(np.cumsum([0, *cuts]), len(samples)).tolist(), len(samples)]
    analysis, synthesis = Analysis(CONFIG, 2), Synthesis(CONFIG, 2)
    pieces = [analysis.push(samples[a:b]) for a, b in itertools.pairwise(edges)] + [analysis.flush()]
    whole = Analysis(CONFIG, 2).transform(samples)
    assert_array_equal(np.concatenate(pieces), whole)
    assert_array_equal(
        np.concatenate([synthesis.push(piece) for piece in pieces]), Synthesis(CONFIG, 2).transform(whole)
    )


def test_windows_overlap_to_a_constant():
    squared = CONFIG.window.astype(np.float64) ** 2
    assert_allclose(squared.reshape(OVERLAP, -1).sum(axis=0), OVERLAP / 2, rtol=1e-6)


@pytest.mark.parametrize("sample_rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_windows_are_close_to_what_was_asked_for(sample_rate):
    config = StftConfig(sample_rate, 0.064)
    assert abs(config.frame_samples / sample_rate - 0.064) < 0.004


def test_a_window_that_cannot_be_is_one_clear_error():
    with pytest.raises(ParameterError, match="frame_length is 5"):
        StftConfig(8000, 5)
