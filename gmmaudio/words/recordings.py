"""From anything that is a recording to its samples, and where in them somebody speaks."""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.audio import AudioStream, Resampler, as_signal, stream_blocks
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.audio.signals import warn_narrow_band
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.features import MFCC, EnergyVad, MfccConfig
from gmmaudio.words.acceptor import GARBAGE, SILENCE

Recording = str | os.PathLike[str] | AnyArray | AudioStream
"""A file, an array of samples of shape (n_samples,), or an open stream of blocks."""

Progress = Callable[[str, int, int], None]
"""Called with a step, how much of it is done, and how much there is to do."""

NARROW_BAND, WIDE_BAND = 8000, 16000
"""Sample rates that models are trained at, in Hz."""

FEW_EXAMPLES = 5
"""Fewer examples of a word than this bring a warning."""

SHORTEST_EXAMPLE = 0.06
"""Seconds; a recording of a word that is shorter is an error."""

MARGIN = 0.05
"""Seconds kept before and after what the voice activity detector takes for speech, with weak sounds at its ends."""

SHORTEST_EDGE = 0.15
"""Seconds; what is shorter, before or after the speech, belongs to it: breath, a closure, a weak fricative."""


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Report nothing."""


def read_signal(
    recording: Recording, rate: int, *, sample_rate: int | None = None, channel: ChannelPolicy = None
) -> Float32Array:
    """Return the samples of a recording at a rate, shape (n_samples,).

    Parameters
    ----------
    recording : Recording
    rate : int
        Hz; what the model works at.
    sample_rate : int, optional
        Of arrays, in Hz; files and streams know their own.
    channel : int or "mix", optional
        See `gmmaudio.audio.stream_blocks`.

    Raises
    ------
    ParameterError
        If an array comes without its sample rate, or a stream has another rate.
    GmmAudioError
        If a file cannot be read.
    """
    if isinstance(recording, AudioStream):
        if recording.sample_rate != rate:
            raise ParameterError(
                f"the stream has {recording.sample_rate} Hz but the model works at {rate} Hz; "
                f"open it with sample_rate={rate}"
            )
        with recording:
            return np.concatenate([np.empty(0, np.float32), *recording])
    if isinstance(recording, str | os.PathLike):
        with stream_blocks(recording, sample_rate=rate, channel=channel) as stream:
            warn_narrow_band(str(recording), stream.source_rate, rate)
            return np.concatenate([np.empty(0, np.float32), *stream])
    if sample_rate is None:
        raise ParameterError("an array of samples was given without its sample rate; say sample_rate=16000, say")
    warn_narrow_band("the array of samples", sample_rate, rate)
    return Resampler(sample_rate, rate).transform(as_signal(recording))


def common_rate(recordings: Iterable[Recording], *, sample_rate: int | None) -> int:
    """Return the sample rate that a model of these recordings should have: wide band if all of them bear it."""
    rates = [rate for rate in (_rate(recording, sample_rate) for recording in recordings) if rate is not None]
    return NARROW_BAND if rates and min(rates) < WIDE_BAND else WIDE_BAND


def speech_span(signal: Float32Array, config: MfccConfig) -> tuple[int, int]:
    """Return the first sample of speech and the one after the last, with a margin; all of it if there is none."""
    levels = MFCC.from_config(config).push_with_level(signal)[1]
    spoken = np.flatnonzero(EnergyVad().transform(levels))
    if not spoken.size:
        return 0, len(signal)
    margin, edge = (round(seconds * config.sample_rate) for seconds in (MARGIN, SHORTEST_EDGE))
    start = int(spoken[0]) * config.frame_shift_samples
    end = int(spoken[-1]) * config.frame_shift_samples + config.frame_length_samples
    return (start - margin if start > edge else 0), (end + margin if len(signal) - end > edge else len(signal))


def _rate(recording: Recording, sample_rate: int | None) -> int | None:
    """Return the sample rate of a recording as far as it is known."""
    if isinstance(recording, AudioStream):
        return recording.sample_rate
    if isinstance(recording, str | os.PathLike):
        with stream_blocks(recording) as stream:
            return stream.source_rate
    return sample_rate


def checked_labels(recordings: Sequence[Recording], words: Sequence[str]) -> list[str]:
    """Return the words, one for each recording, none of them empty or reserved."""
    if isinstance(words, str) or len(words) != len(recordings):
        raise ParameterError(f"words is {words!r:.60} for {len(recordings)} recordings; give one word for each")
    if not words:
        raise ParameterError("no recordings were given; record each word some times")
    labels = [" ".join(word.split()) for word in words]
    if "" in labels or {SILENCE, GARBAGE} & set(labels):
        raise ParameterError(f"a word is empty, or is {SILENCE} or {GARBAGE}, which are reserved; name it otherwise")
    return labels


def check_length(signal: Float32Array, rate: int, recording: Recording, number: int, label: str) -> None:
    """Raise if a recording is too short for a word."""
    if len(signal) < SHORTEST_EXAMPLE * rate:
        name = recording if isinstance(recording, str) else f"recording {number}"
        raise GmmAudioError(
            f"{name} of the word {label!r} has {len(signal) / rate:.3f} s, but a word needs {SHORTEST_EXAMPLE} s at "
            "least; leave it out or record it again"
        )


def warn_of_few_examples(labels: Sequence[str]) -> None:
    """Warn, once, of words that were recorded a few times only."""
    few = sorted({label for label in labels if labels.count(label) < FEW_EXAMPLES})
    if few:
        counted = ", ".join(f"{label!r} ({labels.count(label)})" for label in few[:8])
        more = f" and {len(few) - 8} more" if len(few) > 8 else ""
        warnings.warn(
            f"there are fewer than {FEW_EXAMPLES} recordings of {counted}{more}; expect errors, and none of other "
            "people to be recognised well; record each word 10 times or more, by several people",
            GmmAudioWarning,
            stacklevel=3,
        )
