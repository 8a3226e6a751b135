"""More than two sources: one after the other, given what the others are expected to be.

The product of the states of three sources of 64 components has 262,144 elements, and of four 16 million. So the
posterior is approximated by a product over the sources, whose factors are found in turns (a mean field; Ghahramani &
Jordan 1997, section 3.4): in each frame the likelihood of a component of one source takes the *expected* power spectra
of the others as noise. It is an approximation that can end in a poor local optimum; for two sources the joint states
are exact, and are used.
"""

from collections.abc import Sequence

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.separation.joint import BLOCK_FRAMES, LIKELIHOOD_SCALE, MASK_FLOOR, blocks_of_frames, normalize_columns
from gmmaudio.separation.spectral import SpectralParams

N_ROUNDS = 5
"""Times that every source has its turn."""


class SeveralSources:
    """Any number of spectral mixtures at given gains.

    Parameters
    ----------
    sources : sequence of SpectralParams
    gains : array, shape (n_sources,)
        Power of each source relative to the level of the frames.
    """

    def __init__(self, sources: Sequence[SpectralParams], gains: Float64Array) -> None:
        self._variances = [
            np.ascontiguousarray(gain * params.variances + MASK_FLOOR, np.float32)
            for params, gain in zip(sources, gains, strict=True)
        ]
        self._log_weights = [params.log_weights.astype(np.float32)[:, np.newaxis] for params in sources]
        self._means = [
            (params.weights.astype(np.float32) @ variances)[:, np.newaxis]
            for params, variances in zip(sources, self._variances, strict=True)
        ]

    @one_blas_thread
    def expected_power(self, power: Float32Array) -> Float32Array:
        """Return the expected power spectrum of each source in each frame, (n_frames, n_sources, n_bins)."""
        n_frames, n_bins = power.shape
        expected = np.empty((n_frames, len(self._variances), n_bins), np.float32)
        for rows, block in blocks_of_frames(power):
            columns = self._expected_of_block(block)
            for source, values in enumerate(columns):
                expected[rows, source] = values.T[: rows.stop - rows.start]
        return expected

    def masks(self, power: Float32Array) -> Float32Array:
        """Return the Wiener masks of the expected power spectra, (n_frames, n_sources, n_bins); they sum to 1."""
        expected = self.expected_power(power)
        return np.asarray(expected / expected.sum(axis=1, keepdims=True))

    def _expected_of_block(self, block: Float32Array) -> list[Float32Array]:
        """Return the expected power spectra, (n_bins, 16) each, after all turns."""
        columns = [np.repeat(mean, BLOCK_FRAMES, axis=1) for mean in self._means]
        for _ in range(N_ROUNDS):
            for source, variances in enumerate(self._variances):
                others = np.sum([column for index, column in enumerate(columns) if index != source], axis=0)
                posteriors = self._posteriors(source, block, others)
                columns[source] = variances.T @ posteriors
        return columns

    def _posteriors(self, source: int, block: Float32Array, others: Float32Array) -> Float32Array:
        """Return the component posteriors of one source, (n_components, 16), given the power of the others."""
        total = self._variances[source][:, :, np.newaxis] + others
        log_likelihoods = -(np.log(total) + block / total).sum(axis=1) * np.float32(LIKELIHOOD_SCALE)
        log_likelihoods += self._log_weights[source]
        normalize_columns(log_likelihoods)
        return np.asarray(log_likelihoods)


def several_update_sums(
    sources: Sequence[SpectralParams], gains: Float64Array, power: Float32Array
) -> tuple[Float64Array, Float64Array]:
    """Return both sums of the multiplicative update of `gmmaudio.separation.gains`, each (n_sources, n_bins).

    The expected power spectra stand for the components.
    """
    expected = SeveralSources(sources, gains).expected_power(power).astype(np.float64)
    total = expected.sum(axis=1)
    explained = np.einsum("tjf,tf->jf", expected, power / np.square(total))
    return explained, np.einsum("tjf,tf->jf", expected, 1.0 / total)
