"""MIXMAX: in each time and frequency the louder of two sources is all that is heard.

Conventions. Log powers of each source are a mixture of Gaussians with diagonal covariances, and the log power of a
mixture is the larger of the two (Nádas, Nahamoo & Picheny 1989, "Speech recognition using noise-adaptive prototypes",
IEEE TASSP 37). With n_j and Φ_j the density and the distribution function of source j::

    p(x | k1, k2) = Π_f  n_1 Φ_2 + n_2 Φ_1  =  Π_f  Φ_1 Φ_2 (r_1 + r_2),     r_j = n_j / Φ_j

and the first source is the louder one with probability r_1 / (r_1 + r_2), which is the soft mask (Reddy & Raj 2007,
"Soft mask methods for single-channel speaker separation", IEEE TASLP 15, eq. 17-20). There is no matrix product
in it: every pair, frame and frequency has a sum of its own.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.separation.training import LOG_FLOOR

LIKELIHOOD_SCALE = 0.1
"""As for the Wiener filter; with 16 components on takes 40 to 49 of FSDD 0.05 to 0.2 are 0.2 to 0.3 dB better than
1."""

NEGLIGIBLE_POSTERIOR = 1e-3
"""Pairs with less than this in all frames of a block have no part in its masks."""

LARGEST_LOG_RATIO = 30.0
"""The log of r_j is cut here on both sides, so that its exponential is a number."""


@dataclass(frozen=True, eq=False)
class MixmaxPair:
    """The pairs of components of two log-spectral mixtures at given gains.

    Attributes
    ----------
    first, second : GmmParams
        On ``log(power + LOG_FLOOR)``.
    gains : tuple of float
        Power of each source relative to the level of the frames.
    """

    first: GmmParams
    second: GmmParams
    gains: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        """Number of components of each source."""
        return self.first.n_components, self.second.n_components

    @property
    def log_prior(self) -> Float64Array:
        """Log-probability of each pair, shape (n_pairs,)."""
        with np.errstate(divide="ignore"):
            return np.add.outer(np.log(self.first.weights), np.log(self.second.weights)).ravel()

    def log_likelihoods(self, power: Float32Array) -> Float32Array:
        """Return the scaled log-likelihood of each pair, (n_pairs, 16), of a block of frames (n_bins, 16)."""
        (first_phi, first_r), (second_phi, second_r) = self._log_factors(power)
        n_bins, n_frames = power.shape
        values = np.empty((*self.shape, n_frames), np.float32)
        second_r = np.exp(second_r)
        for component, log_r in enumerate(first_r):
            sums = second_r + np.exp(log_r)
            even = n_bins // 2 * 2
            products = sums[:, :even:2] * sums[:, 1:even:2]  # a log is dearer than a product; float32 bears two
            values[component] = np.log(products).sum(axis=1) + np.log(sums[:, even:]).sum(axis=1)
        values += first_phi.sum(axis=1)[:, np.newaxis] + second_phi.sum(axis=1)
        values *= np.float32(LIKELIHOOD_SCALE)
        return values.reshape(-1, n_frames)

    def first_mask(self, power: Float32Array, posteriors: Float32Array) -> Float32Array:
        """Return the probability that the first source is the louder one, (n_bins, 16)."""
        (_, first_r), (_, second_r) = self._log_factors(power)
        chosen = np.flatnonzero((posteriors > NEGLIGIBLE_POSTERIOR).any(axis=1))
        of_first, of_second = np.unravel_index(chosen, self.shape)
        mask = np.zeros(power.shape, np.float32)
        total = np.zeros(power.shape[1], np.float32)
        for pair, one, other in zip(chosen, of_first, of_second, strict=True):
            # 1 / (1 + r_2 / r_1)
            mask += posteriors[pair] / (1.0 + np.exp(second_r[other] - first_r[one]))
            total += posteriors[pair]
        return np.asarray(mask / total)

    def _log_factors(self, power: Float32Array) -> list[tuple[Float32Array, Float32Array]]:
        """Return log Φ and log r of each source, each of shape (n_components, n_bins, 16)."""
        factors = []
        for params, gain in zip((self.first, self.second), self.gains, strict=True):
            # A floor below the source moves with its gain, so the frame is brought to the level of the training.
            frames = np.log(power / np.float32(gain) + np.float32(LOG_FLOOR))
            scale = np.sqrt(params.variances)[..., np.newaxis].astype(np.float32)
            z = (frames - params.means[..., np.newaxis].astype(np.float32)) / scale
            log_phi = log_ndtr(z)
            log_density = -0.5 * np.square(z) - np.log(scale * np.float32(np.sqrt(2 * np.pi)))
            log_r = np.clip(log_density - log_phi, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
            factors.append((log_phi, log_r))
        return factors
