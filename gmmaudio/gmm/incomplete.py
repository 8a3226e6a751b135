"""Frames with missing features, under covariances of any structure: densities, statistics, imputation.

A missing feature is integrated out of the density; in the M-step it counts with what each component expects of it given
what was observed, ``E[x_m | x_o]`` and ``E[x_m x_mᵀ | x_o]`` (Ghahramani & Jordan 1994, "Supervised learning from
incomplete data via an EM approach"; Little & Rubin 2002, section 8.2). EM then climbs the likelihood of the observed
values exactly, where values are missing at random.

Conventions. float64. Frames come with 0 for what is missing and with a mask of what is observed. Where features are
independent within a component, missing ones are left away (`gmmaudio.gmm.missing`); else frames are gone through by
their patterns, so that the cost grows with the number of different ones.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array, FloatArray, IntArray
from gmmaudio.gmm.conditional.gaussians import ConditionalGaussians
from gmmaudio.gmm.designs import Sums
from gmmaudio.gmm.log_sum_exp import exponentiate
from gmmaudio.gmm.missing import (
    completed_moments,
    missing_component_log_densities,
    missing_design,
    split_missing,
)
from gmmaudio.gmm.parameters import GmmParams

PATTERNS_KEPT = 1024
"""Patterns whose regressions are kept: as many as a tile of frames can have."""


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
    """Of features that are correlated within a component: each pattern of missing features has its regressions."""

    def __init__(self, params: GmmParams) -> None:
        super().__init__(params)
        self._kept: dict[bytes, ConditionalGaussians] = {}

    def log_densities(self, frames: FloatArray, observed: BoolArray) -> Float64Array:
        """Return the log of weight times density of what is observed."""
        log_densities = np.empty((len(frames), self._params.n_components))
        for rows, given, gaussians in self._patterns(observed):
            log_densities[rows] = gaussians.log_densities(frames[rows[:, np.newaxis], given])
        return log_densities

    def sums(self, frames: FloatArray, observed: BoolArray, occupancies: Float64Array) -> Sums:
        """Return the expected moments."""
        params = self._params
        n_components, n_features = params.means.shape
        first, second = np.zeros((n_components, n_features)), np.zeros((n_components, n_features, n_features))
        for rows, given, gaussians in self._patterns(observed):
            values, rest = frames[rows[:, np.newaxis], given], gaussians.rest
            means = gaussians.means(values) - params.center[rest]
            completed = np.empty((len(rows), n_features))
            completed[:, given] = values - params.center[given]
            for k in range(n_components):
                completed[:, rest] = means[:, k]
                weighted = occupancies[rows, k, np.newaxis] * completed
                first[k] += weighted.sum(axis=0)
                second[k] += weighted.T @ completed
                second[k][rest[:, np.newaxis], rest] += occupancies[rows, k].sum() * gaussians.covariances[k]
        return occupancies.sum(axis=0), first, params.covariances.second_of(second)

    def complete(self, frames: FloatArray, observed: BoolArray, responsibilities: Float64Array) -> Float64Array:
        """Return the frames with the expectation of what is missing."""
        completed = frames.astype(np.float64)
        for rows, given, gaussians in self._patterns(observed):
            means = gaussians.means(frames[rows[:, np.newaxis], given])
            expected = np.zeros((len(rows), len(gaussians.rest)))
            for k in range(self._params.n_components):
                expected += responsibilities[rows, k, np.newaxis] * means[:, k]
            completed[rows[:, np.newaxis], gaussians.rest] = expected
        return completed

    def _patterns(self, observed: BoolArray) -> Iterator[tuple[IntArray, IntArray, ConditionalGaussians]]:
        """Yield for each pattern its rows, its observed features, and the components given these."""
        patterns, number = np.unique(observed, axis=0, return_inverse=True)
        order = np.argsort(number.ravel(), kind="stable")
        ends = np.cumsum(np.bincount(number.ravel(), minlength=len(patterns)))
        for pattern, rows in zip(patterns, np.split(order, ends[:-1]), strict=True):
            given = np.flatnonzero(pattern)
            yield rows, given, self._given(given)

    def _given(self, given: IntArray) -> ConditionalGaussians:
        """Return the components given some features: kept, since a pattern comes for densities and for moments."""
        key = given.tobytes()
        if key not in self._kept:
            if len(self._kept) == PATTERNS_KEPT:
                self._kept.clear()
            self._kept[key] = ConditionalGaussians(self._params, given)
        return self._kept[key]


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
