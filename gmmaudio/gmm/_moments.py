"""Moments of frames under a mixture, tile by tile and on several threads: the E-step behind all statistics.

Conventions. A tile is `TILE_FRAMES` consecutive frames at a fixed place of the stream, and tile number i is added to
lane i mod `N_LANES`, in order, whichever thread does it; the lanes are added up in order at the end. So the sums have
the same bits with any number of threads and for any cutting of the stream into chunks.

In float32 and with `MIN_COMPONENTS` or more, a tile is done in blocks of `BLOCK_FRAMES`: one matrix product, and after
it only the components within `SPAN` of a frame's best are looked at; where they are more than one in
`_list_kernels.DENSE_SHARE`, a second matrix product is cheaper. Which of both is done depends on the block alone. What
`SPAN` drops has less than ``(n_components − 1) exp(−SPAN)`` of a frame's responsibility.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array, FloatArray, IntArray
from gmmaudio.gmm._blas import in_parallel
from gmmaudio.gmm.density import (
    MIN_COMPONENTS,
    SPAN,
    Precision,
    density_tiles,
)
from gmmaudio.gmm.designs import SATURATION
from gmmaudio.gmm.incomplete import completion_of
from gmmaudio.gmm.log_sum_exp import LOG_NEGLIGIBLE, exponentiate, log_sum_exp
from gmmaudio.gmm.parameters import GmmParams

TILE_FRAMES = 1024
"""Frames whose sums are float32: as many as leave their design in the second-level cache."""

BLOCK_FRAMES = 256
"""Frames of one matrix product: as many as leave its result in the second-level cache too."""

N_LANES = 16
"""Sums that are kept apart, and so the largest number of threads that find work."""

WINDOW_FRAMES = TILE_FRAMES * N_LANES
"""Frames after which the lanes start over; a stream is cut at its multiples."""

RUN = 32
"""Coefficients are padded to a multiple of this many, so that no loop of vector instructions leaves a remainder."""

FAR_SHARE = 16
"""Up to one component in so many may be too narrow for float32 (`GmmParams.far_components`); those are calculated in
float64. With more of them everything is."""


@dataclass
class Lane:
    """Σ_t a_t γ_t(k) times monomials, Σ a_t z zᵀ if shared, Σ a_t log p(x_t) and Σ a_t of some tiles.

    The moments have shape (n_components, n_padded); the first n_monomials columns are used. Products of z are
    summed for all components together where the design says so (`Design.shared_size`).
    """

    moments: Float64Array
    shared: Float64Array
    log_likelihood: float = 0.0
    n_frames: float = 0.0


class TileWorker(ABC):
    """Adds tiles to lanes; owns the arrays that it works in, so that each thread needs one of its own."""

    def __init__(self, params: GmmParams) -> None:
        self._params = params

    def add(self, lane: Lane, frames: FloatArray, weights: Float64Array, *, tile: int = 0) -> None:
        """Add the moments of one tile or less; `tile` is its number in the stream."""
        lane.log_likelihood += self._add_moments(lane, frames, weights)
        lane.n_frames += float(weights.sum())

    @abstractmethod
    def _add_moments(self, lane: Lane, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile and return the weighted sum of its log-likelihoods."""


class DenseWorker(TileWorker):
    """Every responsibility is calculated: float64, and models that are too small for anything else to pay."""

    def __init__(self, params: GmmParams, precision: Precision) -> None:
        super().__init__(params)
        self._precision = precision

    def _add_moments(self, lane: Lane, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile by a second matrix product."""
        log_likelihood, n_shared = 0.0, len(lane.shared)
        for rows, design, log_densities in density_tiles(self._params, frames, precision=self._precision):
            tile_weights = np.zeros(design.shape[1])  # the padding has weight 0
            tile_weights[: rows.stop - rows.start] = weights[rows]
            maxima, sums = exponentiate(log_densities)
            log_likelihood += float(tile_weights @ (log_sum_exp(maxima, sums) + self._params.log_unit_volume))
            if n_shared:
                z = design[:n_shared]
                lane.shared += (z * tile_weights.astype(z.dtype)) @ z.T
            # Dividing the columns of the design by the sums is cheaper than dividing every responsibility.
            design *= (tile_weights / sums).astype(design.dtype)
            lane.moments[:, : len(design)] += log_densities @ design.T
        return log_likelihood


class IncompleteWorker(TileWorker):
    """Tiles in which a feature is missing are calculated in float64, the others by another worker."""

    def __init__(self, params: GmmParams, complete: TileWorker) -> None:
        super().__init__(params)
        self._complete = complete
        self._completion = completion_of(params)

    def _add_moments(self, lane: Lane, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile, completed by what each component expects of what is missing."""
        missing = np.isnan(frames)
        if not missing.any():
            return self._complete._add_moments(lane, frames, weights)
        values = np.where(missing, 0.0, frames)
        shares = np.ascontiguousarray(self._completion.log_densities(values, ~missing).T)
        maxima, sums = exponentiate(shares)
        occupancies = (shares * (weights / sums)).T
        moments, shared = self._params.design.moments(*self._completion.sums(values, ~missing, occupancies))
        lane.moments[:, : moments.shape[1]] += moments
        lane.shared += shared
        return float(weights @ log_sum_exp(maxima, sums))


class SparseWorker(TileWorker):
    """Float32, and beyond the first matrix product only the components within `SPAN`."""

    def __init__(self, params: GmmParams, n_frames: int) -> None:
        super().__init__(params)
        from gmmaudio.gmm import _intrinsics, _list_kernels

        self._standard = params.center.copy(), 1.0 / params.scale  # kernels take no read-only arrays
        self._far = params.far_components
        self._far_densities = _far_densities(params)
        self._matrix = _matrix_without_far(params)
        self._n_coefficients, n_components = self._matrix.shape
        self._design = np.zeros((n_frames + 1, n_padded(params)), np.float32)
        n_columns = -(-n_components // _intrinsics.LANES) * _intrinsics.LANES
        self._log_densities = np.full((min(n_frames, BLOCK_FRAMES), n_columns), -np.inf, np.float32)
        self._maxima, self._sums = np.empty(n_frames + 1, np.float32), np.empty(n_frames + 1)
        self._lists = _list_kernels.TileLists.allocate(n_frames, n_components)
        self._all_selected = False

    def _add_moments(self, lane: Lane, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile: block by block all components are evaluated and the selected ones listed."""
        from gmmaudio.gmm import _list_kernels

        frames, design = self._standardized(frames)
        moments = lane.moments
        n_listed, self._all_selected = 0, True
        for start in range(0, len(frames), BLOCK_FRAMES):
            rows = slice(start, min(start + BLOCK_FRAMES, len(frames)))
            log_densities = self._evaluate(frames[rows], design[rows])
            per_frame = self._maxima[rows], self._sums[rows]
            n = _list_kernels.select(log_densities, np.float32(SPAN), start, n_listed, self._lists, *per_frame)
            if n < 0:
                self._all_selected = False
                self._lists.starts[rows.start : rows.stop + 1] = n_listed
                self._add_all(moments, frames[rows], design[rows], weights[rows], log_densities, *per_frame)
            else:
                n_listed = n
        _list_kernels.add_selected(frames, self._standard, self._far, design, weights, self._sums, self._lists, moments)
        return self._log_likelihood(weights)

    def _standardized(self, frames: FloatArray) -> tuple[FloatArray, Float32Array]:
        """Return the frames as kernels take them, and their design with the dummy frame."""
        from gmmaudio.gmm import _kernels

        if not (frames.flags.c_contiguous and frames.flags.writeable):
            frames = frames.copy()  # kernels are compiled once for each type, and not for every layout
        design = self._design[: len(frames) + 1]
        _kernels.fill_design_rows(frames, *self._standard, design)
        design[len(frames)] = 0.0  # the dummy frame
        return frames, design

    def _evaluate(self, frames: FloatArray, design: Float32Array) -> Float32Array:
        """Return the log-densities of all components; columns beyond them are −inf."""
        from gmmaudio.gmm import _kernels

        log_densities = self._log_densities[: len(frames)]
        n_components = self._params.n_components
        np.matmul(design[:, : self._n_coefficients], self._matrix, out=log_densities[:, :n_components])
        if len(self._far):
            _kernels.fill_far_densities(frames, *self._far_densities, log_densities)
        return log_densities

    def _add_all(
        self,
        moments: Float64Array,
        frames: FloatArray,
        design: Float32Array,
        weights: Float64Array,
        log_densities: Float32Array,
        maxima: Float32Array,
        sums: Float64Array,
    ) -> None:
        """Add the moments of all components of a block by a matrix product; of those that are far in float64."""
        from gmmaudio.gmm import _kernels

        _kernels.exponentiate_rows(log_densities, np.float32(LOG_NEGLIGIBLE), maxima, sums)
        shares = log_densities[:, : len(moments)]
        factors = weights / sums
        factors[factors < _kernels.NEGLIGIBLE_SHARE] = 0.0
        if len(self._far):
            center, inverse_scale = self._standard
            z = np.clip((frames - center) * inverse_scale, -SATURATION, SATURATION)
            exact = np.hstack([z, z * z, np.ones((len(z), 1))])
            far_shares = shares[:, self._far] * factors[:, np.newaxis]
            moments[self._far, : self._n_coefficients] += far_shares.T @ exact
            shares[:, self._far] = 0.0
        moments += shares.T @ (design * factors.astype(np.float32)[:, np.newaxis])
        log_densities[:, len(moments) :] = -np.inf

    def _log_likelihood(self, weights: Float64Array) -> float:
        """Return the weighted sum of the log-likelihoods of the tile from the maxima and sums."""
        n_frames = len(weights)
        in_tile = self._maxima[:n_frames] + np.log(self._sums[:n_frames]) + self._params.log_unit_volume
        return float(weights @ in_tile)


def is_sparse(params: GmmParams, precision: Precision) -> bool:
    """Say whether `SparseWorker` can take this model, and pays."""
    if precision != "single" or params.n_components < MIN_COMPONENTS or not params.covariances.axis_aligned:
        return False
    return len(params.far_components) * FAR_SHARE <= params.n_components


def tile_workers(
    params: GmmParams, precision: Precision, n_frames: int, n_workers: int, *, may_miss: bool = False
) -> tuple[TileWorker, ...]:
    """Return workers for chunks of up to so many frames, in which features may be missing."""
    workers: list[TileWorker] = []
    for _ in range(n_workers):
        complete: TileWorker
        if is_sparse(params, precision):
            complete = SparseWorker(params, min(n_frames, TILE_FRAMES))
        else:
            complete = DenseWorker(params, precision)
        workers.append(IncompleteWorker(params, complete) if may_miss else complete)
    return tuple(workers)


def add_frames(
    params: GmmParams,
    lanes: list[Lane],
    frames: FloatArray,
    weights: Float64Array,
    workers: Sequence[TileWorker],
    *,
    first_tile: int = 0,
) -> None:
    """Add frames that start at a multiple of `WINDOW_FRAMES`; lanes are made as they are needed."""
    n_used = min(-(-len(frames) // TILE_FRAMES), N_LANES)
    while len(lanes) < n_used:
        lanes.append(_empty_lane(params))
    idle: SimpleQueue[TileWorker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def add_to_lane(number: int) -> None:
        worker = idle.get()
        for start in range(number * TILE_FRAMES, len(frames), WINDOW_FRAMES):
            rows = slice(start, start + TILE_FRAMES)
            worker.add(lanes[number], frames[rows], weights[rows], tile=first_tile + start // TILE_FRAMES)
        idle.put(worker)

    in_parallel(add_to_lane, range(n_used), n_threads=len(workers))


def sum_of_lanes(params: GmmParams, lanes: Sequence[Lane]) -> Lane:
    """Return the sum, always in the same order."""
    n_monomials = params.density_matrix.shape[1]
    total = _empty_lane(params)
    total.moments = total.moments[:, :n_monomials]
    for lane in lanes:
        total.moments += lane.moments[:, :n_monomials]
        total.shared += lane.shared
        total.log_likelihood += lane.log_likelihood
        total.n_frames += lane.n_frames
    return total


def _empty_lane(params: GmmParams) -> Lane:
    """Return a lane of no frames."""
    n_shared = params.design.shared_size
    return Lane(np.zeros((params.n_components, n_padded(params))), np.zeros((n_shared, n_shared)))


def n_padded(params: GmmParams) -> int:
    """Return the number of coefficients after padding to whole runs of vector instructions."""
    return -(-int(params.density_matrix.shape[1]) // RUN) * RUN


def _matrix_without_far(params: GmmParams) -> Float32Array:
    """Return the coefficients transposed, those of components that are far replaced by a density of 0."""
    matrix = params.density_matrix.T.astype(np.float32)
    matrix[:, params.far_components] = 0.0
    matrix[-1, params.far_components] = -np.inf
    return np.ascontiguousarray(matrix)


def _far_densities(params: GmmParams) -> tuple[IntArray, Float64Array, Float64Array, Float64Array]:
    """Return numbers, means, precisions and constants of the log-densities of the components that are far."""
    far = params.far_components
    log_volumes = 0.5 * np.log(params.variances[far] / np.square(params.scale)).sum(axis=1)
    with np.errstate(divide="ignore"):  # as in `GmmParams.density_matrix`
        constants = np.log(params.weights[far]) - log_volumes
    return far, params.means[far], 1.0 / params.variances[far], constants
