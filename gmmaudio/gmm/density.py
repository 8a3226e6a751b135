"""Densities of frames under a Gaussian mixture: tiled, and the same bits however the frames are cut.

Conventions. Natural logs. `precision="single"` standardises the frames in float64 and then works in float32; it
silently takes float64 for a model that float32 could not bear (`GmmParams.bears_single`). `precision="double"` is
float64 throughout. Results are float64 in both. No array of shape (n_frames, n_components) exists unless it is what
the caller asked for. In float32 the log-likelihoods of models with `MIN_COMPONENTS` or more leave out components
beyond `SPAN`: less than ``(n_components − 1) exp(−SPAN)`` nats. A log-likelihood saturates, instead of overflowing,
for frames more than `designs.SATURATION` mixture standard deviations away.

Bits. The last bits of a matrix product depend on its shape, and with some BLAS kernels (OpenBLAS for Haswell and Zen)
even on the *place* of a row in it. Inside this module frames are therefore columns, and every product is made of
blocks of `BLOCK_FRAMES` of them, the last one padded: that is one vector of the narrowest kernels, where no place
differs from another. A frame so has the same log-likelihood alone, in a chunk and in a batch.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import check_n_threads, in_parallel, one_blas_thread, worth_threads
from gmmaudio.gmm.designs import BLOCK_FRAMES, column_blocks
from gmmaudio.gmm.incomplete import completion_of
from gmmaudio.gmm.log_sum_exp import exponentiate, log_sum_exp
from gmmaudio.gmm.missing import split_missing
from gmmaudio.gmm.parameters import GmmParams

Precision = Literal["single", "double"]
PerFrame = TypeVar("PerFrame", Float64Array, IntArray)

TILE_FRAMES = 512
"""Frames worked on at once, so that a tile of densities stays in the second-level cache."""

SPAN = 16.0
"""In float32, nats below the best component of a frame within which components count: all others have a share under
1.2e-7 each, about the rounding error."""

MIN_COMPONENTS = 32
"""Smaller models are calculated in full by NumPy: there is little to leave out, and nothing to wait for to compile."""

SLICE_TILES = 8
"""Tiles that one thread does in one go."""


class Tile(NamedTuple):
    """Consecutive frames, as columns, with their log-densities; overwritten by the next tile.

    Attributes
    ----------
    rows : slice
        Which frames; the first `rows.stop − rows.start` columns of the arrays are theirs, the rest is padding.
    design : array, shape (n_monomials, n_padded)
        Monomials of the standardised frames (see `gmmaudio.gmm.designs`); the padding has z = 0.
    log_densities : array, shape (n_components, n_padded)
        Log of weight times density, without the constant `GmmParams.log_unit_volume`.
    """

    rows: slice
    design: FloatArray
    log_densities: FloatArray


def density_tiles(params: GmmParams, frames: FloatArray, *, precision: Precision) -> Iterator[Tile]:
    """Yield the log-densities of all components, tile by tile: the only place where a density is computed.

    ``log w_k N(x; μ_k, Σ_k)`` as one matrix product per block (see `gmmaudio.gmm.designs`).
    `frames` has been through `check_frames`.
    """
    matrix = density_matrix(params, precision)
    n_components, n_coefficients = matrix.shape
    n_columns = min(TILE_FRAMES, _whole_blocks(len(frames)))
    design = np.empty(n_coefficients * n_columns, matrix.dtype)
    log_densities = np.empty(n_components * n_columns, matrix.dtype)
    for start in range(0, len(frames), TILE_FRAMES):
        rows = slice(start, min(start + TILE_FRAMES, len(frames)))
        n_padded = _whole_blocks(rows.stop - rows.start)
        tile = Tile(
            rows,
            design[: n_coefficients * n_padded].reshape(n_coefficients, n_padded),
            log_densities[: n_components * n_padded].reshape(n_components, n_padded),
        )
        params.design.fill(frames[rows], tile.design)
        np.matmul(matrix, column_blocks(tile.design), out=column_blocks(tile.log_densities))
        yield tile


def density_matrix(params: GmmParams, precision: Precision) -> FloatArray:
    """Return the coefficients in the precision that is asked for, or in float64 where float32 would not do."""
    if precision not in ("single", "double"):
        raise ParameterError(f"precision is {precision!r} but must be 'single' or 'double'")
    if precision == "single" and params.bears_single:
        return params.density_matrix_single
    return params.density_matrix


def _log_sum_exp_of_columns(log_densities: FloatArray) -> Float64Array:
    """Return ``log Σ exp`` of the columns in float64; in float32 over the components within `SPAN` of the best."""
    if log_densities.dtype == np.float64 or len(log_densities) < MIN_COMPONENTS:
        return log_sum_exp(*exponentiate(log_densities))
    from gmmaudio.gmm import _kernels

    sums = np.empty(log_densities.shape[1])
    _kernels.log_sum_exp_columns(log_densities, np.float32(SPAN), sums)
    return sums


@one_blas_thread
def frame_log_likelihoods(params: GmmParams, frames: npt.ArrayLike, *, precision: Precision = "single") -> Float64Array:
    """Return the log-likelihood of each frame, ``log Σ_k w_k N(x; μ_k, Σ_k)``.

    Parameters
    ----------
    params : GmmParams
    frames : array-like, shape (n_frames, n_features)
        NaN is a missing feature: it is integrated out, in float64 (`gmmaudio.gmm.incomplete`).
    precision : {"single", "double"}

    Returns
    -------
    array, shape (n_frames,)
        A frame has the same bits however the frames are cut into calls. One without any feature has 0.

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are infinite, or the precision is unknown.

    Examples
    --------
    >>> params = GmmParams(weights=[1.0], means=[[0.0, 0.0]], covariances=[[1.0, 1.0]])
    >>> frame_log_likelihoods(params, [[0.0, 0.0], [3.0, 4.0], [3.0, np.nan]]).round(3)
    array([ -1.838, -14.338,  -5.419])
    """
    density_matrix(params, precision)  # an unknown precision is reported even if there are no frames

    def of_complete(frames: FloatArray) -> Float64Array:
        log_likelihoods = np.empty(len(frames))

        def write(part: slice) -> None:
            for rows, _, log_densities in density_tiles(params, frames[part], precision=precision):
                in_tile = _log_sum_exp_of_columns(log_densities) + params.log_unit_volume
                log_likelihoods[part][rows] = in_tile[: rows.stop - rows.start]

        n_together = SLICE_TILES * TILE_FRAMES
        parts = [slice(start, start + n_together) for start in range(0, len(frames), n_together)]
        n_threads = worth_threads(check_n_threads(None), len(frames) * params.density_matrix.size)
        in_parallel(write, parts, n_threads=n_threads)
        return log_likelihoods

    return _of_all(params, frames, of_complete, lambda columns: log_sum_exp(*exponentiate(columns)))


@one_blas_thread
def component_log_densities(
    params: GmmParams, frames: npt.ArrayLike, *, precision: Precision = "single"
) -> Float64Array:
    """Return the log of weight times density of each component, ``log w_k N(x; μ_k, Σ_k)``.

    Parameters, errors and bits as in `frame_log_likelihoods`; the result has shape (n_frames, n_components).
    """

    def of_complete(frames: FloatArray) -> Float64Array:
        all_densities = np.empty((len(frames), params.n_components))
        for rows, _, log_densities in density_tiles(params, frames, precision=precision):
            all_densities[rows] = log_densities[:, : rows.stop - rows.start].T
        all_densities += params.log_unit_volume
        return all_densities

    return _of_all(params, frames, of_complete, lambda columns: columns.T)


@one_blas_thread
def responsibilities(params: GmmParams, frames: npt.ArrayLike, *, precision: Precision = "single") -> Float64Array:
    """Return the posterior probability of each component for each frame; rows sum to 1.

    Parameters, errors and bits as in `frame_log_likelihoods`; the result has shape (n_frames, n_components).
    """

    def of_complete(frames: FloatArray) -> Float64Array:
        posteriors = np.empty((len(frames), params.n_components))
        for rows, _, log_densities in density_tiles(params, frames, precision=precision):
            posteriors[rows] = _posteriors(log_densities)[: rows.stop - rows.start]
        return posteriors

    return _of_all(params, frames, of_complete, _posteriors)


@one_blas_thread
def most_likely_components(params: GmmParams, frames: npt.ArrayLike, *, precision: Precision = "single") -> IntArray:
    """Return the component with the greatest posterior probability for each frame, shape (n_frames,).

    Parameters, errors and bits as in `frame_log_likelihoods`.
    """

    def of_complete(frames: FloatArray) -> IntArray:
        components = np.empty(len(frames), dtype=np.intp)
        for rows, _, log_densities in density_tiles(params, frames, precision=precision):
            components[rows] = log_densities[:, : rows.stop - rows.start].argmax(axis=0)
        return components

    return _of_all(params, frames, of_complete, lambda columns: columns.argmax(axis=0))


def _of_all(
    params: GmmParams,
    frames: npt.ArrayLike,
    of_complete: Callable[[FloatArray], PerFrame],
    of_densities: Callable[[Float64Array], PerFrame],
) -> PerFrame:
    """Return what complete frames give and, for those that miss features, what their log-densities as columns give."""
    values, observed = split_missing(frames, n_features=params.n_features)
    if observed is None:
        return of_complete(values)
    complete = observed.all(axis=1)
    of_these: AnyArray = of_complete(values[complete])
    found = np.empty((len(values), *of_these.shape[1:]), of_these.dtype)
    found[complete] = of_these
    rest = completion_of(params).log_densities(values[~complete], observed[~complete])
    found[~complete] = of_densities(np.ascontiguousarray(rest.T))
    return cast(PerFrame, found)


def _posteriors(log_densities: FloatArray) -> Float64Array:
    """Return the columns as rows that sum to 1, in float64; overwrites them."""
    exponentiate(log_densities)
    in_tile = log_densities.astype(np.float64)
    in_tile /= in_tile.sum(axis=0)
    return in_tile.T


def _whole_blocks(n_frames: int) -> int:
    """Return the number of columns after padding to whole blocks."""
    return -(-n_frames // BLOCK_FRAMES) * BLOCK_FRAMES
