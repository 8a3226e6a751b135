"""Deltas: how the features move, by regression over neighbouring frames.

Conventions. The edge rule is HTK's: frames before the first are copies of the first, frames after the last copies of
the last. Deltas of deltas are made from the deltas by the same rule, with the deltas' own first and last rows repeated,
so they are not a second-order fit (as librosa's `order=2` is). Static features come first, then deltas of each order.
"""

import dataclasses

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.features.config import Config, check_range
from gmmaudio.features.rows import as_frames
from gmmaudio.stage import Stage


@dataclasses.dataclass(frozen=True)
class DeltasConfig(Config):
    """Configuration of `Deltas`.

    Attributes
    ----------
    order : int, default 1
        1 appends deltas, 2 also deltas of deltas. One order is what most speaker systems use; words gain from two.
    window : int, default 2
        Frames on each side that the regression looks at; HTK's and Kaldi's default, ±20 ms.
    """

    order: int = 1
    window: int = 2

    def _check_values(self) -> None:
        check_range("order", self.order, 1, 2)
        check_range("window", self.window, 1, 100)


class Deltas(Stage):
    """Append regression deltas to frames.

    d_t = Σ_θ θ (c_{t+θ} − c_{t−θ}) / (2 Σ_θ θ²), θ = 1 … window (HTK Book, eq. 5.16).

    Parameters
    ----------
    n_features : int
        Number of columns of the input.
    config : DeltasConfig, optional

    Examples
    --------
    >>> import numpy as np
    >>> ramp = np.arange(6.0)[:, None]
    >>> Deltas(1).transform(ramp)[:, 1]
    array([0.5, 0.8, 1. , 1. , 0.8, 0.5], dtype=float32)
    """

    def __init__(self, n_features: int, config: DeltasConfig | None = None) -> None:
        self.config = config or DeltasConfig()
        self.n_features = n_features * (1 + self.config.order)
        widths = [n_features * (1 + order) for order in range(self.config.order)]
        self._orders = [_AppendDelta(width, n_features, self.config.window) for width in widths]

    @property
    def lookahead(self) -> int:
        """Frames: `window` for each order."""
        return self.config.order * self.config.window

    def _parts(self) -> dict[str, Stage]:
        return {f"order{order}": stage for order, stage in enumerate(self._orders, start=1)}

    def reset(self) -> None:
        """Forget the stream."""
        for stage in self._orders:
            stage.reset()

    def push(self, rows: AnyArray) -> Float32Array:
        """Take frames and return those whose deltas are final, (n_frames, n_features)."""
        frames = rows
        for stage in self._orders:
            frames = stage.push(frames)
        return frames

    def flush(self) -> Float32Array:
        """Return the last frames, and start afresh."""
        frames = self._orders[0].flush()
        for stage in self._orders[1:]:
            frames = np.concatenate([stage.push(frames), stage.flush()])
        return frames


@dataclasses.dataclass
class _AppendDeltaState:
    """The last 2·window frames, the copies of the first one included; empty before the first frame."""

    frames: Float32Array


class _AppendDelta(Stage):
    """Append to each row the deltas of its last `n_moving` columns."""

    _state: _AppendDeltaState

    def __init__(self, n_columns: int, n_moving: int, window: int) -> None:
        self._n_columns = n_columns
        self._n_moving = n_moving
        self._window = window
        self.reset()

    @property
    def lookahead(self) -> int:
        return self._window

    def reset(self) -> None:
        self._state = _AppendDeltaState(np.zeros((0, self._n_columns), np.float32))

    def push(self, rows: AnyArray) -> Float32Array:
        frames = as_frames(rows, self._n_columns)
        if len(self._state.frames) == 0:
            frames = np.concatenate([np.repeat(frames[:1], self._window, axis=0), frames])
        return self._append(frames)

    def flush(self) -> Float32Array:
        rows = self._append(np.repeat(self._state.frames[-1:], self._window, axis=0))
        self.reset()
        return rows

    def _append(self, frames: Float32Array) -> Float32Array:
        """Return the rows that have all their neighbours once `frames` follow."""
        window, state = self._window, self._state
        frames = np.concatenate([state.frames, frames])
        n_rows = max(len(frames) - 2 * window, 0)
        state.frames = frames[n_rows:].copy()
        moving = frames[:, -self._n_moving :]
        delta = np.zeros((n_rows, self._n_moving), np.float32)
        norm = 2 * sum(step**2 for step in range(1, window + 1))
        for step in range(1, window + 1):
            later = moving[window + step : window + step + n_rows]
            earlier = moving[window - step : window - step + n_rows]
            delta += np.float32(step / norm) * (later - earlier)
        return np.hstack([frames[window : window + n_rows], delta])
