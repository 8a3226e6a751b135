"""The two controls of every report of a separation: what the best masks would give, and the mixture itself."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float32Array
from gmmaudio.errors import ParameterError
from gmmaudio.separation.stft import OVERLAP, Analysis, StftConfig, Synthesis, power_of

OracleMask = Literal["ratio", "binary"]


def oracle_estimates(references: Sequence[npt.ArrayLike], stft: StftConfig, *, mask: OracleMask) -> list[Float32Array]:
    """Return what masks made from the true sources give: the ceiling of any method with masks and this window.

    "ratio" is the Wiener mask ``|S_j|² / Σ |S_i|²``, "binary" gives each bin to the loudest source.

    Parameters
    ----------
    references : sequence of arrays, shape (n_samples,)
        The sources of a mixture, which is their sum.
    stft : StftConfig
    mask : {"ratio", "binary"}

    Raises
    ------
    ParameterError
        If the mask is unknown, or the references differ in length.
    """
    if mask not in ("ratio", "binary"):
        raise ParameterError(f"mask is {mask!r} but must be 'ratio' or 'binary'")
    lengths = {len(np.asarray(reference)) for reference in references}
    if len(lengths) != 1:
        raise ParameterError(f"the references have {sorted(lengths)} samples but must have the same number")
    sources = np.stack([np.asarray(reference, np.float32) for reference in references], axis=1)
    spectra = [Analysis(stft).transform(column[:, np.newaxis]) for column in sources.T]
    power = np.stack([power_of(values) for values in spectra])
    if mask == "ratio":
        masks = (power + np.finfo(np.float32).tiny) / (power + np.finfo(np.float32).tiny).sum(axis=0)
    else:
        masks = (power.argmax(axis=0) == np.arange(len(power))[:, np.newaxis, np.newaxis]).astype(np.float32)
    mixture = Analysis(stft).transform(sources.sum(axis=1)[:, np.newaxis])
    first = (OVERLAP - 1) * stft.shift_samples
    return [
        Synthesis(stft).transform(own[:, np.newaxis] * mixture)[first : first + len(sources), 0].astype(np.float32)
        for own in masks
    ]
