"""Moments of frames under a mixture, tile by tile and on several threads: the E-step behind all statistics.

Conventions. A tile is `TILE_FRAMES` consecutive frames at a fixed place of the stream, and tile number i is added to
lane i mod `N_LANES`, in order, whichever thread does it; the lanes are added up in order at the end. So the sums have
the same bits with any number of threads and for any cutting of the stream into chunks.

In float32 and with `MIN_COMPONENTS` or more, a tile is one matrix product, and after it only the components within
`SPAN` of a frame's best are looked at; where they are more than one in `DENSE_SHARE`, a second matrix product is
cheaper. Which of both is done depends on the tile alone. What `SPAN` drops has less than
``(n_components − 1) exp(−SPAN)`` of a frame's responsibility.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.gmm._blas import in_parallel
from gmmaudio.gmm.density import (
    LOG_NEGLIGIBLE,
    MIN_COMPONENTS,
    SATURATION,
    SPAN,
    Precision,
    density_tiles,
    exponentiate,
    log_sum_exp,
)
from gmmaudio.gmm.parameters import GmmParams

TILE_FRAMES = 512
"""Frames of one matrix product: as many as leave its result in the second-level cache."""

N_LANES = 16
"""Sums that are kept apart, and so the largest number of threads that find work."""

WINDOW_FRAMES = TILE_FRAMES * N_LANES
"""Frames after which the lanes start over; a stream is cut at its multiples."""

DENSE_SHARE = 8
"""A tile with more than one in so many responsibilities within `SPAN` is summed by a matrix product."""


FAR_SHARE = 16
"""Up to one component in so many may be too narrow for float32 (`GmmParams.far_components`); those are calculated in
float64. With more of them everything is."""


@dataclass
class Lane:
    """Σ_t a_t γ_t(k) [z, z², 1], shape (n_components, 2 n_features + 1), Σ a_t log p(x_t) and Σ a_t of some tiles."""

    moments: Float64Array
    log_likelihood: float = 0.0
    n_frames: float = 0.0


class TileWorker(ABC):
    """Adds tiles to lanes; owns the arrays that it works in, so that each thread needs one of its own."""

    def __init__(self, params: GmmParams) -> None:
        self._params = params

    def add(self, lane: Lane, frames: FloatArray, weights: Float64Array) -> None:
        """Add the moments of one tile or less."""
        lane.log_likelihood += self._add_moments(lane.moments, frames, weights)
        lane.n_frames += float(weights.sum())

    @abstractmethod
    def _add_moments(self, moments: Float64Array, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile and return the weighted sum of its log-likelihoods."""


class DenseWorker(TileWorker):
    """Every responsibility is calculated: float64, and models that are too small for anything else to pay."""

    def __init__(self, params: GmmParams, precision: Precision) -> None:
        super().__init__(params)
        self._precision = precision

    def _add_moments(self, moments: Float64Array, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile by a second matrix product."""
        log_likelihood = 0.0
        for rows, design, log_densities in density_tiles(self._params, frames, precision=self._precision):
            tile_weights = np.zeros(design.shape[1])  # the padding has weight 0
            tile_weights[: rows.stop - rows.start] = weights[rows]
            maxima, sums = exponentiate(log_densities)
            log_likelihood += float(tile_weights @ (log_sum_exp(maxima, sums) + self._params.log_unit_volume))
            # Dividing the columns of the design by the sums is cheaper than dividing every responsibility.
            design *= (tile_weights / sums).astype(design.dtype)
            moments += log_densities @ design.T
        return log_likelihood


class SparseWorker(TileWorker):
    """Float32, and beyond the first matrix product only the components within `SPAN`."""

    def __init__(self, params: GmmParams, matrix: FloatArray, n_frames: int) -> None:
        super().__init__(params)
        n_coefficients, n_padded = matrix.shape
        self._matrix = matrix
        far = params.far_components
        self._far = far
        self._is_far = np.isin(np.arange(params.n_components), far)
        precisions = 1.0 / params.variances[far]
        log_volumes = 0.5 * np.log(params.variances[far] / np.square(params.scale)).sum(axis=1)
        with np.errstate(divide="ignore"):  # as in `GmmParams.density_matrix`
            constants = np.log(params.weights[far]) - log_volumes
        self._far_densities = far, params.means[far], precisions, constants
        self._center = params.center.copy()
        self._inverse_scale = 1.0 / params.scale
        self._frames = np.empty((n_frames, params.n_features))
        self._weights = np.empty(n_frames)
        self._design = np.empty((n_frames, n_coefficients), np.float32)
        self._log_densities = np.empty((n_frames, n_padded), np.float32)
        self._maxima = np.empty(n_frames, np.float32)
        self._sums = np.empty(n_frames)
        self._starts = np.empty(n_frames + 1, np.int32)
        capacity = (n_frames // DENSE_SHARE + 1) * n_padded  # one row more, as `select` needs it
        self._components = np.empty(capacity, np.int32)
        self._shares = np.empty(capacity, np.float32)

    def _add_moments(self, moments: Float64Array, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile by its selected components, or by a second matrix product if they are many."""
        from gmmaudio.gmm import _kernels

        n_frames = len(frames)
        design, log_densities = self._design[:n_frames], self._log_densities[:n_frames]
        maxima, sums, tile_weights = self._maxima[:n_frames], self._sums[:n_frames], self._weights[:n_frames]
        # Kernels see these arrays only, whatever the type and layout of the caller's: they are compiled once.
        self._frames[:n_frames] = frames
        tile_weights[:] = weights
        _kernels.fill_design_rows(self._frames[:n_frames], self._center, self._inverse_scale, design)
        np.matmul(design, self._matrix, out=log_densities)
        _kernels.fill_far_densities(self._frames[:n_frames], *self._far_densities, log_densities)
        listed = self._starts[: n_frames + 1], self._components, self._shares
        if _kernels.select(log_densities, np.float32(SPAN), *listed, maxima, sums) >= 0:
            standard = self._frames[:n_frames], self._center, self._inverse_scale
            _kernels.add_selected(design, *standard, self._is_far, tile_weights, *listed, sums, moments)
        else:
            _kernels.exponentiate_rows(log_densities, np.float32(LOG_NEGLIGIBLE), maxima, sums)
            factors = tile_weights / sums
            factors[factors < _kernels.NEGLIGIBLE_SHARE] = 0.0
            self._add_far_moments(moments, log_densities, factors)
            log_densities[:, self._far] = 0.0
            design *= factors.astype(np.float32)[:, np.newaxis]
            moments += log_densities[:, : len(moments)].T @ design
        return float(tile_weights @ (maxima + np.log(sums) + self._params.log_unit_volume))

    def _add_far_moments(self, moments: Float64Array, shares: FloatArray, factors: Float64Array) -> None:
        """Add the moments of the components that are far, in float64."""
        z = np.clip((self._frames[: len(shares)] - self._center) * self._inverse_scale, -SATURATION, SATURATION)
        design = np.hstack([z, z * z, np.ones((len(z), 1))])
        moments[self._far] += (shares[:, self._far] * factors[:, np.newaxis]).T @ design


def tile_workers(params: GmmParams, precision: Precision, n_frames: int, n_workers: int) -> tuple[TileWorker, ...]:
    """Return workers for chunks of up to so many frames."""
    is_sparse = params.n_components >= MIN_COMPONENTS and len(params.far_components) * FAR_SHARE <= params.n_components
    if precision == "double" or not is_sparse:
        return tuple(DenseWorker(params, precision) for _ in range(n_workers))
    matrix = _padded_matrix(params)
    return tuple(SparseWorker(params, matrix, min(n_frames, TILE_FRAMES)) for _ in range(n_workers))


def add_frames(
    params: GmmParams, lanes: list[Lane], frames: FloatArray, weights: Float64Array, workers: Sequence[TileWorker]
) -> None:
    """Add frames that start at a multiple of `WINDOW_FRAMES`; lanes are made as they are needed."""
    n_used = min(-(-len(frames) // TILE_FRAMES), N_LANES)
    while len(lanes) < n_used:
        lanes.append(Lane(np.zeros((params.n_components, 2 * params.n_features + 1))))
    idle: SimpleQueue[TileWorker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def add_to_lane(number: int) -> None:
        worker = idle.get()
        for start in range(number * TILE_FRAMES, len(frames), WINDOW_FRAMES):
            tile = slice(start, start + TILE_FRAMES)
            worker.add(lanes[number], frames[tile], weights[tile])
        idle.put(worker)

    in_parallel(add_to_lane, range(n_used), n_threads=len(workers))


def sum_of_lanes(params: GmmParams, lanes: Sequence[Lane]) -> Lane:
    """Return the sum, always in the same order."""
    total = Lane(np.zeros((params.n_components, 2 * params.n_features + 1)))
    for lane in lanes:
        total.moments += lane.moments
        total.log_likelihood += lane.log_likelihood
        total.n_frames += lane.n_frames
    return total


def _padded_matrix(params: GmmParams) -> FloatArray:
    """Return the coefficients transposed, with none for far components and for those that fill up the last group."""
    n_components, n_coefficients = params.density_matrix.shape
    matrix = np.zeros((n_coefficients, -(-n_components // 8) * 8), np.float32)
    matrix[-1] = -np.inf
    borne = np.setdiff1d(np.arange(n_components), params.far_components)
    matrix[:, borne] = params.density_matrix[borne].T
    return matrix
