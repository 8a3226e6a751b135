"""Covariances of features that are independent within a component."""

from typing import ClassVar, Self

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.gmm.covariances.structure import SPLIT_DISTANCE, Covariances, check_variances
from gmmaudio.gmm.designs import AxisDesign, Design


class Diagonal(Covariances):
    """Variances of independent features, shape (n_components, n_features)."""

    name = "diag"
    axes: ClassVar[tuple[str, ...]] = ("n_components", "n_features")
    axis_aligned = True

    def _check_positive(self) -> None:
        """Raise if a covariance is not positive."""
        check_variances(self.array)

    def marginal_variances(self, n_components: int, n_features: int) -> Float64Array:
        """Return the variance of each feature in each component."""
        return self.array

    def marginal(self, features: IntArray) -> Self:
        """Return the covariances of some of the features."""
        return type(self)(self.array[:, features])

    @classmethod
    def from_variances(cls, variances: Float64Array) -> Self:
        """Return covariances without correlations."""
        return cls(variances)

    def n_free(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters."""
        return n_components * n_features

    def design(self, weights: Float64Array, means: Float64Array, center: Float64Array) -> Design:
        """Return what turns frames into log-densities and moments."""
        return AxisDesign(weights, means, self.array, center)

    def noise(self, components: IntArray, standard: Float64Array) -> Float64Array:
        """Return deviations from the means."""
        return np.asarray(np.sqrt(self.array[components]) * standard)

    def expected_second(self, counts: Float64Array, offsets: Float64Array) -> Float64Array:
        """Return the expected second moments."""
        return np.asarray(counts[:, np.newaxis] * (self.array + np.square(offsets)))

    def log_determinants(self, n_components: int, n_features: int) -> Float64Array:
        """Return the log-determinant of each covariance matrix."""
        return np.asarray(np.log(self.marginal_variances(n_components, n_features)).sum(axis=1))

    def trace(self, second: Float64Array) -> float:
        """Return the sum of squares in units of the variances."""
        return float((second / self.marginal_variances(*second.shape)).sum())

    @classmethod
    def second_shape(cls, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of the second moments."""
        return n_components, n_features

    @classmethod
    def second_of(cls, matrices: Float64Array) -> Float64Array:
        """Return the second moments."""
        return np.diagonal(matrices, axis1=1, axis2=2).copy()

    @classmethod
    def squares(cls, second: Float64Array) -> Float64Array:
        """Return the sums of squares."""
        return second

    @classmethod
    def estimate(
        cls, counts: Float64Array, averages: Float64Array, offsets: Float64Array, second: Float64Array
    ) -> Float64Array:
        """Return the raw covariances about `offsets`."""
        return np.asarray(second / counts[:, np.newaxis] - offsets * (2.0 * averages - offsets))

    @classmethod
    def floored(cls, raw: Float64Array, floor: Float64Array) -> Self:
        """Return covariances nowhere below the floor."""
        return cls(np.maximum(raw, floor))

    @classmethod
    def halve(cls, raw: Float64Array, component: int, copy: int, spread: Float64Array) -> Float64Array:
        """Halve a component; return the shift of the halves."""
        widths = raw[component] / spread
        # The first that is as wide as the widest to three digits: rounding must not choose among equals.
        widest = (widths >= 0.999 * widths.max()).argmax()
        shift = np.zeros(len(spread))
        shift[widest] = SPLIT_DISTANCE * np.sqrt(max(raw[component, widest], 0.0))
        raw[component] -= np.square(shift)
        raw[copy] = raw[component]
        return shift

    def beyond(self, previous: Self, excess: float) -> Float64Array:
        """Return raw covariances further on."""
        return np.asarray(self.array * (self.array / previous.array) ** excess)


class Spherical(Diagonal):
    """One variance for all features of a component, shape (n_components,)."""

    name = "spherical"
    axes: ClassVar[tuple[str, ...]] = ("n_components",)

    def marginal_variances(self, n_components: int, n_features: int) -> Float64Array:
        """Return the variance of each feature in each component."""
        return np.repeat(self.array[:, np.newaxis], n_features, axis=1)

    def marginal(self, features: IntArray) -> Self:
        """Return the covariances of some of the features."""
        return self

    @classmethod
    def from_variances(cls, variances: Float64Array) -> Self:
        """Return covariances without correlations."""
        return cls(variances.mean(axis=1))

    def n_free(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters."""
        return n_components

    def design(self, weights: Float64Array, means: Float64Array, center: Float64Array) -> Design:
        """Return what turns frames into log-densities and moments."""
        return AxisDesign(weights, means, self.marginal_variances(*means.shape), center)

    def noise(self, components: IntArray, standard: Float64Array) -> Float64Array:
        """Return deviations from the means."""
        return np.asarray(np.sqrt(self.array[components])[:, np.newaxis] * standard)

    def expected_second(self, counts: Float64Array, offsets: Float64Array) -> Float64Array:
        """Return the expected second moments."""
        return np.asarray(counts[:, np.newaxis] * (self.array[:, np.newaxis] + np.square(offsets)))

    @classmethod
    def estimate(
        cls, counts: Float64Array, averages: Float64Array, offsets: Float64Array, second: Float64Array
    ) -> Float64Array:
        """Return the raw covariances about `offsets`."""
        return np.asarray(super().estimate(counts, averages, offsets, second).mean(axis=1))

    @classmethod
    def floored(cls, raw: Float64Array, floor: Float64Array) -> Self:
        """Return covariances nowhere below the floor."""
        return cls(np.maximum(raw, floor.mean()))

    @classmethod
    def halve(cls, raw: Float64Array, component: int, copy: int, spread: Float64Array) -> Float64Array:
        """Halve a component; return the shift of the halves."""
        shift = np.zeros(len(spread))
        shift[spread.argmin()] = SPLIT_DISTANCE * np.sqrt(max(raw[component], 0.0))
        raw[component] -= np.square(shift).mean()
        raw[copy] = raw[component]
        return shift
