"""Baum-Welch statistics of frames under a Gaussian mixture: all that the M-step, adaptation and training in parts need.

Conventions. Moments are taken about the `center` of the model that produced the statistics and not about zero, so that
second-order sums keep their digits at any offset of the features. All sums are float64.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.density import Precision, density_tiles, exponentiate, log_sum_exp
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import check_frame_weights, check_frames, read_only_array


@dataclass(frozen=True, eq=False)
class GmmStats:
    """Zeroth, first and second-order statistics; an additive value.

    With responsibilities γ_t(k), frame weights a_t and c the center:

    Attributes
    ----------
    zeroth : array, shape (n_components,)
        Σ_t a_t γ_t(k), the occupancy in frames.
    first : array, shape (n_components, n_features)
        Σ_t a_t γ_t(k) (x_t − c).
    second : array, shape (n_components, n_features)
        Σ_t a_t γ_t(k) (x_t − c)².
    center : array, shape (n_features,)
        The origin c of the moments: `GmmParams.center` of the model that gave the responsibilities.
    log_likelihood : float
        Σ_t a_t log p(x_t).
    n_frames : float
        Σ_t a_t.

    Raises
    ------
    ParameterError
        If shapes do not match, a value is not finite, or an occupancy or a second moment is negative.
    """

    zeroth: Float64Array
    first: Float64Array
    second: Float64Array
    center: Float64Array
    log_likelihood: float
    n_frames: float

    def __post_init__(self) -> None:
        first = read_only_array(self.first, name="first", shape=(None, None))
        arrays = {
            "zeroth": read_only_array(self.zeroth, name="zeroth", shape=first.shape[:1]),
            "first": first,
            "second": read_only_array(self.second, name="second", shape=first.shape),
            "center": read_only_array(self.center, name="center", shape=first.shape[1:]),
        }
        if (arrays["zeroth"] < 0).any() or (arrays["second"] < 0).any() or not self.n_frames >= 0:
            raise ParameterError("zeroth, second and n_frames are sums of squares or counts and must not be negative")
        for name, array in arrays.items():
            object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.zeroth, self.first, self.second, self.center, self.log_likelihood, self.n_frames)

    @classmethod
    def zeros_like(cls, params: GmmParams) -> Self:
        """Return the statistics of no frames under a model: the neutral element of `+`."""
        return cls.expected(params, np.zeros(params.n_components))

    @classmethod
    def expected(cls, params: GmmParams, occupancy: npt.ArrayLike, *, center: Float64Array | None = None) -> Self:
        """Return the statistics that `occupancy[k]` frames drawn from each component k would have on average.

        ``zeroth = n``, ``first = n (μ − c)``, ``second = n (σ² + (μ − c)²)``. These are the pseudo-frames of MAP
        adaptation (Gauvain & Lee 1994), and the inverse of `estimate_ml`. Their log-likelihood is set to 0.

        Parameters
        ----------
        params : GmmParams
        occupancy : array-like, shape (n_components,)
        center : array, shape (n_features,), optional
            Origin of the moments; that of `params` if it is not given.
        """
        counts = read_only_array(occupancy, name="occupancy", shape=(params.n_components,))
        origin = params.center if center is None else center
        offsets = params.means - origin
        column = counts[:, np.newaxis]
        second = column * (params.variances + np.square(offsets))
        return cls(counts, column * offsets, second, origin, 0.0, float(counts.sum()))

    def __add__(self, other: "GmmStats") -> "GmmStats":
        """Return the statistics of both sets of frames; neither operand changes."""
        if not isinstance(other, GmmStats):
            return NotImplemented
        if self.first.shape != other.first.shape or not np.array_equal(self.center, other.center):
            raise ParameterError(
                f"cannot add statistics of shape {self.first.shape} and {other.first.shape} with different centers: "
                "are they of different models? accumulate both with the same parameters"
            )
        return GmmStats(
            self.zeroth + other.zeroth,
            self.first + other.first,
            self.second + other.second,
            self.center,
            self.log_likelihood + other.log_likelihood,
            self.n_frames + other.n_frames,
        )


@one_blas_thread
def accumulate_stats(
    params: GmmParams,
    frames: npt.ArrayLike,
    *,
    frame_weights: npt.ArrayLike | None = None,
    precision: Precision = "single",
) -> GmmStats:
    """Return the statistics of frames under a model (the E-step).

    Parameters
    ----------
    params : GmmParams
    frames : array-like, shape (n_frames, n_features)
        Any number of frames, none included; they may be a memory map.
    frame_weights : array-like, shape (n_frames,), optional
        How many times each frame counts, 0 or more: 1 each by default. The emission update of a hidden Markov model
        passes state posteriors.
    precision : {"single", "double"}
        See `gmmaudio.gmm.density`; sums over tiles are float64 in both.

    Returns
    -------
    GmmStats

    Raises
    ------
    ParameterError
        If the frames do not fit the model or are not finite, a weight is negative, or the precision is unknown.

    Examples
    --------
    >>> params = GmmParams(weights=[0.5, 0.5], means=[[-1.0], [1.0]], variances=[[0.1], [0.1]])
    >>> stats = accumulate_stats(params, [[-1.0], [1.0], [1.0]])
    >>> stats.zeroth.round(3)
    array([1., 2.])
    """
    frames = check_frames(frames, n_features=params.n_features)
    weights = check_frame_weights(frame_weights, len(frames))
    moments, log_likelihood = _accumulate_moments(params, frames, weights, precision)
    n_features = params.n_features
    return GmmStats(
        moments[:, -1],
        moments[:, :n_features] * params.scale,
        moments[:, n_features:-1] * np.square(params.scale),
        params.center,
        log_likelihood,
        float(weights.sum()),
    )


def _accumulate_moments(
    params: GmmParams, frames: FloatArray, weights: Float64Array, precision: Precision
) -> tuple[Float64Array, float]:
    """Return Σ_t a_t γ_t(k) [z, z², 1], shape (n_components, 2 n_features + 1), and the log-likelihood."""
    moments = np.zeros((params.n_components, 2 * params.n_features + 1))
    log_likelihood = 0.0
    for rows, design, log_densities in density_tiles(params, frames, precision=precision):
        tile_weights = np.zeros(design.shape[1])  # the padding has weight 0
        tile_weights[: rows.stop - rows.start] = weights[rows]
        maxima, sums = exponentiate(log_densities)
        frame_log_likelihood = log_sum_exp(maxima, sums) + params.log_unit_volume
        log_likelihood += float(tile_weights @ frame_log_likelihood)
        # Dividing the columns of the design by the sums is cheaper than dividing every responsibility.
        design *= (tile_weights / sums).astype(design.dtype)
        moments += log_densities @ design.T
    return moments, log_likelihood
