"""Sound as a stream of numbers: the level of each frequency band, pooled over short stretches of time.

Conventions. Frames come from the package's own front end; the log-mel spectrum is its cosine transform turned back,
which is exact as long as no coefficient is dropped. A row covers `period` seconds, and the channels are natural
logarithms of powers. What is left at the end of a recording, less than a period, is not used.
"""

import dataclasses
import math
from pathlib import Path
from typing import Literal

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array
from gmmaudio.anomaly.tables import Table
from gmmaudio.audio import stream_blocks
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import FeaturePipeline, MfccConfig
from gmmaudio.features.config import Config, check_range
from gmmaudio.features.mel import cosine_transform, mel_bank
from gmmaudio.stage import Stage

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".snd", ".w64", ".caf", ".sph"}


@dataclasses.dataclass(frozen=True)
class SoundConfig(Config):
    """How a recording becomes rows.

    Attributes
    ----------
    sample_rate : int, default 16000
        Hz; recordings with another rate are resampled.
    features : {"log_mel", "mfcc"}, default "log_mel"
        Bands can be named when something is wrong, cepstra need fewer numbers.
    n_mels : int, default 16
        Bands.
    n_mfcc : int, default 13
        Cepstra, with `features="mfcc"`.
    period : float, default 0.25
        Seconds that a row covers.
    pooling : {"mean", "max"}, default "mean"
        Of the frames of a row: the mean for steady machines, the maximum for clicks and knocks.
    channel : int or None, default None
        Which channel of a recording with several, counted from 0.
    mix : bool, default False
        Take the mean of all channels.
    """

    sample_rate: int = 16000
    features: Literal["log_mel", "mfcc"] = "log_mel"
    n_mels: int = 16
    n_mfcc: int = 13
    period: float = 0.25
    pooling: Literal["mean", "max"] = "mean"
    channel: int | None = None
    mix: bool = False

    def _check_values(self) -> None:
        if self.mix and self.channel is not None:
            raise ParameterError(f"channel is {self.channel}, but mix takes all channels; give one of the two")
        check_range("period", self.period, self.mfcc.frame_shift, 3600)

    @property
    def mfcc(self) -> MfccConfig:
        """Front end: 64 ms frames without pre-emphasis, a floor of one step of 16-bit audio."""
        return MfccConfig(
            sample_rate=self.sample_rate,
            frame_length=0.064,
            frame_shift=0.032,
            preemphasis=0.0,
            window="hann",
            n_mels=self.n_mels,
            log_floor=1.0,
            n_mfcc=self.n_mels if self.features == "log_mel" else self.n_mfcc,
            lifter=0.0,
            zeroth="c0",
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the columns: the centre of each band, or the number of the cepstrum."""
        if self.features == "mfcc":
            return tuple(f"c{index}" for index in range(self.n_mfcc))
        m = self.mfcc
        bank = mel_bank(
            m.mel_bank,
            sample_rate=m.sample_rate,
            n_fft=m.fft_length,
            n_mels=m.n_mels,
            fmin=m.fmin,
            fmax=m.upper_edge,
        )
        frequencies = np.arange(len(bank)) * m.sample_rate / m.fft_length
        return tuple(f"{centre:.0f} Hz" for centre in frequencies @ bank / bank.sum(axis=0))


def read_sound(path: str | Path, config: SoundConfig) -> Table:
    """Read a recording as rows; times count from its start.

    Parameters
    ----------
    path : path-like
        An audio file.
    config : SoundConfig
        What the rows are.

    Raises
    ------
    GmmAudioError
        If the file cannot be read, has several channels and the configuration names none, or is shorter than one row.

    Examples
    --------
    >>> import soundfile, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "hum.wav"
    >>> soundfile.write(path, 0.1 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000), 16000)
    >>> table = read_sound(path, SoundConfig(n_mels=8))
    >>> table.values.shape, table.channels[int(table.values[0].argmax())]
    ((3, 8), '984 Hz')
    """
    channel: ChannelPolicy = "mix" if config.mix else config.channel
    stage = SoundRows(config)
    with stream_blocks(path, sample_rate=config.sample_rate, channel=channel) as stream:
        rows = np.concatenate([*(stage.push(block) for block in stream), stage.flush()])
    if not len(rows):
        raise GmmAudioError(f"{path} is shorter than the {config.period:g} s that one row covers")
    times: Float64Array = config.period * np.arange(len(rows), dtype=np.float64)
    return Table(rows, times, config.channels)


@dataclasses.dataclass
class _RowsState:
    """Frames that are in no row yet, and the number of rows that were given."""

    frames: Float64Array
    n_rows: int


class SoundRows(Stage):
    """Turns samples into rows, the same bits however the samples are cut.

    Parameters
    ----------
    config : SoundConfig
        What the rows are.
    """

    _state: _RowsState

    def __init__(self, config: SoundConfig) -> None:
        self.config = config
        self._pipeline = FeaturePipeline(mfcc=config.mfcc, deltas=None)
        self._turn = np.eye(config.n_mfcc)
        if config.features == "log_mel":
            self._turn = cosine_transform(config.n_mels, config.n_mels, norm="ortho", lifter=0.0).T
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples after the first of a row that it still needs."""
        frames = self._first_frame(1) * self.config.mfcc.frame_shift_samples
        return frames + self._pipeline.lookahead

    def _parts(self) -> dict[str, Stage]:
        return {"pipeline": self._pipeline}

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _RowsState(np.zeros((0, len(self.config.channels))), 0)
        self._pipeline.reset()

    def push(self, rows: AnyArray) -> Float64Array:
        """Take samples and return the rows that are complete."""
        return self._pooled(self._pipeline.push(rows))

    def flush(self) -> Float64Array:
        """End the stream; a row that is not complete is left out."""
        rows = self._pooled(self._pipeline.flush())
        self.reset()
        return rows

    def _pooled(self, frames: AnyArray) -> Float64Array:
        """Return the mean or the maximum of the frames that begin in each period, once they are all there."""
        state = self._state
        kept: Float64Array = np.concatenate([state.frames, frames.astype(np.float64)])
        origin, rows = self._first_frame(state.n_rows), []
        while (end := self._first_frame(state.n_rows + 1)) <= origin + len(kept):
            # Turned row by row: the last bits of a product depend on how many rows it is done for.
            part = kept[self._first_frame(state.n_rows) - origin : end - origin] @ self._turn
            rows.append(part.mean(axis=0) if self.config.pooling == "mean" else part.max(axis=0))
            state.n_rows += 1
        state.frames = kept[self._first_frame(state.n_rows) - origin :].copy()
        return np.array(rows).reshape(len(rows), len(self.config.channels))

    def _first_frame(self, row: int) -> int:
        """Return the number of the first frame that begins in a row."""
        return math.ceil(row * self.config.period / self.config.mfcc.frame_shift - 1e-9)
