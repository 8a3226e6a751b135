"""From scores to alarms that an operator can live with.

Conventions. Durations are counted in samples, indices from the start of the stream. An event begins where the score
reaches `enter` and goes on while it stays at or above `leave`; dips of up to `merge_gap` samples do not end it.
"""

import math
from collections import deque
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError


@dataclass(frozen=True)
class Event:
    """A stretch of the stream that is not normal.

    Attributes
    ----------
    start, end, peak : int
        First and last sample at or above the leaving level, and the one with the highest score.
    score : float
        −log10 p at the peak.
    channels : tuple of int
        Channels that contributed, the one with the largest part first.
    state : str
        `"open"` while it lasts, `"closed"` after.
    kind : str
        `"anomaly"`, or `"regime change"` where what was strange has become the normal course and has been learnt.
    mode : int or None
        Most probable mode of operation at the peak, where the detector knows modes.
    """

    start: int
    end: int
    peak: int
    score: float
    channels: tuple[int, ...]
    state: str
    kind: str = "anomaly"
    mode: int | None = None

    @property
    def p(self) -> float:
        """The p-value at the peak, never below the smallest positive number."""
        return max(math.pow(10.0, -self.score), math.ulp(0.0))


@dataclass(frozen=True)
class EventRule:
    """When scores make an event.

    Parameters
    ----------
    alarm_p : float
        An event begins at this p-value or a smaller one.
    leave_p : float
        It goes on while the p-value stays at or below this; at least `alarm_p`.
    min_duration : int
        Samples from the first to the last that make it worth telling.
    merge_gap : int
        Samples above `leave_p` that do not end it.
    refractory : int
        Samples after its end in which no other begins.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    alarm_p: float = 1e-4
    leave_p: float = 1e-2
    min_duration: int = 1
    merge_gap: int = 5
    refractory: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.alarm_p <= self.leave_p < 1.0:
            raise ParameterError(
                f"alarm_p is {self.alarm_p} and leave_p is {self.leave_p}, but 0 < alarm_p <= leave_p < 1 is needed"
            )
        for name, least in (("min_duration", 1), ("merge_gap", 0), ("refractory", 0)):
            if getattr(self, name) < least:
                raise ParameterError(f"{name} is {getattr(self, name)}, but it is a number of samples from {least} on")


def running_peaks(scores: npt.ArrayLike, refractory: int) -> Float64Array:
    """Keep the scores that exceed all of the last `refractory` ones and set the others to 0.

    It is the refractory period without a threshold: whatever the threshold, a sample that follows a higher score
    closely raises no new alarm.

    Parameters
    ----------
    scores : array-like, shape (n_samples,)
        Scores of 0 and more.
    refractory : int
        Number of earlier samples to look at.

    Examples
    --------
    >>> running_peaks([1, 3, 2, 2, 4], refractory=2).tolist()
    [1.0, 3.0, 0.0, 0.0, 4.0]
    """
    values = np.asarray(scores, dtype=np.float64)
    kept = np.zeros(len(values))
    falling: deque[tuple[int, float]] = deque()
    for index, value in enumerate(values.tolist()):
        while falling and falling[0][0] < index - refractory:
            falling.popleft()
        if not falling or value > falling[0][1]:
            kept[index] = value
        while falling and falling[-1][1] <= value:
            falling.pop()
        falling.append((index, value))
    return kept


def find_events(
    scores: npt.ArrayLike, rule: EventRule, *, contributions: npt.ArrayLike | None = None
) -> tuple[Event, ...]:
    """Return the events of scores that are all there already, the one that lasts at the end included.

    Parameters
    ----------
    scores : array-like, shape (n_samples,)
        −log10 p of each sample, of whatever detector.
    rule : EventRule
        What makes an event.
    contributions : array-like, shape (n_samples, n_channels), optional
        Parts of the channels; without them events name no channels.

    Raises
    ------
    ParameterError
        If the shapes do not fit or a score is NaN.

    Examples
    --------
    >>> [(event.start, event.end) for event in find_events([0, 5, 3, 0, 0], EventRule(merge_gap=1))]
    [(1, 2)]
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or np.isnan(values).any():
        raise ParameterError(f"scores has shape {values.shape}, but (n_samples,) without NaN is needed")
    parts = np.zeros((len(values), 0)) if contributions is None else np.asarray(contributions, dtype=np.float64)
    if parts.ndim != 2 or len(parts) != len(values):
        raise ParameterError(f"contributions has shape {parts.shape}, but ({len(values)}, n_channels) is needed")
    tracker = EventTracker(rule, parts.shape[1])
    _, ended = tracker.run(values, parts)
    last = tracker.current()
    return tuple(ended) if last is None else (*ended, last)


class EventTracker:
    """Follows a stream of scores and tells its events; its memory is two arrays.

    `place` holds the number of samples seen and, of the event that lasts, start (−1: none), last sample at or above
    the leaving level and peak, the score there, the end of the event before, and the mode of operation at the peak (−1:
    not known); `parts` its channels' contributions.
    """

    def __init__(self, rule: EventRule, n_channels: int) -> None:
        self.set_rule(rule)
        self.place = np.array([0.0, -1.0, -1.0, -1.0, 0.0, -math.inf, -1.0])
        self.parts = np.zeros(n_channels)

    def set_rule(self, rule: EventRule) -> None:
        """Go on by another rule."""
        self.rule = rule
        self.enter, self.leave = -math.log10(rule.alarm_p), -math.log10(rule.leave_p)

    def run(
        self,
        scores: Float64Array,
        contributions: Float64Array,
        *,
        strange: BoolArray | None = None,
        modes: IntArray | None = None,
    ) -> tuple[list[bool], list[Event]]:
        """Return for each sample whether an event lasts there, and the events that ended.

        Samples that are `strange` keep an event going, by default those at or above the leaving level.
        """
        going_on = (scores >= self.leave if strange is None else strange).tolist()
        index, start, last, peak, top, previous_end, mode = self.place.tolist()
        lasting, ended = [], []
        for row, score in enumerate(scores.tolist()):
            if start < 0 and score >= self.enter and index > previous_end + self.rule.refractory:
                start, top = index, -1.0
                self.parts[:] = 0.0
            if start >= 0:
                if going_on[row]:
                    last = index
                    self.parts += contributions[row]
                    if score > top:
                        peak, top, mode = index, score, -1.0 if modes is None else float(modes[row])
                elif index - last > self.rule.merge_gap:
                    if last - start + 1 >= self.rule.min_duration:
                        ended.append(self._event(start, last, peak, top, mode, "closed"))
                        previous_end = last
                    start = -1.0
            lasting.append(start >= 0 and last - start + 1 >= self.rule.min_duration)
            index += 1
        self.place[:] = index, start, last, peak, top, previous_end, mode
        return lasting, ended

    def current(self) -> Event | None:
        """Return the event that lasts, if it is long enough to tell."""
        _, start, last, peak, top, _, mode = self.place.tolist()
        if start < 0 or last - start + 1 < self.rule.min_duration:
            return None
        return self._event(start, last, peak, top, mode, "open")

    def settle(self) -> Event:
        """End the event that lasts, as a change of regime that the last sample completes."""
        index, start, _, peak, top, _, mode = self.place.tolist()
        self.place[1], self.place[5] = -1.0, index - 1.0
        return replace(self._event(start, index - 1.0, peak, top, mode, "closed"), kind="regime change")

    def _event(self, start: float, end: float, peak: float, score: float, mode: float, state: str) -> Event:
        """Return the event with its channels in order."""
        order = np.argsort(-self.parts, kind="stable")
        channels = tuple(int(c) for c in order if self.parts[c] > 0)
        known = None if mode < 0 else int(mode)
        return Event(int(start), int(end), int(peak), score, channels, state, mode=known)
