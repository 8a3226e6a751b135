"""The density of the next frame under what variational Bayes knows of a mixture."""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, logsumexp

from gmmaudio._typing import Float64Array
from gmmaudio.gmm.density import Precision, component_log_densities
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.variational import MixturePosterior
from gmmaudio.validation import check_frames

FRAMES_TOGETHER = 16_384
"""Frames whose densities under all components are in memory at a time."""


def predictive_log_likelihoods(
    posterior: MixturePosterior, frames: npt.ArrayLike, *, precision: Precision = "double"
) -> Float64Array:
    """Return the log of the predictive density of each frame, shape (n_frames,) (Bishop 2006, eq. 10.81 and 10.82).

    ``Σ_k E[π_k] St(x; m_k, L_k, ν_k + 1 − D)`` with ``L = (ν + 1 − D) β / (1 + β) W``: the parameters are integrated
    out, so tails are heavier where less is known. Unlike the sum of expected densities that scikit-learn's
    `BayesianGaussianMixture.score_samples` returns, it integrates to 1.

    Parameters
    ----------
    posterior : MixturePosterior
    frames : array-like, shape (n_frames, n_features)
    precision : {"single", "double"}

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are not finite, or the precision is unknown.
    """
    frames = check_frames(frames, n_features=posterior.means.shape[1])
    parts = [frames[first : first + FRAMES_TOGETHER] for first in range(0, len(frames), FRAMES_TOGETHER)] or [frames]
    log_weights = np.log(posterior.expected_params.weights)
    return np.concatenate([logsumexp(log_weights + _log_student(posterior, part, precision), axis=1) for part in parts])


def _log_student(posterior: MixturePosterior, frames: npt.ArrayLike, precision: Precision) -> Float64Array:
    """Return the log-density of each component's Student distribution, shape (n_frames, n_components)."""
    n_components, n_features = posterior.means.shape
    equal = GmmParams(np.full(n_components, 1.0 / n_components), posterior.means, posterior.covariances)
    gaussian = component_log_densities(equal, frames, precision=precision) + math.log(n_components)
    log_determinants = posterior.covariances.log_determinants(n_components, n_features)
    squares = np.maximum(-2.0 * gaussian - n_features * math.log(2.0 * math.pi) - log_determinants, 0.0)
    precision_, degrees = posterior.mean_precision, posterior.degrees_of_freedom + 1.0 - n_features
    # (x − m)ᵀ L (x − m) = ratio · ν' · (x − m)ᵀ Σ⁻¹ (x − m)
    ratio = precision_ / ((1.0 + precision_) * posterior.degrees_of_freedom)
    log_norms = (
        gammaln(0.5 * (degrees + n_features))
        - gammaln(0.5 * degrees)
        + 0.5 * (n_features * np.log(ratio / math.pi) - log_determinants)
    )
    return np.asarray(log_norms - 0.5 * (degrees + n_features) * np.log1p(ratio * squares))
