"""The colour of each source in a recording: how much louder than in training it is in each band.

No two recordings of rain have the same spectrum, nor has a voice through two microphones. So after the gains, a filter
of each source that is smooth over frequency is adapted to the mixture itself: the filter adaptation of Ozerov,
Philippe, Bimbot & Gribonval 2007 ("Adaptation of Bayesian models for single-channel source separation", IEEE TASLP 15).

Conventions. A colour c_j is a power gain of each frequency, one number in each of 16 bands of equal width in mel, and
multiplies the spectra: g_j c_jf V_jkf. It comes from the update of the gains (`gmmaudio.separation.gains`), summed over
a band in place of all frequencies. Its prior is worth r frames with the colour of the training: in a band of n
frequencies it adds ``r n (log c + 1 / c)`` to the negative log-likelihood::

    c ← c · (Σ S V / L² + r n / c) / (Σ N V / L + r n)       (V with its gain and colour; L = Σ_j V_j)
"""

from collections.abc import Sequence

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.features.mel import hz_to_mel
from gmmaudio.separation.gains import level_of, update_sums
from gmmaudio.separation.spectral import SpectralParams
from gmmaudio.separation.stft import StftConfig

N_BANDS = 16
"""4, 8, 16 and 32 bands gain 0.23, 0.29, 0.32 and 0.32 dB, averaged over the four sets of development mixtures of the
recipe; all of it on noise."""

RELEVANCE_FRAMES = 10.0
"""Frames that the colour of the training counts for; between 2 and 20 there is little difference."""

N_UPDATES = 4
"""Updates of a recording; with 2, 4 and 8 the development mixtures with noise gain 1.5, 1.7 and 1.8 dB in all."""

MAX_FRAMES = 128
"""Frames that the colours of a recording are estimated from, evenly spread over it."""


def band_starts(stft: StftConfig) -> tuple[int, ...]:
    """Return the first frequency of each band; bands without any are left out.

    Examples
    --------
    >>> band_starts(StftConfig(8000, 0.064))
    (0, 6, 13, 20, 28, 37, 47, 59, 72, 86, 103, 122, 143, 166, 193, 223)
    """
    mels = hz_to_mel(np.linspace(0.0, stft.sample_rate / 2.0, stft.n_bins))
    bands = np.minimum(mels / mels[-1] * N_BANDS, N_BANDS - 1).astype(int)
    return tuple(int(start) for start in np.unique(bands, return_index=True)[1])


def estimate_colours(
    sources: Sequence[SpectralParams],
    gains: Float64Array,
    power: Float32Array,
    starts: Sequence[int],
    *,
    colours: Float64Array | None = None,
    n_updates: int = N_UPDATES,
) -> tuple[Float64Array, Float64Array]:
    """Return the gains, shape (n_sources,), and the colours, (n_sources, n_bins), of the sources in a mixture.

    A colour does not change the expected power of its source; what it would change goes to the gain.

    Parameters
    ----------
    sources : sequence of SpectralParams
        Of the colour of their training.
    gains : array, shape (n_sources,)
        Power of each source relative to its training.
    power : array, shape (n_frames, n_bins)
        Of the mixture; a few hundred frames are enough.
    starts : sequence of int
        First frequency of each band.
    colours : array, shape (n_sources, n_bins), optional
        Where to go on from; that of the training if not given.
    n_updates : int
    """
    n_bins = power.shape[1]
    level = level_of(power)
    relative, shares = power / np.float32(level), gains / level
    widths = np.diff([*starts, n_bins])
    prior = RELEVANCE_FRAMES * widths
    present = np.ones((len(sources), len(starts))) if colours is None else colours[:, list(starts)]
    for _ in range(n_updates):
        coloured = [own.coloured(np.repeat(colour, widths)) for own, colour in zip(sources, present, strict=True)]
        explained, expected = (
            np.add.reduceat(sums, starts, axis=1) for sums in update_sums(coloured, shares, relative)
        )
        present = present * (explained + prior / present) / (expected + prior)
    found = np.repeat(present, widths, axis=1)
    spectra = np.stack([own.weights @ own.variances for own in sources])
    change = (found * spectra).sum(axis=1) / spectra.sum(axis=1)
    return gains * change, found / change[:, np.newaxis]
