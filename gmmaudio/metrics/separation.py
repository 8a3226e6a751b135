"""How good estimates of the sources of a mixture are.

Conventions. `reference` is the true source and comes first, `estimate` second; both are signals of shape (n_samples,).
All measures are in dB, higher is better, and none depends on the level of the estimate.

- SI-SDR (Le Roux, Wisdom, Erdogan & Hershey 2019, "SDR - half-baked or well done?", eq. 3) allows one gain between
  reference and estimate. Means are taken off first.
- SDR, SIR and SAR (Vincent, Gribonval & Févotte 2006, "Performance measurement in blind audio source separation", IEEE
  TASLP 14; BSS Eval version 3) allow a filter of 512 taps. SDR is what is wrong in all, SIR what is heard of the
  other sources, SAR what is neither.

An *improvement* is the measure of the estimate less that of the mixture in its place. A reference that is silent has
no measure, and is an error.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.linalg
from scipy.optimize import linear_sum_assignment

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError

FILTER_TAPS = 512
"""Length of the filter that BSS Eval version 3 allows, in samples."""


class SourceMeasures(NamedTuple):
    """SDR, SIR and SAR in dB, of one estimate or of several."""

    sdr: Float64Array
    sir: Float64Array
    sar: Float64Array


def si_sdr(reference: npt.ArrayLike, estimate: npt.ArrayLike) -> float:
    """Return the scale-invariant signal-to-distortion ratio in dB.

    ``10 log10( ‖a s‖² / ‖a s − ŝ‖² )`` with ``a = ⟨ŝ, s⟩ / ‖s‖²``. A perfect estimate has ∞, a silent one −∞.

    Raises
    ------
    ParameterError
        If the signals differ in length or are not finite, or the reference is silent.

    Examples
    --------
    >>> time = np.arange(8000) / 8000
    >>> tone, noise = np.sin(2 * np.pi * 100 * time), 0.1 * np.sin(2 * np.pi * 300 * time)
    >>> round(si_sdr(tone, 5 * (tone + noise)), 6)
    20.0
    """
    references, estimates = _checked([reference], [estimate])
    true, own = references[0] - references[0].mean(), estimates[0] - estimates[0].mean()
    if not true.any():
        raise ParameterError("the reference is constant; without a signal there is nothing to compare with")
    target = true * (own @ true) / (true @ true)
    return _decibels(target, own - target)


def bss_eval(references: Sequence[npt.ArrayLike], estimates: Sequence[npt.ArrayLike]) -> SourceMeasures:
    """Return SDR, SIR and SAR of estimates in the order of their references (BSS Eval version 3).

    The estimate is projected on the reference and its 511 delayed copies, which gives the target, and on those of all
    references, which gives target and interference; what is left are artefacts (Vincent et al. 2006, eq. 10-16).

    Parameters
    ----------
    references, estimates : sequence of arrays, shape (n_samples,)
        One estimate for each reference; `best_order` finds which is which.

    Raises
    ------
    ParameterError
        If the signals differ in number or length or are not finite, or a reference is silent.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> one, other = rng.normal(size=(2, 8000))
    >>> sir = bss_eval([one, other], [one + 0.1 * other, other]).sir
    >>> bool(abs(sir[0] - 20) < 0.5), bool(sir[1] > 60)
    (True, True)
    """
    true, own = _checked(references, estimates)
    if not true.any(axis=1).all():
        raise ParameterError("a reference is silent; without a signal there is nothing to compare with")
    gram, products = _correlations(true, own)
    padded = np.pad(own, ((0, 0), (0, FILTER_TAPS - 1)))
    measures = np.empty((3, len(own)))
    for index, estimate in enumerate(padded):
        span = slice(index * FILTER_TAPS, (index + 1) * FILTER_TAPS)
        target = _filtered(true[index : index + 1], _solve(gram[span, span], products[span, index]))
        explained = _filtered(true, _solve(gram, products[:, index]))
        interference, artefacts = explained - target, estimate - explained
        measures[:, index] = (
            _decibels(target, interference + artefacts),
            _decibels(target, interference),
            _decibels(explained, artefacts),
        )
    return SourceMeasures(*measures)


def sdr(references: Sequence[npt.ArrayLike], estimates: Sequence[npt.ArrayLike]) -> Float64Array:
    """Return the signal-to-distortion ratio of each estimate in dB, as `bss_eval` does."""
    return bss_eval(references, estimates).sdr


def sir(references: Sequence[npt.ArrayLike], estimates: Sequence[npt.ArrayLike]) -> Float64Array:
    """Return the signal-to-interference ratio of each estimate in dB, as `bss_eval` does."""
    return bss_eval(references, estimates).sir


def sar(references: Sequence[npt.ArrayLike], estimates: Sequence[npt.ArrayLike]) -> Float64Array:
    """Return the signal-to-artefact ratio of each estimate in dB, as `bss_eval` does."""
    return bss_eval(references, estimates).sar


def best_order(references: Sequence[npt.ArrayLike], estimates: Sequence[npt.ArrayLike]) -> IntArray:
    """Return which estimate belongs to each reference: the order with the highest sum of SI-SDR.

    Examples
    --------
    >>> one, other = np.random.default_rng(0).normal(size=(2, 1000))
    >>> best_order([one, other], [other + 0.1 * one, one])
    array([1, 0])
    """
    _checked(references, estimates)
    table = np.array([[si_sdr(reference, estimate) for estimate in estimates] for reference in references])
    _, order = linear_sum_assignment(-np.nan_to_num(table, posinf=1e3, neginf=-1e3))
    return np.asarray(order)


def _checked(
    references: Sequence[npt.ArrayLike], estimates: Sequence[npt.ArrayLike]
) -> tuple[Float64Array, Float64Array]:
    """Return both as arrays (n_sources, n_samples)."""
    if len(references) != len(estimates) or not len(references):
        raise ParameterError(
            f"there are {len(references)} references and {len(estimates)} estimates; need one of each for every source"
        )
    shapes = {np.shape(signal) for signal in (*references, *estimates)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1 or 0 in next(iter(shapes)):
        raise ParameterError(f"the signals have the shapes {sorted(shapes)} but need one and the same, (n_samples,)")
    true, own = np.asarray(references, np.float64), np.asarray(estimates, np.float64)
    if not (np.isfinite(true).all() and np.isfinite(own).all()):
        raise ParameterError("a signal holds NaN or infinity; every sample must be finite")
    return true, own


def _decibels(wanted: Float64Array, unwanted: Float64Array) -> float:
    """Return the ratio of the powers of two signals in dB; ∞ over nothing, −∞ for nothing."""
    power, other = float(wanted @ wanted), float(unwanted @ unwanted)
    if power <= 0.0:
        return -np.inf
    return float(10.0 * np.log10(power / other)) if other > 0.0 else np.inf


def _correlations(references: Float64Array, estimates: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the inner products of all delayed references with each other and with the estimates.

    Shapes (n_sources · taps, n_sources · taps), in blocks that are Toeplitz, and (n_sources · taps, n_estimates).
    """
    n_sources, n_samples = references.shape
    n_fft = scipy.fft.next_fast_len(n_samples + FILTER_TAPS, real=True)
    spectra, own = scipy.fft.rfft(references, n_fft), scipy.fft.rfft(estimates, n_fft)
    gram = np.empty((n_sources * FILTER_TAPS, n_sources * FILTER_TAPS))
    blocks = [slice(index * FILTER_TAPS, (index + 1) * FILTER_TAPS) for index in range(n_sources)]
    for row, rows in enumerate(blocks):
        for column, columns in enumerate(blocks):
            lags = scipy.fft.irfft(spectra[row] * spectra[column].conj(), n_fft)
            # ⟨row delayed by a, column delayed by b⟩ depends on b − a alone.
            gram[rows, columns] = scipy.linalg.toeplitz(
                np.concatenate([lags[:1], lags[:-FILTER_TAPS:-1]]), lags[:FILTER_TAPS]
            )
    lags = scipy.fft.irfft(own[np.newaxis] * spectra[:, np.newaxis].conj(), n_fft)[..., :FILTER_TAPS]
    return gram, lags.transpose(0, 2, 1).reshape(-1, len(estimates))


def _solve(gram: Float64Array, products: Float64Array) -> Float64Array:
    """Return the filters of the projection, one row for each reference."""
    try:
        solution = scipy.linalg.solve(gram, products, assume_a="pos")
    except (scipy.linalg.LinAlgError, scipy.linalg.LinAlgWarning):  # references that lie in each other's span
        solution = scipy.linalg.lstsq(gram, products)[0]
    return np.asarray(solution).reshape(-1, FILTER_TAPS)


def _filtered(references: Float64Array, filters: Float64Array) -> Float64Array:
    """Return the sum of the references through their filters, with the tail, (n_samples + taps − 1,)."""
    n_samples = references.shape[1] + FILTER_TAPS - 1
    n_fft = scipy.fft.next_fast_len(n_samples, real=True)
    spectrum = (scipy.fft.rfft(references, n_fft) * scipy.fft.rfft(filters, n_fft)).sum(axis=0)
    return np.asarray(scipy.fft.irfft(spectrum, n_fft)[:n_samples])
