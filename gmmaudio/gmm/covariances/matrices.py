"""Covariances with correlations: a matrix for each component, or one for all."""

from typing import ClassVar, Self

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances.structure import SPLIT_DISTANCE, Covariances, check_variances
from gmmaudio.gmm.designs import Design, QuadraticDesign, WhiteDesign


class Full(Covariances):
    """A covariance matrix for each component, shape (n_components, n_features, n_features)."""

    name = "full"
    axes: ClassVar[tuple[str, ...]] = ("n_components", "n_features", "n_features")

    def _check_positive(self) -> None:
        """Raise if a covariance is not positive."""
        _check_matrices(self.array)

    def marginal_variances(self, n_components: int, n_features: int) -> Float64Array:
        """Return the variance of each feature in each component."""
        return np.diagonal(self.array, axis1=1, axis2=2).copy()

    def matrices(self, n_components: int, n_features: int) -> Float64Array:
        """Return the covariances as matrices."""
        return self.array

    def marginal(self, features: IntArray) -> Self:
        """Return the covariances of some of the features."""
        return type(self)(self.array[:, features[:, np.newaxis], features])

    @classmethod
    def from_variances(cls, variances: Float64Array) -> Self:
        """Return covariances without correlations."""
        return cls(variances[:, :, np.newaxis] * np.eye(variances.shape[1]))

    def n_free(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters."""
        return n_components * n_features * (n_features + 1) // 2

    def design(self, weights: Float64Array, means: Float64Array, center: Float64Array) -> Design:
        """Return what turns frames into log-densities and moments."""
        return QuadraticDesign(weights, means, self.array, center)

    def noise(self, components: IntArray, standard: Float64Array) -> Float64Array:
        """Return deviations from the means."""
        factors = np.linalg.cholesky(self.array)
        return np.asarray(np.einsum("tij,tj->ti", factors[components], standard))

    def expected_second(self, counts: Float64Array, offsets: Float64Array) -> Float64Array:
        """Return the expected second moments."""
        return np.asarray(counts[:, np.newaxis, np.newaxis] * (self.array + _outer(offsets, offsets)))

    @classmethod
    def second_shape(cls, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of the second moments."""
        return n_components, n_features, n_features

    @classmethod
    def second_of(cls, matrices: Float64Array) -> Float64Array:
        """Return the second moments."""
        return matrices

    @classmethod
    def squares(cls, second: Float64Array) -> Float64Array:
        """Return the sums of squares."""
        return np.diagonal(second, axis1=1, axis2=2)

    @classmethod
    def estimate(
        cls, counts: Float64Array, averages: Float64Array, offsets: Float64Array, second: Float64Array
    ) -> Float64Array:
        """Return the raw covariances about `offsets`."""
        mixed = _outer(offsets, averages - 0.5 * offsets)
        return np.asarray(second / counts[:, np.newaxis, np.newaxis] - mixed - mixed.transpose(0, 2, 1))

    @classmethod
    def floored(cls, raw: Float64Array, floor: Float64Array) -> Self:
        """Return covariances nowhere below the floor."""
        return cls(_floored_matrices(raw, floor))

    @classmethod
    def shrunk(cls, raw: Float64Array, shrinkage: float) -> Float64Array:
        """Return raw covariances with smaller correlations."""
        return np.where(np.eye(raw.shape[-1], dtype=bool), raw, (1.0 - shrinkage) * raw)

    @classmethod
    def halve(cls, raw: Float64Array, component: int, copy: int, spread: Float64Array) -> Float64Array:
        """Halve a component; return the shift of the halves."""
        shift = _widest_axis(raw[component], spread)
        raw[component] -= np.outer(shift, shift)
        raw[copy] = raw[component]
        return shift

    def beyond(self, previous: Self, excess: float) -> Float64Array:
        """Return raw covariances further on."""
        return _beyond_matrices(previous.array, self.array, excess)


class Tied(Covariances):
    """One covariance matrix for all components, shape (n_features, n_features)."""

    name = "tied"
    axes: ClassVar[tuple[str, ...]] = ("n_features", "n_features")

    def _check_positive(self) -> None:
        """Raise if a covariance is not positive."""
        _check_matrices(self.array)

    def marginal_variances(self, n_components: int, n_features: int) -> Float64Array:
        """Return the variance of each feature in each component."""
        return np.tile(np.diagonal(self.array), (n_components, 1))

    def matrices(self, n_components: int, n_features: int) -> Float64Array:
        """Return the covariances as matrices."""
        return np.tile(self.array, (n_components, 1, 1))

    def marginal(self, features: IntArray) -> Self:
        """Return the covariances of some of the features."""
        return type(self)(self.array[features[:, np.newaxis], features])

    @classmethod
    def from_variances(cls, variances: Float64Array) -> Self:
        """Return covariances without correlations."""
        return cls(np.diag(variances.mean(axis=0)))

    def n_free(self, n_components: int, n_features: int) -> int:
        """Return the number of free parameters."""
        return n_features * (n_features + 1) // 2

    def design(self, weights: Float64Array, means: Float64Array, center: Float64Array) -> Design:
        """Return what turns frames into log-densities and moments."""
        return WhiteDesign(weights, means, self.array, center)

    def noise(self, components: IntArray, standard: Float64Array) -> Float64Array:
        """Return deviations from the means."""
        return np.asarray(standard @ np.linalg.cholesky(self.array).T)

    def expected_second(self, counts: Float64Array, offsets: Float64Array) -> Float64Array:
        """Return the expected second moments."""
        return np.asarray(counts.sum() * self.array + (counts[:, np.newaxis] * offsets).T @ offsets)

    @classmethod
    def second_shape(cls, n_components: int, n_features: int) -> tuple[int, ...]:
        """Return the shape of the second moments."""
        return n_features, n_features

    @classmethod
    def second_of(cls, matrices: Float64Array) -> Float64Array:
        """Return the second moments."""
        return np.asarray(matrices.sum(axis=0))

    @classmethod
    def squares(cls, second: Float64Array) -> Float64Array:
        """Return the sums of squares."""
        return np.diagonal(second)[np.newaxis]

    @classmethod
    def estimate(
        cls, counts: Float64Array, averages: Float64Array, offsets: Float64Array, second: Float64Array
    ) -> Float64Array:
        """Return the raw covariances about `offsets`."""
        mixed = (counts[:, np.newaxis] * offsets).T @ (averages - 0.5 * offsets)
        return np.asarray((second - mixed - mixed.T) / counts.sum())

    @classmethod
    def floored(cls, raw: Float64Array, floor: Float64Array) -> Self:
        """Return covariances nowhere below the floor."""
        return cls(_floored_matrices(raw, floor))

    @classmethod
    def shrunk(cls, raw: Float64Array, shrinkage: float) -> Float64Array:
        """Return raw covariances with smaller correlations."""
        return np.where(np.eye(raw.shape[-1], dtype=bool), raw, (1.0 - shrinkage) * raw)

    @classmethod
    def halve(cls, raw: Float64Array, component: int, copy: int, spread: Float64Array) -> Float64Array:
        """Halve a component; return the shift of the halves."""
        return _widest_axis(raw, spread)

    def beyond(self, previous: Self, excess: float) -> Float64Array:
        """Return raw covariances further on."""
        return _beyond_matrices(previous.array, self.array, excess)


def _check_matrices(matrices: Float64Array) -> None:
    """Raise unless the last two axes hold symmetric, positive definite matrices."""
    if matrices.shape[-1] != matrices.shape[-2] or not np.allclose(matrices, np.swapaxes(matrices, -1, -2)):
        raise ParameterError(f"covariance matrices of shape {matrices.shape} must be square and symmetric")
    check_variances(np.diagonal(matrices, axis1=-2, axis2=-1))
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError as error:
        raise ParameterError(
            "a covariance matrix is not positive definite; use a variance floor, shrinkage, or fewer features"
        ) from error


def _outer(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return the outer product of each pair of rows."""
    return np.asarray(first[:, :, np.newaxis] * second[:, np.newaxis, :])


def _floored_matrices(raw: Float64Array, floor: Float64Array) -> Float64Array:
    """Return the matrices with the eigenvalues in units of the floor raised to 1.

    Of all Σ with Σ − diag(floor) positive semi-definite these maximise the likelihood (Anderson 2003, "An introduction
    to multivariate statistical analysis", theorem 3.2.1, in the basis in which the estimate is diagonal).
    """
    unit = np.sqrt(floor)
    values, vectors = np.linalg.eigh(raw / unit / unit[:, np.newaxis])
    low = np.asarray((values < 1.0).any(axis=-1))
    if not low.any():
        return np.asarray(0.5 * (raw + np.swapaxes(raw, -1, -2)))
    raised = (vectors * np.maximum(values, 1.0)[..., np.newaxis, :]) @ np.swapaxes(vectors, -1, -2)
    raised = raised * unit * unit[:, np.newaxis]
    chosen = np.where(low[..., np.newaxis, np.newaxis], raised, raw)
    return np.asarray(0.5 * (chosen + np.swapaxes(chosen, -1, -2)))


def _widest_axis(matrix: Float64Array, spread: Float64Array) -> Float64Array:
    """Return the shift along the longest principal axis in units of the spread; its largest entry is positive."""
    unit = np.sqrt(spread)
    values, vectors = np.linalg.eigh(matrix / unit / unit[:, np.newaxis])
    axis = vectors[:, -1] * np.sign(vectors[np.abs(vectors[:, -1]).argmax(), -1])
    return np.asarray(SPLIT_DISTANCE * np.sqrt(max(values[-1], 0.0)) * axis * unit)


def _beyond_matrices(previous: Float64Array, updated: Float64Array, excess: float) -> Float64Array:
    """Return matrices further on, in the Cholesky factors' entries and the logarithms of their diagonals."""
    before, now = np.linalg.cholesky(previous), np.linalg.cholesky(updated)
    factor = np.tril(now + excess * (now - before), -1)
    diagonal = np.arange(now.shape[-1])
    here = now[..., diagonal, diagonal]
    factor[..., diagonal, diagonal] = here * (here / before[..., diagonal, diagonal]) ** excess
    return np.asarray(factor @ np.swapaxes(factor, -1, -2))
