"""Mean and variance of each feature of a stream of frames.

Conventions. Moments are summed in steps of fixed bounds: they have the same bits for any cutting of the stream, and on
any number of processors. NaN is left out.
"""

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray

STEP_FRAMES = 4096
"""Frames of a stream that are looked at together."""


class Moments:
    """Weighted mean and variance of each feature of a stream of frames, in one pass; NaN is left out.

    Each step of frames is summed about its own mean, and steps are joined by the update of Chan, Golub & LeVeque 1979,
    so a constant feature has a variance of 0 at any offset. Not BLAS products but plain sums, which have the same bits
    on every machine. The bits depend on the cutting unless it is at multiples of `STEP_FRAMES`.

    Parameters
    ----------
    origin : array, shape (n_features,), optional
        The first frame, if steps that were worked out elsewhere will be joined.
    """

    def __init__(self, origin: Float64Array | None = None) -> None:
        self.total_weight = 0.0
        self._origin = np.zeros(0) if origin is None else origin
        self._seen = self._offset = self._squares = np.zeros(len(self._origin))

    def push(self, frames: FloatArray, weights: Float64Array) -> None:
        """Add the next frames of the stream."""
        for start in range(0, len(frames), STEP_FRAMES):
            rows = slice(start, start + STEP_FRAMES)
            if self.total_weight == 0.0:
                self._origin = _first_values(frames[rows])
                self._seen = self._offset = self._squares = np.zeros(len(self._origin))
            self.join(step_moments(frames[rows], weights[rows], self._origin))

    def join(self, step: Float64Array) -> None:
        """Add the next `step_moments`, about the same origin."""
        weight, (seen, offset, squares) = float(step[0]), np.split(step[1:], 3)
        total = self._seen + seen
        share = np.divide(seen, total, out=np.zeros_like(total), where=total > 0)
        self._squares = self._squares + squares + np.square(offset - self._offset) * (self._seen * share)
        self._offset = self._offset + (offset - self._offset) * share
        self._seen = total
        self.total_weight += weight

    def result(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance, each of shape (n_features,); both are 0 for a feature that was never observed."""
        return self._origin + self._offset, self._squares / np.where(self._seen > 0, self._seen, 1.0)


def step_moments(frames: FloatArray, weights: Float64Array, origin: Float64Array) -> Float64Array:
    """Return what `Moments.join` takes of a step of frames, shape (1 + 3 n_features,).

    ``[weight, weight of the observed values, offset of their mean from the origin, sum of squares about it]``
    """
    weight = float(weights.sum())
    if weight == 0.0:
        return np.zeros(1 + 3 * len(origin))
    shifted, counts = frames - origin, np.repeat(weights[:, np.newaxis], len(origin), axis=1)
    missing = np.isnan(shifted)
    if missing.any():
        shifted[missing] = counts[missing] = 0.0
    seen = counts.sum(axis=0)
    offset = (counts * shifted).sum(axis=0) / np.where(seen > 0, seen, 1.0)
    squares = (counts * np.square(shifted - offset)).sum(axis=0)
    return np.concatenate([[weight], seen, offset, squares])


def _first_values(frames: FloatArray) -> Float64Array:
    """Return the first observed value of each feature, 0 where there is none."""
    observed = ~np.isnan(frames)
    first = frames[observed.argmax(axis=0), np.arange(frames.shape[1])]
    return np.where(observed.any(axis=0), first, 0.0).astype(np.float64)


def single_gaussian(frames: FloatArray, frame_weights: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return weighted mean and variance of the frames in float64, each of shape (n_features,)."""
    moments = Moments()
    moments.push(np.ascontiguousarray(frames), frame_weights)
    return moments.result()
