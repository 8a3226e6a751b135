"""The parameters of a Gaussian mixture: an immutable value.

Conventions. Covariances are diagonal and stored as variances, not standard deviations or precisions. Everything that
is derived from the parameters is computed once, in float64, when it is first asked for.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float32Array, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import read_only_array

WEIGHT_SUM_TOLERANCE = 1e-5
"""How far the weights may be from a sum of 1: other programs write them with six digits."""

SINGLE_MAX_DISTANCE = 4e3
"""Largest squared Mahalanobis length of a mean that float32 bears: 4e3 · 6e-8 is an error of 0.00024 nats. In mixtures
of 16 to 256 components of 40 MFCCs and deltas the median is 10 to 60 and the largest about 1500."""

SINGLE_MAX_PRECISION = 1e6
"""Largest precision of a standardised feature that float32 bears, so that far frames do not overflow."""


@dataclass(frozen=True, eq=False, init=False)
class GmmParams:
    """Weights, means and variances of a mixture of Gaussians with diagonal covariances.

    The arrays are copied to float64 and made read-only, so that what is derived from them can never be out of date.

    Parameters
    ----------
    weights : array-like, shape (n_components,)
        Prior probability of each component; 0 is allowed, the sum is 1.
    means : array-like, shape (n_components, n_features)
    variances : array-like, shape (n_components, n_features)
        Positive.

    Raises
    ------
    ParameterError
        If shapes do not match, a value is not finite, a weight is negative, the weights do not sum to 1, or a
        variance is not positive.

    Examples
    --------
    >>> params = GmmParams(weights=[0.5, 0.5], means=[[-1.0], [1.0]], variances=[[1.0], [1.0]])
    >>> params.n_components, params.n_features
    (2, 1)
    >>> float(params.center[0]), float(params.scale[0]) ** 2
    (0.0, 2.0000000000000004)
    """

    weights: Float64Array
    means: Float64Array
    variances: Float64Array

    def __init__(self, weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike) -> None:
        means = read_only_array(means, name="means", shape=(None, None))
        weights = read_only_array(weights, name="weights", shape=means.shape[:1])
        variances = read_only_array(variances, name="variances", shape=means.shape)
        if (weights < 0).any() or abs(weights.sum() - 1.0) > WEIGHT_SUM_TOLERANCE:
            raise ParameterError(
                f"weights must not be negative and must sum to 1; the smallest is {weights.min()}, "
                f"the sum {weights.sum()}; divide them by their sum"
            )
        if not (variances >= np.finfo(np.float64).tiny).all():
            raise ParameterError(f"variances must be positive; the smallest is {variances.min()}; use a variance floor")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "variances", variances)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.weights, self.means, self.variances)

    def to_stored(self) -> StoredModel:
        """Return the model as it is written to a file."""
        arrays = {"weights": self.weights, "means": self.means, "variances": self.variances}
        return StoredModel("gmm_params", {}, arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model from what a file holds."""
        return cls(stored.arrays["weights"], stored.arrays["means"], stored.arrays["variances"])

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.means)

    @property
    def n_features(self) -> int:
        """Number of features of a frame."""
        return len(self.means[0])

    @property
    def n_free(self) -> int:
        """Number of free parameters: weights that sum to 1, means and variances."""
        return self.n_components - 1 + 2 * self.means.size

    @cached_property
    def center(self) -> Float64Array:
        """Mean of the mixture, shape (n_features,): the origin that densities and statistics are computed about."""
        # Not a BLAS product: a plain sum has the same bits on every machine, so stored statistics stay addable.
        return _read_only((self.weights[:, np.newaxis] * self.means).sum(axis=0))

    @cached_property
    def scale(self) -> Float64Array:
        """Standard deviation of the mixture, shape (n_features,): the unit that densities are computed in."""
        spread = self.variances + np.square(self.means - self.center)
        return _read_only(np.sqrt((self.weights[:, np.newaxis] * spread).sum(axis=0)))

    @cached_property
    def log_unit_volume(self) -> float:
        """Constant of every log-density: minus the log volume of the unit, ``−Σ log scale − ½ D log 2π``."""
        return -float(np.log(self.scale).sum()) - 0.5 * self.n_features * math.log(2.0 * math.pi)

    @cached_property
    def density_matrix(self) -> Float64Array:
        """Coefficients of the log-densities, shape (n_components, 2 n_features + 1).

        With z = (x − center) / scale and means m, variances v in the same units, this matrix times a column
        ``[z, z², 1]`` is ``log w − ½ Σ (log v + (z − m)² / v)`` for each component, which with `log_unit_volume` is
        the log of weight times density.
        """
        means = (self.means - self.center) / self.scale
        variances = self.variances / np.square(self.scale)
        with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm −inf, as it should
            constants = np.log(self.weights) - 0.5 * (np.log(variances) + np.square(means) / variances).sum(axis=1)
        return _read_only(np.hstack([means / variances, -0.5 / variances, constants[:, np.newaxis]]))

    @cached_property
    def density_matrix_single(self) -> Float32Array:
        """`density_matrix` in float32; only to be used if `bears_single`."""
        matrix = self.density_matrix.astype(np.float32)
        matrix.flags.writeable = False
        return matrix

    @cached_property
    def far_components(self) -> IntArray:
        """Components that float32 would spoil: very narrow for their distance from the center.

        The expanded square of `density_matrix` cancels terms as large as m² / v; relative to those float32 errs by
        6e-8. Typical is one that stands for digital silence, its variances at the floor.
        """
        lengths = (np.square(self.means - self.center) / self.variances).sum(axis=1)
        precisions = (np.square(self.scale) / self.variances).max(axis=1)
        return np.flatnonzero((lengths > SINGLE_MAX_DISTANCE) | (precisions > SINGLE_MAX_PRECISION))

    @property
    def bears_single(self) -> bool:
        """Whether float32 loses nothing that matters for any component."""
        return not len(self.far_components)


def _read_only(array: Float64Array) -> Float64Array:
    """Return the array, locked."""
    array.flags.writeable = False
    return array
