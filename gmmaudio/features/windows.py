"""Statistics over a window that slides along the frames, without drift and independent of how the stream is cut.

Conventions. Frame t is normalized by the window of `window` frames that ends at frame
e(t) = max(t + lookahead, min_frames − 1), or with the recording if that ends earlier. At the beginning of the recording
the window is as much of itself as exists, so the first frames share the statistics of the first `min_frames`.
With lookahead = window/2 and min_frames = window this is Kaldi's centred sliding window.
"""

import dataclasses
from abc import abstractmethod

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array, Float64Array, IntArray
from gmmaudio.features.config import Config, check_range
from gmmaudio.features.rows import as_frames
from gmmaudio.stage import Stage

LONGEST_WINDOW = 100_000
"""Frames; keeps the memory of a configuration from an untrusted file small."""


@dataclasses.dataclass(frozen=True)
class WindowConfig(Config):
    """The window of a sliding normalization; see the module's conventions.

    Attributes
    ----------
    window : int, default 300
        Frames; 3 s hold enough sounds for their mean to be the channel's and the speaker's.
    lookahead : int, default 0
        Frames of the future in the window; 0 is causal.
    min_frames : int, default 100
        Frames at the start that are waited for, because statistics of fewer are useless; 1 does not wait.
    """

    window: int = 300
    lookahead: int = 0
    min_frames: int = 100

    def _check_values(self) -> None:
        check_range("window", self.window, 1, LONGEST_WINDOW)
        check_range("lookahead", self.lookahead, 0, self.window - 1)
        check_range("min_frames", self.min_frames, 1, self.window)


@dataclasses.dataclass
class _WindowState:
    """Frames that wait for the end of their window, the number of frames seen, and the end of the memory."""

    pending: Float32Array
    n_seen: int
    memory: AnyArray


class WindowStage(Stage):
    """Base of the stages that compare each frame with the window around it.

    The memory has one row for each frame: the frame itself, or the sums over the window that it ends.
    """

    _state: _WindowState

    def __init__(self, n_features: int, config: WindowConfig) -> None:
        self.n_features = n_features
        self.config = config
        self.reset()

    @property
    def lookahead(self) -> int:
        """Frames; the first one waits for `min_frames`."""
        return max(self.config.lookahead, self.config.min_frames - 1)

    def reset(self) -> None:
        """Forget the stream."""
        none = np.zeros((0, self.n_features), np.float32)
        self._state = _WindowState(none, n_seen=0, memory=self._remember(none))

    def push(self, rows: AnyArray) -> Float32Array:
        """Take frames and return the normalized frames whose window is complete."""
        frames, state, config = as_frames(rows, self.n_features), self._state, self.config
        state.memory = np.concatenate([state.memory, self._remember(frames)])
        state.n_seen += len(frames)
        state.pending = np.concatenate([state.pending, frames])
        first = state.n_seen - len(state.pending)
        stop = state.n_seen - config.lookahead if state.n_seen >= config.min_frames else 0
        ready = self._emit(np.maximum(np.arange(first, stop) + config.lookahead, config.min_frames - 1))
        state.memory = state.memory[-self._n_remembered :].copy()
        return ready

    def flush(self) -> Float32Array:
        """Return the frames whose window would reach beyond the end, and start afresh."""
        frames = self._emit(np.full(len(self._state.pending), self._state.n_seen - 1))
        self.reset()
        return frames

    def _emit(self, ends: IntArray) -> Float32Array:
        """Take the pending frames whose windows end at the given frames, and return them normalized."""
        state = self._state
        frames, state.pending = state.pending[: len(ends)], state.pending[len(ends) :].copy()
        counts = np.minimum(ends + 1, self.config.window)
        return self._normalize(frames, counts, ends - state.n_seen + len(state.memory))

    @property
    @abstractmethod
    def _n_remembered(self) -> int:
        """Rows of the memory that later frames need."""

    @abstractmethod
    def _remember(self, frames: Float32Array) -> AnyArray:
        """Return the rows of the memory for the next frames."""

    @abstractmethod
    def _normalize(self, frames: Float32Array, counts: IntArray, ends: IntArray) -> Float32Array:
        """Return the frames normalized by windows of `counts` frames that end at the rows `ends` of the memory."""


@dataclasses.dataclass
class _MomentsState:
    """What `SlidingMoments` remembers; blocks of `window` rows start at multiples of `window`."""

    reference: Float64Array
    block: Float64Array
    block_sum: Float64Array
    n_block: int
    suffixes: Float64Array
    started: bool


class SlidingMoments(Stage):
    """Sums of x − reference and of its square over the last `window` rows, in float64.

    The sum over a window is that of its end in the current block plus that of its start in the block before, both built
    by addition alone (van Herk 1992). So nothing is ever subtracted, no error lives longer than two windows, and
    every sum has one order of additions. The reference is the first row of the stream, which keeps the difference of
    squares exact for features with a large offset.
    """

    _state: _MomentsState

    def __init__(self, n_features: int, window: int) -> None:
        self._n_features = n_features
        self._window = window
        self.reset()

    @property
    def lookahead(self) -> int:
        """Rows; a sum is final at once."""
        return 0

    @property
    def reference(self) -> Float64Array:
        """The row that is subtracted from all, (n_features,)."""
        return self._state.reference

    def reset(self) -> None:
        """Forget the stream."""
        n_sums = 2 * self._n_features
        self._state = _MomentsState(
            reference=np.zeros(self._n_features),
            block=np.zeros((self._window, n_sums)),
            block_sum=np.zeros(n_sums),
            n_block=0,
            suffixes=np.zeros((self._window + 1, n_sums)),
            started=False,
        )

    def push(self, rows: AnyArray) -> Float64Array:
        """Return [Σ(x − reference), Σ(x − reference)²] of the windows that end at the rows, (n_rows, 2·n_features)."""
        state = self._state
        if len(rows) and not state.started:
            state.reference, state.started = rows[0].astype(np.float64), True
        moved = rows - state.reference
        moments = np.hstack([moved, np.square(moved)])
        sums = [np.zeros((0, moments.shape[1]))]
        while len(moments):
            n_taken = min(self._window - state.n_block, len(moments))
            sums.append(self._push_in_block(moments[:n_taken]))
            moments = moments[n_taken:]
        return np.concatenate(sums)

    def flush(self) -> Float64Array:
        """Start afresh; nothing is owed."""
        self.reset()
        return np.zeros((0, 2 * self._n_features))

    def _push_in_block(self, moments: Float64Array) -> Float64Array:
        """Return the window sums of rows that do not reach beyond the current block."""
        state, stop = self._state, self._state.n_block + len(moments)
        # cumsum adds one row after the other, so starting from the carried sum gives the bits of one long cumsum.
        prefixes = np.cumsum(np.vstack([state.block_sum, moments]), axis=0)[1:]
        sums = state.suffixes[state.n_block + 1 : stop + 1] + prefixes
        state.block[state.n_block : stop] = moments
        state.block_sum, state.n_block = prefixes[-1].copy(), stop
        if stop == self._window:
            state.suffixes[:-1] = np.cumsum(state.block[::-1], axis=0)[::-1]
            state.block_sum, state.n_block = np.zeros_like(state.block_sum), 0
        return sums
