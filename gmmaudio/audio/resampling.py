"""Sample-rate conversion by soxr as a stage of a stream that can be saved and continued."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from gmmaudio._typing import Float32Array
from gmmaudio.audio.signals import as_signal, check_sample_rate
from gmmaudio.stage import Stage

EPOCH_SECONDS = 4
"""Length of the stretches that are converted independently: what a saved stream has to replay at most."""

CONTEXT_SAMPLES = 256
"""Input on both sides of an epoch, in samples of the lower rate. soxr's "HQ" filter reaches no further than 128
(measured: from there on the seam is at float32 rounding, 1e-6 of full scale)."""

DELAY_SAMPLES = 1300
"""Upper bound of soxr's delay in samples of the lower rate (measured: 585 to 1264, from the blocks of its FFTs)."""


@dataclass
class _ResamplerState:
    """The current epoch, its input so far (the first `n_window` samples of `window`), and what has been returned."""

    epoch: int
    window: Float32Array
    n_window: int
    n_returned: int


class Resampler(Stage):
    """Convert a signal from one sample rate to another with soxr ("HQ"), in a stream or at once.

    soxr cannot save the state of a stream. Therefore the output is made in epochs of four seconds: epoch e holds
    the outputs of the input samples [e, e + 1) · 4 s, computed by a soxr stream of its own that starts a little
    earlier and ends a little later. An epoch boundary is a whole number of input and of output samples, so the
    phase of the filter is the same on both sides. To continue a saved stream is to replay the current epoch, at
    most four seconds of input. The result differs from soxr's own over the whole signal by float32 rounding.

    Parameters
    ----------
    source_rate, target_rate : int
        Sample rates in Hz. If they are equal, samples pass unchanged.

    Notes
    -----
    n samples become ⌊n · target_rate / source_rate + 1/2⌋ samples, as in `soxr.resample`. The delay of a stream is
    soxr's: 37 ms from 48 to 16 kHz, 116 ms from 8 to 16 kHz.

    Examples
    --------
    >>> resampler = Resampler(48_000, 16_000)
    >>> signal = np.sin(np.arange(48_000) / 20).astype(np.float32)
    >>> pieces = [resampler.push(signal[:100]), resampler.push(signal[100:]), resampler.flush()]
    >>> np.array_equal(np.concatenate(pieces), resampler.transform(signal))
    True
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self.source_rate = check_sample_rate(source_rate, name="source_rate")
        self.target_rate = check_sample_rate(target_rate, name="target_rate")
        lower_rate = min(self.source_rate, self.target_rate)
        divisor = math.gcd(self.source_rate, self.target_rate)
        # The context before an epoch must be whole in both rates, i.e. a multiple of 1 / divisor seconds.
        n_periods = math.ceil(divisor * CONTEXT_SAMPLES / lower_rate)
        self._context_before = n_periods * (self.source_rate // divisor)
        self._context_after = math.ceil(CONTEXT_SAMPLES * self.source_rate / lower_rate)
        self.reset()

    @property
    def lookahead(self) -> int:
        """Input samples after a sample until the output at its time is returned (an upper bound)."""
        if self.source_rate == self.target_rate:
            return 0
        return math.ceil(DELAY_SAMPLES * self.source_rate / min(self.source_rate, self.target_rate))

    def push(self, rows: npt.ArrayLike) -> Float32Array:
        """Take the next samples of the signal and return the converted samples that are ready.

        Parameters
        ----------
        rows : array-like of shape (n_samples,)
            Any sample type of `as_signal`.

        Returns
        -------
        converted : float32 array of shape (n_converted,)

        Raises
        ------
        GmmAudioError
            If the samples are not finite, or not a signal.
        """
        samples = as_signal(rows)
        if self.source_rate == self.target_rate:
            return samples
        outputs = [np.empty(0, dtype=np.float32)]
        while samples.size:
            room = self._window_end() - self._state.n_window
            outputs.append(self._convert(samples[:room], last=samples.size >= room))
            if samples.size >= room:
                self._start_next_epoch()
            samples = samples[room:]
        return np.concatenate(outputs)

    def flush(self) -> Float32Array:
        """End the signal: return the samples still owed and start afresh."""
        nothing = np.empty(0, dtype=np.float32)
        if self.source_rate == self.target_rate:
            return nothing
        outputs = [self._convert(nothing, last=True)]
        if self._state.n_window > self._window_end() - self._context_after:  # the signal reaches into the next epoch
            self._start_next_epoch()
            outputs.append(self._convert(nothing, last=True))
        self.reset()
        return np.concatenate(outputs)

    def reset(self) -> None:
        """Forget the signal; the next `push` starts a new one."""
        longest = self._context_before + EPOCH_SECONDS * self.source_rate + self._context_after
        self._state = _ResamplerState(epoch=0, window=np.zeros(longest, np.float32), n_window=0, n_returned=0)
        self._converter: soxr.ResampleStream | None = None

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a copy made by `state_dict` of a resampler of the same rates."""
        super().load_state(state)
        self._converter = None

    def __getstate__(self) -> dict[str, Any]:
        # soxr's stream can be neither copied nor pickled; it is replayed from the window.
        return self.__dict__ | {"_converter": None}

    def _lead(self) -> int:
        """Return the number of input samples of the window that lie before its epoch."""
        return self._context_before if self._state.epoch else 0

    def _window_end(self) -> int:
        """Return the number of input samples in the complete window of the current epoch."""
        return self._lead() + EPOCH_SECONDS * self.source_rate + self._context_after

    def _convert(self, samples: Float32Array, *, last: bool) -> Float32Array:
        """Add samples to the window and return the new outputs that belong to its epoch."""
        state = self._state
        state.window[state.n_window : state.n_window + samples.size] = samples
        state.n_window += samples.size
        epoch_start = state.epoch * EPOCH_SECONDS * self.target_rate
        if self._converter is None:  # a new epoch, or a saved stream: replay the window
            self._converter = soxr.ResampleStream(self.source_rate, self.target_rate, 1, dtype="float32", quality="HQ")
            self._position = epoch_start - self._lead() * self.target_rate // self.source_rate
            samples = state.window[: state.n_window]
        converted = self._converter.resample_chunk(samples, last=last)
        first_new = max(state.n_returned - self._position, 0)
        epoch_end = max(epoch_start + EPOCH_SECONDS * self.target_rate - self._position, 0)
        self._position += converted.size
        new: Float32Array = converted[first_new:epoch_end]
        state.n_returned += new.size
        return new

    def _start_next_epoch(self) -> None:
        """Keep the end of the window as the start of the next one."""
        state = self._state
        start = self._lead() + EPOCH_SECONDS * self.source_rate - self._context_before
        kept = state.window[start : state.n_window].copy()
        state.epoch += 1
        state.window[: kept.size] = kept
        state.n_window = kept.size
        self._converter = None
