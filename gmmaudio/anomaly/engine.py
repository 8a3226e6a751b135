"""What scores: standardisation, heads, their calibrations and the fusion, over blocks of a stream.

Conventions. Everything that a stream changes is an array that `arrays` names; a copy of these is the state. A frozen
engine scores with what training left; an adaptive one goes on learning, and its p-values come from the scores that it
has given so far. Either way a sample is judged before it is learnt from.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.anomaly.calibration import LEAST_SCORES, TailCalibration
from gmmaudio.anomaly.heads import Block, HeadConfig, make_heads
from gmmaudio.errors import ParameterError

N_FOLDS = 5
N_LARGEST = 20
LEAST_WINDOWS = 40
"""Windows without overlap that a frozen detector must have seen before it trusts its idea of how levels vary."""

RUNNING_WARM_UP = 100.0
FORGETTING, RATE = 0.9995, 1.0 / 3000.0
"""Of adaptive engines: a memory of 2000 and 3000 samples."""

FUSED = "fused"


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores (NaN: none), contributions and the index of the deciding head (−1: none) of a block's rows."""

    scores: Float64Array
    contributions: Float64Array
    best: IntArray


@dataclass(eq=False)
class Engine:
    """Heads and calibrations of one stream.

    Parameters
    ----------
    config : HeadConfig
        Sizes of the heads.
    adaptive : bool
        Whether it goes on learning.
    center, scale : ndarray, shape (n_channels,)
        What standardises the channels.
    """

    config: HeadConfig
    adaptive: bool
    center: Float64Array
    scale: Float64Array
    calibrations: dict[str, TailCalibration] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.heads = make_heads(self.config)
        self.running = {
            name: {"largest": np.full(N_LARGEST, -np.inf), "count": np.zeros(1)}
            for name in self.heads
            if self.adaptive and name != "range"
        }

    @classmethod
    def train(cls, X: Float64Array, season: IntArray, *, n_lags: int, window: int, adaptive: bool) -> "Engine":
        """Learn from the rows of a normal stream.

        Raises
        ------
        ParameterError
            If the rows are too few or too incomplete.
        """
        center, scale = _spread(X)
        config = HeadConfig(X.shape[1], n_lags, window, FORGETTING if adaptive else 1.0, RATE if adaptive else 0.0)
        engine = cls(config, adaptive, center, scale)
        if adaptive:
            engine.run(X, season)
        else:
            engine._learn(engine.block(X, season))
            engine._calibrate(X, season)
        engine.forget_stream()
        return engine

    def block(self, X: Float64Array, season: IntArray) -> Block:
        """Return rows as the heads want them."""
        from gmmaudio.anomaly import _kernels

        standard = np.empty(X.shape)
        _kernels.standardise(X, self.center, self.scale, standard)
        return Block(X, standard, season)

    def run(self, X: Float64Array, season: IntArray) -> Scored:
        """Score the next rows of the stream."""
        raw, shares = self._run_heads(self.block(X, season), learn=self.adaptive)
        scored = self._fuse({name: self._neg_log10_p(name, score) for name, score in raw.items()}, shares)
        return self._finish(scored, X)

    def forget_stream(self) -> None:
        """Start a new stream with what was learnt."""
        for head in self.heads.values():
            head.forget_stream()

    def arrays(self) -> dict[str, AnyArray]:
        """Return every array that a stream changes, by name; the arrays themselves, not copies."""
        named: dict[str, AnyArray] = {}
        for name, head in self.heads.items():
            named |= {f"{name}.learned.{key}": array for key, array in head.learned.items()}
            named |= {f"{name}.recent.{key}": array for key, array in head.recent.items()}
        for name, memory in self.running.items():
            named |= {f"{name}.running.{key}": array for key, array in memory.items()}
        return named

    def _learn(self, block: Block) -> None:
        """Let every head learn from rows that follow one another."""
        for head in self.heads.values():
            head.run(block, learn=True)
        count, _, next_update = self.heads["conditional"].learned["count"]
        if next_update == 0.0:
            wanted = 20 + self.config.n_channels * (self.config.n_lags + 1)
            raise ParameterError(
                f"only {int(count)} of {len(block.raw)} training rows have every channel in them and in the "
                f"{self.config.n_lags} rows before, but {wanted} are needed; give more normal data without gaps"
            )

    def _calibrate(self, X: Float64Array, season: IntArray) -> None:
        """Learn the p-values from scores of contiguous folds that the scoring heads have not seen."""
        pieces: list[tuple[dict[str, Float64Array], Float64Array]] = []
        edges = np.linspace(0, len(X), N_FOLDS + 1).astype(int)
        for first, end in itertools.pairwise(edges):
            fold = Engine(self.config, False, self.center, self.scale)
            for part in (slice(0, first), slice(end, len(X))):
                if part.start < (part.stop or 0):
                    fold.forget_stream()
                    for head in fold.heads.values():
                        head.run(fold.block(X[part], season[part]), learn=True)
            fold.forget_stream()
            pieces.append(fold._run_heads(fold.block(X[first:end], season[first:end]), learn=False))
        raw = {name: np.concatenate([scores[name] for scores, _ in pieces]) for name in self.heads}
        shares = np.concatenate([part for _, part in pieces], axis=1)
        wanted = dict.fromkeys(self.heads, LEAST_SCORES) | {
            "level": max(LEAST_SCORES, LEAST_WINDOWS * self.config.window)
        }
        for name in self.heads:
            if name != "range" and np.count_nonzero(~np.isnan(raw[name])) >= wanted[name]:
                self.calibrations[name] = TailCalibration.fit(raw[name])
        fused = self._fuse({name: self._neg_log10_p(name, score) for name, score in raw.items()}, shares)
        self.calibrations[FUSED] = TailCalibration.fit(fused.scores)

    def _run_heads(self, block: Block, *, learn: bool) -> tuple[dict[str, Float64Array], Float64Array]:
        """Return the raw scores of each head and their stacked shares."""
        results = {name: head.run(block, learn=learn) for name, head in self.heads.items()}
        return {name: score for name, (score, _) in results.items()}, np.stack([part for _, part in results.values()])

    def _neg_log10_p(self, name: str, score: Float64Array) -> Float64Array:
        """Return −log10 p of one head's scores; NaN for a head that has no calibration."""
        from gmmaudio.anomaly import _kernels

        if name == "range":
            return score
        if not self.adaptive:
            return self.calibrations[name].apply(score) if name in self.calibrations else np.full(len(score), np.nan)
        out, memory = np.empty(len(score)), self.running[name]
        _kernels.running_tail(score, memory["largest"], memory["count"], RUNNING_WARM_UP, out)
        return out

    def _fuse(self, neg_log10_p: dict[str, Float64Array], shares: Float64Array) -> Scored:
        """Return the strangest head's score, corrected for their number."""
        from gmmaudio.anomaly import _kernels

        n = shares.shape[1]
        fused, best, contributions = np.empty(n), np.empty(n, np.int64), np.zeros(shares.shape[1:])
        _kernels.fuse(np.stack([neg_log10_p[name] for name in self.heads]), shares, fused, best, contributions)
        return Scored(fused, contributions, best)

    def _finish(self, scored: Scored, X: Float64Array) -> Scored:
        """Calibrate the fused score, take it back where there is no data, and scale the contributions to it."""
        from gmmaudio.anomaly import _kernels

        scores = scored.scores
        if FUSED in self.calibrations:
            scores = self.calibrations[FUSED].apply(scores)
        scores[np.isnan(X).all(axis=1)] = np.nan
        _kernels.divide(scored.contributions, scores)
        return Scored(scores, scored.contributions, np.where(np.isnan(scores), -1, scored.best))


def _spread(X: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of each channel; a constant one gets a tenth of its value, or 1."""
    valid = ~np.isnan(X)
    if not valid.any(axis=0).all():
        channel = int(np.flatnonzero(~valid.any(axis=0))[0])
        raise ParameterError(f"channel {channel} has no number in the training data; leave it out or repair it")
    first = np.array([column[ok][0] for column, ok in zip(X.T, valid.T, strict=True)])
    # Relative to the first value, so that a large offset costs no digits.
    center = first + np.nanmean(X - first, axis=0)
    scale = np.nanstd(X - first, axis=0)
    constant = scale <= 1e-12 * np.abs(center)
    fallback = np.where(center == 0.0, 1.0, 0.1 * np.abs(center))
    return center, np.where(constant, fallback, scale)
