"""Sources that sound with a sum of their spectra, not with one at a time.

The components of a spectral mixture V_jk are taken for the atoms of a dictionary: in each frame source j has the
variances ``Σ_k h_jk V_jk``, with activations h of maximum likelihood. The noise model is the same as that of the joint
states, a Gaussian for each bin, so this is Itakura-Saito NMF with a dictionary that is given, and the activations come
from its multiplicative update (Févotte, Bertin & Durrieu 2009, "Nonnegative matrix factorization with the Itakura-Saito
divergence", Neural Computation 21, eq. 4.9), each frame for itself::

    h ← h · (Vᵀ (|X|² / L²)) / (Vᵀ (1 / L)),      L = Σ_jk h_jk V_jk

What the two views get wrong differs: a frame that is like none of few training frames is a sum of several of them, at
levels of its own, while the joint states know which bins belong together. Frames are columns in blocks of 16, as in
`gmmaudio.separation.joint`.
"""

from collections.abc import Sequence

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.separation.joint import BLOCK_FRAMES, MASK_FLOOR, blocks_of_frames
from gmmaudio.separation.spectral import SpectralParams

N_UPDATES = 20
"""Updates of the activations: masks of both views gain 0.56, 0.64, 0.65 and 0.66 dB with 10, 20, 30 and 100, averaged
over the four sets of development mixtures of the recipe."""

SMALLEST_ACTIVATION = 1e-12
"""Activations that go to 0 stay here: they would become denormal, and slow."""


class SpectralSums:
    """Any number of sources, each a sum of its spectra; activations start from weights times gains.

    Parameters
    ----------
    sources : sequence of SpectralParams
    gains : array, shape (n_sources,)
        Power of each source relative to the level of the frames.
    """

    def __init__(self, sources: Sequence[SpectralParams], gains: Float64Array) -> None:
        self._owners = np.split(
            np.arange(sum(params.n_components for params in sources)),
            np.cumsum([params.n_components for params in sources])[:-1],
        )
        self._spectra = np.concatenate([params.variances for params in sources]).astype(np.float32)
        shares = [gain * params.weights for params, gain in zip(sources, gains, strict=True)]
        self._start = np.concatenate(shares).astype(np.float32)[:, np.newaxis]

    @one_blas_thread
    def masks(self, power: Float32Array) -> Float32Array:
        """Return the Wiener masks of the sums, (n_frames, n_sources, n_bins); they sum to 1."""
        n_frames, n_bins = power.shape
        expected = np.empty((n_frames, len(self._owners), n_bins), np.float32)
        for rows, block in blocks_of_frames(power):
            activations = self.activations(block)
            for source, own in enumerate(self._owners):
                columns = self._spectra[own].T @ activations[own]
                expected[rows, source] = columns.T[: rows.stop - rows.start] + np.float32(MASK_FLOOR)
        return np.asarray(expected / expected.sum(axis=1, keepdims=True))

    def activations(self, block: Float32Array) -> Float32Array:
        """Return the activations of all spectra, (Σ n_components, 16), of a block of frames, (n_bins, 16)."""
        activations: Float32Array = np.repeat(self._start, BLOCK_FRAMES, axis=1)
        floor = np.float32(len(self._owners) * MASK_FLOOR)
        both = np.empty((len(block), 2 * BLOCK_FRAMES), np.float32)  # one matrix product for both sums
        wanted, precisions = both[:, :BLOCK_FRAMES], both[:, BLOCK_FRAMES:]
        for _ in range(N_UPDATES):
            np.reciprocal(self._spectra.T @ activations + floor, out=precisions)
            np.multiply(block * precisions, precisions, out=wanted)
            sums = self._spectra @ both
            activations *= sums[:, :BLOCK_FRAMES] / sums[:, BLOCK_FRAMES:]
            np.maximum(activations, np.float32(SMALLEST_ACTIVATION), out=activations)
        return activations
