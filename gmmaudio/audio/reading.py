"""Audio files and raw streams as float32 mono blocks, in bounded memory."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Self

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio.files import file_blocks, open_sound
from gmmaudio.audio.pcm import PcmFormat, pcm_blocks
from gmmaudio.audio.resampling import Resampler
from gmmaudio.audio.signals import ClippingMeter, check_finite, check_sample_rate, warn_clipped
from gmmaudio.errors import GmmAudioError, ParameterError

Source = str | os.PathLike[str] | BinaryIO
ChannelPolicy = int | Literal["mix"] | None

CLIPPING_PATIENCE = 10.0
"""Seconds that a stream is taken to have at least when it is judged before its end."""


class AudioStream(Iterator[Float32Array]):
    """The mono blocks of one recording, and the sample rate that they have.

    An iterator that can be used once; as a context manager it closes its file even if it is left early.

    Attributes
    ----------
    sample_rate : int
        Sample rate of the blocks in Hz.
    source_rate : int
        Sample rate that the recording was made with, in Hz.
    """

    def __init__(
        self,
        blocks: Iterator[Float32Array],
        sample_rate: int,
        *,
        source_rate: int | None = None,
        owned_file: BinaryIO | None = None,
    ) -> None:
        self.sample_rate = sample_rate
        self.source_rate = sample_rate if source_rate is None else source_rate
        self._blocks = blocks
        self._owned_file = owned_file

    def __next__(self) -> Float32Array:
        """Return the next block, of shape (n_samples,)."""
        try:
            return next(self._blocks)
        except BaseException:  # the end (StopIteration) or an error: nothing more will be read
            self.close()
            raise

    def close(self) -> None:
        """Close the file, if this stream has opened it."""
        if self._owned_file is not None:
            self._owned_file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream_blocks(
    source: Source,
    *,
    sample_rate: int | None = None,
    channel: ChannelPolicy = None,
    pcm_format: PcmFormat | None = None,
    block_duration: float = 1.0,
) -> AudioStream:
    """Read a recording of any length block by block.

    Parameters
    ----------
    source : path or binary file object
        A file that libsndfile reads (WAV, FLAC, OGG, MP3, AIFF, NIST, W64, …); with `pcm_format`, a file or pipe of
        raw samples, such as `sys.stdin.buffer`, whose samples are yielded as they arrive.
    sample_rate : int, optional
        Sample rate to convert to, in Hz; that of the recording if None.
    channel : int or "mix", optional
        Which channel to take, counted from 0, or "mix" for the mean of all. None takes the only channel, and refuses
        a recording with several.
    pcm_format : PcmFormat, optional
        Sample rate, channels and encoding of raw samples.
    block_duration : float, default 1.0
        Length of the blocks in seconds, as far as the source gives so much at once.

    Returns
    -------
    stream : AudioStream
        Iterator of float32 blocks of shape (n_samples,), with the attribute `sample_rate`.

    Raises
    ------
    GmmAudioError
        If the file is missing, unreadable, empty, of an unknown format, cut off, or has several channels and
        `channel` is None; while reading, if it is damaged or has samples that are NaN or infinite.
    ParameterError
        If an argument cannot be used, or `channel` is not one of the channels.

    Warns
    -----
    GmmAudioWarning
        If more than one sample in a thousand is clipped (see `ClippingMeter`), if part of an MP3 or OGG file could not
        be read, or if raw samples end in the middle of one.

    Examples
    --------
    >>> stream = stream_blocks(io.BytesIO(bytes(64_000)), pcm_format=PcmFormat(16_000), sample_rate=8_000)
    >>> stream.sample_rate, sum(block.size for block in stream)
    (8000, 16000)
    """
    if not block_duration > 0:
        raise ParameterError(f"block_duration is {block_duration} s but must be positive")
    if sample_rate is not None:
        check_sample_rate(sample_rate)
    file, name, owned_file = _open_binary(source)
    try:
        blocks, n_channels, file_rate = _raw_blocks(file, name, pcm_format, block_duration)
        mono = _mono_blocks(blocks, _columns(channel, n_channels, name), file_rate, name)
    except BaseException:
        if owned_file is not None:
            owned_file.close()
        raise
    target_rate = file_rate if sample_rate is None else int(sample_rate)
    resampled = _resampled(mono, Resampler(file_rate, target_rate))
    return AudioStream(resampled, target_rate, source_rate=file_rate, owned_file=owned_file)


def read(
    source: Source,
    *,
    sample_rate: int | None = None,
    channel: ChannelPolicy = None,
    pcm_format: PcmFormat | None = None,
) -> tuple[Float32Array, int]:
    """Read a whole recording: the joined blocks of `stream_blocks`, which describes arguments, errors and warnings.

    Returns
    -------
    signal : float32 array of shape (n_samples,)
        Mono, full scale at ±1.
    sample_rate : int
        Its sample rate in Hz.

    Examples
    --------
    >>> signal, sample_rate = read(io.BytesIO(bytes(64_000)), pcm_format=PcmFormat(16_000))
    >>> signal.shape, sample_rate
    ((32000,), 16000)
    """
    with stream_blocks(source, sample_rate=sample_rate, channel=channel, pcm_format=pcm_format) as stream:
        return np.concatenate([np.empty(0, dtype=np.float32), *stream]), stream.sample_rate


def _open_binary(source: Source) -> tuple[BinaryIO, str, BinaryIO | None]:
    """Return the source as an open binary file, its name for messages, and the file again if it was opened here."""
    if isinstance(source, io.TextIOBase):
        raise ParameterError("source is a text stream but must be binary; use sys.stdin.buffer, or open it with 'rb'")
    if not isinstance(source, str | os.PathLike):
        return source, str(getattr(source, "name", "the audio stream")), None
    name = str(Path(source))
    try:
        file = open(source, "rb")  # noqa: SIM115 (the AudioStream closes it)
    except FileNotFoundError:
        raise GmmAudioError(f"there is no file {name}; check the path") from None
    except IsADirectoryError:
        raise GmmAudioError(f"{name} is a directory; name the audio files in it") from None
    except OSError as error:
        raise GmmAudioError(f"cannot open {name}: {error.strerror}; check its permissions") from None
    return file, name, file


def _raw_blocks(
    file: BinaryIO, name: str, pcm_format: PcmFormat | None, block_duration: float
) -> tuple[Iterator[Float32Array], int, int]:
    """Return the blocks (n_samples, n_channels) of a source, its number of channels and its sample rate."""
    if pcm_format is not None:
        block_samples = max(1, round(block_duration * pcm_format.sample_rate))
        blocks = pcm_blocks(file, pcm_format, block_samples=block_samples, name=name)
        return blocks, pcm_format.channels, pcm_format.sample_rate
    sound = open_sound(file, name)
    rate = check_sample_rate(sound.samplerate, name=f"the sample rate of {name}")
    blocks = file_blocks(sound, file, block_samples=max(1, round(block_duration * rate)), name=name)
    return blocks, sound.channels, rate


def _columns(channel: ChannelPolicy, n_channels: int, name: str) -> slice:
    """Return which columns of the samples are wanted."""
    if channel == "mix":
        return slice(None)
    if channel is None and n_channels > 1:
        raise GmmAudioError(
            f"{name} has {n_channels} channels and one is needed; choose one (channel=0 is the first) or their mean "
            "(channel='mix')"
        )
    picked = channel or 0
    if not isinstance(picked, int) or not 0 <= picked < n_channels:
        raise ParameterError(
            f"channel is {channel!r} but {name} has {n_channels} channel(s); give a number from 0 to {n_channels - 1}, "
            "or 'mix'"
        )
    return slice(picked, picked + 1)


def _mono_blocks(blocks: Iterator[Float32Array], columns: slice, sample_rate: int, name: str) -> Iterator[Float32Array]:
    """Yield mono blocks, after checking the samples that go into them."""
    meter = ClippingMeter()
    patience = round(CLIPPING_PATIENCE * sample_rate)
    n_samples = 0
    warned = False
    for block in blocks:
        wanted = block[:, columns]
        check_finite(wanted, name=name, first=n_samples)
        n_samples += len(wanted)
        meter.push(wanted)
        if not warned and meter.is_clipped(least_samples=patience):
            warned = True
            warn_clipped(meter, name)
        yield _mean_channel(wanted)
    if n_samples == 0:
        raise GmmAudioError(f"{name} holds no samples; record or copy it again")
    if not warned and meter.is_clipped():
        warn_clipped(meter, name)


def _mean_channel(samples: Float32Array) -> Float32Array:
    """Return the mean over the channels, rounded once."""
    if samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0])
    mean: Float32Array = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


def _resampled(blocks: Iterator[Float32Array], resampler: Resampler) -> Iterator[Float32Array]:
    """Yield the blocks at the rate of the resampler, leaving out empty ones."""
    for block in blocks:
        converted = resampler.push(block)
        if converted.size:
            yield converted
    rest = resampler.flush()
    if rest.size:
        yield rest
