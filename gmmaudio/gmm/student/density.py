"""Densities of frames under a mixture of Student distributions, from the matrix product that Gaussians need.

``t(x; μ, Σ, ν) = Γ((ν + D) / 2) / Γ(ν / 2) |νπΣ|^(−½) (1 + δ / ν)^(−(ν + D) / 2)`` with the squared Mahalanobis
distance ``δ = (x − μ)ᵀ Σ⁻¹ (x − μ)`` (Peel & McLachlan 2000). δ is −2 times the log of the Gaussian density
relative to its peak, so that tiles, precision and bits are those of `gmmaudio.gmm.density`.

Conventions. Natural logs. Noise, where there is any, is the last row of a tile and the last column of a result.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, gammaln

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.density import Precision, density_matrix, density_tiles
from gmmaudio.gmm.log_sum_exp import exponentiate, log_sum_exp
from gmmaudio.gmm.student.parameters import StudentParams
from gmmaudio.validation import check_frames


class StudentTile(NamedTuple):
    """Consecutive frames, as columns; `rows` and `design` as in `gmmaudio.gmm.density.Tile`.

    Attributes
    ----------
    rows : slice
    design : array, shape (n_monomials, n_padded)
    log_densities : array, shape (n_components or n_components + 1, n_padded)
        Log of weight times density, without the constant `StudentParams.geometry.log_unit_volume`.
    log_scales : array, shape (n_components, n_padded)
        Log of ``u = (ν + D) / (ν + δ)``: how much a frame counts in the moments of a component, given that it is of it.
    """

    rows: slice
    design: FloatArray
    log_densities: FloatArray
    log_scales: FloatArray


def student_tiles(params: StudentParams, frames: FloatArray, *, precision: Precision) -> Iterator[StudentTile]:
    """Yield log-densities and weights u of all components, tile by tile. `frames` has been through `check_frames`."""
    geometry = params.geometry
    dtype = density_matrix(geometry, precision).dtype
    degrees = params.degrees_of_freedom
    gaussian = np.flatnonzero(np.isinf(degrees))
    peaks, levels, inverse, exponents, most = (
        column[:, np.newaxis].astype(dtype)
        for column in (
            _unit_peaks(params) + np.log(geometry.weights),
            _levels(params),
            1.0 / degrees,
            np.where(np.isinf(degrees), 0.0, 0.5 * (degrees + params.n_features)),
            np.log1p(params.n_features / degrees),
        )
    )
    for rows, design, gaussian_densities in density_tiles(geometry, frames, precision=precision):
        distances = np.maximum(2.0 * (peaks - gaussian_densities), 0.0)
        log_tails = np.log1p(distances * inverse)
        log_densities = levels - exponents * log_tails
        log_densities[gaussian] -= 0.5 * distances[gaussian]
        yield StudentTile(rows, design, _with_noise(params, log_densities), most - log_tails)


@one_blas_thread
def student_log_likelihoods(
    params: StudentParams, frames: npt.ArrayLike, *, precision: Precision = "single"
) -> Float64Array:
    """Return the log-likelihood of each frame, shape (n_frames,).

    Parameters
    ----------
    params : StudentParams
    frames : array-like, shape (n_frames, n_features)
    precision : {"single", "double"}

    Returns
    -------
    array, shape (n_frames,)
        A frame has the same bits however the frames are cut into calls.

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are not finite, or the precision is unknown.

    Examples
    --------
    >>> from gmmaudio.gmm import GmmParams
    >>> params = StudentParams(GmmParams([1.0], [[0.0]], [[1.0]]), 1.0)  # Cauchy: 1 / π (1 + x²)
    >>> np.exp(student_log_likelihoods(params, [[0.0], [2.0]], precision="double")).round(4)
    array([0.3183, 0.0637])
    """
    frames = check_frames(frames, n_features=params.n_features)
    density_matrix(params.geometry, precision)  # an unknown precision is reported even if there are no frames
    log_likelihoods = np.empty(len(frames))
    for tile in student_tiles(params, frames, precision=precision):
        in_tile = log_sum_exp(*exponentiate(tile.log_densities)) + params.geometry.log_unit_volume
        log_likelihoods[tile.rows] = in_tile[: tile.rows.stop - tile.rows.start]
    return log_likelihoods


@one_blas_thread
def student_responsibilities(
    params: StudentParams, frames: npt.ArrayLike, *, precision: Precision = "single"
) -> Float64Array:
    """Return the posterior probability of each component for each frame, and in a last column that of noise if any.

    Parameters, errors and bits as in `student_log_likelihoods`; rows sum to 1.
    """
    frames = check_frames(frames, n_features=params.n_features)
    posteriors = np.empty((len(frames), params.n_components + (params.noise is not None)))
    for tile in student_tiles(params, frames, precision=precision):
        exponentiate(tile.log_densities)
        in_tile = tile.log_densities.astype(np.float64)
        in_tile /= in_tile.sum(axis=0)
        posteriors[tile.rows] = in_tile[:, : tile.rows.stop - tile.rows.start].T
    return posteriors


@one_blas_thread
def most_likely_students(params: StudentParams, frames: npt.ArrayLike, *, precision: Precision = "single") -> IntArray:
    """Return the component with the greatest posterior probability for each frame, −1 for noise, shape (n_frames,).

    Parameters, errors and bits as in `student_log_likelihoods`.
    """
    frames = check_frames(frames, n_features=params.n_features)
    components = np.empty(len(frames), dtype=np.intp)
    for tile in student_tiles(params, frames, precision=precision):
        components[tile.rows] = tile.log_densities[:, : tile.rows.stop - tile.rows.start].argmax(axis=0)
    components[components == params.n_components] = -1
    return components


def _unit_peaks(params: StudentParams) -> Float64Array:
    """Return the log-density of each Gaussian at its mean, without the constant of `geometry`."""
    log_determinants = params.components.covariances.log_determinants(*params.components.means.shape)
    log_peaks = -0.5 * (log_determinants + params.n_features * np.log(2.0 * np.pi))
    return np.asarray(log_peaks - params.geometry.log_unit_volume)


def _levels(params: StudentParams) -> Float64Array:
    """Return the log of weight times density at the location of each component, without the constant of `geometry`."""
    half, degrees = 0.5 * params.n_features, params.degrees_of_freedom
    a = 0.5 * np.where(np.isinf(degrees), 1.0, degrees)
    # log Γ(a + D/2) − log Γ(a) − D/2 log a, by a function that keeps its digits where a is large
    relative_to_gaussian = gammaln(half) - betaln(a, half) - half * np.log(a)
    with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm −inf, as it should
        log_weights = np.log(params.weights)
    return np.asarray(log_weights + _unit_peaks(params) + np.where(np.isinf(degrees), 0.0, relative_to_gaussian))


def _with_noise(params: StudentParams, log_densities: FloatArray) -> FloatArray:
    """Return the rows of the components and below them one of the noise, if there is any."""
    if params.noise is None:
        return log_densities
    with np.errstate(divide="ignore"):
        level = np.log(params.noise.weight) - params.noise.log_volume - params.geometry.log_unit_volume
    row = np.full((1, log_densities.shape[1]), level, log_densities.dtype)
    return np.concatenate([log_densities, row])
