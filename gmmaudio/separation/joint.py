"""The joint states of two sources: which pair of power spectra a frame of the mixture is made of.

Conventions. Sources add up as independent Gaussians, so a pair of components (k1, k2) has the variances g1 V1 + g2 V2
(Benaroya, Bimbot & Gribonval 2006, eq. 12), and the pair's Wiener gain g1 V1 / (g1 V1 + g2 V2) is the best linear
estimate of the first source. Gains are powers relative to the level of the mixture, which the frames are divided by;
they sum to 1. Inside, frames are columns, in blocks of 16, so that the bits of a frame do not depend on its neighbours
(see `gmmaudio.gmm.density`). Both steps are one matrix product a block: frames to log-likelihoods of all
n_components² pairs, and posteriors of the pairs to masks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.log_sum_exp import LOG_NEGLIGIBLE
from gmmaudio.separation.spectral import SpectralParams

BLOCK_FRAMES = 16
"""Frames of one matrix product."""

LIKELIHOOD_SCALE = 0.08
"""Power that the likelihood of a frame is raised to. Neither the bins of a window, whose main lobe is three bins wide,
nor windows that overlap by three quarters are independent, and no component is the true spectrum; taken at its word,
the likelihood picks one pair, often a wrong one. On takes 40 to 49 of FSDD 0.04 to 0.15 gain 0.6 to 0.8 dB over 1."""

MASK_FLOOR = 1e-7
"""Power that every source has everywhere, relative to the level of the mixture: masks are defined where no source has
any power, and they sum to 1."""


class JointModel(Protocol):
    """What inference needs of the joint states of two sources."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of components of each source."""

    @property
    def log_prior(self) -> Float64Array:
        """Log-probability of each pair, shape (n_pairs,)."""

    def log_likelihoods(self, power: Float32Array) -> Float32Array:
        """Return the scaled log-likelihood of each pair, (n_pairs, 16), of a block of frames (n_bins, 16)."""

    def first_mask(self, power: Float32Array, posteriors: Float32Array) -> Float32Array:
        """Return the share of the first source, (n_bins, 16), given posteriors of the pairs, (n_pairs, 16)."""


@dataclass(frozen=True, eq=False)
class WienerPair:
    """The pairs of components of two spectral mixtures at given gains.

    Attributes
    ----------
    first, second : SpectralParams
    gains : tuple of float
        Power of each source relative to the level of the frames.
    """

    first: SpectralParams
    second: SpectralParams
    gains: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of components of each source."""
        return self.first.n_components, self.second.n_components

    @property
    def log_prior(self) -> Float64Array:
        """Log-probability of each pair, shape (n_pairs,)."""
        return np.add.outer(self.first.log_weights, self.second.log_weights).ravel()

    @cached_property
    def precisions(self) -> Float32Array:
        """``1 / (g1 V1 + g2 V2)`` of each pair, shape (n_pairs, n_bins)."""
        variances = self._scaled(0)[:, np.newaxis] + self._scaled(1)
        np.reciprocal(variances, out=variances)
        return variances.reshape(-1, self.first.n_bins)

    @cached_property
    def wiener_gains(self) -> Float32Array:
        """``g1 V1 / (g1 V1 + g2 V2)`` of each pair, shape (n_pairs, n_bins)."""
        n_first, n_second = self.shape
        precisions = self.precisions.reshape(n_first, n_second, -1)
        return (precisions * self._scaled(0)[:, np.newaxis]).reshape(-1, self.first.n_bins)

    @cached_property
    def log_volumes(self) -> Float32Array:
        """``Σ_f log (g1 V1 + g2 V2)`` of each pair, shape (n_pairs, 1)."""
        log_precisions = np.log(self.precisions).sum(axis=1, dtype=np.float64)
        return np.asarray(-log_precisions, np.float32)[:, np.newaxis]

    def log_likelihoods(self, power: Float32Array) -> Float32Array:
        """Return the scaled log-likelihood of each pair, (n_pairs, 16), of a block of frames (n_bins, 16)."""
        values: Float32Array = self.precisions @ power
        values += self.log_volumes
        values *= np.float32(-LIKELIHOOD_SCALE)
        return values

    def first_mask(self, power: Float32Array, posteriors: Float32Array) -> Float32Array:
        """Return the share of the first source: the Wiener gains of the pairs, averaged over their posterior."""
        mask: Float32Array = self.wiener_gains.T @ posteriors
        return mask

    def _scaled(self, index: int) -> Float32Array:
        """Return the variances of a source in the mixture."""
        params = (self.first, self.second)[index]
        return np.asarray(self.gains[index] * params.variances + MASK_FLOOR, np.float32)


def blocks_of_frames(power: Float32Array) -> Iterator[tuple[slice, Float32Array]]:
    """Yield which frames, and them as the first columns of a block (n_bins, 16); the rest of the block is 0."""
    n_frames, n_bins = power.shape
    for start in range(0, n_frames, BLOCK_FRAMES):
        rows = slice(start, min(start + BLOCK_FRAMES, n_frames))
        block = np.zeros((n_bins, BLOCK_FRAMES), np.float32)
        block[:, : rows.stop - rows.start] = power[rows].T
        yield rows, block


def normalize_columns(log_values: Float32Array) -> Float64Array:
    """Exponentiate each column and divide it by its sum, in place; return the log of the sums."""
    maxima = log_values.max(axis=0)
    log_values -= maxima
    np.maximum(log_values, LOG_NEGLIGIBLE, out=log_values)
    np.exp(log_values, out=log_values)
    sums = log_values.sum(axis=0)
    log_values /= sums
    log_sums: Float64Array = maxima.astype(np.float64) + np.log(sums, dtype=np.float64)
    return log_sums


def pair_posteriors(model: JointModel, block: Float32Array) -> tuple[Float32Array, Float64Array]:
    """Return the posterior of each pair, (n_pairs, 16), and the log-likelihood, (16,), of independent frames."""
    posteriors = model.log_likelihoods(block)
    posteriors += model.log_prior.astype(np.float32)[:, np.newaxis]
    log_likelihoods = normalize_columns(posteriors)
    return posteriors, log_likelihoods


@one_blas_thread
def independent_masks(model: JointModel, power: Float32Array) -> Float32Array:
    """Return the masks, (n_frames, 2, n_bins), of frames that are independent of each other."""
    masks = np.empty((len(power), 2, power.shape[1]), np.float32)
    for rows, block in blocks_of_frames(power):
        posteriors, _ = pair_posteriors(model, block)
        set_masks(masks[rows], model.first_mask(block, posteriors))
    return masks


def set_masks(masks: Float32Array, first: Float32Array) -> None:
    """Write the first source's mask, (n_bins, ≥ n_frames), and the rest to 1 into (n_frames, 2, n_bins)."""
    np.clip(first.T[: len(masks)], 0.0, 1.0, out=masks[:, 0])
    np.subtract(1.0, masks[:, 0], out=masks[:, 1])


@one_blas_thread
def mean_log_likelihood(model: JointModel, power: Float32Array) -> float:
    """Return the mean scaled log-likelihood per frame of independent frames."""
    total = 0.0
    for rows, block in blocks_of_frames(power):
        total += float(pair_posteriors(model, block)[1][: rows.stop - rows.start].sum())
    return total / len(power)
