"""Finding the frames of speech by their level.

Conventions. A level is that of `MFCC.push_with_level`: dB re full scale. The levels of a recording are seen as draws
from a narrow Gaussian, the background noise, and a wide one, the speech. Both are learned as the stream goes on: each
frame counts by its posterior, and old frames are forgotten (recursive EM, Titterington 1984). Everything is relative to
these two, so the level of the recording does not matter; only `floor_db` is absolute. A decision looks `lookahead`
frames ahead and no further.
"""

import dataclasses
import math

import numpy as np

from gmmaudio._typing import AnyArray, BoolArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.features.config import Config, check_range
from gmmaudio.stage import Stage

NOISE_SPREAD_DB = (1.0, 4.0)
"""Narrowest and widest standard deviation of the noise level: 0.3 dB for white noise in 25 ms, 3 dB for rumble."""
SPEECH_SPREAD_DB = 10.0
"""Standard deviation of the speech level; 8 to 12 dB in FSDD and LibriSpeech."""
SPEECH_ABOVE_NOISE_DB = (10.0, 20.0)
"""How far above the noise the mean of the speech lies at least, and where it is expected before any was heard."""
PRIOR_FRAMES = 5.0
"""How many frames that expectation counts for."""
STEADY_RANGE_DB = 4.0
"""A start whose levels differ by less is noise."""
STEADY_BOTTOM_DB = 3.0
"""If the quietest third of the start differs by less, that third is noise and the rest speech."""
NOISE_BELOW_START_DB = 5.0
"""Otherwise the start is all speech, and the noise is taken to lie this much below its quietest frame."""
START_SPREAD_DB = 1.5
START_FRAMES = 2.0
"""Spread of that guess, and how many frames it counts for; few, so that the first pause replaces it."""
DROP_DB = 10.0
"""A level so far below the noise shows that what was taken for noise, a long vowel at the start, was speech."""
QUIETEST_BLOCK = 150
"""Frames; the noise is no quieter than the quietest frame of this and the last block (1.5 to 3 s), as speech pauses."""
ONSET_FRAMES = 3
"""Consecutive frames of speech that start a hangover; single outliers of the noise do not."""


@dataclasses.dataclass(frozen=True)
class EnergyVadConfig(Config):
    """Configuration of `EnergyVad`.

    Attributes
    ----------
    floor_db : float, default -95.0
        dB re full scale; quieter frames are never speech. The rounding noise of 16-bit audio has −101 dB.
    dynamic_range_db : float, default 30.0
        dB; frames so far below the mean level of the speech are never speech, however quiet the background.
    memory : int, default 500
        Frames after which the weight of a frame has fallen to 1/e; 5 s hold speech as well as pauses.
    hangover : int, default 5
        Frames that are kept after the last one of speech, so that weak word ends are not lost.
    lookahead : int, default 40
        Frames from which the first picture of noise and speech is made: in 0.4 s even a long vowel changes its level,
        mostly.
    """

    floor_db: float = -95.0
    dynamic_range_db: float = 30.0
    memory: int = 500
    hangover: int = 5
    lookahead: int = 40

    def _check_values(self) -> None:
        check_range("floor_db", self.floor_db, -119, 0)
        check_range("dynamic_range_db", self.dynamic_range_db, 1, 120)
        check_range("memory", self.memory, 10, 1_000_000)
        check_range("hangover", self.hangover, 0, 1000)
        check_range("lookahead", self.lookahead, 0, 1000)


@dataclasses.dataclass
class _VadState:
    """The forgetting sums of both Gaussians and their parameters, the levels that wait, and the running decision."""

    pending: Float64Array
    noise_count: float = 0.0
    noise_sum: float = 0.0
    noise_square: float = 0.0
    speech_count: float = 0.0
    speech_sum: float = 0.0
    noise_mean: float = 0.0
    noise_spread: float = 0.0
    speech_mean: float = 0.0
    n_in_block: int = 0
    block_quietest: float = math.inf
    last_block_quietest: float = -math.inf
    run: int = 0
    hangover: int = 0

    def start(self, levels: Float64Array) -> None:
        """Guess the noise and the speech from the first levels above the floor."""
        bottom = np.sort(levels)[: -(-len(levels) // 3)]
        if np.ptp(levels) < STEADY_RANGE_DB:
            self._count_noise(len(levels), float(levels.mean()), float(levels.var()))
        else:
            self.speech_count = PRIOR_FRAMES
            self.speech_sum = PRIOR_FRAMES * (float(levels.max()) - SPEECH_SPREAD_DB)
            if np.ptp(bottom) < STEADY_BOTTOM_DB:
                self._count_noise(len(bottom), float(bottom.mean()), START_SPREAD_DB**2)
            else:
                self._count_noise(START_FRAMES, float(bottom[0]) - NOISE_BELOW_START_DB, START_SPREAD_DB**2)
        self._estimate()

    def learn(self, level: float, forgetting: float) -> None:
        """Count a level by its posterior and forget a little of the others."""
        if level < self.noise_mean - DROP_DB:
            self.speech_count, self.speech_sum = PRIOR_FRAMES, PRIOR_FRAMES * self.noise_mean
            self._count_noise(START_FRAMES, level, START_SPREAD_DB**2)
            self._estimate()
        noise = self.noise_probability(level)
        self.noise_count = forgetting * self.noise_count + noise
        self.noise_sum = forgetting * self.noise_sum + noise * level
        self.noise_square = forgetting * self.noise_square + noise * level * level
        self.speech_count = forgetting * self.speech_count + 1.0 - noise
        self.speech_sum = forgetting * self.speech_sum + (1.0 - noise) * level
        self._estimate()
        self._follow_quietest(level)

    def _follow_quietest(self, level: float) -> None:
        """Lift the noise where nothing was as quiet for a while: the background became louder."""
        self.block_quietest = min(self.block_quietest, level)
        self.n_in_block += 1
        if self.n_in_block < QUIETEST_BLOCK:
            return
        quietest = min(self.block_quietest, self.last_block_quietest)
        if quietest > self.noise_mean:
            self._count_noise(1.0, quietest, self.noise_spread**2)
            self._estimate()
        self.last_block_quietest, self.block_quietest, self.n_in_block = self.block_quietest, math.inf, 0

    def noise_probability(self, level: float) -> float:
        """Return the posterior of noise, made monotone: 1 below the noise's mean, 0 above the speech's."""
        if level <= self.noise_mean:
            return 1.0
        if level >= self.speech_mean:
            return 0.0
        noise_distance = (level - self.noise_mean) / self.noise_spread
        speech_distance = (level - self.speech_mean) / SPEECH_SPREAD_DB
        odds = 0.5 * (noise_distance**2 - speech_distance**2) - math.log(SPEECH_SPREAD_DB / self.noise_spread)
        return 1.0 / (1.0 + math.exp(min(odds, 700.0)))

    def _count_noise(self, count: float, mean: float, variance: float) -> None:
        """Replace the sums of the noise by those of `count` frames."""
        self.noise_count, self.noise_sum = count, count * mean
        self.noise_square = count * (mean * mean + variance)

    def _estimate(self) -> None:
        """Estimate both Gaussians from the sums."""
        least, expected = SPEECH_ABOVE_NOISE_DB
        self.noise_mean = self.noise_sum / self.noise_count
        variance = self.noise_square / self.noise_count - self.noise_mean**2
        self.noise_spread = min(max(math.sqrt(max(variance, 0.0)), NOISE_SPREAD_DB[0]), NOISE_SPREAD_DB[1])
        prior_sum = PRIOR_FRAMES * (self.noise_mean + expected)
        speech_mean = (self.speech_sum + prior_sum) / (self.speech_count + PRIOR_FRAMES)
        self.speech_mean = max(speech_mean, self.noise_mean + least)


class EnergyVad(Stage):
    """Decide for each level whether its frame is speech.

    Parameters
    ----------
    config : EnergyVadConfig, optional

    Examples
    --------
    >>> import numpy as np
    >>> levels = np.concatenate([np.full(50, -60.0), np.full(30, -20.0), np.full(40, -60.0)])
    >>> is_speech = EnergyVad().transform(levels)
    >>> np.flatnonzero(is_speech)[[0, -1]].tolist()
    [50, 84]
    """

    _state: _VadState

    def __init__(self, config: EnergyVadConfig | None = None) -> None:
        self.config = config or EnergyVadConfig()
        self._forgetting = math.exp(-1.0 / self.config.memory)
        self.reset()

    @property
    def lookahead(self) -> int:
        """Frames."""
        return self.config.lookahead

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _VadState(np.zeros(0))

    def push(self, rows: AnyArray) -> BoolArray:
        """Take levels, (n_frames,), and return the decisions that are final, (n_frames,)."""
        levels = np.asarray(rows, dtype=np.float64)
        if levels.ndim != 1:
            raise ParameterError(
                f"levels has shape {levels.shape} but must be (n_frames,), one dB value for each frame"
            )
        self._state.pending = np.concatenate([self._state.pending, levels])
        return self._decide(max(len(self._state.pending) - self.config.lookahead, 0))

    def flush(self) -> BoolArray:
        """Return the last decisions, and start afresh."""
        decisions = self._decide(len(self._state.pending))
        self.reset()
        return decisions

    def _decide(self, n_levels: int) -> BoolArray:
        """Take the first pending levels and return their decisions."""
        state = self._state
        decisions = np.zeros(n_levels, np.bool_)
        for index, level in enumerate(state.pending[:n_levels].tolist()):
            if level <= self.config.floor_db:
                state.run = state.hangover = 0
                continue
            if state.noise_count == 0.0:
                ahead = state.pending[index : index + self.config.lookahead + 1]
                state.start(ahead[ahead > self.config.floor_db])
            state.learn(level, self._forgetting)
            decisions[index] = self._is_speech(level)
        state.pending = state.pending[n_levels:].copy()
        return decisions

    def _is_speech(self, level: float) -> bool:
        """Return the decision for a level that the model has learned, hangover included."""
        state = self._state
        loud = level > state.speech_mean - self.config.dynamic_range_db
        if loud and state.noise_probability(level) < 0.5:
            state.run += 1
            if state.run >= ONSET_FRAMES:
                state.hangover = self.config.hangover
            return True
        state.run = 0
        state.hangover -= 1
        return state.hangover >= 0
