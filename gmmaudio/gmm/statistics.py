"""Baum-Welch statistics of frames under a Gaussian mixture: all that the M-step, adaptation and training in parts need.

Conventions. Moments are taken about the `center` of the model that produced the statistics and not about zero, so that
second-order sums keep their digits at any offset of the features. All sums are float64.

Bits. Frames that go through one accumulator give the same bits however they are cut into chunks and with any number
of threads (see `gmmaudio.gmm._moments`). Chapters of `CHAPTER_FRAMES` are added up by a `TreeSum`, so that they may be
accumulated elsewhere (`gmmaudio.distributed`). Statistics that are added with `+` in another order differ by rounding
errors of float64 from those of all frames at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import check_n_threads, one_blas_thread, worth_threads
from gmmaudio.gmm._moments import WINDOW_FRAMES, Lane, add_frames, sum_of_lanes, tile_workers
from gmmaudio.gmm.covariances import Covariances, Diagonal
from gmmaudio.gmm.density import Precision, density_matrix
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import check_frame_weights, check_incomplete_frames, read_only_array

CHAPTER_FRAMES = 8 * WINDOW_FRAMES
"""Frames whose statistics are added up by themselves (131,072): so many that the sum costs a hundredth of them."""

SUM_WIDTH = 8
"""Statistics that are added from the first to the last at each branching of the tree."""


@dataclass(frozen=True, eq=False)
class GmmStats:
    """Zeroth, first and second-order statistics; an additive value.

    With responsibilities γ_t(k), frame weights a_t and c the center:

    Attributes
    ----------
    zeroth : array, shape (n_components,)
        Σ_t a_t γ_t(k), the occupancy in frames.
    first : array, shape (n_components, n_features)
        Σ_t a_t γ_t(k) (x_t − c).
    second : array
        Of diagonal and spherical covariances Σ_t a_t γ_t(k) (x_t − c)², shape (n_components, n_features); of full ones
        Σ_t a_t γ_t(k) (x_t − c)(x_t − c)ᵀ, shape (n_components, n_features, n_features); of a tied one the same summed
        over components, shape (n_features, n_features).
    center : array, shape (n_features,)
        The origin c of the moments: `GmmParams.center` of the model that gave the responsibilities.
    log_likelihood : float
        Σ_t a_t log p(x_t).
    n_frames : float
        Σ_t a_t.
    structure : type of Covariances
        Structure of the model's covariances, and so of the next estimate; diagonal if not given.

    Raises
    ------
    ParameterError
        If shapes do not match, a value is not finite, or an occupancy or a sum of squares is negative.
    """

    zeroth: Float64Array
    first: Float64Array
    second: Float64Array
    center: Float64Array
    log_likelihood: float
    n_frames: float
    structure: type[Covariances] = Diagonal

    def __post_init__(self) -> None:
        first = read_only_array(self.first, name="first", shape=(None, None))
        arrays = {
            "zeroth": read_only_array(self.zeroth, name="zeroth", shape=first.shape[:1]),
            "first": first,
            "second": read_only_array(self.second, name="second", shape=self.structure.second_shape(*first.shape)),
            "center": read_only_array(self.center, name="center", shape=first.shape[1:]),
        }
        squares = self.structure.squares(arrays["second"])
        if (arrays["zeroth"] < 0).any() or (squares < 0).any() or not self.n_frames >= 0:
            raise ParameterError("zeroth, squares and n_frames are sums of squares or counts and must not be negative")
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        sums = self.zeroth, self.first, self.second, self.center, self.log_likelihood, self.n_frames
        return type(self), (*sums, self.structure)

    @classmethod
    def zeros_like(cls, params: GmmParams) -> Self:
        """Return the statistics of no frames under a model: the neutral element of `+`."""
        return cls.expected(params, np.zeros(params.n_components))

    @classmethod
    def expected(cls, params: GmmParams, occupancy: npt.ArrayLike, *, center: Float64Array | None = None) -> Self:
        """Return the statistics that `occupancy[k]` frames drawn from each component k would have on average.

        ``zeroth = n``, ``first = n (μ − c)``, ``second = n (Σ + (μ − c)(μ − c)ᵀ)``. These are the pseudo-frames of MAP
        adaptation (Gauvain & Lee 1994), and the inverse of `estimate_ml`. Their log-likelihood is set to 0.

        Parameters
        ----------
        params : GmmParams
        occupancy : array-like, shape (n_components,)
        center : array, shape (n_features,), optional
            Origin of the moments; that of `params` if it is not given.
        """
        counts = read_only_array(occupancy, name="occupancy", shape=(params.n_components,))
        origin = params.center if center is None else center
        offsets = params.means - origin
        second = params.covariances.expected_second(counts, offsets)
        structure = type(params.covariances)
        return cls(counts, counts[:, np.newaxis] * offsets, second, origin, 0.0, float(counts.sum()), structure)

    def __add__(self, other: "GmmStats") -> "GmmStats":
        """Return the statistics of both sets of frames; neither operand changes."""
        if not isinstance(other, GmmStats):
            return NotImplemented
        same_shape = self.first.shape == other.first.shape and self.structure is other.structure
        if not same_shape or not np.array_equal(self.center, other.center):
            raise ParameterError(
                f"cannot add statistics of shape {self.first.shape} ({self.structure.name}) and {other.first.shape} "
                f"({other.structure.name}) with different centers or structures: are they of different models? "
                "accumulate both with the same parameters"
            )
        return GmmStats(
            self.zeroth + other.zeroth,
            self.first + other.first,
            self.second + other.second,
            self.center,
            self.log_likelihood + other.log_likelihood,
            self.n_frames + other.n_frames,
            self.structure,
        )


class TreeSum:
    """The sum of a stream of statistics, added `SUM_WIDTH` at a time, then so many of these sums, and so on.

    It keeps fewer than `SUM_WIDTH` sums of each size.
    """

    def __init__(self) -> None:
        self._levels: list[list[GmmStats]] = []

    def push(self, stats: GmmStats) -> None:
        """Add the next statistics of the stream."""
        for level in self._levels:
            level.append(stats)
            if len(level) < SUM_WIDTH:
                return
            stats = sum_of(level)
            level.clear()
        self._levels.append([stats])

    def total(self, last: GmmStats) -> GmmStats:
        """Return the sum if the stream ends with these statistics; others may follow instead."""
        for level in self._levels:
            last = sum_of([*level, last])
        return last


def sum_of(stats: Sequence[GmmStats]) -> GmmStats:
    """Return the sum, from the first to the last."""
    return reduce(add, stats)


class StatsAccumulator:
    """The statistics of a stream of frames under a model (the E-step), in bounded memory.

    Parameters
    ----------
    params : GmmParams
    precision : {"single", "double"}
        Arithmetic of the densities and of the sums over 1024 frames; sums over those are float64 in both. In single
        precision a component that is more than 16 nats below the best of a frame is taken to have no part in it,
        which drops less than ``(n_components − 1) · 1.2e-7`` of a frame.
    n_threads : int, optional
        All processors that the process may use if it is not given. Does not change a bit of the result.

    Raises
    ------
    ParameterError
        If the precision is unknown or the number of threads is not positive.

    Examples
    --------
    >>> params = GmmParams(weights=[0.5, 0.5], means=[[-1.0], [1.0]], covariances=[[0.1], [0.1]])
    >>> accumulator = StatsAccumulator(params)
    >>> for chunk in ([[-1.0], [1.0]], [[1.0]]):
    ...     accumulator.push(chunk)
    >>> accumulator.result().zeroth.round(3)
    array([1., 2.])
    """

    def __init__(self, params: GmmParams, *, precision: Precision = "single", n_threads: int | None = None) -> None:
        self._params = params
        self._precision = precision
        self._n_threads = check_n_threads(n_threads)
        density_matrix(params, precision)  # an unknown precision is reported here
        self._chapters = TreeSum()
        self._lanes: list[Lane] = []
        self._n_in_lanes = 0
        self._pending: list[tuple[FloatArray, Float64Array]] = []
        self._n_pending = 0
        self._may_miss = False

    def push(self, frames: npt.ArrayLike, frame_weights: npt.ArrayLike | None = None) -> None:
        """Add the next frames of the stream.

        Parameters
        ----------
        frames : array-like, shape (n_frames, n_features)
            Any number of frames, none included; they may be a memory map. NaN is a missing feature.
        frame_weights : array-like, shape (n_frames,), optional
            How many times each frame counts, 0 or more: 1 each by default.

        Raises
        ------
        ParameterError
            If the frames do not fit the model or are infinite, or a weight is negative.
        """
        frames = self._checked(frames)
        weights = check_frame_weights(frame_weights, len(frames))
        if self._n_pending:
            n_missing = WINDOW_FRAMES - self._n_pending
            self._keep(frames[:n_missing], weights[:n_missing])
            frames, weights = frames[n_missing:], weights[n_missing:]
            if self._n_pending == WINDOW_FRAMES:
                self._add_windows(*self._joined_pending())
                self._pending, self._n_pending = [], 0
        n_whole = len(frames) // WINDOW_FRAMES * WINDOW_FRAMES
        self._add_windows(frames[:n_whole], weights[:n_whole])
        self._keep(frames[n_whole:], weights[n_whole:])

    def result(self) -> GmmStats:
        """Return the statistics of all frames so far; more may follow."""
        last: list[Lane] = []
        if self._n_pending:
            self._add(last, *self._joined_pending())
        return self._chapters.total(self._stats([*self._lanes, *last]))

    def _add_windows(self, frames: FloatArray, weights: Float64Array) -> None:
        """Add whole windows; every full chapter is summed up and the next one begun."""
        while len(frames):
            n_frames = min(len(frames), CHAPTER_FRAMES - self._n_in_lanes)
            self._add(self._lanes, frames[:n_frames], weights[:n_frames])
            self._n_in_lanes += n_frames
            if self._n_in_lanes == CHAPTER_FRAMES:
                self._chapters.push(self._stats(self._lanes))
                self._lanes, self._n_in_lanes = [], 0
            frames, weights = frames[n_frames:], weights[n_frames:]

    @one_blas_thread
    def _stats(self, lanes: Sequence[Lane]) -> GmmStats:
        """Return the sum of lanes in the units of the features."""
        params, total = self._params, sum_of_lanes(self._params, lanes)
        sums = params.design.sums(total.moments, total.shared)
        return GmmStats(*sums, params.center, total.log_likelihood, total.n_frames, type(params.covariances))

    def _checked(self, frames: npt.ArrayLike) -> FloatArray:
        """Return the frames as an array that fits the model; NaN where a feature is missing."""
        frames, has_missing = check_incomplete_frames(frames, n_features=self._params.n_features)
        self._may_miss = self._may_miss or has_missing
        return frames

    @one_blas_thread
    def _add(self, lanes: list[Lane], frames: FloatArray, weights: Float64Array) -> None:
        """Add frames that start at a multiple of a window to the lanes."""
        if len(frames):
            n_workers = self._n_workers(len(frames))
            workers = tile_workers(self._params, self._precision, len(frames), n_workers, may_miss=self._may_miss)
            add_frames(self._params, lanes, frames, weights, workers)

    def _n_workers(self, n_frames: int) -> int:
        """Return how many threads pay for so many frames."""
        return worth_threads(self._n_threads, n_frames * self._params.density_matrix.size)

    def _keep(self, frames: FloatArray, weights: Float64Array) -> None:
        """Copy frames that do not fill a window yet."""
        if len(frames):
            self._pending.append((frames.copy(), weights.copy()))
            self._n_pending += len(frames)

    def _joined_pending(self) -> tuple[FloatArray, Float64Array]:
        """Return the frames and weights that wait."""
        frames, weights = zip(*self._pending, strict=True)
        return np.concatenate(frames), np.concatenate(weights)


def accumulate_stats(
    params: GmmParams,
    frames: npt.ArrayLike,
    *,
    frame_weights: npt.ArrayLike | None = None,
    precision: Precision = "single",
    n_threads: int | None = None,
) -> GmmStats:
    """Return the statistics of frames under a model: what a `StatsAccumulator` gives for them.

    Parameters
    ----------
    params : GmmParams
    frames : array-like, shape (n_frames, n_features)
        Any number of frames, none included; they may be a memory map. NaN is a missing feature
        (`gmmaudio.gmm.incomplete`).
    frame_weights : array-like, shape (n_frames,), optional
        How many times each frame counts, 0 or more: 1 each by default. The emission update of a hidden Markov model
        passes state posteriors.
    precision : {"single", "double"}
    n_threads : int, optional

    Returns
    -------
    GmmStats

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are infinite, a weight is negative, the precision is unknown, or the
        number of threads is not positive.

    Examples
    --------
    >>> params = GmmParams(weights=[0.5, 0.5], means=[[-1.0], [1.0]], covariances=[[0.1], [0.1]])
    >>> stats = accumulate_stats(params, [[-1.0], [1.0], [1.0]])
    >>> stats.zeroth.round(3)
    array([1., 2.])
    """
    accumulator = StatsAccumulator(params, precision=precision, n_threads=n_threads)
    accumulator.push(frames, frame_weights)
    return accumulator.result()
