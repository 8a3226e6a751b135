"""The density of the next frame under what variational Bayes knows of a mixture."""

import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.gmm.bayesian.variational import MixturePosterior
from gmmaudio.gmm.covariances import Full
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.student.density import student_log_likelihoods
from gmmaudio.gmm.student.parameters import StudentParams


def predictive_log_likelihoods(
    posterior: MixturePosterior, frames: npt.ArrayLike, *, precision: Precision = "double"
) -> Float64Array:
    """Return the log of the predictive density of each frame, shape (n_frames,); see `predictive_params`.

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
    return student_log_likelihoods(predictive_params(posterior), frames, precision=precision)


def predictive_params(posterior: MixturePosterior) -> StudentParams:
    """Return the predictive density as a mixture of Student distributions (Bishop 2006, eq. 10.81 and 10.82).

    ``Σ_k E[π_k] St(x; m_k, L_k, ν_k + 1 − D)`` with ``L = (ν + 1 − D) β / (1 + β) W``: the parameters are integrated
    out, so tails are heavier where less is known. Unlike the sum of expected densities that scikit-learn's
    `BayesianGaussianMixture.score_samples` returns, it integrates to 1.
    """
    n_components, n_features = posterior.means.shape
    degrees = posterior.degrees_of_freedom + 1.0 - n_features
    precision, covariances = posterior.mean_precision, posterior.covariances
    # Scale matrices are L⁻¹, and the covariances (ν W)⁻¹.
    factors = (1.0 + precision) * posterior.degrees_of_freedom / (precision * degrees)
    if covariances.is_shared():
        covariances = Full(covariances.matrices(n_components, n_features))
    scales = type(covariances)(covariances.array * factors.reshape(-1, *[1] * (covariances.array.ndim - 1)))
    return StudentParams(GmmParams(posterior.expected_params.weights, posterior.means, scales), degrees)
