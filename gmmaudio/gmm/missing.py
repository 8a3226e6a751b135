"""Missing features: densities of what was observed, and statistics completed by what the model expects of the rest.

With diagonal covariances a missing feature is integrated out by leaving its factor away. In the M-step it counts with
the expectation of each component, ``E[x] = μ`` and ``E[x²] = σ² + μ²`` (Ghahramani & Jordan 1994, "Supervised learning
from incomplete data via an EM approach"), which makes the statistics those of complete frames: EM then climbs the
likelihood of the observed values exactly.

Conventions. Frames come with a mask of what is observed; the values of missing features are 0 and play no part. z is
(x − center) / scale with the `center` and `scale` of the mixture, o the mask as a number. Both the densities and the
moments are one matrix product with the rows ``[o z, o z², o, 1]``.
"""

import math

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array, FloatArray
from gmmaudio.gmm.designs import SATURATION
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import check_incomplete_frames

ROWS_TOGETHER = 16
"""Frames of one matrix product; see `gmmaudio.gmm.density` for why it is always as many."""


def split_missing(
    frames: npt.ArrayLike, *, n_features: int | None = None, name: str = "frames"
) -> tuple[FloatArray, BoolArray | None]:
    """Return checked frames with 0 for NaN, and what is observed, shape (n_frames, n_features); None if all is.

    Raises
    ------
    ParameterError
        As `check_frames`, but NaN is a missing feature.
    """
    array, has_missing = check_incomplete_frames(frames, n_features=n_features, name=name)
    if not has_missing:
        return array, None
    missing = np.isnan(array)
    return np.where(missing, array.dtype.type(0.0), array), ~missing


def missing_density_matrix(params: GmmParams) -> Float64Array:
    """Return the coefficients of the log-densities of partly observed frames, shape (n_components, 3 n_features + 1).

    With means m and variances v in the units of z, this matrix times a column ``[o z, o z², o, 1]`` is
    ``log w − ½ Σ_{d observed} (log v_d + (z_d − m_d)² / v_d)`` for each component; `observed_log_volume` has the rest.
    """
    means = (params.means - params.center) / params.scale
    variances = params.variances / np.square(params.scale)
    with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm −inf, as it should
        log_weights = np.log(params.weights)
    constants = -0.5 * (np.log(variances) + np.square(means) / variances)
    return np.hstack([means / variances, -0.5 / variances, constants, log_weights[:, np.newaxis]])


def missing_design(params: GmmParams, frames: FloatArray, observed: BoolArray) -> Float64Array:
    """Return the rows ``[o z, o z², o, 1]``, shape (n_frames, 3 n_features + 1)."""
    standardized = np.clip((frames - params.center) / params.scale, -SATURATION, SATURATION)
    standardized[~observed] = 0.0
    return np.hstack([standardized, np.square(standardized), observed, np.ones((len(frames), 1))])


def observed_log_volume(params: GmmParams, observed: BoolArray) -> Float64Array:
    """Return ``−Σ_{d observed} (log scale_d + ½ log 2π)`` of each frame, shape (n_frames,)."""
    # A plain sum and not a product of BLAS, whose bits depend on the number of rows.
    terms = np.log(params.scale) + 0.5 * math.log(2.0 * math.pi)
    return np.asarray(-(observed * terms).sum(axis=1))


def missing_component_log_densities(params: GmmParams, frames: FloatArray, observed: BoolArray) -> Float64Array:
    """Return the log of weight times density of what is observed, ``log w_k N(x_o; μ_k, σ_k²)``, in float64.

    Parameters
    ----------
    params : GmmParams
    frames : array, shape (n_frames, n_features)
    observed : array of bool, shape (n_frames, n_features)
        A frame of which nothing is observed has the log-density ``log w_k``.

    Returns
    -------
    array, shape (n_frames, n_components)

    Examples
    --------
    >>> params = GmmParams(weights=[1.0], means=[[0.0, 5.0]], covariances=[[1.0, 1.0]])
    >>> missing_component_log_densities(params, np.zeros((2, 2)), np.array([[True, False], [False, False]])).round(4)
    array([[-0.9189],
           [ 0.    ]])
    """
    matrix = missing_density_matrix(params)
    log_densities = np.empty((len(frames), params.n_components))
    for start in range(0, len(frames), ROWS_TOGETHER):
        rows = slice(start, start + ROWS_TOGETHER)
        design = np.zeros((ROWS_TOGETHER, matrix.shape[1]))
        in_block = missing_design(params, frames[rows], observed[rows])
        design[: len(in_block)] = in_block
        log_densities[rows] = (matrix @ design.T).T[: len(in_block)]
    log_densities += observed_log_volume(params, observed)[:, np.newaxis]
    return log_densities


def completed_moments(params: GmmParams, moments: Float64Array) -> Float64Array:
    """Return the moments ``Σ γ [z, z², 1]`` that complete frames would have on average.

    Parameters
    ----------
    params : GmmParams
        The model that gave the responsibilities γ.
    moments : array, shape (n_components, 3 n_features + 1)
        ``Σ γ [o z, o z², o, 1]``.

    Returns
    -------
    array, shape (n_components, 2 n_features + 1)
    """
    n_features = params.n_features
    means = (params.means - params.center) / params.scale
    variances = params.variances / np.square(params.scale)
    occupancy = moments[:, -1:]
    n_missing = np.maximum(occupancy - moments[:, 2 * n_features : -1], 0.0)
    first = moments[:, :n_features] + n_missing * means
    second = moments[:, n_features : 2 * n_features] + n_missing * (variances + np.square(means))
    return np.hstack([first, second, occupancy])
