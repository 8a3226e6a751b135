"""The two matrix products of an E-step: log-densities of all Gaussians, and their moments.

Conventions. A design has one row per frame, ``[z, z², 1]`` for complete frames and ``[o z, o z², o, 1]`` where features
are missing (see `gmmaudio.gmm.missing`). Log-densities and shares have one row per Gaussian and one column per frame.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array, FloatArray, IntArray
from gmmaudio.gmm._moments import FAR_SHARE
from gmmaudio.gmm.density import Precision, density_matrix
from gmmaudio.gmm.designs import SATURATION
from gmmaudio.gmm.missing import completed_moments, missing_density_matrix, missing_design, observed_log_volume
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.hmm._workspace import Workspace

TILE_FRAMES = 1024
"""Frames whose moments are summed by one matrix product, before they are added up in float64."""

LOWEST = -3e38
"""Log-densities of far Gaussians are not below this, which float32 can hold."""


class DesignRows(NamedTuple):
    """The design of some frames.

    Attributes
    ----------
    rows : array, shape (n_frames, n_coefficients)
    far : array of int
        Gaussians that float32 would spoil (`GmmParams.far_components`), where they are calculated apart.
    double_rows : callable
        From an array of numbers of frames, their design in float64.
    """

    rows: FloatArray
    far: IntArray
    double_rows: Callable[[IntArray], Float64Array]

    def add_moments(self, moments: Float64Array, shares: FloatArray) -> None:
        """Add ``Σ γ [z, z², 1]`` (or what takes its place); the shares of far Gaussians are overwritten."""
        for component in self.far:
            own = np.flatnonzero(shares[component])
            moments[component] += shares[component, own].astype(np.float64) @ self.double_rows(own)
            shares[component] = 0.0
        for start in range(0, len(self.rows), TILE_FRAMES):
            tile = slice(start, start + TILE_FRAMES)
            moments += shares[:, tile] @ self.rows[tile]


class Design(Protocol):
    """Densities and moments of frames under a pool of Gaussians."""

    n_coefficients: int

    def log_densities(
        self, frames: Float64Array, observed: BoolArray | None, workspace: Workspace
    ) -> tuple[DesignRows, FloatArray]:
        """Return the design and the log-densities, shape (n_components, n_frames)."""

    def log_volumes(self, observed: BoolArray | None) -> Float64Array | float:
        """Return what the log-densities of each frame lack."""

    def stats(self, moments: Float64Array) -> GmmStats:
        """Return the statistics of which these are the moments, shape (n_components, n_coefficients)."""


class CompleteDesign:
    """For frames that miss nothing. In single precision a few far Gaussians are calculated in float64."""

    def __init__(self, pool: GmmParams, precision: Precision) -> None:
        self._pool = pool
        far = pool.far_components
        few = 0 < len(far) * FAR_SHARE <= pool.n_components
        self._far = far if few and precision == "single" else far[:0]
        self._matrix = density_matrix(pool, precision)
        if len(self._far):
            self._matrix = pool.density_matrix.copy()
            self._matrix[far] = 0.0
            self._matrix = self._matrix.astype(np.float32)
        self.n_coefficients = self._matrix.shape[1]
        self._center, self._inverse_scale = pool.center.copy(), 1.0 / pool.scale

    def log_densities(
        self, frames: Float64Array, observed: BoolArray | None, workspace: Workspace
    ) -> tuple[DesignRows, FloatArray]:
        """Return the design and the log-densities."""
        if self._matrix.dtype == np.float32:
            from gmmaudio.gmm import _kernels

            rows: FloatArray = workspace.empty("design", (len(frames), self.n_coefficients), np.float32)
            _kernels.fill_design_rows(frames, self._center, self._inverse_scale, rows)
        else:
            rows = self._double_rows(frames)
        out = workspace.empty("log_densities", (len(self._matrix), len(frames)), self._matrix.dtype)
        np.matmul(self._matrix, rows.T, out=out)
        for component in self._far:
            out[component] = self._far_log_densities(component, frames)
        return DesignRows(rows, self._far, lambda own: self._double_rows(frames[own])), out

    def log_volumes(self, observed: BoolArray | None) -> float:
        """Return what every log-density lacks."""
        return self._pool.log_unit_volume

    def stats(self, moments: Float64Array) -> GmmStats:
        """Return the statistics of which these are the moments."""
        return _stats_of_moments(self._pool, moments)

    def _far_log_densities(self, component: int, frames: Float64Array) -> Float64Array:
        """Return the log-densities of a Gaussian from squared distances, in float64."""
        variances = self._pool.variances[component]
        volume = np.log(variances / np.square(self._pool.scale)).sum()
        with np.errstate(divide="ignore"):  # as in `GmmParams.density_matrix`
            constant = np.log(self._pool.weights[component]) - 0.5 * volume
        distances = np.square(frames - self._pool.means[component]) @ (1.0 / variances)
        return np.asarray(np.maximum(constant - 0.5 * distances, LOWEST))

    def _double_rows(self, frames: Float64Array) -> Float64Array:
        """Return the design in float64."""
        z = np.clip((frames - self._center) * self._inverse_scale, -SATURATION, SATURATION)
        return np.hstack([z, np.square(z), np.ones((len(z), 1))])


class MissingDesign:
    """For frames with missing features."""

    def __init__(self, pool: GmmParams, precision: Precision) -> None:
        self._pool = pool
        self._matrix = missing_density_matrix(pool).astype(density_matrix(pool, precision).dtype)
        self.n_coefficients = self._matrix.shape[1]

    def log_densities(
        self, frames: Float64Array, observed: BoolArray | None, workspace: Workspace
    ) -> tuple[DesignRows, FloatArray]:
        """Return the design and the log-densities."""
        rows = missing_design(self._pool, frames, _mask(frames, observed)).astype(self._matrix.dtype)
        out = workspace.empty("log_densities", (len(self._matrix), len(frames)), self._matrix.dtype)
        np.matmul(self._matrix, rows.T, out=out)
        return DesignRows(rows, np.empty(0, np.intp), lambda own: np.asarray(rows[own], dtype=np.float64)), out

    def log_volumes(self, observed: BoolArray | None) -> Float64Array | float:
        """Return what the log-densities of each frame lack."""
        return self._pool.log_unit_volume if observed is None else observed_log_volume(self._pool, observed)

    def stats(self, moments: Float64Array) -> GmmStats:
        """Return the statistics of which these are the moments."""
        return _stats_of_moments(self._pool, completed_moments(self._pool, moments))


def _mask(frames: Float64Array, observed: BoolArray | None) -> BoolArray:
    """Return the mask; all is observed where there is none."""
    return np.ones(frames.shape, dtype=np.bool_) if observed is None else observed


def _stats_of_moments(pool: GmmParams, moments: Float64Array) -> GmmStats:
    """Return the statistics in units of the features."""
    n_features, occupancy = pool.n_features, moments[:, -1]
    first = moments[:, :n_features] * pool.scale
    second = moments[:, n_features:-1] * np.square(pool.scale)
    return GmmStats(occupancy, first, second, pool.center, 0.0, float(occupancy.sum()))
