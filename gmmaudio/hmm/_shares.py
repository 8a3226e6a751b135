"""From densities of Gaussians to likelihoods of states, and from posteriors of states to shares of Gaussians.

Conventions. A batch goes through `log_likelihoods`, the recursion, and `shares`, in this order: the exponentials of the
first step are kept for the last, so that densities are evaluated once. Log-densities and shares have shape
(n_components, n_frames), log-likelihoods and posteriors (n_frames, n_states).
"""

from typing import Protocol

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.hmm._workspace import Workspace
from gmmaudio.hmm.emissions import Emissions, MixtureEmissions, TiedEmissions

LEAST_SUM = 1e-280
"""Smaller sums of exponentials have lost digits to the end of float64's range, and are calculated with logarithms."""


class Shares(Protocol):
    """The way of one batch from densities to shares."""

    def log_likelihoods(self, log_densities: FloatArray) -> Float64Array:
        """Return the log-likelihoods of the states; the log-densities are overwritten."""

    def shares(self, posteriors: Float64Array) -> FloatArray:
        """Return posterior of the state times responsibility of each Gaussian."""


class SingleShares:
    """Mixtures in float32, by compiled loops."""

    def __init__(self, emissions: MixtureEmissions, workspace: Workspace) -> None:
        self._offsets, self._workspace = emissions.offsets, workspace

    def log_likelihoods(self, log_densities: FloatArray) -> Float64Array:
        """Return the log-likelihoods of the states."""
        from gmmaudio.hmm import _emission_kernels

        n_frames, n_states = log_densities.shape[1], len(self._offsets) - 1
        log_likelihoods: Float64Array = self._workspace.empty("log_likelihoods", (n_frames, n_states))
        self._inverse_sums = self._workspace.empty("inverse_sums", (n_states, n_frames), np.float32)
        _emission_kernels.exponentiate_states(log_densities, self._offsets, log_likelihoods, self._inverse_sums)
        self._exponentials = log_densities
        return log_likelihoods

    def shares(self, posteriors: Float64Array) -> FloatArray:
        """Return posterior of the state times responsibility of each Gaussian."""
        from gmmaudio.hmm import _emission_kernels

        _emission_kernels.scale_states(self._exponentials, self._offsets, posteriors, self._inverse_sums)
        return self._exponentials


class DoubleShares:
    """Mixtures in float64."""

    def __init__(self, emissions: MixtureEmissions) -> None:
        self._starts = emissions.offsets[:-1]
        self._sizes = np.diff(emissions.offsets)

    def log_likelihoods(self, log_densities: FloatArray) -> Float64Array:
        """Return the log-likelihoods of the states."""
        maxima = np.maximum.reduceat(log_densities, self._starts, axis=0)
        log_densities -= np.repeat(maxima, self._sizes, axis=0)
        np.exp(log_densities, out=log_densities)
        self._exponentials = log_densities
        self._sums = np.add.reduceat(log_densities, self._starts, axis=0)
        return np.ascontiguousarray((maxima + np.log(self._sums)).T)

    def shares(self, posteriors: Float64Array) -> FloatArray:
        """Return posterior of the state times responsibility of each Gaussian."""
        self._exponentials *= np.repeat(posteriors.T / self._sums, self._sizes, axis=0)
        return self._exponentials


class TiedShares:
    """One codebook for all states, in float64.

    ``p(x | s) = Σ_k w_sk N_k(x)`` is a matrix product of the weights and the exponentials relative to the best Gaussian
    of the frame; the few states that are hundreds of nats behind it are calculated with logarithms.

    Attributes
    ----------
    codebook_use : array, shape (n_states, n_components)
        Occupancy of each Gaussian in each state, in the batch whose shares were returned last.
    """

    def __init__(self, emissions: TiedEmissions) -> None:
        self._weights, self._log_weights = emissions.weights, emissions.log_weights

    def log_likelihoods(self, log_densities: FloatArray) -> Float64Array:
        """Return the log-likelihoods of the states."""
        self._logs = np.asarray(log_densities, dtype=np.float64)
        maxima = self._logs.max(axis=0)
        self._exponentials = np.exp(self._logs - maxima)
        self._sums = self._weights @ self._exponentials
        self._hard = np.argwhere(self._sums < LEAST_SUM)
        self._sums[tuple(self._hard.T)] = 1.0
        log_likelihoods: Float64Array = (maxima + np.log(self._sums)).T.copy()
        for state, frame in self._hard:
            terms = self._log_weights[state] + self._logs[:, frame]
            best = terms.max()
            log_likelihoods[frame, state] = best + np.log(np.exp(terms - best).sum())
        self._log_likelihoods = log_likelihoods
        return log_likelihoods.copy()

    def shares(self, posteriors: Float64Array) -> FloatArray:
        """Return posterior of the states times responsibility of each Gaussian, summed over the states."""
        factors = posteriors.T / self._sums
        factors[tuple(self._hard.T)] = 0.0
        shares: Float64Array = self._exponentials * (self._weights.T @ factors)
        self.codebook_use = self._weights * (factors @ self._exponentials.T)
        for state, frame in self._hard:
            terms = self._log_weights[state] + self._logs[:, frame] - self._log_likelihoods[frame, state]
            use = posteriors[frame, state] * np.exp(terms)
            shares[:, frame] += use
            self.codebook_use[state] += use
        return shares


def shares_of(emissions: Emissions, dtype: np.dtype[np.floating], workspace: Workspace) -> Shares:
    """Return the way that fits the emissions and the type of the log-densities."""
    if isinstance(emissions, TiedEmissions):
        return TiedShares(emissions)
    assert isinstance(emissions, MixtureEmissions)
    return SingleShares(emissions, workspace) if dtype == np.float32 else DoubleShares(emissions)
