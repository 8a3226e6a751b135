"""Raw samples without a header, as `ffmpeg … -f s16le -` writes them to a pipe."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio.signals import check_sample_rate, scale_samples
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError

# ffmpeg's name -> NumPy type; NumPy has no 24-bit integer, so s24le is widened by hand.
_TYPES = {"u8": "u1", "s16le": "<i2", "s24le": "<i4", "s32le": "<i4", "f32le": "<f4", "f64le": "<f8"}
_FILE_MAGICS = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "OGG"}


@dataclass(frozen=True)
class PcmFormat:
    r"""What has to be known about samples that come without a header.

    Parameters
    ----------
    sample_rate : int
        Samples per second and channel, in Hz.
    channels : int, default 1
        Number of interleaved channels.
    encoding : str, default "s16le"
        One of ffmpeg's names: "u8", "s16le", "s24le", "s32le", "f32le", "f64le".

    Raises
    ------
    ParameterError
        If one of them cannot be.

    Examples
    --------
    >>> PcmFormat(16_000).decode(b"\x00\x40\x00\x80")
    array([[ 0.5],
           [-1. ]], dtype=float32)
    """

    sample_rate: int
    channels: int = 1
    encoding: str = "s16le"

    def __post_init__(self) -> None:
        check_sample_rate(self.sample_rate)
        if self.channels < 1:
            raise ParameterError(f"channels is {self.channels} but must be at least 1")
        if self.encoding not in _TYPES:
            raise ParameterError(f"encoding is {self.encoding!r} but must be one of {', '.join(_TYPES)}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        sample_bytes = 3 if self.encoding == "s24le" else np.dtype(_TYPES[self.encoding]).itemsize
        return sample_bytes * self.channels

    def decode(self, data: bytes) -> Float32Array:
        """Return whole frames of bytes as float32 samples of shape (n_samples, channels), full scale at ±1."""
        if self.encoding == "s24le":
            wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
            wide[:, 1:] = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3)
            data = wide.tobytes()
        samples = np.frombuffer(data, dtype=_TYPES[self.encoding])
        return scale_samples(samples).reshape(-1, self.channels)


def pcm_blocks(stream: BinaryIO, pcm_format: PcmFormat, *, block_samples: int, name: str) -> Iterator[Float32Array]:
    """Yield samples (n_samples, channels) as they arrive, at most `block_samples` at once."""
    # read1 gives what a pipe holds now; read would wait for the whole block and so delay a live stream.
    read = getattr(stream, "read1", stream.read)
    frame_bytes = pcm_format.frame_bytes
    data: bytes = read(block_samples * frame_bytes)
    if data[:4] in _FILE_MAGICS:
        raise GmmAudioError(
            f"{name} starts like a {_FILE_MAGICS[data[:4]]} file, not like raw {pcm_format.encoding} samples; "
            "read it as a file, or let ffmpeg write raw samples (-f s16le)"
        )
    while True:
        n_whole = len(data) // frame_bytes
        if n_whole:
            yield pcm_format.decode(data[: n_whole * frame_bytes])
        rest = data[n_whole * frame_bytes :]
        more: bytes = read(block_samples * frame_bytes)
        if not more:
            break
        data = rest + more
    if rest:
        warnings.warn(
            f"{name} ends in the middle of a sample ({len(rest)} of {frame_bytes} bytes), which is left out; "
            f"is it really {pcm_format.encoding} with {pcm_format.channels} channel(s)?",
            GmmAudioWarning,
            stacklevel=2,
        )
