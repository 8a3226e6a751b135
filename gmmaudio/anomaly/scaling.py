"""The scale of each channel, from training data of any offset."""

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError


def spread(X: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return mean and standard deviation of each channel; a constant one gets a tenth of its value, or 1."""
    valid = ~np.isnan(X)
    if not valid.any(axis=0).all():
        channel = int(np.flatnonzero(~valid.any(axis=0))[0])
        raise ParameterError(f"channel {channel} has no number in the training data; leave it out or repair it")
    first = np.array([column[ok][0] for column, ok in zip(X.T, valid.T, strict=True)])
    # Relative to the first value, so that a large offset costs no digits.
    center = first + np.nanmean(X - first, axis=0)
    scale = np.nanstd(X - first, axis=0)
    constant = scale <= 1e-12 * np.abs(center)
    fallback = np.where(center == 0.0, 1.0, 0.1 * np.abs(center))
    return center, np.where(constant, fallback, scale)
