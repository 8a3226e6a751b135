"""Tables of the front end: windows, mel filter banks and cosine transforms.

Conventions. A filter bank has the shape (n_bins, n_mels) and a cosine transform (n_mels, n_mfcc), so that both are
applied from the right to rows of frames. All tables are computed in float64.
"""

import warnings
from typing import Literal

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.errors import ParameterError

WindowName = Literal["povey", "hamming", "hann", "rectangular"]
MelBankName = Literal["htk", "slaney"]
CosineNorm = Literal["ortho", "htk"]


def window(name: WindowName, length: int) -> Float64Array:
    """Return the analysis window.

    `povey` is Kaldi's (0.5 − 0.5 cos(2πn/(N−1)))^0.85 and `hamming` HTK's 0.54 − 0.46 cos(2πn/(N−1)), both symmetric
    (HTK Book, eq. 5.3); `hann` is the periodic one of librosa, 0.5 − 0.5 cos(2πn/N).
    """
    sample = np.arange(length)
    symmetric = np.cos(2 * np.pi * sample / max(length - 1, 1))
    if name == "povey":
        return (0.5 - 0.5 * symmetric) ** 0.85
    if name == "hamming":
        return 0.54 - 0.46 * symmetric
    if name == "hann":
        return 0.5 - 0.5 * np.cos(2 * np.pi * sample / length)
    return np.ones(length)


def hz_to_mel(frequency: FloatArray) -> FloatArray:
    """Return 1127 ln(1 + f/700), which is 2595 log10(1 + f/700) (HTK Book, eq. 5.13)."""
    return np.asarray(1127.0 * np.log1p(frequency / 700.0))


def mel_bank(name: MelBankName, *, sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Float64Array:
    """Return the weights of the mel filters.

    `htk` (HTK and Kaldi): triangles that are linear in mel, with peak 1, without the bin at the Nyquist frequency.
    `slaney` (librosa's default): triangles that are linear in Hz on Slaney's mel scale, with unit area.

    Returns
    -------
    bank : (n_fft // 2 + 1, n_mels) array

    Raises
    ------
    ParameterError
        If a filter is so narrow that it holds no spectral line.
    """
    if name == "htk":
        bank = _htk_bank(sample_rate, n_fft, n_mels, fmin, fmax)
    else:
        bank = _slaney_bank(sample_rate, n_fft, n_mels, fmin, fmax)
    empty = np.flatnonzero(bank.sum(axis=0) == 0)
    if empty.size:
        raise ParameterError(
            f"n_mels={n_mels} filters from {fmin:g} to {fmax:g} Hz are too narrow for n_fft={n_fft} at "
            f"sample_rate={sample_rate}: filter {empty[0]} holds no spectral line; use fewer filters or a larger n_fft"
        )
    return bank


def _htk_bank(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Float64Array:
    """Return triangles linear in mel; the Nyquist bin is left out as in HTK and Kaldi."""
    edges = np.linspace(hz_to_mel(np.asarray(fmin)), hz_to_mel(np.asarray(fmax)), n_mels + 2)
    mels = hz_to_mel(np.arange(n_fft // 2) * (sample_rate / n_fft))[:, None]
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.minimum((mels - lower) / (centre - lower), (upper - mels) / (upper - centre))
    return np.vstack([np.maximum(triangles, 0.0), np.zeros((1, n_mels))])


def _slaney_bank(sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> Float64Array:
    """Return librosa's default filter bank."""
    import librosa  # here, because importing it takes longer than the rest of the package

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Empty filters")  # reported as an error by the caller
        bank = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=fmin, fmax=fmax, dtype=np.float64)
    return np.asarray(bank, dtype=np.float64).T


def cosine_transform(n_mels: int, n_mfcc: int, *, norm: CosineNorm, lifter: float) -> Float64Array:
    """Return the matrix from log mel energies to liftered cepstra.

    c_k = √(2/M) Σ_m log-mel_m cos(πk(m + ½)/M) (HTK Book, eq. 5.14), times 1 + L/2 sin(πk/L) for a lifter L > 0
    (eq. 5.12). With `ortho` the row k = 0 is √(1/M) instead, which makes the transform orthonormal (Kaldi, librosa).

    Returns
    -------
    matrix : (n_mels, n_mfcc) array
    """
    order = np.arange(n_mfcc)
    matrix: Float64Array = np.sqrt(2.0 / n_mels) * np.cos(np.pi / n_mels * np.outer(np.arange(n_mels) + 0.5, order))
    if norm == "ortho":
        matrix[:, 0] = np.sqrt(1.0 / n_mels)
    if lifter > 0:
        matrix *= 1.0 + lifter / 2.0 * np.sin(np.pi * order / lifter)
    return matrix
