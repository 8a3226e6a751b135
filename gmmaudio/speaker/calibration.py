"""From scores of strangers to a threshold with a stated false-accept rate.

Conventions. Higher scores speak for acceptance. A false-accept rate is the fraction of recordings of unknown voices
that would be accepted. Scores of short recordings spread more than those of long ones, so the tail is modelled for
several lengths at once and read off at the length of the recording to be judged.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError, ParameterError

TAIL_FRACTION = 0.2
"""The tail that is modelled: the highest fifth of the strangers' scores."""

MIN_SCORES = 10
"""With fewer scores at a length there is no tail to speak of."""


@dataclass(frozen=True)
class TailModel:
    """The upper tail of strangers' scores as an exponential law whose parameters follow the log of the length.

    Peaks over a threshold with shape 0 (Coles 2001, "An introduction to statistical modeling of extreme values",
    §4.2): ``P(score > z) = TAIL_FRACTION · exp(−(z − level) / scale)`` for z above the level, where level and scale
    are linear in log(n_frames) within the lengths that were seen, and constant outside.

    Attributes
    ----------
    shortest, longest : int
        Range of lengths that was seen, in frames.
    level, scale : tuple of float
        Value at the shortest and at the longest length.
    """

    shortest: int
    longest: int
    level: tuple[float, float]
    scale: tuple[float, float]

    @classmethod
    def fit(cls, scores_by_length: Mapping[int, Float64Array]) -> Self:
        """Fit the tail to scores of strangers, given for recordings of each length in frames.

        Raises
        ------
        GmmAudioError
            If no length has at least `MIN_SCORES` scores.
        """
        enough = {length: scores for length, scores in scores_by_length.items() if len(scores) >= MIN_SCORES}
        if not enough:
            most = max((len(scores) for scores in scores_by_length.values()), default=0)
            raise GmmAudioError(
                f"a threshold needs at least {MIN_SCORES} scores of strangers but there are {most}; "
                "train with recordings of more people, or enroll more people"
            )
        lengths = sorted(enough)
        level, excess = zip(*(_exponential_tail(enough[length]) for length in lengths), strict=True)
        weights = np.sqrt([len(enough[length]) for length in lengths])
        ends = np.log([lengths[0], lengths[-1]])
        lines = [_line_at(ends, np.log(lengths), np.array(values), weights) for values in (level, excess)]
        floor = min(excess)  # the line of the scale must not fall to nothing between its points
        return cls(lengths[0], lengths[-1], lines[0], (max(lines[1][0], floor), max(lines[1][1], floor)))

    def threshold(self, n_frames: float, false_accept_rate: float) -> float:
        """Return the score that a stranger's recording of this length exceeds with the given probability."""
        check_false_accept_rate(false_accept_rate)
        level, scale = self._at(n_frames)
        return level + scale * math.log(TAIL_FRACTION / false_accept_rate)

    def exceedance_probability(self, score: float, n_frames: float) -> float:
        """Return the probability that a stranger's recording of this length scores higher; rough above the tail."""
        level, scale = self._at(n_frames)
        return min(1.0, TAIL_FRACTION * math.exp(min((level - score) / scale, 50.0)))

    def _at(self, n_frames: float) -> tuple[float, float]:
        """Return level and scale at a length."""
        if self.shortest == self.longest:
            return self.level[0], self.scale[0]
        ends = (math.log(self.shortest), math.log(self.longest))
        at = math.log(max(n_frames, 1.0))
        return float(np.interp(at, ends, self.level)), float(np.interp(at, ends, self.scale))


def check_false_accept_rate(rate: float) -> float:
    """Return the rate, or raise if it lies outside the tail that is modelled."""
    if not 0.0 < rate <= TAIL_FRACTION:
        raise ParameterError(f"false_accept_rate is {rate} but must be above 0 and at most {TAIL_FRACTION}; try 0.01")
    return rate


def _exponential_tail(scores: Float64Array) -> tuple[float, float]:
    """Return where the tail begins and the mean excess over it (the maximum-likelihood scale)."""
    level = float(np.quantile(scores, 1.0 - TAIL_FRACTION))
    excess = scores[scores > level] - level
    return level, max(float(excess.mean()) if excess.size else 0.0, 1e-6)


def _line_at(
    ends: Float64Array, log_lengths: Float64Array, values: Float64Array, weights: Float64Array
) -> tuple[float, float]:
    """Return the weighted least-squares line through the values, at both ends."""
    if len(values) == 1:
        return float(values[0]), float(values[0])
    first, last = np.polyval(np.polyfit(log_lengths, values, 1, w=weights), ends)
    return float(first), float(last)
