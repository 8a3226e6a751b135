"""A stream in time: score, decide, and learn from what was normal.

Conventions. Learning happens at every `PACE`-th sample of the stream (or every window, if that is longer), so that
neither the way a stream is cut nor its speed changes a bit. Learnt are the samples of the pace before the last one,
except those in an event or within a pace before one: a fault is not learnt, nor is its unnoticed beginning. The
p-values of an adaptive engine get used to whatever lasts, so an event goes on by the standards of its beginning: while
a head's raw score is one that was strange then; and the scores of an event of more than `LONGEST_CHANCE` samples are
forgotten when it is over. When almost every sample of the last `settle_after` belonged to an event and the level stays,
this is the new normal course: the event ends as a change of regime, and the detector moves there (`Engine.settle`). If
the level does not stay, the standards are set anew, so that no event lasts for ever.
"""

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.anomaly.engine import Engine, Scored
from gmmaudio.anomaly.events import Event, EventTracker
from gmmaudio.anomaly.regime import is_stable

PACE = 48
LONGEST_CHANCE = 5
"""Samples of an event that may be what chance gives, and is remembered as such."""

SETTLED_SHARE = 0.9
"""Share of the samples that must belong to an event before a change of regime is thought of."""

RESPONSIBLE_SHARE = 0.5
"""A channel has moved if it has at least this share of the first channel's part in the event."""


class Stream:
    """An engine and its events over time.

    Parameters
    ----------
    engine : Engine
        What scores.
    tracker : EventTracker
        What decides.
    settle_after : int
        Samples of an event after which a stable level is a new regime; 0: never.
    """

    def __init__(self, engine: Engine, tracker: EventTracker, *, settle_after: int) -> None:
        self.engine, self.tracker = engine, tracker
        self.pace = max(PACE, engine.config.window)
        self.guarded = bool(engine.windows)
        self.learns_at_once = bool(engine.tails) and not self.guarded
        self.n_settle = 0 if settle_after == 0 else self.pace * max(2, -(-settle_after // self.pace))
        n, n_channels = max(self.n_settle, 2 * self.pace), engine.config.n_channels
        self._past: dict[str, AnyArray] = {}
        if self.n_settle or self.guarded:
            self._past = {
                "rows": np.full((n, n_channels), np.nan),
                "season": np.full(n, -1, dtype=np.int64),
                "lasting": np.zeros(n, dtype=np.bool_),
                "strange": np.zeros(n, dtype=np.bool_),
                "levels": np.full(len(engine.heads), np.inf),
                "marks": np.zeros(1 + len(engine.windows)),
                "count": np.zeros(1, dtype=np.int64),
            }
            self._set_levels()

    def run(self, X: Float64Array, season: IntArray) -> tuple[Scored, list[bool], list[Event]]:
        """Score the next rows; return what is known of them, whether an event lasts at each, and events that ended."""
        pieces: list[Scored] = []
        lasting: list[bool] = []
        ended: list[Event] = []
        first = 0
        while first < len(X) or not pieces:
            room = self.pace - int(self._past["count"][0]) % self.pace if self._past else len(X)
            part = slice(first, min(first + room, len(X)))
            scored = self.engine.score(X[part], season[part], learn=self.learns_at_once)
            scores = np.nan_to_num(scored.scores)
            strange = scores >= self.tracker.leave
            if self._past:
                strange |= np.any(scored.raw >= self._past["levels"], axis=1)
            in_event, over = self.tracker.run(scores, scored.contributions, strange=strange, modes=scored.modes)
            ended += over
            if self._past:
                there = np.array(in_event, dtype=np.bool_)
                self._keep(rows=X[part], season=season[part], lasting=there, strange=there & strange)
                if part.stop - first == room:
                    ended += self._pause()
            pieces.append(scored)
            lasting += in_event
            first = part.stop
        return _joined(pieces), lasting, ended

    def arrays(self) -> dict[str, AnyArray]:
        """Return every array that the stream changes, by name; the arrays themselves, not copies."""
        events = {"events.place": self.tracker.place, "events.parts": self.tracker.parts}
        return self.engine.arrays() | events | {f"past.{name}": array for name, array in self._past.items()}

    def _keep(self, **rows: AnyArray) -> None:
        """Remember what is known of rows that do not reach beyond the end of the pace."""
        offset, n = int(self._past["count"][0]) % self.pace, len(rows["rows"])
        for name, values in rows.items():
            first = len(self._past[name]) - self.pace + offset
            self._past[name][first : first + n] = values
        self._past["count"] += n

    def _pause(self) -> list[Event]:
        """Learn at the end of a pace; return a change of regime if this is the moment of one."""
        if self.guarded:
            self._learn()
        ended = []
        if self._lasts_too_long():
            if self._is_stable():
                ended.append(self._settle())
            self._set_levels()
        elif self.tracker.current() is None:
            self._forget_scores()
            self._set_levels()
        for name in ("rows", "season", "lasting", "strange"):
            array = self._past[name]
            array[: -self.pace] = array[self.pace :].copy()
        return ended

    def _learn(self) -> None:
        """Learn the rows of the pace before the one that ends, without those in an event or shortly before one."""
        past, pace = self._past, self.pace
        if past["count"][0] >= 2 * pace:
            windows = np.lib.stride_tricks.sliding_window_view(past["lasting"][-2 * pace :], pace + 1)
            near = np.any(windows[:pace], axis=1)
            rows, season = past["rows"][-2 * pace : -pace], past["season"][-2 * pace : -pace]
            self.engine.learn_rows(np.where(near[:, np.newaxis], np.nan, rows), season)

    def _set_levels(self) -> None:
        """Take note of the raw scores that are strange at present, by which the next event will be judged to last."""
        if self.guarded:
            self._past["levels"][:] = self.engine.levels(self.tracker.leave)
            self._past["marks"][:] = [self._past["count"][0], *self._counts()]

    def _forget_scores(self) -> None:
        """Forget the scores since the levels were set if more than chance was among them."""
        n_rows, *counts = self._past["marks"]
        strange = self._past["strange"]
        since = strange[-min(int(self._past["count"][0] - n_rows), len(strange)) :]
        if np.count_nonzero(since) > LONGEST_CHANCE:
            for tail, count in zip(self.engine.windows.values(), counts, strict=True):
                tail.replace(count)

    def _counts(self) -> list[float]:
        """Return the number of scores that each tail has seen."""
        return [float(tail.arrays["count"][0]) for tail in self.engine.windows.values()]

    def _lasts_too_long(self) -> bool:
        """Whether almost everything in memory belongs to the event that lasts."""
        past, n = self._past, self.n_settle
        if not n or past["count"][0] < n or self.tracker.current() is None:
            return False
        return bool(np.count_nonzero(past["lasting"]) >= SETTLED_SHARE * n)

    def _is_stable(self) -> bool:
        """Whether the level of the rows in memory does not change any more."""
        engine, rows = self.engine, self._event_rows()
        shift = engine.shift_to(rows, moved=self._moved())
        spread = np.sqrt(engine.heads["level"].learned["variance"])
        return is_stable(engine.standardised(rows), shift, spread)

    def _settle(self) -> Event:
        """Move to the level of the rows in memory, as what was known before counts as half of them."""
        past = self._past
        self.engine.settle(self._event_rows(), past["season"], moved=self._moved(), n_prior=self.n_settle / 2)
        past["count"][0] = 0
        past["lasting"][:] = False
        return self.tracker.settle()

    def _event_rows(self) -> Float64Array:
        """Return the rows in memory, without what is not of the event."""
        return np.where(self._past["lasting"][:, np.newaxis], self._past["rows"], np.nan)

    def _moved(self) -> IntArray:
        """Return the channels behind the event that lasts."""
        parts = self.tracker.parts
        return np.flatnonzero((parts >= RESPONSIBLE_SHARE * parts.max()) & (parts > 0))


def _joined(pieces: list[Scored]) -> Scored:
    """Return pieces as one."""
    if len(pieces) == 1:
        return pieces[0]
    names = ("scores", "contributions", "best", "raw", "modes")
    return Scored(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in names))
