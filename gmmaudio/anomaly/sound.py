"""Sound as a stream of numbers: the level of each frequency band, pooled over short stretches of time.

Conventions. Frames come from the package's own front end; the log-mel spectrum is its cosine transform turned back,
which is exact as long as no coefficient is dropped. A row covers `period` seconds, and the channels are natural
logarithms of powers. What is left at the end of a recording, less than a period, is not used.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Literal

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.anomaly.tables import Table
from gmmaudio.audio import stream_blocks
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import FeaturePipeline, MfccConfig
from gmmaudio.features.config import Config, check_range
from gmmaudio.features.mel import cosine_transform, mel_bank

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
    pipeline = FeaturePipeline(mfcc=config.mfcc, deltas=None)
    channel: ChannelPolicy = "mix" if config.mix else config.channel
    with stream_blocks(path, sample_rate=config.sample_rate, channel=channel) as stream:
        blocks = [*(pipeline.push(block) for block in stream), pipeline.flush()]
    frames: Float64Array = np.concatenate(blocks).astype(np.float64)
    if config.features == "log_mel":
        frames = frames @ cosine_transform(config.n_mels, config.n_mels, norm="ortho", lifter=0.0).T
    rows = pool(frames, frame_shift=config.mfcc.frame_shift, period=config.period, pooling=config.pooling)
    if not len(rows):
        raise GmmAudioError(f"{path} is shorter than the {config.period:g} s that one row covers")
    times: Float64Array = config.period * np.arange(len(rows), dtype=np.float64)
    return Table(rows, times, config.channels)


def pool(frames: Float64Array, *, frame_shift: float, period: float, pooling: str) -> Float64Array:
    """Return the mean or the maximum of the frames that begin in each period; the last, incomplete one is left out.

    Raises
    ------
    ParameterError
        If the pooling is unknown.
    """
    if pooling not in ("mean", "max"):
        raise ParameterError(f"pooling is {pooling!r}, but known are mean and max")
    n_rows = int((len(frames) * frame_shift + 1e-9) // period)
    edges = np.ceil(np.arange(n_rows + 1) * period / frame_shift - 1e-9).astype(int)
    reduce = np.mean if pooling == "mean" else np.max
    rows = [reduce(frames[first:end], axis=0) for first, end in itertools.pairwise(edges.tolist())]
    return np.array(rows).reshape(n_rows, frames.shape[1])
