"""A mixture of frames together with what a noisy, linear instrument shows of them: for restoring the frames.

Given what was measured, `gmmaudio.gmm.conditional.mixture` says what the frame was: a Wiener filter for each component,
weighted by how likely it is (Zoran & Weiss 2011, "From learning models of natural image patches to whole image
restoration", ICCV; Yu, Sapiro & Mallat 2012, "Solving inverse problems with piecewise linear estimators").
"""

import numpy as np
import numpy.typing as npt

from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances import Full
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import read_only_array


def with_measurement(
    params: GmmParams, noise_variance: npt.ArrayLike, *, matrix: npt.ArrayLike | None = None
) -> GmmParams:
    """Return the mixture of ``[x, y]``, where x is a frame of the mixture and ``y = A x + noise``.

    ``E[y] = A μ``, ``Cov[x, y] = Σ Aᵀ``, ``Cov[y] = A Σ Aᵀ + diag(noise_variance)`` in each component (Bishop 2006,
    eq. 2.113–2.115).

    Parameters
    ----------
    params : GmmParams
        Of any structure.
    noise_variance : array-like, scalar or shape (n_measured,)
        Variance of the noise, which is independent of the frame and between measured values; positive.
    matrix : array-like, shape (n_measured, n_features), optional
        What the instrument does, A; without it every feature is measured as it is.

    Returns
    -------
    GmmParams
        With full covariances; the features of `params` come first, then the measured values.

    Raises
    ------
    ParameterError
        If shapes do not fit, or a variance is not positive.

    Examples
    --------
    The best guess at a value of variance 3 from a measurement with noise of variance 1 is three quarters of it:

    >>> from gmmaudio.gmm.conditional.mixture import ConditionalMixture
    >>> prior = GmmParams([1.0], [[0.0]], [[3.0]])
    >>> ConditionalMixture(with_measurement(prior, 1.0), given=[1]).means([[8.0]])
    array([[6.]])
    """
    n_components, n_features = params.means.shape
    instrument = read_only_array(np.eye(n_features) if matrix is None else matrix, name="matrix", shape=(None, None))
    if instrument.shape[1] != n_features:
        raise ParameterError(f"matrix has {instrument.shape[1]} columns but the mixture {n_features} features")
    noise = np.broadcast_to(np.asarray(noise_variance, dtype=np.float64), len(instrument))
    if not (np.isfinite(noise).all() and (noise > 0).all()):
        raise ParameterError(f"noise_variance must be positive and finite; the smallest value is {noise.min()}")
    matrices = params.covariances.matrices(n_components, n_features)
    across = instrument @ matrices
    measured = across @ instrument.T + np.diag(noise)
    measured = 0.5 * (measured + np.swapaxes(measured, 1, 2))
    joint = np.concatenate(
        [
            np.concatenate([matrices, np.swapaxes(across, 1, 2)], axis=2),
            np.concatenate([across, measured], axis=2),
        ],
        axis=1,
    )
    return GmmParams(params.weights, np.hstack([params.means, params.means @ instrument.T]), Full(joint))
