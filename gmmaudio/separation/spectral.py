"""Spectral mixtures: each component is a shape of the power spectrum.

Conventions. The model of one STFT spectrum x is a mixture of zero-mean circular complex Gaussians that are independent
between frequencies; component k has the variances V_k, its power spectrum (Benaroya, Bimbot & Gribonval 2006,
"Audio source separation with a single sensor", IEEE TASLP 14; "Gaussian scaled mixture model")::

    log p(x | k) = Σ_f  −log V_kf − |x_f|² / V_kf          (the constant −n_bins log π is left out)

All that the model needs of a spectrum is its power, so frames here are power spectra of shape (n_frames, n_bins).
Powers are relative: a source is trained at a mean power per bin of 1, and its gain in a recording is what multiplies V.
The three nouns and verbs are those of `gmmaudio.gmm`: parameters, statistics and options; accumulate, estimate, adapt.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.estimation import MIN_OCCUPANCY
from gmmaudio.gmm.log_sum_exp import LOG_NEGLIGIBLE
from gmmaudio.gmm.parameters import WEIGHT_SUM_TOLERANCE
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import read_only_array

VARIANCE_FLOOR = 1e-6
"""Smallest variance: 60 dB below the mean power per bin of the source. Digital silence has a finite likelihood so."""

TILE_FRAMES = 512
"""Frames worked on at once: single precision inside a tile, double precision between tiles."""


@dataclass(frozen=True, eq=False, init=False)
class SpectralParams:
    """Weights and power spectra of a mixture.

    Parameters
    ----------
    weights : array-like, shape (n_components,)
        Prior probability of each component; the sum is 1.
    variances : array-like, shape (n_components, n_bins)
        The power spectra V; positive.

    Raises
    ------
    ParameterError
        If shapes do not match, a value is not finite, the weights are no probabilities, or a variance is not positive.

    Examples
    --------
    >>> params = SpectralParams(weights=[0.5, 0.5], variances=[[1.0, 2.0, 1.0], [3.0, 1.0, 1.0]])
    >>> params.n_components, params.n_bins
    (2, 3)
    """

    weights: Float64Array
    variances: Float64Array

    def __init__(self, weights: npt.ArrayLike, variances: npt.ArrayLike) -> None:
        variances = read_only_array(variances, name="variances", shape=(None, None))
        weights = read_only_array(weights, name="weights", shape=variances.shape[:1])
        if (weights < 0).any() or abs(weights.sum() - 1.0) > WEIGHT_SUM_TOLERANCE:
            raise ParameterError(
                f"weights must not be negative and must sum to 1; the smallest is {weights.min()}, "
                f"the sum {weights.sum()}; divide them by their sum"
            )
        if not (variances >= np.finfo(np.float32).tiny).all():
            raise ParameterError(f"variances must be positive; the smallest is {variances.min()}; use a floor")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "variances", variances)

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the arrays writeable.
        return type(self), (self.weights, self.variances)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def n_bins(self) -> int:
        """Number of frequencies."""
        return int(self.variances.shape[1])

    @cached_property
    def log_weights(self) -> Float64Array:
        """Natural logs of the weights, shape (n_components,)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.weights))

    @cached_property
    def log_constants(self) -> Float32Array:
        """``log w_k − Σ_f log V_kf``, shape (n_components,)."""
        return np.asarray(self.log_weights - np.log(self.variances).sum(axis=1), np.float32)

    @cached_property
    def precisions(self) -> Float32Array:
        """``1 / V``, of shape (n_bins, n_components)."""
        return np.ascontiguousarray((1.0 / self.variances).T, dtype=np.float32)

    def coloured(self, colour: Float64Array) -> "SpectralParams":
        """Return the model of the source after a filter of the given power gains, shape (n_bins,)."""
        return SpectralParams(self.weights, np.maximum(self.variances * colour, np.finfo(np.float32).tiny))

    def to_stored(self) -> StoredModel:
        """Return what a model file holds of it."""
        return StoredModel("spectral_params", {}, {"weights": self.weights, "variances": self.variances})

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build it from what a model file holds; raise `ParameterError` for what cannot be a model."""
        return cls(stored.arrays["weights"], stored.arrays["variances"])


@dataclass(frozen=True, eq=False)
class SpectralStats:
    """Statistics of frames under a spectral mixture; an additive value.

    Attributes
    ----------
    zeroth : array, shape (n_components,)
        Σ_t γ_t(k), the occupancy in frames.
    power : array, shape (n_components, n_bins)
        Σ_t γ_t(k) |x_tf|², the second-order moments about 0.
    log_likelihood : float
        Σ_t log p(x_t).
    n_frames : float
        Number of frames.
    """

    zeroth: Float64Array
    power: Float64Array
    log_likelihood: float
    n_frames: float

    @classmethod
    def expected(cls, params: SpectralParams, occupancy: npt.ArrayLike) -> Self:
        """Return the statistics that `occupancy[k]` frames of each component k would have on average.

        They are the pseudo-frames of an inverse-gamma prior of the variances, and the inverse of
        `estimate_spectral_ml`. Their log-likelihood is set to 0.
        """
        counts = read_only_array(occupancy, name="occupancy", shape=(params.n_components,))
        return cls(counts, counts[:, np.newaxis] * params.variances, 0.0, float(counts.sum()))

    @classmethod
    def from_responsibilities(cls, responsibilities: Float32Array, power: Float32Array) -> Self:
        """Return the statistics of frames whose component posteriors, (n_frames, n_components), are known."""
        zeroth = responsibilities.sum(axis=0, dtype=np.float64)
        return cls(zeroth, (responsibilities.T @ power).astype(np.float64), 0.0, float(len(power)))

    def __add__(self, other: "SpectralStats") -> "SpectralStats":
        """Return the statistics of both sets of frames; neither operand changes."""
        if not isinstance(other, SpectralStats):
            return NotImplemented
        if self.power.shape != other.power.shape:
            raise ParameterError(
                f"cannot add statistics of shape {self.power.shape} and {other.power.shape}; "
                "accumulate both with the same parameters"
            )
        return SpectralStats(
            self.zeroth + other.zeroth,
            self.power + other.power,
            self.log_likelihood + other.log_likelihood,
            self.n_frames + other.n_frames,
        )


@one_blas_thread
def spectral_responsibilities(params: SpectralParams, power: Float32Array) -> tuple[Float32Array, Float64Array]:
    """Return component posteriors (n_frames, n_components) and log-likelihoods (n_frames,) of a tile of frames."""
    log_densities = params.log_constants - power @ params.precisions
    maxima = log_densities.max(axis=1, keepdims=True)
    log_densities -= maxima
    np.maximum(log_densities, LOG_NEGLIGIBLE, out=log_densities)  # smaller ones are denormal, and slow
    np.exp(log_densities, out=log_densities)
    sums = log_densities.sum(axis=1, keepdims=True)
    log_densities /= sums
    return log_densities, (maxima + np.log(sums))[:, 0].astype(np.float64)


def accumulate_spectral_stats(params: SpectralParams, power: Float32Array) -> SpectralStats:
    """Return the statistics of power spectra under a model (the E-step).

    Parameters
    ----------
    params : SpectralParams
    power : array, shape (n_frames, n_bins)
        Not negative, in units in which the source has a mean of about 1.

    Raises
    ------
    ParameterError
        If the number of frequencies is not that of the model.

    Examples
    --------
    >>> params = SpectralParams([0.5, 0.5], [[1.0, 1.0], [9.0, 9.0]])
    >>> accumulate_spectral_stats(params, np.float32([[0.1, 0.1], [20, 20]])).zeroth.round(2)
    array([0.99, 1.01])
    """
    if power.ndim != 2 or power.shape[1] != params.n_bins:
        raise ParameterError(
            f"the frames have shape {power.shape} but the model has {params.n_bins} frequencies; use its sample rate "
            "and window"
        )
    total = SpectralStats.expected(params, np.zeros(params.n_components))
    for start in range(0, len(power), TILE_FRAMES):
        tile = power[start : start + TILE_FRAMES]
        responsibilities, log_likelihoods = spectral_responsibilities(params, tile)
        stats = SpectralStats.from_responsibilities(responsibilities, tile)
        total += SpectralStats(stats.zeroth, stats.power, float(log_likelihoods.sum()), stats.n_frames)
    return total


def estimate_spectral_ml(stats: SpectralStats, *, variance_floor: float = VARIANCE_FLOOR) -> SpectralParams:
    """Return the parameters of maximum likelihood (the M-step): ``w_k = N_k / Σ N`` and ``V_k = S_k / N_k``.

    A component without frames (fewer than `MIN_OCCUPANCY`) gets the mean spectrum of all frames, from where it can be
    of use again.

    Raises
    ------
    ParameterError
        If there are no frames in the statistics.

    Examples
    --------
    >>> start = SpectralParams([1.0], [[1.0, 1.0]])
    >>> stats = accumulate_spectral_stats(start, np.float32([[1, 2], [3, 4]]))
    >>> estimate_spectral_ml(stats).variances
    array([[2., 3.]])
    """
    total = stats.zeroth.sum()
    if not total > 0:
        raise ParameterError("the statistics hold no frames; accumulate at least one")
    alive = stats.zeroth >= MIN_OCCUPANCY
    counts = np.where(alive, stats.zeroth, 1.0)[:, np.newaxis]
    variances = np.where(alive[:, np.newaxis], stats.power / counts, stats.power.sum(axis=0) / total)
    return SpectralParams(stats.zeroth / total, np.maximum(variances, variance_floor))


def has_dead_component(stats: SpectralStats) -> bool:
    """Return whether `estimate_spectral_ml` will restart a component, after which the likelihood may fall."""
    return bool((stats.zeroth < MIN_OCCUPANCY).any())


def estimate_spectral_map(
    stats: SpectralStats, prior: SpectralParams, *, relevance_factor: float = 16.0
) -> SpectralParams:
    """Return the prior model adapted to the statistics: maximum likelihood from them and r pseudo-frames a component.

    ``V̂_k = (S_k + r V_k) / (N_k + r)``, the posterior mode under an inverse-gamma prior of the variances (Gauvain & Lee
    1994, for a precision-only Gaussian), and ``ŵ_k = (N_k + r K w_k) / (N + r K)``. Without data it is the prior.

    Raises
    ------
    ParameterError
        If the relevance factor is not positive and finite, or the shapes differ.

    Examples
    --------
    >>> prior = SpectralParams([1.0], [[1.0]])
    >>> estimate_spectral_map(accumulate_spectral_stats(prior, np.full((16, 1), 3, np.float32)), prior).variances
    array([[2.]])
    """
    if not 0 < relevance_factor < np.inf:
        raise ParameterError(f"relevance_factor is {relevance_factor} but must be positive and finite; 16 is usual")
    if stats.power.shape != prior.variances.shape:
        raise ParameterError(
            f"the statistics have shape {stats.power.shape} but the prior {prior.variances.shape}; "
            "accumulate them with the prior or a model adapted from it"
        )
    pseudo_frames = SpectralStats.expected(prior, np.full(prior.n_components, relevance_factor))
    total = stats + pseudo_frames
    variances = total.power / total.zeroth[:, np.newaxis]
    weights = stats.zeroth + pseudo_frames.n_frames * prior.weights
    return SpectralParams(weights / weights.sum(), np.maximum(variances, np.finfo(np.float32).tiny))
