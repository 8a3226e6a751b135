"""How an engine learns from training data: once and for good, or one sample after the other."""

import itertools

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.anomaly.calibration import LEAST_SCORES, TailCalibration
from gmmaudio.anomaly.engine import FUSED, Engine, running_tails
from gmmaudio.anomaly.heads import HeadConfig
from gmmaudio.anomaly.scaling import spread
from gmmaudio.errors import ParameterError

N_FOLDS = 5
LEAST_WINDOWS = 40
"""Windows without overlap that a frozen detector must have seen before it trusts its idea of how levels vary."""

FORGETTING, RATE = 0.9995, 1.0 / 3000.0
"""Of adaptive engines: a memory of 2000 and 3000 samples."""


def train_frozen(
    X: Float64Array, season: IntArray, *, n_lags: int, window: int, n_modes: int = 0
) -> tuple[Engine, Float64Array]:
    """Learn from the rows of a normal stream, for good; return also their −log10 p, out of fold.

    Raises
    ------
    ParameterError
        If the rows are too few or too incomplete.
    """
    engine = Engine(HeadConfig(X.shape[1], n_lags, window, 1.0, 0.0, n_modes), *spread(X))
    engine.learn([(X, season)])
    _check_learnt(engine, len(X))
    fused = _calibrate(engine, X, season)
    engine.forget_stream()
    return engine, engine.calibrations[FUSED].apply(fused)


def train_adaptive(
    X: Float64Array, season: IntArray, *, n_lags: int, window: int, memory: int | None, n_modes: int = 0
) -> tuple[Engine, Float64Array]:
    """Learn from the rows of a normal stream, one after the other; return also −log10 p of each given the earlier.

    Raises
    ------
    ParameterError
        As for `train_frozen`.
    """
    config = HeadConfig(X.shape[1], n_lags, window, FORGETTING, RATE, n_modes)
    engine = Engine(config, *spread(X), tails=running_tails(config, memory))
    engine.learn_modes([(X, season)])
    scores = engine.score(X, season, learn=True).scores
    _check_learnt(engine, len(X))
    engine.forget_stream()
    return engine, scores


def _check_learnt(engine: Engine, n_rows: int) -> None:
    """Refuse training rows of which too few are complete."""
    count, _, next_update = engine.heads["conditional"].learned["count"]
    if next_update == 0.0:
        config = engine.config
        wanted = 20 + config.n_channels * (config.n_lags + 1)
        raise ParameterError(
            f"only {int(count)} of {n_rows} training rows have every channel in them and in the "
            f"{config.n_lags} rows before, but {wanted} are needed; give more normal data without gaps"
        )


def _calibrate(engine: Engine, X: Float64Array, season: IntArray) -> Float64Array:
    """Learn the p-values from scores of contiguous folds that the scoring heads have not seen; return the fused."""
    pieces: list[tuple[dict[str, Float64Array], Float64Array]] = []
    edges = np.linspace(0, len(X), N_FOLDS + 1).astype(int)
    for first, end in itertools.pairwise(edges):
        fold = Engine(engine.config, engine.center, engine.scale)
        fold.learn([(X[part], season[part]) for part in (slice(0, first), slice(end, len(X)))])
        pieces.append(fold.run_heads(fold.block(X[first:end], season[first:end]), learn=False))
    raw = {name: np.concatenate([scores[name] for scores, _ in pieces]) for name in engine.heads}
    shares = np.concatenate([part for _, part in pieces], axis=1)
    wanted = dict.fromkeys(engine.heads, LEAST_SCORES)
    wanted["level"] = max(LEAST_SCORES, LEAST_WINDOWS * engine.config.window)
    for name in engine.heads:
        if name != "range" and np.count_nonzero(~np.isnan(raw[name])) >= wanted[name]:
            engine.calibrations[name] = TailCalibration.fit(raw[name])
    fused, _, _ = engine.fuse({name: engine.neg_log10_p(name, score) for name, score in raw.items()}, shares)
    engine.calibrations[FUSED] = TailCalibration.fit(fused)
    return fused
