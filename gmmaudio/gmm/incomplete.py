"""Frames with missing features, under covariances of any structure: densities, statistics, imputation.

A missing feature is integrated out of the density; in the M-step it counts with what each component expects of it given
what was observed, ``E[x_m | x_o]`` and ``E[x_m x_mᵀ | x_o]`` (Ghahramani & Jordan 1994, "Supervised learning from
incomplete data via an EM approach"; Little & Rubin 2002, section 8.2). EM then climbs the likelihood of the observed
values exactly, where values are missing at random.

Conventions. float64. Frames come with 0 for what is missing and with a mask of what is observed. Where features are
independent within a component, missing ones are left away (`gmmaudio.gmm.missing`).
"""

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array, FloatArray
from gmmaudio.gmm.designs import Sums
from gmmaudio.gmm.log_sum_exp import exponentiate
from gmmaudio.gmm.missing import (
    completed_moments,
    missing_component_log_densities,
    missing_design,
    split_missing,
)
from gmmaudio.gmm.parameters import GmmParams


class Completion(ABC):
    """What a mixture knows of frames that miss features."""

    def __init__(self, params: GmmParams) -> None:
        self._params = params

    @abstractmethod
    def log_densities(self, frames: FloatArray, observed: BoolArray) -> Float64Array:
        """Return ``log w_k N(x_o; μ_k, Σ_k)``, shape (n_frames, n_components)."""

    @abstractmethod
    def sums(self, frames: FloatArray, observed: BoolArray, occupancies: Float64Array) -> Sums:
        """Return the expected moments about the center, given occupancies of shape (n_frames, n_components)."""

    @abstractmethod
    def complete(self, frames: FloatArray, observed: BoolArray, responsibilities: Float64Array) -> Float64Array:
        """Return the frames with the expectation of what is missing."""


class AxisCompletion(Completion):
    """Of features that are independent within a component."""

    def log_densities(self, frames: FloatArray, observed: BoolArray) -> Float64Array:
        """Return the log of weight times density of what is observed."""
        return missing_component_log_densities(self._params, frames, observed)

    def sums(self, frames: FloatArray, observed: BoolArray, occupancies: Float64Array) -> Sums:
        """Return the expected moments."""
        params = self._params
        moments = occupancies.T @ missing_design(params, frames, observed)
        return params.design.sums(completed_moments(params, moments), np.zeros((0, 0)))

    def complete(self, frames: FloatArray, observed: BoolArray, responsibilities: Float64Array) -> Float64Array:
        """Return the frames with the expectation of what is missing."""
        expected = np.zeros(frames.shape)
        for shares, mean in zip(responsibilities.T, self._params.means, strict=True):
            expected += shares[:, np.newaxis] * mean
        return np.where(observed, frames, expected)


class MatrixCompletion(Completion):
    """Of features that are correlated within a component: what is missing is regressed on what is observed."""

    def __init__(self, params: GmmParams) -> None:
        super().__init__(params)
        factors = np.linalg.cholesky(params.covariances.matrices(*params.means.shape))
        self._whiteners = np.linalg.inv(factors)
        self._precisions = np.swapaxes(self._whiteners, 1, 2) @ self._whiteners
        self._means = params.means.copy()  # kernels take no read-only arrays
        log_volumes = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm −inf, as it should
            log_weights = np.log(params.weights)
        self._constants = log_weights - log_volumes - 0.5 * params.n_features * math.log(2.0 * math.pi)

    def log_densities(self, frames: FloatArray, observed: BoolArray) -> Float64Array:
        """Return the log of weight times density of what is observed."""
        from gmmaudio.gmm import _incomplete_kernels

        log_densities = np.empty((len(frames), self._params.n_components))
        model = self._means, self._precisions, self._whiteners, self._constants
        _incomplete_kernels.log_densities(*_kernel_input(frames, observed), *model, log_densities)
        return log_densities

    def sums(self, frames: FloatArray, observed: BoolArray, occupancies: Float64Array) -> Sums:
        """Return the expected moments."""
        from gmmaudio.gmm import _incomplete_kernels

        n_components, n_features = self._means.shape
        first, second = np.zeros((n_components, n_features)), np.zeros((n_components, n_features, n_features))
        shares = np.ascontiguousarray(occupancies)
        model = self._means, self._precisions, self._params.center.copy()
        _incomplete_kernels.add_expected(*_kernel_input(frames, observed), shares, *model, first, second)
        second = np.tril(second) + np.swapaxes(np.tril(second, -1), 1, 2)
        return occupancies.sum(axis=0), first, self._params.covariances.second_of(second)

    def complete(self, frames: FloatArray, observed: BoolArray, responsibilities: Float64Array) -> Float64Array:
        """Return the frames with the expectation of what is missing."""
        from gmmaudio.gmm import _incomplete_kernels

        values, mask = _kernel_input(frames, observed)
        completed, shares = values.copy(), np.ascontiguousarray(responsibilities)
        _incomplete_kernels.complete(values, mask, shares, self._means, self._precisions, completed)
        return completed


def _kernel_input(frames: FloatArray, observed: BoolArray) -> tuple[Float64Array, BoolArray]:
    """Return frames and mask as kernels take them."""
    return np.array(frames, dtype=np.float64, order="C"), np.ascontiguousarray(observed)


def completion_of(params: GmmParams) -> Completion:
    """Return what a mixture knows of frames that miss features."""
    return AxisCompletion(params) if params.covariances.axis_aligned else MatrixCompletion(params)


def imputed(params: GmmParams, frames: npt.ArrayLike) -> Float64Array:
    """Return the frames with the expectation ``E[x_m | x_o]`` under the mixture in the place of NaN, in float64.

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are infinite.
    """
    values, observed = split_missing(frames, n_features=params.n_features)
    if observed is None:
        return values.astype(np.float64)
    completion = completion_of(params)
    columns = np.ascontiguousarray(completion.log_densities(values, observed).T)
    _, sums = exponentiate(columns)
    return completion.complete(values, observed, (columns / sums).T)
