"""The two matrix products of an E-step: log-densities of all Gaussians, and their moments.

Conventions. A design has one row per frame, ``[z, z², 1]`` for complete frames and ``[o z, o z², o, 1]`` where features
are missing (see `gmmaudio.gmm.missing`). Log-densities and shares have one row per Gaussian and one column per frame.
"""

from typing import Protocol

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array, FloatArray
from gmmaudio.gmm.density import SATURATION, Precision, density_matrix
from gmmaudio.gmm.missing import completed_moments, missing_density_matrix, missing_design, observed_log_volume
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.hmm._workspace import Workspace

TILE_FRAMES = 1024
"""Frames whose moments are summed by one matrix product, before they are added up in float64."""


class Design(Protocol):
    """Densities and moments of frames under a pool of Gaussians."""

    n_coefficients: int

    def log_densities(
        self, frames: Float64Array, observed: BoolArray | None, workspace: Workspace
    ) -> tuple[FloatArray, FloatArray]:
        """Return the design, shape (n_frames, n_coefficients), and log-densities, shape (n_components, n_frames)."""

    def log_volumes(self, observed: BoolArray | None) -> Float64Array | float:
        """Return what the log-densities of each frame lack."""

    def stats(self, moments: Float64Array) -> GmmStats:
        """Return the statistics of which these are the moments, shape (n_components, n_coefficients)."""


class CompleteDesign:
    """For frames that miss nothing."""

    def __init__(self, pool: GmmParams, precision: Precision) -> None:
        self._pool = pool
        self._matrix = density_matrix(pool, precision)
        self.n_coefficients = self._matrix.shape[1]
        self._center, self._inverse_scale = pool.center.copy(), 1.0 / pool.scale

    def log_densities(
        self, frames: Float64Array, observed: BoolArray | None, workspace: Workspace
    ) -> tuple[FloatArray, FloatArray]:
        """Return the design and the log-densities."""
        if self._matrix.dtype == np.float32:
            from gmmaudio.gmm import _kernels

            design: FloatArray = workspace.empty("design", (len(frames), self.n_coefficients), np.float32)
            _kernels.fill_design_rows(frames, self._center, self._inverse_scale, design)
        else:
            z = np.clip((frames - self._center) * self._inverse_scale, -SATURATION, SATURATION)
            design = np.hstack([z, np.square(z), np.ones((len(z), 1))])
        out = workspace.empty("log_densities", (len(self._matrix), len(frames)), self._matrix.dtype)
        return design, np.matmul(self._matrix, design.T, out=out)

    def log_volumes(self, observed: BoolArray | None) -> float:
        """Return what every log-density lacks."""
        return self._pool.log_unit_volume

    def stats(self, moments: Float64Array) -> GmmStats:
        """Return the statistics of which these are the moments."""
        return _stats_of_moments(self._pool, moments)


class MissingDesign:
    """For frames with missing features."""

    def __init__(self, pool: GmmParams, precision: Precision) -> None:
        self._pool = pool
        self._matrix = missing_density_matrix(pool).astype(density_matrix(pool, precision).dtype)
        self.n_coefficients = self._matrix.shape[1]

    def log_densities(
        self, frames: Float64Array, observed: BoolArray | None, workspace: Workspace
    ) -> tuple[FloatArray, FloatArray]:
        """Return the design and the log-densities."""
        design = missing_design(self._pool, frames, _mask(frames, observed)).astype(self._matrix.dtype)
        out = workspace.empty("log_densities", (len(self._matrix), len(frames)), self._matrix.dtype)
        return design, np.matmul(self._matrix, design.T, out=out)

    def log_volumes(self, observed: BoolArray | None) -> Float64Array | float:
        """Return what the log-densities of each frame lack."""
        return self._pool.log_unit_volume if observed is None else observed_log_volume(self._pool, observed)

    def stats(self, moments: Float64Array) -> GmmStats:
        """Return the statistics of which these are the moments."""
        return _stats_of_moments(self._pool, completed_moments(self._pool, moments))


def add_moments(moments: Float64Array, shares: FloatArray, design: FloatArray) -> None:
    """Add ``Σ γ [z, z², 1]`` (or what takes its place) of a batch."""
    for start in range(0, len(design), TILE_FRAMES):
        tile = slice(start, start + TILE_FRAMES)
        moments += shares[:, tile] @ design[tile]


def _mask(frames: Float64Array, observed: BoolArray | None) -> BoolArray:
    """Return the mask; all is observed where there is none."""
    return np.ones(frames.shape, dtype=np.bool_) if observed is None else observed


def _stats_of_moments(pool: GmmParams, moments: Float64Array) -> GmmStats:
    """Return the statistics in units of the features."""
    n_features, occupancy = pool.n_features, moments[:, -1]
    first = moments[:, :n_features] * pool.scale
    second = moments[:, n_features:-1] * np.square(pool.scale)
    return GmmStats(occupancy, first, second, pool.center, 0.0, float(occupancy.sum()))
