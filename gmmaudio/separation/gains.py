"""How loud each source is in a mixture: gains of maximum likelihood.

Conventions. A gain is a power, relative to that at which the source was trained. The frames are power spectra. Without
knowledge of the gains a weak source is drawn to states that are as loud as its training (a loss of 4 dB at −9 dB).

EM: given the posteriors of the pairs under the present gains, the sufficient statistics of the gains are, for each
pair, its occupancy N and its summed power spectrum S. Their likelihood is raised by the multiplicative update
of Itakura-Saito NMF (Févotte, Bertin & Durrieu 2009, "Nonnegative matrix factorization with the Itakura-Saito
divergence", Neural Computation 21, eq. 4.9), which here has one activation, the gain, for each source::

    g_j ← g_j · Σ S V_j / (g1 V1 + g2 V2)²  /  Σ N V_j / (g1 V1 + g2 V2)
"""

from collections.abc import Sequence

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.separation.joint import WienerPair, blocks_of_frames, mean_log_likelihood, pair_posteriors
from gmmaudio.separation.several import several_update_sums
from gmmaudio.separation.spectral import SpectralParams

START_RATIOS_DB = (0.0, -12.0, -6.0, 6.0, 12.0)
"""Ratios of the second source to the first that are tried; EM goes on from the best one."""

N_UPDATES = 5
"""EM updates after that; more change the result by less than 0.1 dB."""

STEP_DB = 6.0
"""How far the ratio of tracked gains can move at a time, besides the EM update."""

LOWEST_SHARE = 1e-3
"""A source that is 30 dB below the mixture is as good as absent; if it comes back, it is found again from here."""

MAX_FRAMES = 64
"""Frames that the gains of a recording are estimated from, evenly spread over it."""

SEARCH_FRAMES = 32
"""Frames that the ratios to start from are compared on."""


def estimate_gains(sources: Sequence[SpectralParams], power: Float32Array) -> tuple[Float64Array, float]:
    """Return the gains of maximum likelihood, shape (n_sources,), and the mean scaled log-likelihood per frame.

    EM starts from the best of some ratios if there are two sources, and from equal gains if there are more, for which
    the likelihood has no closed form (it is given as NaN).

    Parameters
    ----------
    sources : sequence of SpectralParams
    power : array, shape (n_frames, n_bins)
        Of the mixture; a few hundred frames are enough.
    """
    level = level_of(power)
    relative = power / np.float32(level)
    gains = _best_start(sources, relative)
    for _ in range(N_UPDATES):
        gains = update_gains(sources, gains, relative)
    score = mean_log_likelihood(_pair(sources, gains), relative) if len(sources) == 2 else np.nan
    return gains * level, score


def update_gains(sources: Sequence[SpectralParams], gains: Float64Array, power: Float32Array) -> Float64Array:
    """Return the gains after one EM update, shape (n_sources,); the frames have a level of about 1."""
    explained, expected = update_sums(sources, gains, power)
    ratios = explained.sum(axis=1) / np.maximum(expected.sum(axis=1), 1e-12)
    return np.asarray(np.maximum(gains * ratios, LOWEST_SHARE))


def update_sums(
    sources: Sequence[SpectralParams], gains: Float64Array, power: Float32Array
) -> tuple[Float64Array, Float64Array]:
    """Return both sums of the update times g_j, not yet over frequencies: each of shape (n_sources, n_bins)."""
    if len(sources) > 2:
        return several_update_sums(sources, gains, power)
    return _pair_update_sums(_pair(sources, gains), power)


def follow_gains(sources: Sequence[SpectralParams], gains: Float64Array, power: Float32Array) -> Float64Array:
    """Return gains, shape (n_sources,), that have moved from the present ones towards those of recent frames.

    EM alone takes dozens of updates to give up a source that has become quiet. So for two sources it goes on from the
    likeliest of the present ratio and those 6 dB to both sides of it.
    """
    level = level_of(power)
    relative, present = power / np.float32(level), np.maximum(gains / level, LOWEST_SHARE)
    if len(sources) == 2:
        ratio_db = 10.0 * np.log10(present[1] / present[0])
        moved = [_gains_of_ratio(float(ratio_db) + step) for step in (0.0, -STEP_DB, STEP_DB)]
        present = np.maximum(_likeliest(sources, moved, relative), LOWEST_SHARE)
    return update_gains(sources, present, relative) * level


def level_of(power: Float32Array) -> float:
    """Return the mean power per bin, or a tiny number instead of 0."""
    return max(float(power.mean(dtype=np.float64)), float(np.finfo(np.float32).tiny))


@one_blas_thread
def _pair_update_sums(model: WienerPair, power: Float32Array) -> tuple[Float64Array, Float64Array]:
    """Return the sums of two sources, by the posteriors of their pairs."""
    posteriors = np.zeros((len(model.precisions), len(power)), np.float32)
    for rows, block in blocks_of_frames(power):
        posteriors[:, rows] = pair_posteriors(model, block)[0][:, : rows.stop - rows.start]
    occupancy = posteriors.sum(axis=1)
    # Σ over pairs of S W / V and of N W, with W the Wiener gains; a product with ones is a quicker sum.
    ones = np.ones_like(occupancy)
    whitened = posteriors @ power
    whitened *= model.precisions
    all_explained = ones @ whitened
    whitened *= model.wiener_gains
    first_explained, first_expected = ones @ whitened, occupancy @ model.wiener_gains
    explained = np.stack([first_explained, all_explained - first_explained])
    expected = np.stack([first_expected, occupancy.sum() - first_expected])
    return np.maximum(explained, 0.0).astype(np.float64), np.maximum(expected, 0.0).astype(np.float64)


def evenly_spread(frames: Float32Array, n_frames: int) -> Float32Array:
    """Return at most so many frames, evenly spread."""
    if len(frames) <= n_frames:
        return frames
    return frames[np.linspace(0, len(frames) - 1, n_frames).round().astype(np.intp)]


def _gains_of_ratio(ratio_db: float) -> Float64Array:
    """Return gains of the given ratio, second to first, that sum to 1."""
    ratio = 10.0 ** (ratio_db / 10.0)
    return np.array([1.0 / (1.0 + ratio), ratio / (1.0 + ratio)])


def _best_start(sources: Sequence[SpectralParams], power: Float32Array) -> Float64Array:
    """Return the gains that EM starts from."""
    if len(sources) > 2:
        return np.full(len(sources), 1.0 / len(sources))
    return _likeliest(sources, [_gains_of_ratio(ratio) for ratio in START_RATIOS_DB], power)


def _likeliest(
    sources: Sequence[SpectralParams], candidates: Sequence[Float64Array], power: Float32Array
) -> Float64Array:
    """Return the likeliest of some gains of two sources, compared on a few frames."""
    few = evenly_spread(power, SEARCH_FRAMES)
    return max(candidates, key=lambda gains: mean_log_likelihood(_pair(sources, gains), few))


def _pair(sources: Sequence[SpectralParams], gains: Float64Array) -> WienerPair:
    """Return the pairs of states of two sources at the given gains."""
    return WienerPair(sources[0], sources[1], (float(gains[0]), float(gains[1])))
