"""Linear scoring: the log-likelihood ratio of a recording from its statistics, one product for all trials.

Glembek, Burget, Dehak, Brümmer & Kenny 2009 ("Comparison of scoring methods used in speaker recognition with joint
factor analysis", ICASSP): the log-likelihood of the recording is expanded around the background to first order in the
offsets δ of the means.
"""

from collections.abc import Sequence

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.scoring.adapted_models import BLOCK_MODELS, AdaptedModels, as_adapted, n_coefficients
from gmmaudio.gmm.statistics import GmmStats


@one_blas_thread
def linear_log_likelihood_ratios(
    models: Sequence[GmmParams], ubm: GmmParams, stats: Sequence[GmmStats]
) -> Float64Array:
    """Return the first-order log-likelihood ratio per frame of each recording and model.

    ``L = 1/T Σ_k (F_k − N_k μ_k) · δ_k / σ_k²`` with the statistics N, F of T frames under the background (Glembek et
    al. 2009). With ``q_k = Σ δ_k² / σ_k²``, ``Q = ½ Σ_k N_k q_k / T``, γ_tk the posterior probabilities of the
    background and r_t the range (largest minus smallest) of g_k(x_t) over the components with γ_tk > 0, the mean
    log-likelihood ratio lies in ::

        L − Q  ≤  LLR  ≤  L − Q + mean(r_t²) / 8

    by Jensen's inequality below and Hoeffding's lemma above. The term Q is left out on purpose: it grows with the
    length of a speaker's enrolment, not with who speaks. So the score is not a log-likelihood ratio where offsets are
    large, its zero is not the point of equal likelihood, and its threshold must be its own.

    Parameters
    ----------
    models : sequence of GmmParams
        Adapted from the background by their means alone; best an `AdaptedModels`, which is arranged only once.
    ubm : GmmParams
    stats : sequence of GmmStats
        Of each recording under the background.

    Returns
    -------
    array, shape (n_recordings, n_models)
        To about 1e-5 relative to the sum of the magnitudes: the product is in float32.

    Raises
    ------
    ParameterError
        If a model is not adapted from the background by its means, or statistics are empty or of another background.

    Examples
    --------
    >>> from gmmaudio.gmm.statistics import accumulate_stats
    >>> ubm = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> speaker = GmmParams(weights=[1.0], means=[[0.5]], covariances=[[1.0]])
    >>> linear_log_likelihood_ratios([speaker], ubm, [accumulate_stats(ubm, [[1.0], [3.0]])])
    array([[1.]])
    """
    arranged = as_adapted(models, ubm)
    residuals = np.zeros((len(stats), ubm.n_components, n_coefficients(ubm)), np.float32)
    for row, recording in zip(residuals, stats, strict=True):
        row[:, : ubm.n_features] = _mean_residuals(recording, ubm)
    return _products(arranged, residuals)


def _mean_residuals(stats: GmmStats, ubm: GmmParams) -> Float64Array:
    """Return ``(F_k − N_k μ_k) / (T scale)``, shape (n_components, n_features)."""
    if stats.first.shape != ubm.means.shape or not np.array_equal(stats.center, ubm.center):
        raise ParameterError(
            f"statistics of shape {stats.first.shape} are not of the background, whose means have the shape "
            f"{ubm.means.shape}, or of another one; accumulate them with the background"
        )
    if not stats.n_frames > 0:
        raise ParameterError("statistics without frames cannot be scored; a mean needs at least one")
    residuals = stats.first - stats.zeroth[:, np.newaxis] * (ubm.means - ubm.center)
    return np.asarray(residuals / (stats.n_frames * ubm.scale))


def _products(models: AdaptedModels, residuals: Float32Array) -> Float64Array:
    """Return residuals times slopes for all models; the constants of the models meet zeros."""
    flat = residuals.reshape(len(residuals), residuals.shape[1] * residuals.shape[2])
    scores = np.empty((len(flat), len(models)))
    for start, coefficients in zip(range(0, len(models), BLOCK_MODELS), models.coefficients, strict=True):
        block = flat @ coefficients.reshape(flat.shape[1], BLOCK_MODELS)
        scores[:, start : start + BLOCK_MODELS] = block[:, : len(models) - start]
    return scores
