"""Statistics of frames under a mixture of Student distributions: the E-step.

Conventions. A frame that is of component k counts ``u = (ν + D) / (ν + δ)`` times in the moments of k (Peel & McLachlan
2000): the less, the farther out it is. Tiles, lanes and threads are those of `gmmaudio.gmm._moments`, so that
the bits depend neither on how the frames are cut into chunks nor on the number of threads.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import digamma

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import check_n_threads, one_blas_thread, worth_threads
from gmmaudio.gmm._moments import N_LANES, Lane, TileWorker, add_frames, n_padded, sum_of_lanes
from gmmaudio.gmm.density import Precision, density_matrix
from gmmaudio.gmm.log_sum_exp import exponentiate, log_sum_exp
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.gmm.student.density import student_tiles
from gmmaudio.gmm.student.parameters import StudentParams
from gmmaudio.validation import check_frame_weights, check_frames, read_only_array


@dataclass(frozen=True, eq=False)
class StudentStats:
    """Sums over frames; an additive value.

    With responsibilities γ_t(k), frame weights a_t, and u_t(k) as above:

    Attributes
    ----------
    scaled : GmmStats
        ``Σ_t a_t γ_t(k) u_t(k)`` times ``[1, x − c, (x − c)²]``, and ``Σ_t a_t log p(x_t)`` and ``Σ_t a_t``.
    occupancy : array, shape (n_components,)
        ``Σ_t a_t γ_t(k)``, in frames. Without noise the sum is that of the frame weights.
    log_scales : array, shape (n_components,)
        ``Σ_t a_t γ_t(k) (E[log U] − E[U])`` of the scale U that has made component k heavy-tailed.
    """

    scaled: GmmStats
    occupancy: Float64Array
    log_scales: Float64Array

    def __post_init__(self) -> None:
        shape = self.scaled.zeroth.shape
        object.__setattr__(self, "occupancy", read_only_array(self.occupancy, name="occupancy", shape=shape))
        object.__setattr__(self, "log_scales", read_only_array(self.log_scales, name="log_scales", shape=shape))
        if (self.occupancy < 0).any():
            raise ParameterError(f"occupancy counts frames and must not be negative; got {self.occupancy.min()}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.scaled, self.occupancy, self.log_scales)

    def __add__(self, other: "StudentStats") -> "StudentStats":
        """Return the statistics of both sets of frames; neither operand changes."""
        if not isinstance(other, StudentStats):
            return NotImplemented
        return StudentStats(
            self.scaled + other.scaled, self.occupancy + other.occupancy, self.log_scales + other.log_scales
        )

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of all frames."""
        return self.scaled.log_likelihood

    @property
    def n_frames(self) -> float:
        """Number of frames, or the sum of their weights."""
        return self.scaled.n_frames


def accumulate_student(
    params: StudentParams,
    frames: npt.ArrayLike,
    *,
    frame_weights: npt.ArrayLike | None = None,
    precision: Precision = "single",
    n_threads: int | None = None,
) -> StudentStats:
    """Return the statistics of frames under a model.

    Parameters
    ----------
    params : StudentParams
    frames : array-like, shape (n_frames, n_features)
    frame_weights : array-like, shape (n_frames,), optional
        How many times each frame counts, 0 or more: 1 each by default.
    precision : {"single", "double"}
    n_threads : int, optional

    Returns
    -------
    StudentStats

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are not finite, a weight is negative, the precision is unknown, or the
        number of threads is not positive.

    Examples
    --------
    >>> from gmmaudio.gmm import GmmParams
    >>> params = StudentParams(GmmParams([1.0], [[0.0]], [[1.0]]), 2.0)
    >>> stats = accumulate_student(params, [[0.0], [1.0], [100.0]])
    >>> stats.occupancy, stats.scaled.zeroth.round(2)  # the last frame counts (2 + 1) / (2 + 10,000)
    (array([3.]), array([2.5]))
    """
    frames = check_frames(frames, n_features=params.n_features)
    weights = check_frame_weights(frame_weights, len(frames))
    return accumulate_blocks(params, [(frames, weights)], precision=precision, n_threads=n_threads)


@one_blas_thread
def accumulate_blocks(
    params: StudentParams,
    blocks: Iterable[tuple[FloatArray, Float64Array]],
    *,
    precision: Precision,
    n_threads: int | None = None,
) -> StudentStats:
    """Return the statistics of checked frames with weights, each block of whole windows but the last.

    As `gmmaudio.gmm.frame_source.FrameSource` gives them.
    """
    geometry = params.geometry
    n_products = density_matrix(geometry, precision).size
    most_threads = check_n_threads(n_threads)
    lanes = [StudentLane.empty(params) for _ in range(N_LANES)]
    for frames, weights in blocks:
        n_workers = worth_threads(most_threads, len(frames) * n_products)
        workers = [StudentWorker(params, precision) for _ in range(n_workers)]
        add_frames(geometry, list[Lane](lanes), frames, weights, workers)
    total = sum_of_lanes(geometry, lanes)
    sums = geometry.design.sums(total.moments, total.shared)
    structure = type(geometry.covariances)
    scaled = GmmStats(*sums, geometry.center, total.log_likelihood, total.n_frames, structure)
    occupancy = np.sum([lane.occupancy for lane in lanes], axis=0)
    log_scales = np.sum([lane.log_scales for lane in lanes], axis=0)
    return StudentStats(scaled, occupancy, log_scales + occupancy * _expected_log_gap(params))


@dataclass
class StudentLane(Lane):
    """A lane whose moments are weighted by u, with Σ a γ and Σ a γ (log u − u)."""

    occupancy: Float64Array = field(default_factory=lambda: np.zeros(0))
    log_scales: Float64Array = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def empty(cls, params: StudentParams) -> "StudentLane":
        """Return a lane of no frames."""
        n_components, n_shared = params.n_components, params.geometry.design.shared_size
        moments = np.zeros((n_components, n_padded(params.geometry)))
        shared = np.zeros((n_shared, n_shared))
        return cls(moments, shared, occupancy=np.zeros(n_components), log_scales=np.zeros(n_components))


class StudentWorker(TileWorker):
    """Adds the statistics of tiles: Gaussian distances, tails, and a second matrix product."""

    def __init__(self, params: StudentParams, precision: Precision) -> None:
        super().__init__(params.geometry)
        self._student = params
        self._precision = precision

    def _add_moments(self, lane: Lane, frames: FloatArray, weights: Float64Array) -> float:
        """Add the moments of a tile and return the weighted sum of its log-likelihoods."""
        assert isinstance(lane, StudentLane)
        log_likelihood, n_shared = 0.0, len(lane.shared)
        for rows, design, log_densities, log_scales in student_tiles(self._student, frames, precision=self._precision):
            tile_weights = np.zeros(design.shape[1])  # the padding has weight 0
            tile_weights[: rows.stop - rows.start] = weights[rows]
            maxima, sums = exponentiate(log_densities)
            log_likelihood += float(tile_weights @ (log_sum_exp(maxima, sums) + self._params.log_unit_volume))
            shares = log_densities[: self._student.n_components] * (tile_weights / sums).astype(design.dtype)
            scales = np.exp(log_scales)
            lane.occupancy += shares.sum(axis=1, dtype=np.float64)
            lane.log_scales += (shares * (log_scales - scales)).sum(axis=1, dtype=np.float64)
            shares *= scales
            lane.moments[:, : len(design)] += shares @ design.T
            if n_shared:
                z = design[:n_shared]
                lane.shared += (z * shares.sum(axis=0)) @ z.T
        return log_likelihood


def _expected_log_gap(params: StudentParams) -> Float64Array:
    """Return ``E[log U] − log E[U] = ψ(b) − log b`` with b = (ν + D) / 2 (Peel & McLachlan 2000)."""
    finite = np.isfinite(params.degrees_of_freedom)
    b = 0.5 * (np.where(finite, params.degrees_of_freedom, 1.0) + params.n_features)
    return np.where(finite, digamma(b) - np.log(b), 0.0)
