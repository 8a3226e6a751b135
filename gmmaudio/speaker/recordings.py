"""From anything that is a recording to the frames of its speech."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypedDict, Unpack

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.audio import AudioStream, ClippingMeter, Resampler, as_signal, stream_blocks
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.audio.signals import warn_clipped, warn_narrow_band
from gmmaudio.errors import ParameterError
from gmmaudio.features import EnergyVadConfig, FeaturePipeline, Features, MfccConfig, check_same_pipeline

Recording = str | os.PathLike[str] | AnyArray | AudioStream | Features
"""A file, an array of samples of shape (n_samples,), an open stream of blocks, or frames that were made before."""

Recordings = Recording | Iterable[Recording]
"""One or several."""


class Opening(TypedDict, total=False):
    """How to open a recording that does not say so itself: arguments of whatever takes recordings.

    Attributes
    ----------
    sample_rate : int, optional
        Sample rate of arrays, in Hz; files and streams know their own.
    channel : int or "mix", optional
        See `gmmaudio.audio.stream_blocks`.
    """

    sample_rate: int | None
    channel: ChannelPolicy


Progress = Callable[[str, int, int], None]
"""Called with a step, how much of it is done, and how much there is to do."""

WIDE_BAND, NARROW_BAND = 16000, 8000
"""Sample rates that models are trained at, in Hz."""


class RecordingReader:
    """Turn recordings into frames of shape (n_frames, n_features).

    Parameters
    ----------
    pipeline : FeaturePipeline
        The front end; its own stream is not touched.
    sample_rate, channel : optional
        See `Opening`.
    """

    def __init__(
        self, pipeline: FeaturePipeline, *, sample_rate: int | None = None, channel: ChannelPolicy = None
    ) -> None:
        self.pipeline = pipeline
        self._sample_rate = sample_rate
        self._channel = channel

    def frames(self, recording: Recording) -> Float32Array:
        """Return the frames of a recording, reading it block by block.

        Raises
        ------
        ParameterError
            If an array comes without its sample rate, a stream has another rate than the pipeline, or features come
            from another pipeline.
        GmmAudioError
            If a file cannot be read.
        """
        if isinstance(recording, Features):
            check_same_pipeline(self.pipeline.config, recording.pipeline)
            return recording.frames
        stream = self._open(recording)
        with stream:
            return self._extract(stream)

    def _open(self, recording: str | os.PathLike[str] | AnyArray | AudioStream) -> AudioStream:
        """Return the recording as blocks at the sample rate of the pipeline."""
        rate = self.pipeline.config.sample_rate
        if isinstance(recording, AudioStream):
            if recording.sample_rate != rate:
                raise ParameterError(
                    f"the stream has {recording.sample_rate} Hz but the model works at {rate} Hz; "
                    f"open it with sample_rate={rate}"
                )
            warn_narrow_band("the stream", recording.source_rate, rate)
            return recording
        if isinstance(recording, str | os.PathLike):
            stream = stream_blocks(recording, sample_rate=rate, channel=self._channel)
            warn_narrow_band(str(recording), stream.source_rate, rate)
            return stream
        if self._sample_rate is None:
            raise ParameterError("an array of samples was given without its sample rate; say sample_rate=16000, say")
        warn_narrow_band("the array of samples", self._sample_rate, rate)
        signal, meter = as_signal(recording), ClippingMeter()
        meter.push(signal)
        if meter.is_clipped():
            warn_clipped(meter, "the array of samples")
        return AudioStream(iter([Resampler(self._sample_rate, rate).transform(signal)]), rate)

    def _extract(self, stream: AudioStream) -> Float32Array:
        """Return the frames of a stream."""
        pipeline = self.pipeline.fresh()
        if not pipeline.streamable:
            return np.asarray(pipeline.transform(np.concatenate([np.empty(0, np.float32), *stream])))
        parts = [pipeline.push(block) for block in stream]
        return np.concatenate([*parts, pipeline.flush()])


def speaker_pipeline(sample_rate: int) -> FeaturePipeline:
    """Return the default front end of speakers at a sample rate in Hz.

    Twenty coefficients without the zeroth, which makes them independent of the recording level, their deltas, and only
    the frames of speech with pauses of up to 0.2 s, because short recordings cannot spare the weak sounds around them.
    """
    mfcc = MfccConfig(sample_rate=sample_rate, n_mels=30, n_mfcc=20, zeroth="none")
    return FeaturePipeline(mfcc=mfcc, vad=EnergyVadConfig(hangover=20))


def default_pipeline(recordings: Sequence[Recording], **opening: Unpack[Opening]) -> FeaturePipeline:
    """Return the pipeline that a model of these recordings should have: that of features, where there are any."""
    for recording in recordings:
        if isinstance(recording, Features):
            return FeaturePipeline(recording.pipeline)
    return speaker_pipeline(common_rate(recordings, **opening))


def common_rate(
    recordings: Iterable[Recording], *, sample_rate: int | None = None, channel: ChannelPolicy = None
) -> int:
    """Return the sample rate that a model of these recordings should have: wide band if all of them bear it."""
    rates = []
    for recording in recordings:
        if isinstance(recording, str | os.PathLike):
            with stream_blocks(recording, channel=channel) as stream:
                rates.append(stream.sample_rate)
        elif isinstance(recording, AudioStream):
            rates.append(recording.sample_rate)
        elif sample_rate is not None:
            rates.append(sample_rate)
    return NARROW_BAND if rates and min(rates) < WIDE_BAND else WIDE_BAND


def as_list(recordings: Recordings) -> list[Recording]:
    """Return one recording or several as a list.

    Raises
    ------
    ParameterError
        If there are none.
    """
    if isinstance(recordings, str | os.PathLike | np.ndarray | AudioStream | Features):
        return [recordings]
    listed = list(recordings)
    if not listed:
        raise ParameterError("no recordings were given; name at least one file")
    return listed
