"""What every structure of covariances can do.

Conventions. Covariances are those of the population (divided by the number of frames), shaped as in scikit-learn's
`GaussianMixture`. "Raw" arrays are estimates that a floor has not yet made positive. Second moments are about the
center of the model that gave the responsibilities, offsets are means minus that center.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.designs import Design
from gmmaudio.validation import read_only_array

SPLIT_DISTANCE = 0.5
"""How far the halves of a split component move from its mean, in its standard deviations."""


@dataclass(frozen=True, eq=False)
class Covariances(ABC):
    """The covariances of the components of a mixture: an immutable value.

    Parameters
    ----------
    array : array-like
        Shape as the structure says; positive, or positive definite.

    Raises
    ------
    ParameterError
        If the shape does not fit, a value is not finite, or the covariances are not positive.
    """

    array: Float64Array
    name: ClassVar[str]
    axes: ClassVar[tuple[str, ...]]
    axis_aligned: ClassVar[bool] = False
    """Whether features are independent within a component, so that each is a factor of the density."""

    def __post_init__(self) -> None:
        array = read_only_array(self.array, name=f"{self.name} covariances", shape=(None,) * len(self.axes))
        object.__setattr__(self, "array", array)
        self._check_positive()

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the array writeable.
        return type(self), (self.array,)

    @abstractmethod
    def _check_positive(self) -> None:
        """Raise if the covariances are not positive."""

    def check_fits(self, n_components: int, n_features: int) -> None:
        """Raise if these are not the covariances of so many components of so many features."""
        sizes = {"n_components": n_components, "n_features": n_features}
        wanted = tuple(sizes[axis] for axis in self.axes)
        if self.array.shape != wanted:
            raise ParameterError(f"{self.name} covariances have shape {self.array.shape} but the means need {wanted}")

    @classmethod
    def is_shared(cls) -> bool:
        """Return whether all components have one and the same covariance."""
        return "n_components" not in cls.axes

    @classmethod
    def repeated(cls, one: npt.ArrayLike, n_components: int) -> Self:
        """Return the same covariance for each component, an array of the structure's shape without that axis."""
        array = np.asarray(one, dtype=np.float64)
        if array.ndim != len(cls.axes) - (not cls.is_shared()):
            wanted = ", ".join(axis for axis in cls.axes if axis != "n_components")
            raise ParameterError(f"a {cls.name} covariance of one component has shape ({wanted}), not {array.shape}")
        return cls(array if cls.is_shared() else np.repeat(array[np.newaxis], n_components, axis=0))

    def first(self) -> Float64Array:
        """Return the covariance of the first component."""
        return self.array if self.is_shared() else np.asarray(self.array[0])

    def chosen(self, components: BoolArray) -> Self:
        """Return the covariances of some components."""
        return self if self.is_shared() else type(self)(self.array[components])

    @abstractmethod
    def marginal_variances(self, n_components: int, n_features: int) -> Float64Array:
        """Return the variance of each feature in each component, shape (n_components, n_features)."""

    def matrices(self, n_components: int, n_features: int) -> Float64Array:
        """Return the covariances as matrices, shape (n_components, n_features, n_features)."""
        diagonals = self.marginal_variances(n_components, n_features)
        return np.asarray(diagonals[:, :, np.newaxis] * np.eye(n_features))

    @abstractmethod
    def marginal(self, features: IntArray) -> Self:
        """Return the covariances of some of the features, in the order in which they are named."""

    @classmethod
    @abstractmethod
    def from_variances(cls, variances: Float64Array) -> Self:
        """Return covariances without correlations from variances (n_components, n_features): a start of EM."""

    @abstractmethod
    def n_free(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters."""

    @abstractmethod
    def design(self, weights: Float64Array, means: Float64Array, center: Float64Array) -> Design:
        """Return what turns frames into log-densities and moments."""

    @abstractmethod
    def noise(self, components: IntArray, standard: Float64Array) -> Float64Array:
        """Return deviations from the means of some components from standard normal numbers, (n_frames, n_features)."""

    @abstractmethod
    def expected_second(self, counts: Float64Array, offsets: Float64Array) -> Float64Array:
        """Return the second moments that `counts[k]` frames of each component would have on average."""

    def log_determinants(self, n_components: int, n_features: int) -> Float64Array:
        """Return the log-determinant of each covariance matrix, shape (n_components,)."""
        return np.asarray(np.linalg.slogdet(self.matrices(n_components, n_features))[1])

    def trace(self, second: Float64Array) -> float:
        """Return ``Σ_k tr(S_k Σ_k⁻¹)`` of second moments S in the shape of the structure."""
        return float(np.trace(np.linalg.solve(self.array, second), axis1=-2, axis2=-1).sum())

    @classmethod
    @abstractmethod
    def second_shape(cls, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of the second moments."""

    @classmethod
    @abstractmethod
    def second_of(cls, matrices: Float64Array) -> Float64Array:
        """Return the second moments from those of each component as matrices (n_components, n_features, n_features)."""

    @classmethod
    @abstractmethod
    def squares(cls, second: Float64Array) -> Float64Array:
        """Return the sums of squares among the second moments, a row for each component or one for all."""

    @classmethod
    @abstractmethod
    def estimate(
        cls, counts: Float64Array, averages: Float64Array, offsets: Float64Array, second: Float64Array
    ) -> Float64Array:
        """Return the raw covariances about `offsets` of frames with these averages and second moments.

        ``Σ γ (x − o)(x − o)ᵀ / N = S / N − o aᵀ − a oᵀ + o oᵀ``; counts of 0 have been replaced by 1.
        """

    @classmethod
    @abstractmethod
    def floored(cls, raw: Float64Array, floor: Float64Array) -> Self:
        """Return the most likely covariances that are nowhere below the floor, shape (n_features,)."""

    @classmethod
    def shrunk(cls, raw: Float64Array, shrinkage: float) -> Float64Array:
        """Return raw covariances with correlations multiplied by ``1 − shrinkage``; there may be none."""
        return raw

    @classmethod
    @abstractmethod
    def halve(cls, raw: Float64Array, component: int, copy: int, spread: Float64Array) -> Float64Array:
        """Overwrite `copy` by one half of a component, and that by the other; return how far they move from its mean.

        They lie along the direction in which the component is widest relative to `spread`, the variance of the data.
        Taking the square of the shift off keeps the covariance of the pair, and the next split of either half does
        not land where another component already is.
        """

    @abstractmethod
    def beyond(self, previous: Self, excess: float) -> Float64Array:
        """Return raw covariances further on from `previous`, `excess` times the step that led here."""


def check_variances(variances: Float64Array) -> None:
    """Raise unless every variance is a positive, normal number."""
    if not (variances >= np.finfo(np.float64).tiny).all():
        raise ParameterError(f"variances must be positive; the smallest is {variances.min()}; use a variance floor")
