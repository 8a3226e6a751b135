"""The frames that an initialiser looks at.

Conventions. Which frames are chosen depends on the seed and on their number in the stream alone.
"""

import copy

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.gmm.frame_moments import STEP_FRAMES

SUBSAMPLE_PER_COMPONENT = 100
"""Frames per component that an initialiser looks at."""

SUBSAMPLE_MIN = 10_000
"""With fewer frames than this nothing is left out."""

COMPLETE_PER_COMPONENT = 20
"""With so many complete frames per component an initialiser looks at no others."""


def subsample_limit(n_components: int) -> int:
    """Return how many frames an initialiser looks at, at most."""
    return max(SUBSAMPLE_PER_COMPONENT * n_components, SUBSAMPLE_MIN)


class Subsample:
    """A random choice without replacement from the frames of a stream with a positive weight; all, if they are few.

    Each frame draws a key, and those with the smallest keys are kept.

    Parameters
    ----------
    limit : int
        Number of frames to choose.
    random_state : numpy.random.RandomState
        Read for the seed of the keys, but left as it is.
    """

    def __init__(self, limit: int, random_state: np.random.RandomState) -> None:
        self._limit = limit
        self._random = np.random.default_rng(copy.deepcopy(random_state).randint(2**31))
        self._largest_key = np.inf
        self._kept: list[tuple[Float64Array, FloatArray, Float64Array]] = []

    def push(self, frames: FloatArray, weights: Float64Array) -> None:
        """Look at the next frames of the stream."""
        for start in range(0, len(frames), STEP_FRAMES):
            rows = slice(start, start + STEP_FRAMES)
            keys = self._random.random(len(frames[rows]))
            chosen = (weights[rows] > 0) & (keys < self._largest_key)
            self._kept.append((keys[chosen], frames[rows][chosen], weights[rows][chosen]))
            if sum(len(keys) for keys, _, _ in self._kept) > 1.5 * self._limit:
                self._prune()

    def result(self) -> tuple[FloatArray, Float64Array]:
        """Return the chosen frames and their weights, in the order of the stream."""
        self._prune()
        return self._kept[0][1:]

    def without_gaps(self, mean: Float64Array, n_complete: int) -> tuple[FloatArray, Float64Array]:
        """Return the `result` for initialisers that need every value: the complete frames if there are so many.

        Otherwise all frames, with the mean of a feature where it is missing.
        """
        frames, weights = self.result()
        missing = np.isnan(frames)
        complete = ~missing.any(axis=1)
        if np.count_nonzero(complete) >= n_complete:
            return frames[complete], weights[complete]
        return np.where(missing, mean.astype(frames.dtype), frames), weights

    def _prune(self) -> None:
        """Keep the frames with the smallest keys of those there are."""
        keys, frames, weights = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if len(keys) > self._limit:
            smallest = np.sort(np.argpartition(keys, self._limit)[: self._limit])
            keys, frames, weights = keys[smallest], frames[smallest], weights[smallest]
            self._largest_key = float(keys.max())
        self._kept = [(keys, frames, weights)]
