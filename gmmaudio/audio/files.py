"""Audio files through libsndfile: opening, reading to the end, and noticing when the end came too early."""

import os
import re
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import soundfile

from gmmaudio._typing import Float32Array
from gmmaudio.errors import GmmAudioError, GmmAudioWarning

# Sizes near 2³¹ and 2³² are what programs write into a header when they write to a pipe: "not known".
_UNKNOWN_SIZE = 0x7FFF0000
_SIZE_SLACK = 64  # bytes; many programs get the outermost chunk wrong by a few
_NIST_HEADER = 1024  # bytes that a NIST header has at least

# What libsndfile notes in its log when it misses the end of an OGG or VOC file, and reads on without a word.
_SIGNS_OF_EARLY_END = ("without an End-Of-Stream flag", "Seems to be a truncated file")


def open_sound(file: BinaryIO, name: str) -> Any:
    """Return a SoundFile, or raise with the reason why there is none."""
    if not file.seekable():
        raise GmmAudioError(
            f"{name} is a pipe, and audio files cannot be read from one; "
            "send raw samples (ffmpeg -i FILE -f s16le -) and say so (pcm_format)"
        )
    if _size(file) == 0:
        raise GmmAudioError(f"{name} is empty (0 bytes); record or copy it again")
    try:
        sound = soundfile.SoundFile(file)
    except soundfile.LibsndfileError as error:
        raise GmmAudioError(
            f"{name} cannot be read as audio ({error.error_string.strip().rstrip('.')}); if it is (m4a, aac, wma, …), "
            "convert it with: ffmpeg -i FILE converted.wav"
        ) from None
    except TypeError:  # soundfile's answer to a name that ends in .raw
        raise GmmAudioError(f"{name} holds raw samples without a header; say what they are (pcm_format)") from None
    _check_complete(sound, file, name)
    return sound


def _check_complete(sound: Any, file: BinaryIO, name: str) -> None:
    """Raise if the header of a WAV, W64, RF64, AIFF, AU, CAF or NIST file promises more than is there.

    An error and not a warning: a copy that broke off is easily made again, and a decision from half of the evidence
    would look as sure as one from all of it.
    """
    for promised, there in re.findall(r": (\d+) \(should be (\d+)\)", sound.extra_info):
        if int(there) + _SIZE_SLACK < int(promised) < _UNKNOWN_SIZE:
            raise _cut_off(name, f"its header promises {promised} bytes and {there} are there")
    if sound.format == "NIST":  # libsndfile believes the length of the file, not the header
        promise = re.search(rb"sample_count -i (\d+)", _start(file, _NIST_HEADER))
        if promise and int(promise[1]) > sound.frames:
            raise _cut_off(name, f"its header promises {int(promise[1])} samples and {sound.frames} are there")


def file_blocks(sound: Any, file: BinaryIO, *, block_samples: int, name: str) -> Iterator[Float32Array]:
    """Yield the samples (n_samples, n_channels) of an open sound file until none come."""
    n_read = 0
    while True:
        try:
            # With `out`, soundfile does not cut the request down to the number of frames in the header.
            block = sound.read(out=np.empty((block_samples, sound.channels), dtype=np.float32))
        except soundfile.LibsndfileError:
            raise _broken(name, n_read / sound.samplerate) from None
        if len(block) == 0:
            break
        n_read += len(block)
        yield block
    # A FLAC header knows the length; in MP3 and OGG the number of frames is an estimate at best.
    if sound.format == "FLAC" and n_read < sound.frames:
        raise _broken(name, n_read / sound.samplerate)
    if any(sign in sound.extra_info for sign in _SIGNS_OF_EARLY_END):
        raise _cut_off(name, f"it ends after {n_read / sound.samplerate:.2f} s, where there should be more")
    if sound.format in ("MP3", "OGG"):
        _warn_unread(file, name, n_read / sound.samplerate)
    if sound.format == "MP3":
        _warn_short(name, n_read / sound.samplerate, sound.frames / sound.samplerate)


def _cut_off(name: str, what_is_missing: str) -> GmmAudioError:
    """Return the error of a file whose end is missing."""
    return GmmAudioError(
        f"{name} is cut off: {what_is_missing}; copy it again, or keep what is left with: ffmpeg -i FILE repaired.wav"
    )


def _broken(name: str, seconds: float) -> GmmAudioError:
    """Return the error of a file that cannot be decoded to its end."""
    return GmmAudioError(
        f"{name} is damaged or cut off (or was written to a pipe, without its length): decoding failed after "
        f"{seconds:.2f} s; copy it again, or keep what is left with: ffmpeg -i FILE repaired.wav"
    )


def _warn_unread(file: BinaryIO, name: str, seconds: float) -> None:
    """Warn if the decoder has left a tenth of the file unread; less can be tags and pictures."""
    unread = 1 - file.tell() / _size(file)
    if unread > 0.1:
        warnings.warn(
            f"{name}: the decoder stopped after {seconds:.2f} s with {unread:.0%} of the file unread (joined files, or "
            "a wrong header); rewrite it with: ffmpeg -i FILE rewritten.wav",
            GmmAudioWarning,
            stacklevel=3,
        )


def _warn_short(name: str, seconds: float, promised: float) -> None:
    """Warn if there is less than nine tenths of what the header says, or of what the size and the bit rate suggest."""
    if seconds < 0.9 * promised:
        warnings.warn(
            f"{name} should last {promised:.2f} s but ends after {seconds:.2f} s; if it is cut off, copy it again",
            GmmAudioWarning,
            stacklevel=3,
        )


def _start(file: BinaryIO, n_bytes: int) -> bytes:
    """Return the first bytes of a seekable file."""
    position = file.tell()
    file.seek(0)
    start = file.read(n_bytes)
    file.seek(position)
    return start


def _size(file: BinaryIO) -> int:
    """Return the number of bytes in a seekable file."""
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size
