"""What a signal is: conversion from other sample types, and the checks that every sample passes once."""

import warnings

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError

SAMPLE_RATE_RANGE = (1_000, 1_000_000)
"""Sample rates in Hz that are taken for audio; a damaged header must not ask for gigabytes of buffer."""

FULL_SCALE = 32767 / 32768
"""Magnitude from which a sample counts as full scale: the largest positive 16-bit sample."""

CLIPPED_FRACTION = 1e-3
"""Fraction of clipped samples above which a recording is doubtful (none of 3,000 FSDD recordings has any)."""

# (kind, bytes) of a sample -> (value of silence, full scale)
_SCALES = {
    ("f", 4): (0.0, 1.0),
    ("f", 8): (0.0, 1.0),
    ("i", 2): (0.0, 2.0**15),
    ("i", 4): (0.0, 2.0**31),
    ("u", 1): (128.0, 128.0),
}


def as_signal(samples: npt.ArrayLike) -> Float32Array:
    """Return samples of any common type as a signal: float32, mono, full scale at ±1.

    Parameters
    ----------
    samples : array-like of shape (n_samples,)
        float32 or float64 in ±1 (larger values are kept), or int16, int32 or uint8 (silence at 128) in their full
        range. The same signal in two of these types gives the same result to the rounding of the types.

    Returns
    -------
    signal : float32 array of shape (n_samples,)
        May share memory with `samples`.

    Raises
    ------
    ParameterError
        If `samples` has another rank or type.
    GmmAudioError
        If a sample is NaN or infinite.

    Examples
    --------
    >>> as_signal(np.array([0, 16384, -32768], dtype=np.int16))
    array([ 0. ,  0.5, -1. ], dtype=float32)
    """
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ParameterError(
            f"samples has shape {array.shape} but must be mono, of shape (n_samples,); "
            "pick a channel (samples[:, 0]) or mix them (samples.mean(axis=1))"
        )
    signal = scale_samples(array)
    check_finite(signal, name="samples")
    return signal


def scale_samples(samples: AnyArray) -> Float32Array:
    """Return samples of any shape as float32 with full scale at ±1."""
    if samples.size == 0:
        return np.empty(samples.shape, dtype=np.float32)
    try:
        silence, full_scale = _SCALES[samples.dtype.kind, samples.dtype.itemsize]
    except KeyError:
        raise ParameterError(
            f"samples has type {samples.dtype}, whose full scale is not known; "
            "give float32 or float64 in ±1, or int16, int32 or uint8"
        ) from None
    scaled = samples.astype(np.float32, copy=False)
    if full_scale == 1.0:
        return scaled
    return (scaled - np.float32(silence)) / np.float32(full_scale)


def check_finite(samples: Float32Array, *, name: str, first: int = 0) -> None:
    """Raise if a sample is NaN or infinite, naming the first one, counted from `first`."""
    finite = np.isfinite(samples)
    if not finite.all():
        position = np.argwhere(~finite)[0]
        raise GmmAudioError(
            f"{name} has the value {samples[tuple(position)]} at sample {first + position[0]} but every sample must be "
            "a finite number; repair the recording, e.g. with numpy.nan_to_num, or leave it out"
        )


def check_sample_rate(sample_rate: int, *, name: str = "sample_rate") -> int:
    """Return a sample rate in Hz as an int, or raise if it is not one of audio."""
    lowest, highest = SAMPLE_RATE_RANGE
    if not lowest <= sample_rate <= highest or int(sample_rate) != sample_rate:
        raise ParameterError(f"{name} is {sample_rate} but must be a whole number from {lowest} to {highest} Hz")
    return int(sample_rate)


class ClippingMeter:
    """Count clipped samples: those that are the third or later in a run of samples at full scale.

    One or two samples at full scale are the peak of a recording that was normalised to it; a flat top of three or
    more is what an overdriven converter leaves. The count does not depend on how the signal is cut into blocks.

    Attributes
    ----------
    n_samples, n_clipped : int
        Samples seen, and those of them that are clipped, over all channels.

    Examples
    --------
    >>> meter = ClippingMeter()
    >>> meter.push(np.float32([0.2, 1, 1, 1]))
    >>> meter.push(np.float32([1, 0.3]))
    >>> meter.n_clipped
    2
    """

    def __init__(self) -> None:
        self.n_samples = 0
        self.n_clipped = 0
        self._last_two: AnyArray | None = None

    def push(self, samples: Float32Array) -> None:
        """Count the next samples, of shape (n_samples,) or (n_samples, n_channels)."""
        at_full_scale = np.abs(samples) >= FULL_SCALE
        if self._last_two is None:
            self._last_two = np.zeros((2, *samples.shape[1:]), dtype=np.bool_)
        joined = np.concatenate([self._last_two, at_full_scale])
        self.n_clipped += int(np.count_nonzero(joined[2:] & joined[1:-1] & joined[:-2]))
        self.n_samples += samples.size
        self._last_two = joined[-2:]

    def is_clipped(self, *, least_samples: int = 0) -> bool:
        """Return whether more than one sample in a thousand is clipped, of at least `least_samples` samples.

        A stream that has not ended is judged as if it had `least_samples` samples already, so that one loud
        syllable at its beginning is not mistaken for a clipped recording.
        """
        return self.n_clipped > CLIPPED_FRACTION * max(self.n_samples, least_samples)


def warn_clipped(meter: ClippingMeter, name: str) -> None:
    """Warn that a recording was overdriven."""
    warnings.warn(
        f"{name} is clipped: {meter.n_clipped / meter.n_samples:.1%} of its samples so far are flat tops at full "
        "scale; results from it are less reliable; record it again with less gain",
        GmmAudioWarning,
        stacklevel=3,
    )


def warn_narrow_band(name: str, source_rate: int, rate: int) -> None:
    """Warn if a recording lacks the upper part of the spectrum that a model looks at; rates in Hz."""
    if source_rate < rate:
        warnings.warn(
            f"{name} has {source_rate} Hz but the model works at {rate} Hz: there is nothing in it above "
            f"{source_rate // 2} Hz, so expect errors; record at {rate} Hz, or train a model at {source_rate} Hz",
            GmmAudioWarning,
            stacklevel=3,
        )
