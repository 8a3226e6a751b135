"""The parameters of a Gaussian mixture: an immutable value.

Conventions. Covariances have one of the structures of `gmmaudio.gmm.covariances`; an array in their place holds the
variances (not standard deviations or precisions) of diagonal ones. Everything that is derived from the parameters is
computed once, in float64, when it is first asked for.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float32Array, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances import Covariances, as_covariances, structure_of
from gmmaudio.gmm.designs import Design
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import read_only_array

WEIGHT_SUM_TOLERANCE = 1e-5
"""How far the weights may be from a sum of 1: other programs write them with six digits."""


@dataclass(frozen=True, eq=False, init=False)
class GmmParams:
    """Weights, means and covariances of a mixture of Gaussians.

    The arrays are copied to float64 and made read-only, so that what is derived from them can never be out of date.

    Parameters
    ----------
    weights : array-like, shape (n_components,)
        Prior probability of each component; 0 is allowed, the sum is 1.
    means : array-like, shape (n_components, n_features)
    covariances : Covariances or array-like, shape (n_components, n_features)
        An array holds the positive variances of diagonal covariances. For others see `gmmaudio.gmm.covariances`.

    Raises
    ------
    ParameterError
        If shapes do not match, a value is not finite, a weight is negative, the weights do not sum to 1, or the
        covariances are not positive.

    Examples
    --------
    >>> params = GmmParams(weights=[0.5, 0.5], means=[[-1.0], [1.0]], covariances=[[1.0], [1.0]])
    >>> params.n_components, params.n_features
    (2, 1)
    >>> float(params.center[0]), float(params.scale[0]) ** 2
    (0.0, 2.0000000000000004)
    """

    weights: Float64Array
    means: Float64Array
    covariances: Covariances

    def __init__(self, weights: npt.ArrayLike, means: npt.ArrayLike, covariances: npt.ArrayLike | Covariances) -> None:
        means = read_only_array(means, name="means", shape=(None, None))
        weights = read_only_array(weights, name="weights", shape=means.shape[:1])
        covariances = as_covariances(covariances)
        covariances.check_fits(*means.shape)
        if (weights < 0).any() or abs(weights.sum() - 1.0) > WEIGHT_SUM_TOLERANCE:
            raise ParameterError(
                f"weights must not be negative and must sum to 1; the smallest is {weights.min()}, "
                f"the sum {weights.sum()}; divide them by their sum"
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "covariances", covariances)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.weights, self.means, self.covariances)

    def to_stored(self) -> StoredModel:
        """Return the model as it is written to a file."""
        arrays = {"weights": self.weights, "means": self.means, "covariances": self.covariances.array}
        return StoredModel("gmm_params", {"covariance_type": self.covariances.name}, arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model from what a file holds."""
        structure = structure_of(stored.config["covariance_type"])
        return cls(stored.arrays["weights"], stored.arrays["means"], structure(stored.arrays["covariances"]))

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
        """Number of free parameters: weights that sum to 1, means and covariances."""
        return self.n_components - 1 + self.means.size + self.covariances.n_free(*self.means.shape)

    @cached_property
    def variances(self) -> Float64Array:
        """Variances of the features in each component, shape (n_components, n_features), if they are independent.

        Raises
        ------
        ParameterError
            If the covariances have correlations, which whoever asks for variances would lose.
        """
        if not self.covariances.axis_aligned:
            raise ParameterError(
                f"the mixture has {self.covariances.name} covariances but diagonal ones are needed here; "
                "train it with covariance_type='diag'"
            )
        return _read_only(self.covariances.marginal_variances(*self.means.shape))

    @cached_property
    def center(self) -> Float64Array:
        """Mean of the mixture, shape (n_features,): the origin that densities and statistics are computed about."""
        # Not a BLAS product: a plain sum has the same bits on every machine, so stored statistics stay addable.
        return _read_only((self.weights[:, np.newaxis] * self.means).sum(axis=0))

    @cached_property
    def scale(self) -> Float64Array:
        """Standard deviation of the mixture, shape (n_features,)."""
        spread = self.covariances.marginal_variances(*self.means.shape) + np.square(self.means - self.center)
        return _read_only(np.sqrt((self.weights[:, np.newaxis] * spread).sum(axis=0)))

    @cached_property
    def design(self) -> Design:
        """What turns frames into log-densities and moments."""
        return self.covariances.design(self.weights, self.means, self.center)

    @property
    def log_unit_volume(self) -> float:
        """Constant of every log-density; see `gmmaudio.gmm.designs`."""
        return self.design.log_unit_volume

    @cached_property
    def density_matrix(self) -> Float64Array:
        """Coefficients of the log-densities, shape (n_components, n_monomials); see `gmmaudio.gmm.designs`.

        This matrix times a column of monomials, with `log_unit_volume`, is the log of weight times density.
        """
        return _read_only(self.design.matrix)

    @cached_property
    def density_matrix_single(self) -> Float32Array:
        """`density_matrix` in float32; only to be used if `bears_single`."""
        matrix = self.density_matrix.astype(np.float32)
        matrix.flags.writeable = False
        return matrix

    @cached_property
    def far_components(self) -> IntArray:
        """Components that float32 would spoil: very narrow for their distance from the center."""
        return np.flatnonzero(self.design.far)

    @property
    def bears_single(self) -> bool:
        """Whether float32 loses nothing that matters for any component."""
        return not len(self.far_components)


def _read_only(array: Float64Array) -> Float64Array:
    """Return the array, locked; a view of one that is locked already stays one."""
    array.flags.writeable = False
    return array
