"""What each state of a hidden Markov model emits: a Gaussian mixture of its own, or weights on a shared codebook.

Conventions. All Gaussians of all states together are the *pool*, a `GmmParams` in the order of the states, so that one
matrix product evaluates every one of them. The weights of the pool are those within the states divided by the number
of states, or uniform for a codebook; `log_pool_share` undoes that.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.density import Precision, component_log_densities, density_tiles
from gmmaudio.gmm.missing import missing_component_log_densities, split_missing
from gmmaudio.gmm.parameters import WEIGHT_SUM_TOLERANCE, GmmParams
from gmmaudio.validation import read_only_array


class Emissions(Protocol):
    """What inference and training need to know of the emissions of all states."""

    @property
    def n_states(self) -> int:
        """Number of states."""

    @property
    def pool(self) -> GmmParams:
        """All Gaussians, in the order of the states."""

    @property
    def log_pool_share(self) -> float:
        """What is to be added to the log-densities of the pool."""

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""

    def frame_log_likelihoods(self, frames: npt.ArrayLike, *, precision: Precision = "single") -> Float64Array:
        """Return the log-likelihood of each frame in each state, shape (n_frames, n_states)."""

    def to_arrays(self) -> dict[str, Any]:
        """Return the arrays that a model file holds."""


@dataclass(frozen=True, eq=False, init=False)
class MixtureEmissions:
    """A Gaussian mixture for each state; the numbers of components may differ.

    Parameters
    ----------
    mixtures : sequence of GmmParams
        One per state, all of the same number of features.

    Raises
    ------
    ParameterError
        If there is no state, or the numbers of features differ.

    Examples
    --------
    >>> quiet = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> loud = GmmParams(weights=[0.5, 0.5], means=[[4.0], [6.0]], covariances=[[1.0], [1.0]])
    >>> MixtureEmissions([quiet, loud]).frame_log_likelihoods([[0.0], [5.0]]).round(2)
    array([[ -0.92,  -9.61],
           [-13.42,  -1.42]])
    """

    mixtures: tuple[GmmParams, ...]

    def __init__(self, mixtures: Any) -> None:
        mixtures = tuple(mixtures)
        if not mixtures:
            raise ParameterError("mixtures is empty; a hidden Markov model needs at least one state")
        numbers = {mixture.n_features for mixture in mixtures}
        if len(numbers) > 1:
            raise ParameterError(f"the mixtures have {sorted(numbers)} features; all states need the same number")
        object.__setattr__(self, "mixtures", mixtures)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.mixtures)

    @cached_property
    def offsets(self) -> IntArray:
        """Where the Gaussians of each state begin in the pool, shape (n_states + 1,)."""
        return np.concatenate([[0], np.cumsum([mixture.n_components for mixture in self.mixtures])])

    @cached_property
    def pool(self) -> GmmParams:
        """All Gaussians, in the order of the states."""
        return GmmParams(
            np.concatenate([mixture.weights for mixture in self.mixtures]) / self.n_states,
            np.concatenate([mixture.means for mixture in self.mixtures]),
            np.concatenate([mixture.variances for mixture in self.mixtures]),
        )

    @property
    def log_pool_share(self) -> float:
        """What is to be added to the log-densities of the pool."""
        return math.log(self.n_states)

    @property
    def n_parameters(self) -> int:
        """Number of free parameters: weights that sum to 1 in each state, means and variances."""
        return self.pool.n_components * (2 * self.pool.n_features + 1) - self.n_states

    @one_blas_thread
    def frame_log_likelihoods(self, frames: npt.ArrayLike, *, precision: Precision = "single") -> Float64Array:
        """Return ``log p(x_t | state)``, shape (n_frames, n_states); a feature that is NaN is missing.

        The missing features are integrated out exactly. A frame has the same bits alone and in any batch.
        """
        frames, observed = split_missing(frames, n_features=self.pool.n_features)
        log_likelihoods = np.empty((len(frames), self.n_states))
        for rows, _, log_densities in density_tiles(self.pool, frames, precision=precision):
            in_tile = self._state_log_likelihoods(log_densities)
            log_likelihoods[rows] = in_tile[: rows.stop - rows.start] + (
                self.pool.log_unit_volume + self.log_pool_share
            )
        if observed is not None:
            partly = ~observed.all(axis=1)
            rest = missing_component_log_densities(self.pool, frames[partly], observed[partly])
            log_likelihoods[partly] = self._state_log_likelihoods(np.ascontiguousarray(rest.T)) + self.log_pool_share
        return log_likelihoods

    def _state_log_likelihoods(self, log_densities: FloatArray) -> Float64Array:
        """Return ``log Σ exp`` over the Gaussians of each state, shape (n_frames, n_states), from one row for each."""
        from gmmaudio.hmm._shares import shares_of
        from gmmaudio.hmm._workspace import Workspace

        return shares_of(self, log_densities.dtype, Workspace()).log_likelihoods(log_densities)

    def to_arrays(self) -> dict[str, Any]:
        """Return the arrays that a model file holds."""
        return {
            "n_components": np.diff(self.offsets),
            "weights": np.concatenate([mixture.weights for mixture in self.mixtures]),
            "means": self.pool.means,
            "variances": self.pool.variances,
        }

    @classmethod
    def from_pool(
        cls, n_components: npt.ArrayLike, weights: Float64Array, means: Float64Array, variances: Float64Array
    ) -> "MixtureEmissions":
        """Build the mixtures from arrays with one row for each Gaussian; the inverse of `to_arrays`."""
        bounds = np.cumsum(np.asarray(n_components, dtype=np.intp))
        if bounds.size == 0 or bounds[-1] != len(means):
            raise ParameterError(f"n_components is {n_components!r} but there are {len(means)} means; they must add up")
        parts = (np.split(array, bounds[:-1]) for array in (weights, means, variances))
        return cls(GmmParams(*arrays) for arrays in zip(*parts, strict=True))


@dataclass(frozen=True, eq=False, init=False)
class TiedEmissions:
    """One codebook of Gaussians that all states share, with weights of each state (semi-continuous models).

    Huang & Jack 1989, "Semi-continuous hidden Markov models for speech signals".

    Parameters
    ----------
    codebook : GmmParams
        Means and variances; its own weights play no part.
    weights : array-like, shape (n_states, n_components)
        Rows sum to 1; 0 is allowed.

    Raises
    ------
    ParameterError
        If the shapes do not match, or a row holds a negative value or does not sum to 1.
    """

    codebook: GmmParams
    weights: Float64Array

    def __init__(self, codebook: GmmParams, weights: npt.ArrayLike) -> None:
        weights = read_only_array(weights, name="weights", shape=(None, codebook.n_components))
        sums = weights.sum(axis=1)
        if (weights < 0).any() or (np.abs(sums - 1.0) > WEIGHT_SUM_TOLERANCE).any():
            raise ParameterError(
                f"the weights of a state must not be negative and must sum to 1; the smallest weight is "
                f"{weights.min()}, the sums go from {sums.min()} to {sums.max()}; divide each row by its sum"
            )
        object.__setattr__(self, "codebook", codebook)
        object.__setattr__(self, "weights", weights)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.weights)

    @cached_property
    def pool(self) -> GmmParams:
        """The codebook, with uniform weights."""
        n_components = self.codebook.n_components
        return GmmParams(np.full(n_components, 1.0 / n_components), self.codebook.means, self.codebook.variances)

    @property
    def log_pool_share(self) -> float:
        """What is to be added to the log-densities of the pool."""
        return math.log(self.codebook.n_components)

    @property
    def n_parameters(self) -> int:
        """Number of free parameters: weights that sum to 1 in each state, and one set of means and variances."""
        return self.weights.size - self.n_states + 2 * self.codebook.means.size

    @cached_property
    def log_weights(self) -> Float64Array:
        """Logarithms of the weights, −inf where a weight is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.weights)

    def frame_log_likelihoods(self, frames: npt.ArrayLike, *, precision: Precision = "single") -> Float64Array:
        """Return ``log p(x_t | state)``, shape (n_frames, n_states); a feature that is NaN is missing.

        The missing features are integrated out exactly. A frame has the same bits alone and in any batch.
        """
        log_densities = _pool_log_densities(self, frames, precision)
        log_likelihoods = np.empty((len(log_densities), self.n_states))
        for state, log_weights in enumerate(self.log_weights):
            terms = log_densities + log_weights
            maxima = terms.max(axis=1)
            shifts = np.where(np.isfinite(maxima), maxima, 0.0)
            with np.errstate(divide="ignore"):
                log_likelihoods[:, state] = shifts + np.log(np.exp(terms - shifts[:, np.newaxis]).sum(axis=1))
        return log_likelihoods

    def to_arrays(self) -> dict[str, Any]:
        """Return the arrays that a model file holds."""
        return {"weights": self.weights, "means": self.codebook.means, "variances": self.codebook.variances}

    @classmethod
    def from_arrays(cls, weights: npt.ArrayLike, means: npt.ArrayLike, variances: npt.ArrayLike) -> "TiedEmissions":
        """Build the emissions from arrays; the inverse of `to_arrays`."""
        n_components = len(np.asarray(means))
        return cls(GmmParams(np.full(n_components, 1.0 / n_components), means, variances), weights)


def _pool_log_densities(emissions: Emissions, frames: npt.ArrayLike, precision: Precision) -> Float64Array:
    """Return the log of weight times density for each Gaussian of the pool, shape (n_frames, n_pool)."""
    pool = emissions.pool
    frames, observed = split_missing(frames, n_features=pool.n_features)
    log_densities = component_log_densities(pool, frames, precision=precision)
    if observed is not None:
        rows = ~observed.all(axis=1)
        log_densities[rows] = missing_component_log_densities(pool, frames[rows], observed[rows])
    return log_densities + emissions.log_pool_share
