"""From anything that is a recording to blocks of samples of all its channels."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.audio import Resampler, stream_blocks
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.audio.signals import check_finite, check_sample_rate, scale_samples, warn_narrow_band
from gmmaudio.errors import GmmAudioError, ParameterError

Recording = str | os.PathLike[str] | AnyArray
"""A file, or an array of samples of shape (n_samples,) or (n_samples, n_channels)."""


def count_channels(recording: Recording, channel: ChannelPolicy) -> int:
    """Return how many channels will be read."""
    if not isinstance(recording, str | os.PathLike):
        return 1 if np.ndim(recording) == 1 else np.shape(recording)[1]
    if channel is not None:
        return 1
    with stream_blocks(recording, channel=0):  # says in one sentence what is wrong with the file
        import soundfile

        return int(soundfile.info(os.fspath(recording)).channels)


def sample_blocks(
    recording: Recording, *, target_rate: int, sample_rate: int | None, channel: ChannelPolicy
) -> Iterator[Float32Array]:
    """Yield the samples of a recording, (n_samples, n_channels), at a sample rate in Hz.

    Parameters
    ----------
    recording : path or array
    target_rate : int
        Of the samples that are yielded.
    sample_rate : int, optional
        Of an array; `target_rate` if not given. Files know their own.
    channel : int or "mix", optional
        Of a file; None takes all channels.

    Raises
    ------
    ParameterError
        If an array has another shape or type.
    GmmAudioError
        If a file cannot be read, or the recording is empty or has samples that are NaN or infinite.
    """
    if isinstance(recording, str | os.PathLike):
        yield from _file_blocks(recording, target_rate, channel)
        return
    samples = np.asarray(recording)
    if samples.ndim not in (1, 2) or 0 in samples.shape[1:]:
        raise ParameterError(f"the samples have shape {samples.shape} but need (n_samples,) or (n_samples, n_channels)")
    if len(samples) == 0:
        raise GmmAudioError("the array holds no samples; give at least one")
    rate = target_rate if sample_rate is None else check_sample_rate(sample_rate)
    warn_narrow_band("the array", rate, target_rate)
    columns = scale_samples(samples.reshape(len(samples), -1))
    check_finite(columns, name="the array")
    if rate != target_rate:
        columns = np.stack([Resampler(rate, target_rate).transform(column) for column in columns.T], axis=1)
    for start in range(0, len(columns), target_rate):
        yield columns[start : start + target_rate]


def _file_blocks(path: str | os.PathLike[str], target_rate: int, channel: ChannelPolicy) -> Iterator[Float32Array]:
    """Yield the samples of a file; each channel is read by a stream of its own, all cut in the same way."""
    n_channels = count_channels(path, channel)
    policies = range(n_channels) if channel is None else [channel]
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context(stream_blocks(path, sample_rate=target_rate, channel=policy)) for policy in policies
        ]
        warn_narrow_band(os.fspath(path), streams[0].source_rate, target_rate)
        for columns in zip(*streams, strict=True):
            yield np.stack(columns, axis=1)
