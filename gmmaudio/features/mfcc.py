"""Mel-frequency cepstral coefficients, the same bits in a stream as in a batch.

Conventions. Signals are ±1; frames are rows. The last bits of a matrix product or a Fourier transform depend on the
number of rows it is called with, so all arithmetic on frames is done in blocks of exactly `BLOCK_ROWS` rows, padded
with silence. The level of a frame is 10 log10 of its mean power without offset, in dB relative to full scale.
"""

import dataclasses
from typing import Any, Self

import numpy as np
import scipy.fft

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.audio import as_signal
from gmmaudio.errors import GmmAudioError
from gmmaudio.features.framing import Framer
from gmmaudio.features.mel import cosine_transform, mel_bank, window
from gmmaudio.features.mfcc_config import MfccConfig
from gmmaudio.stage import Stage

BLOCK_ROWS = 16
LOWEST_POWER = np.float32(1e-12)
"""Power of a silent frame (−120 dB re full scale), far below one step of 16-bit audio."""
LOWEST_ENERGY = np.finfo(np.float32).eps
"""Kaldi's floor of the log energy, in the unit of the scaled signal."""
LARGEST_SAMPLE = 1e6
"""In units of full scale; beyond, powers would overflow float32. Float files with 16-bit values stay far below."""
DITHER_BLOCK = 1024


class MFCC(Stage):
    """Turn a stream of samples into mel-frequency cepstral coefficients.

    Parameters
    ----------
    preset : {"kaldi", "htk", "librosa"}
        A named set of conventions; see `gmmaudio.features.mfcc_config`.
    sample_rate : int
        Hz.
    **overrides
        Fields of `MfccConfig` that differ from the preset.

    Raises
    ------
    ParameterError
        If the preset or an override is unknown, or the configuration cannot be used.

    Examples
    --------
    >>> import numpy as np
    >>> signal = np.random.default_rng(0).standard_normal(16000) / 10
    >>> mfcc = MFCC(sample_rate=16000)
    >>> frames = mfcc.transform(signal)
    >>> frames.shape
    (98, 13)
    >>> blocks = [mfcc.push(signal[:999]), mfcc.push(signal[999:]), mfcc.flush()]
    >>> np.array_equal(np.concatenate(blocks), frames)
    True
    """

    _state: "_MfccState"

    def __init__(self, preset: str = "kaldi", *, sample_rate: int = 16000, **overrides: Any) -> None:
        self._configure(MfccConfig.from_preset(preset, sample_rate=sample_rate, **overrides))

    @classmethod
    def from_config(cls, config: MfccConfig) -> Self:
        """Return the stage with the given configuration."""
        stage = cls.__new__(cls)
        stage._configure(config)
        return stage

    def _configure(self, config: MfccConfig) -> None:
        """Make the tables of a configuration and start the stream."""
        self.config = config
        self.n_features = config.n_features
        self._framer = Framer(config.frame_length_samples, config.frame_shift_samples, config.padding)
        self._block_mfcc = _BlockMfcc(config)
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples after sample t·shift that frame t still needs."""
        return self._framer.lookahead

    def _parts(self) -> dict[str, Stage]:
        return {"framer": self._framer}

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _MfccState(n_samples=0)
        self._framer.reset()

    def push(self, rows: AnyArray) -> Float32Array:
        """Take samples and return the coefficients of the frames that are complete."""
        return self.push_with_level(rows)[0]

    def flush(self) -> Float32Array:
        """End the stream and return the frames that reach beyond its end."""
        return self.flush_with_level()[0]

    def push_with_level(self, samples: AnyArray) -> tuple[Float32Array, Float32Array]:
        """Return coefficients (n_frames, n_features) and levels (n_frames,) in dB of the frames that are complete.

        Raises
        ------
        GmmAudioError
            If a sample is NaN, infinite or beyond `LARGEST_SAMPLE`.
        """
        signal = as_signal(samples)
        if np.abs(signal).max(initial=0.0) > LARGEST_SAMPLE:
            raise GmmAudioError(
                f"a sample is {np.abs(signal).max():g} but full scale is 1; the recording is damaged or was misread"
            )
        if self.config.dither > 0:
            start = self._state.n_samples
            noise = dither_noise(self.config.dither_seed, start, start + len(signal))
            signal = signal + noise * np.float32(self.config.dither / 32768)
        self._state.n_samples += len(signal)
        return self._analyse(self._framer.push(signal))

    def flush_with_level(self) -> tuple[Float32Array, Float32Array]:
        """End the stream as `flush` does, with the levels of the last frames."""
        frames = self._framer.flush()
        self.reset()
        return self._analyse(frames)

    def _analyse(self, frames: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return coefficients and levels of frames, block by block."""
        coefficients = np.empty((len(frames), self.n_features), np.float32)
        levels = np.empty(len(frames), np.float32)
        for start in range(0, len(frames), BLOCK_ROWS):
            rows = frames[start : start + BLOCK_ROWS]
            block_coefficients, block_levels = self._block_mfcc(rows)
            coefficients[start : start + len(rows)] = block_coefficients[: len(rows)]
            levels[start : start + len(rows)] = block_levels[: len(rows)]
        return coefficients, levels


@dataclasses.dataclass
class _MfccState:
    """Absolute index of the next sample, which positions the dither."""

    n_samples: int


class _BlockMfcc:
    """The arithmetic on one block of frames, with its tables."""

    def __init__(self, config: MfccConfig) -> None:
        self._config = config
        self._window = window(config.window, config.frame_length_samples).astype(np.float32)
        self._preemphasis = np.float32(config.preemphasis)
        bank = mel_bank(
            config.mel_bank,
            sample_rate=config.sample_rate,
            n_fft=config.fft_length,
            n_mels=config.n_mels,
            fmin=config.fmin,
            fmax=config.upper_edge,
        )
        self._mel_bank = np.ascontiguousarray(bank.T, dtype=np.float32)
        cosines = cosine_transform(config.n_mels, config.n_mfcc, norm=config.cosine_norm, lifter=config.lifter)
        # 10 log10 e = (10 / ln 10) ln e, folded into the table.
        log_unit = 10 / np.log(10) if config.log == "decibel" else 1.0
        self._cosines = np.ascontiguousarray(log_unit * cosines.T, dtype=np.float32)

    def __call__(self, rows: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return the coefficients and levels of BLOCK_ROWS frames, of which the first are the given rows."""
        config = self._config
        frames = np.zeros((BLOCK_ROWS, config.frame_length_samples), np.float32)
        np.multiply(rows, np.float32(config.signal_scale), out=frames[: len(rows)])
        centred = frames - frames.mean(axis=1, keepdims=True)
        if config.remove_dc:
            frames = centred
        spectrum = scipy.fft.rfft(self._windowed(frames), n=config.fft_length, axis=1)
        # Frames are the columns of both products: as rows, their last bits would depend on their place in the block
        # with the matrix kernels of some processors.
        energies = self._mel_bank @ np.ascontiguousarray(self._spectrum(spectrum).T)
        coefficients = self._cosines @ np.log(np.maximum(energies, np.float32(config.log_floor)))
        return self._with_zeroth(np.ascontiguousarray(coefficients.T), frames), self._levels(centred)

    def _with_zeroth(self, coefficients: Float32Array, frames: Float32Array) -> Float32Array:
        """Return the coefficients with what the configuration wants as the zeroth, where it wants it."""
        if self._config.zeroth == "none":
            return coefficients[:, 1:]
        if self._config.zeroth == "log_energy":
            coefficients[:, 0] = np.log(np.maximum(np.square(frames).sum(axis=1), LOWEST_ENERGY))
        return np.roll(coefficients, -1, axis=1) if self._config.zeroth_position == "last" else coefficients

    def _levels(self, centred: Float32Array) -> Float32Array:
        """Return the levels of frames without offset."""
        power = np.square(centred).mean(axis=1) * np.float32(self._config.signal_scale**-2)
        return np.asarray(10 * np.log10(np.maximum(power, LOWEST_POWER)), dtype=np.float32)

    def _windowed(self, frames: Float32Array) -> Float32Array:
        """Return the frames after pre-emphasis (HTK Book, eq. 5.2, x[−1] = x[0]) and window.

        The order of roundings is Kaldi's; in frames with a range of 90 dB over frequency one can see the difference.
        """
        previous = np.empty_like(frames)
        previous[:, 1:], previous[:, 0] = frames[:, :-1], frames[:, 0]
        previous *= self._preemphasis
        np.subtract(frames, previous, out=previous)
        previous *= self._window
        return previous

    def _spectrum(self, spectrum: AnyArray) -> Float32Array:
        """Return the power or the magnitude of each spectral line."""
        power: Float32Array = np.square(spectrum.real) + np.square(spectrum.imag)
        return power if self._config.spectrum == "power" else np.sqrt(power)


def dither_noise(seed: int, start: int, stop: int) -> Float32Array:
    """Return standard normal noise for the samples from `start` to `stop` of a stream.

    The noise of a sample is a function of the seed and the absolute index only: each block of 1024 samples has its own
    position in the counter of a Philox generator (Salmon et al. 2011).

    Examples
    --------
    >>> bool((dither_noise(0, 1000, 1100)[50:] == dither_noise(0, 1050, 1100)).all())
    True
    """
    first = start // DITHER_BLOCK
    noise = [np.zeros(0, np.float32)]
    for block in range(first, -(-stop // DITHER_BLOCK)):
        generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, block, 0, 0]))
        noise.append(generator.standard_normal(DITHER_BLOCK, dtype=np.float32))
    return np.concatenate(noise)[start - first * DITHER_BLOCK : stop - first * DITHER_BLOCK]
