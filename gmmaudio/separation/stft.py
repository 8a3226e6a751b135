"""Short-time Fourier transform and its inverse as stages of a stream; together they change nothing.

Conventions. Both windows are the square root of a periodic Hann window, and windows follow each other by a quarter of
their length, so that the products of the two windows add up to 2 everywhere (Griffin & Lim 1984 with a window that
needs no normalisation). The signal begins after three quarters of a window of zeros: every sample is in four windows.
Spectra are rows, of shape (n_frames, n_channels, n_bins). Rows are transformed 16 at a time, the last ones
padded, because the last bits of a row depend on the number of rows that are transformed together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.fft

from gmmaudio._typing import AnyArray, Complex64Array, Float32Array
from gmmaudio.audio.signals import check_sample_rate
from gmmaudio.errors import ParameterError
from gmmaudio.stage import Stage

OVERLAP = 4
"""Windows that each sample is in."""

BLOCK_ROWS = 16
"""Rows of one call of the FFT."""

FRAME_LENGTH_RANGE = (0.004, 1.0)
"""Seconds; shorter windows resolve no voice, longer ones no syllable."""


@dataclass(frozen=True)
class StftConfig:
    """Sample rate and window.

    Parameters
    ----------
    sample_rate : int
        In Hz.
    frame_length : float, default 0.064
        Length of a window in seconds; the nearest length with a fast transform is taken.

    Raises
    ------
    ParameterError
        If one of them cannot be.

    Examples
    --------
    >>> config = StftConfig(8000)
    >>> config.frame_samples, config.shift_samples, config.n_bins
    (512, 128, 257)
    """

    sample_rate: int
    frame_length: float = 0.064

    def __post_init__(self) -> None:
        check_sample_rate(self.sample_rate)
        lowest, highest = FRAME_LENGTH_RANGE
        if not lowest <= self.frame_length <= highest:
            raise ParameterError(
                f"frame_length is {self.frame_length} s but must be from {lowest} to {highest} s; 0.064 is usual"
            )

    @property
    def shift_samples(self) -> int:
        """Samples from one window to the next."""
        wanted = max(1, round(self.frame_length * self.sample_rate / OVERLAP))
        return int(scipy.fft.next_fast_len(wanted, real=True))

    @property
    def frame_samples(self) -> int:
        """Samples of a window."""
        return OVERLAP * self.shift_samples

    @property
    def n_bins(self) -> int:
        """Frequencies of a spectrum, from 0 to half the sample rate."""
        return self.frame_samples // 2 + 1

    @property
    def window(self) -> Float32Array:
        """The window, of shape (frame_samples,): sin(π t / frame_samples)."""
        return np.sin(np.pi * np.arange(self.frame_samples) / self.frame_samples).astype(np.float32)


@dataclass
class _SampleState:
    """Samples that are not yet in all of their windows, of shape (n_samples, n_channels)."""

    pending: Float32Array


class Analysis(Stage):
    """Samples of shape (n_samples, n_channels) in, spectra of shape (n_frames, n_channels, n_bins) out.

    `flush` adds zeros until every sample is in four windows.
    """

    _state: _SampleState

    def __init__(self, config: StftConfig, n_channels: int = 1) -> None:
        self.config = config
        self.n_channels = n_channels
        self._window = config.window[:, np.newaxis]
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples: a window has to be complete."""
        return self.config.frame_samples - 1

    def reset(self) -> None:
        """Forget the stream."""
        n_before = self.config.frame_samples - self.config.shift_samples
        self._state = _SampleState(np.zeros((n_before, self.n_channels), np.float32))

    def push(self, rows: AnyArray) -> Complex64Array:
        """Take samples and return the spectra of the windows that are complete."""
        size, shift = self.config.frame_samples, self.config.shift_samples
        samples = np.concatenate([self._state.pending, rows])
        n_frames = max(0, (len(samples) - size) // shift + 1)
        self._state.pending = samples[n_frames * shift :].copy()
        if n_frames == 0:
            return np.zeros((0, self.n_channels, self.config.n_bins), np.complex64)
        windows = np.lib.stride_tricks.sliding_window_view(samples, size, axis=0)[::shift][:n_frames]
        return _in_blocks(lambda block: scipy.fft.rfft(block * self._window[:, 0], axis=-1), windows)

    def flush(self) -> Complex64Array:
        """Return the spectra of the last windows and start afresh."""
        size, shift = self.config.frame_samples, self.config.shift_samples
        # What is pending has begun size − shift samples before the first sample that is in no window yet.
        n_new = len(self._state.pending) - (size - shift)
        n_windows = -(-(n_new + size - shift) // shift)
        missing = n_windows * shift - n_new
        spectra = self.push(np.zeros((missing, self.n_channels), np.float32))
        self.reset()
        return spectra


@dataclass
class _WindowState:
    """The last three windows, of shape (3, n_channels, frame_samples)."""

    history: Float32Array


class Synthesis(Stage):
    """Spectra of shape (n_frames, n_channels, n_bins) in, samples of shape (n_samples, n_channels) out.

    Each spectrum gives as many samples as windows are apart; the first three quarters of a window are what
    `Analysis` has put before the signal. `flush` returns nothing: there is nothing to wait for.
    """

    _state: _WindowState

    def __init__(self, config: StftConfig, n_channels: int = 1) -> None:
        self.config = config
        self.n_channels = n_channels
        self._window = config.window / np.float32(OVERLAP / 2)
        self.reset()

    @property
    def lookahead(self) -> int:
        """Spectra."""
        return 0

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _WindowState(np.zeros((OVERLAP - 1, self.n_channels, self.config.frame_samples), np.float32))

    def push(self, rows: AnyArray) -> Float32Array:
        """Take spectra and return the samples that no later window touches."""
        size, shift = self.config.frame_samples, self.config.shift_samples
        if len(rows) == 0:
            return np.zeros((0, self.n_channels), np.float32)
        new = _in_blocks(lambda block: scipy.fft.irfft(block, n=size, axis=-1) * self._window, rows)
        windows = np.concatenate([self._state.history, new])
        self._state.history = windows[-(OVERLAP - 1) :].copy()
        # The window that began i shifts ago gives its part number i; summed in one order whatever the cutting.
        parts = [windows[OVERLAP - 1 - i : len(windows) - i, :, i * shift : (i + 1) * shift] for i in range(OVERLAP)]
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total += part
        return np.asarray(total.transpose(0, 2, 1).reshape(-1, self.n_channels))

    def flush(self) -> Float32Array:
        """Start afresh."""
        self.reset()
        return np.zeros((0, self.n_channels), np.float32)


def _in_blocks(transform: Callable[[AnyArray], AnyArray], rows: AnyArray) -> AnyArray:
    """Apply a transform to blocks of a fixed number of rows, the last one padded with zeros."""
    n_rows = len(rows)
    parts = []
    for start in range(0, n_rows, BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        if len(block) < BLOCK_ROWS:
            block = np.concatenate([block, np.zeros((BLOCK_ROWS - len(block), *block.shape[1:]), block.dtype)])
        parts.append(transform(np.ascontiguousarray(block)))
    return np.concatenate(parts)[:n_rows]


def power_of(spectra: Complex64Array) -> Float32Array:
    """Return the power spectra, the mean over the channels, of shape (n_frames, n_bins)."""
    power = np.square(spectra.real) + np.square(spectra.imag)
    mean: Float32Array = power.mean(axis=1) if power.shape[1] > 1 else power[:, 0]
    return mean
