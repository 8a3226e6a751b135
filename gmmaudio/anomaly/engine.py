"""What scores: standardisation, heads, their calibrations and the fusion, over blocks of a stream.

Conventions. Everything that a stream changes is an array that `arrays` names; a copy of these is the state. What an
adaptive engine learns from, and when, is for `stream.py` to say. A frozen engine has its p-values from out-of-fold
scores of the training data, an adaptive one from the scores that its stream has given so far.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.anomaly.calibration import TailCalibration
from gmmaudio.anomaly.heads import Block, HeadConfig, make_heads
from gmmaudio.anomaly.regime import level_shift
from gmmaudio.anomaly.running import RecordTail, RunningTail, WindowTail

if TYPE_CHECKING:
    from gmmaudio.anomaly.modes import ModeHead

FARTHEST = 1e12
"""Standard deviations that a level can move by at once."""

FUSED = "fused"


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of a block's rows.

    Attributes
    ----------
    scores : ndarray, shape (n,)
        −log10 p, NaN for none.
    contributions : ndarray, shape (n, n_channels)
        Parts of the channels in it.
    best : ndarray, shape (n,)
        Index of the deciding head, −1 for none.
    raw : ndarray, shape (n, n_heads)
        Scores of the heads before calibration.
    modes : ndarray, shape (n,)
        The most probable mode of operation, −1 for none.
    """

    scores: Float64Array
    contributions: Float64Array
    best: IntArray
    raw: Float64Array
    modes: IntArray


@dataclass(eq=False)
class Engine:
    """Heads and calibrations of one stream.

    Parameters
    ----------
    config : HeadConfig
        Sizes of the heads.
    center, scale : ndarray, shape (n_channels,)
        What standardises the channels.
    calibrations : dict of str to TailCalibration
        Of the heads and the fused score; empty for an adaptive engine.
    tails : dict of str to RunningTail
        The same for an adaptive engine; empty for a frozen one.
    """

    config: HeadConfig
    center: Float64Array
    scale: Float64Array
    calibrations: dict[str, TailCalibration] = field(default_factory=dict)
    tails: dict[str, RunningTail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.center = self.center.copy()
        self.heads = make_heads(self.config)
        self.learners = {name: head.learner() for name, head in self.heads.items() if name != "modes"}

    def twin(self) -> "Engine":
        """Return an engine of the same training; what its stream changes is its own."""
        memory = len(self.windows[FUSED].arrays["ring"]) if self.windows else None
        tails = running_tails(self.config, memory) if self.tails else {}
        other = Engine(self.config, self.center, self.scale, self.calibrations, tails)
        if self.mode_head is not None and other.mode_head is not None:
            other.mode_head.hmm = self.mode_head.hmm
        return other

    @property
    def windows(self) -> dict[str, WindowTail]:
        """The tails of a guarded engine, by name; of others none."""
        return {name: tail for name, tail in self.tails.items() if isinstance(tail, WindowTail)}

    def block(self, X: Float64Array, season: IntArray) -> Block:
        """Return rows as the heads want them."""
        from gmmaudio.anomaly import _kernels

        standard = np.empty(X.shape)
        _kernels.standardise(X, self.center, self.scale, standard)
        return Block(X, standard, season)

    def score(self, X: Float64Array, season: IntArray, *, learn: bool = False) -> Scored:
        """Score the next rows of the stream; let the heads learn from each before the next is scored if asked to."""
        from gmmaudio.anomaly import _calibration_kernels

        raw, shares = self.run_heads(self.block(X, season), learn=learn)
        judged = {name: self.neg_log10_p(name, score) for name, score in raw.items()}
        fused, contributions, best = self.fuse(judged, shares)
        scores = self.neg_log10_p(FUSED, fused)
        if FUSED in self.tails:
            scores = np.where(np.isnan(scores), fused, scores)
        scores[np.isnan(X).all(axis=1)] = np.nan
        _calibration_kernels.divide(contributions, scores)
        best = np.where(np.isnan(scores), -1, best)
        modes = np.full(len(X), -1) if self.mode_head is None else self.mode_head.modes
        return Scored(scores, contributions, best, np.column_stack(list(raw.values())), modes)

    def levels(self, neg_log10_p: float) -> Float64Array:
        """Return the raw score of each head that alone makes a guarded engine's p-value this one, at present.

        Infinity where there is none yet.
        """
        windows = self.windows
        wanted = windows[FUSED].level(neg_log10_p) + math.log10(len(self.heads))
        return np.array([windows[name].level(wanted) if name in windows else wanted for name in self.heads])

    def learn_rows(self, X: Float64Array, season: IntArray) -> None:
        """Let the heads learn from rows, whose gaps are what must not be learnt; they follow those of the last call."""
        block = self.block(X, season)
        for learner in self.learners.values():
            learner.run(block, learn=True)

    def settle(self, X: Float64Array, season: IntArray, *, moved: IntArray, n_prior: float) -> Float64Array:
        """Learn that these rows are normal: what was known moves to their level, then counts as `n_prior` samples.

        Parameters
        ----------
        X, season : ndarray, shapes (n, n_channels) and (n,)
            The rows, the latest of the stream.
        moved : ndarray of int
            Channels whose level is another one now.
        n_prior : float
            Weight of what was known.

        Returns
        -------
        ndarray, shape (n_channels,)
            How far the levels went, in standard deviations of the training data.
        """
        shift = self.shift_to(X, moved=moved)
        self.center += shift * self.scale
        for bound in ("low", "high"):
            self.heads["range"].learned[bound] += shift * self.scale
        for head in self.heads.values():
            head.discount(n_prior)
        self.forget_stream()
        self.run_heads(self.block(X, season), learn=True)
        return shift

    def shift_to(self, X: Float64Array, *, moved: IntArray) -> Float64Array:
        """Return how far the levels of some channels are from what is known, the others being as they are."""
        p, n_past = self.heads["conditional"].learned, self.config.n_lags * self.config.n_channels
        return level_shift(self.standardised(X) - p["mean"][n_past:], p["covariance"][n_past:, n_past:], moved)

    def standardised(self, X: Float64Array) -> Float64Array:
        """Return rows in standard deviations from the centre, without the heads' compression of what is far away."""
        return np.clip((X - self.center) / self.scale, -FARTHEST, FARTHEST)

    def forget_stream(self) -> None:
        """Start a new stream with what was learnt."""
        for head in (*self.heads.values(), *self.learners.values()):
            head.forget_stream()

    def arrays(self) -> dict[str, AnyArray]:
        """Return every array that a stream changes, by name; the arrays themselves, not copies."""
        named: dict[str, AnyArray] = {"center": self.center}
        for name, head in self.heads.items():
            named |= {f"{name}.learned.{key}": array for key, array in head.learned.items()}
            named |= {f"{name}.recent.{key}": array for key, array in head.recent.items()}
        for name, tail in self.tails.items():
            named |= {f"{name}.running.{key}": array for key, array in tail.arrays.items()}
            if name in self.learners:
                named |= {f"{name}.learner.{key}": array for key, array in self.learners[name].recent.items()}
        return named

    @property
    def mode_head(self) -> "ModeHead | None":
        """The head of the modes of operation, where there is one."""
        if not self.config.n_modes:
            return None
        from gmmaudio.anomaly.modes import ModeHead

        head = self.heads["modes"]
        assert isinstance(head, ModeHead)
        return head

    def learn(self, stretches: list[tuple[Float64Array, IntArray]]) -> None:
        """Let every head learn from stretches of a stream."""
        for X, season in stretches:
            self.forget_stream()
            self.run_heads(self.block(X, season), learn=True)
        self.learn_modes(stretches)
        self.forget_stream()

    def learn_modes(self, stretches: list[tuple[Float64Array, IntArray]]) -> None:
        """Let the modes of operation be learnt, where they are asked for."""
        if self.mode_head is not None:
            self.mode_head.train([self.block(X, season).standard for X, season in stretches])

    def run_heads(self, block: Block, *, learn: bool) -> tuple[dict[str, Float64Array], Float64Array]:
        """Return the raw scores of each head and their stacked shares."""
        results = {name: head.run(block, learn=learn) for name, head in self.heads.items()}
        return {name: score for name, (score, _) in results.items()}, np.stack([part for _, part in results.values()])

    def neg_log10_p(self, name: str, score: Float64Array) -> Float64Array:
        """Return −log10 p of one head's scores, or the fused ones; NaN for a head that has no calibration."""
        if name == "range":
            return score
        if name in self.tails:
            return self.tails[name].follow(score)
        if name in self.calibrations:
            return self.calibrations[name].apply(score)
        return score.copy() if name == FUSED else np.full(len(score), np.nan)

    def fuse(
        self, neg_log10_p: dict[str, Float64Array], shares: Float64Array
    ) -> tuple[Float64Array, Float64Array, IntArray]:
        """Return the strangest head's score, corrected for their number, its channels' shares, and which it was."""
        from gmmaudio.anomaly import _calibration_kernels

        n = shares.shape[1]
        fused, best, contributions = np.empty(n), np.empty(n, np.int64), np.zeros(shares.shape[1:])
        scores = np.stack([neg_log10_p[name] for name in self.heads])
        _calibration_kernels.fuse(scores, shares, fused, best, contributions)
        return fused, contributions, best


def running_tails(config: HeadConfig, memory: int | None) -> dict[str, RunningTail]:
    """Return what an adaptive engine judges scores by: the last `memory` of each kind, or records (None)."""
    names = [name for name in make_heads(config) if name != "range"]
    if memory is None:
        return {name: RecordTail() for name in names}
    return {name: WindowTail(memory) for name in (*names, FUSED)}
