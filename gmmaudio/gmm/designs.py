"""From frames to log-densities and back to moments: the monomials whose matrix product with coefficients is a density.

Each structure of covariances has a design: columns of monomials of the standardised frame z, chosen so that the log of
weight times density is linear in them. One matrix product then evaluates all components, and another one gives the
moments that the M-step needs.

Conventions. Frames are columns. Coefficients are float64 and computed once. z is about the center of the mixture, in
units in which the mixture has variance 1, so that neither an offset nor the units of the features cost digits.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.gmm._blas import one_blas_thread

BLOCK_FRAMES = 16
"""Frames of one matrix product; wider blocks are not handled evenly by every BLAS kernel (measured)."""

SATURATION = 1e15
"""Standardised features are cut here; their squares times any precision that is allowed fit into float32."""

SINGLE_MAX_DISTANCE = 4e3
"""Largest squared Mahalanobis length of a mean that float32 bears: 4e3 · 6e-8 is an error of 0.00024 nats. In mixtures
of 16 to 256 components of 40 MFCCs and deltas the median is 10 to 60 and the largest about 1500."""

SINGLE_MAX_PRECISION = 1e6
"""Largest precision of a standardised feature that float32 bears, so that far frames do not overflow."""

Sums = tuple[Float64Array, Float64Array, Float64Array]
"""Zeroth, first and second moments about the center, in the units of the features."""


class Design(ABC):
    """The monomials of a structure for one mixture.

    Parameters
    ----------
    weights : array, shape (n_components,)
    means : array, shape (n_components, n_features)
    center : array, shape (n_features,)
        Mean of the mixture.
    """

    def __init__(self, weights: Float64Array, means: Float64Array, center: Float64Array) -> None:
        with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm −inf, as it should
            self._log_weights = np.log(weights)
        self._center = center
        self._offsets = means - center
        self.n_features: int = means.shape[1]

    @property
    @abstractmethod
    def matrix(self) -> Float64Array:
        """Coefficients, shape (n_components, n_monomials): times a column they are log(weight · density) + const."""

    @property
    @abstractmethod
    def log_unit_volume(self) -> float:
        """That constant: minus the log volume of the unit, ``−log |unit| − ½ D log 2π``."""

    @property
    @abstractmethod
    def far(self) -> npt.NDArray[np.bool_]:
        """Components that float32 would spoil, being very narrow for their distance from the center."""

    @property
    def shared_size(self) -> int:
        """Number of features whose products are summed once for all components; 0 where they are not."""
        return 0

    @abstractmethod
    def fill(self, frames: FloatArray, out: FloatArray) -> None:
        """Write the monomials of frames as columns of `out`; columns beyond them are padding, z = 0."""

    @abstractmethod
    def sums(self, moments: Float64Array, shared: Float64Array) -> Sums:
        """Return the moments in the units of the features.

        Parameters
        ----------
        moments : array, shape (n_components, n_monomials)
            Responsibilities times monomials.
        shared : array, shape (shared_size, shared_size)
            Weights of the frames times products of z.
        """

    @abstractmethod
    def moments(
        self, zeroth: Float64Array, first: Float64Array, second: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return moments and shared moments of which these are the `sums`; monomials that `sums` ignores are 0."""


class AxisDesign(Design):
    """``[z, z², 1]`` for features that are independent within a component, z = (x − center) / scale.

    With means m and variances v in the same units: ``log w − ½ Σ (log v + (z − m)² / v)``.
    """

    def __init__(
        self, weights: Float64Array, means: Float64Array, variances: Float64Array, center: Float64Array
    ) -> None:
        super().__init__(weights, means, center)
        spread = variances + np.square(self._offsets)
        # Not a BLAS product: a plain sum has the same bits on every machine.
        self._scale = np.sqrt((weights[:, np.newaxis] * spread).sum(axis=0))
        self._variances = variances

    @cached_property
    def matrix(self) -> Float64Array:
        """Coefficients, shape (n_components, 2 n_features + 1)."""
        means, variances = self._offsets / self._scale, self._variances / np.square(self._scale)
        constants = self._log_weights - 0.5 * (np.log(variances) + np.square(means) / variances).sum(axis=1)
        return np.hstack([means / variances, -0.5 / variances, constants[:, np.newaxis]])

    @cached_property
    def log_unit_volume(self) -> float:
        """``−Σ log scale − ½ D log 2π``."""
        return -float(np.log(self._scale).sum()) - 0.5 * self.n_features * math.log(2.0 * math.pi)

    @cached_property
    def far(self) -> npt.NDArray[np.bool_]:
        """Components that float32 would spoil.

        The expanded square cancels terms as large as m² / v; relative to those float32 errs by 6e-8. Typical is a
        component that stands for digital silence, its variances at the floor.
        """
        lengths = (np.square(self._offsets) / self._variances).sum(axis=1)
        precisions = (np.square(self._scale) / self._variances).max(axis=1)
        return np.asarray((lengths > SINGLE_MAX_DISTANCE) | (precisions > SINGLE_MAX_PRECISION))

    def fill(self, frames: FloatArray, out: FloatArray) -> None:
        """Write ``[z, z², 1]``; z is computed in float64."""
        n_frames, n_features = frames.shape
        standardized = (frames - self._center) / self._scale
        np.clip(standardized, -SATURATION, SATURATION, out=standardized)
        out[:n_features, :n_frames] = standardized.T
        out[:n_features, n_frames:] = 0.0
        np.square(out[:n_features], out=out[n_features:-1])
        out[-1] = 1.0

    def sums(self, moments: Float64Array, shared: Float64Array) -> Sums:
        """Return the moments, the second ones of shape (n_components, n_features)."""
        n = self.n_features
        return moments[:, -1], moments[:, :n] * self._scale, moments[:, n:-1] * np.square(self._scale)

    def moments(
        self, zeroth: Float64Array, first: Float64Array, second: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return the moments of z."""
        parts = first / self._scale, second / np.square(self._scale), zeroth[:, np.newaxis]
        return np.hstack(parts), np.zeros((0, 0))


class _WhitenedDesign(Design):
    """Of structures with correlations: z = L⁻¹ (x − center), where L Lᵀ is the unit."""

    def __init__(self, weights: Float64Array, means: Float64Array, center: Float64Array, unit: Float64Array) -> None:
        super().__init__(weights, means, center)
        self._factor: Float64Array = np.asarray(np.linalg.cholesky(unit), np.float64)
        self._whitener = _inverse_of_lower(self._factor)
        self._means = self._offsets @ self._whitener.T

    @cached_property
    def log_unit_volume(self) -> float:
        """``−log |L| − ½ D log 2π``."""
        return -float(np.log(np.diagonal(self._factor)).sum()) - 0.5 * self.n_features * math.log(2.0 * math.pi)

    def _fill_whitened(self, frames: FloatArray, out: FloatArray) -> None:
        """Write z, computed in float64 and by products of one shape, so that bits do not depend on the cutting."""
        n_frames, n_features = frames.shape
        offsets = np.zeros((n_features, out.shape[1]))
        offsets[:, :n_frames] = (frames - self._center).T
        whitened = np.empty_like(offsets)
        np.matmul(self._whitener, column_blocks(offsets), out=column_blocks(whitened))
        np.clip(whitened, -SATURATION, SATURATION, out=whitened)
        out[:n_features] = whitened


class QuadraticDesign(_WhitenedDesign):
    """``[z, z_i z_j (i ≤ j), 1]`` for full covariances; the unit is the covariance of the mixture.

    With means m and precisions Λ in the units of z: ``log w + ½ log |Λ| − ½ (z − m)ᵀ Λ (z − m)``.
    """

    def __init__(
        self, weights: Float64Array, means: Float64Array, matrices: Float64Array, center: Float64Array
    ) -> None:
        offsets = means - center
        spread = matrices + offsets[:, :, np.newaxis] * offsets[:, np.newaxis, :]
        super().__init__(weights, means, center, (weights[:, np.newaxis, np.newaxis] * spread).sum(axis=0))
        self._factors = np.linalg.cholesky(self._whitener @ matrices @ self._whitener.T)
        inverses = np.stack([_inverse_of_lower(np.asarray(factor)) for factor in self._factors])
        self._precisions = np.swapaxes(inverses, -1, -2) @ inverses
        self._pairs = np.triu_indices(self.n_features)

    @cached_property
    def matrix(self) -> Float64Array:
        """Coefficients, shape (n_components, n_features + n_features (n_features + 1) / 2 + 1)."""
        linear = np.einsum("kij,kj->ki", self._precisions, self._means)
        twice = np.where(self._pairs[0] == self._pairs[1], -0.5, -1.0)
        squares = self._precisions[:, self._pairs[0], self._pairs[1]] * twice
        log_volumes = np.log(np.diagonal(self._factors, axis1=1, axis2=2)).sum(axis=1)
        constants = self._log_weights - log_volumes - 0.5 * (linear * self._means).sum(axis=1)
        return np.hstack([linear, squares, constants[:, np.newaxis]])

    @cached_property
    def far(self) -> npt.NDArray[np.bool_]:
        """Components that float32 would spoil; see `AxisDesign.far`."""
        lengths = np.einsum("ki,kij,kj->k", self._means, self._precisions, self._means)
        precisions = np.linalg.eigvalsh(self._precisions)[:, -1]
        return np.asarray((lengths > SINGLE_MAX_DISTANCE) | (precisions > SINGLE_MAX_PRECISION))

    def fill(self, frames: FloatArray, out: FloatArray) -> None:
        """Write ``[z, z_i z_j (i ≤ j), 1]``."""
        self._fill_whitened(frames, out)
        n_features = self.n_features
        start = n_features
        for first in range(n_features):
            stop = start + n_features - first
            np.multiply(out[first:n_features], out[first], out=out[start:stop])
            start = stop
        out[-1] = 1.0

    def sums(self, moments: Float64Array, shared: Float64Array) -> Sums:
        """Return the moments, the second ones of shape (n_components, n_features, n_features)."""
        n = self.n_features
        second = np.empty((len(moments), n, n))
        second[:, self._pairs[0], self._pairs[1]] = second[:, self._pairs[1], self._pairs[0]] = moments[:, n:-1]
        second = self._factor @ second @ self._factor.T
        return moments[:, -1], moments[:, :n] @ self._factor.T, 0.5 * (second + np.swapaxes(second, 1, 2))

    def moments(
        self, zeroth: Float64Array, first: Float64Array, second: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return the moments of z."""
        products = (self._whitener @ second @ self._whitener.T)[:, self._pairs[0], self._pairs[1]]
        return np.hstack([first @ self._whitener.T, products, zeroth[:, np.newaxis]]), np.zeros((0, 0))


class WhiteDesign(_WhitenedDesign):
    """``[z, |z|², 1]`` for one covariance of all components, which is the unit: ``log w − ½ |z − m|²``."""

    def __init__(self, weights: Float64Array, means: Float64Array, matrix: Float64Array, center: Float64Array) -> None:
        super().__init__(weights, means, center, matrix)

    @cached_property
    def matrix(self) -> Float64Array:
        """Coefficients, shape (n_components, n_features + 2)."""
        constants = self._log_weights - 0.5 * np.square(self._means).sum(axis=1)
        halves = np.full((len(self._means), 1), -0.5)
        return np.hstack([self._means, halves, constants[:, np.newaxis]])

    @cached_property
    def far(self) -> npt.NDArray[np.bool_]:
        """Components that float32 would spoil; see `AxisDesign.far`."""
        return np.asarray(np.square(self._means).sum(axis=1) > SINGLE_MAX_DISTANCE)

    @property
    def shared_size(self) -> int:
        """The products of z do not depend on the component: they are summed once."""
        return self.n_features

    def fill(self, frames: FloatArray, out: FloatArray) -> None:
        """Write ``[z, |z|², 1]``."""
        self._fill_whitened(frames, out)
        out[-2] = 0.0
        for row in out[: self.n_features]:  # one after the other: a sum of NumPy's depends on the number of columns
            out[-2] += np.square(row)
        out[-1] = 1.0

    def sums(self, moments: Float64Array, shared: Float64Array) -> Sums:
        """Return the moments, the second ones summed over components, shape (n_features, n_features)."""
        second = self._factor @ shared @ self._factor.T
        return moments[:, -1], moments[:, : self.n_features] @ self._factor.T, 0.5 * (second + second.T)

    def moments(
        self, zeroth: Float64Array, first: Float64Array, second: Float64Array
    ) -> tuple[Float64Array, Float64Array]:
        """Return the moments of z, and its products."""
        unused = np.zeros((len(zeroth), 1))
        moments = np.hstack([first @ self._whitener.T, unused, zeroth[:, np.newaxis]])
        return moments, self._whitener @ second @ self._whitener.T


def column_blocks(columns: FloatArray) -> FloatArray:
    """Return a view of shape (n_blocks, n_rows, BLOCK_FRAMES) of columns that fill whole blocks."""
    n_rows, n_columns = columns.shape
    row_stride, column_stride = columns.strides
    return np.lib.stride_tricks.as_strided(
        columns,
        shape=(n_columns // BLOCK_FRAMES, n_rows, BLOCK_FRAMES),
        strides=(BLOCK_FRAMES * column_stride, row_stride, column_stride),
    )


def _inverse_of_lower(factor: Float64Array) -> Float64Array:
    """Return the inverse of a lower triangular matrix, by substitution."""
    from scipy.linalg import solve_triangular

    # BLAS would start its threads even for two features, which on a busy machine takes longer than all the rest.
    return np.asarray(one_blas_thread(solve_triangular)(factor, np.eye(len(factor)), lower=True))
