"""The compiled loop of the modes of operation; it trusts its input. Imported when first needed."""

import math

from gmmaudio._typing import Float64Array
from gmmaudio.gmm._kernels import kernel_with

_kernel = kernel_with()


@_kernel
def expect(
    Z: Float64Array,
    probs: Float64Array,
    mean: Float64Array,
    variance: Float64Array,
    expected: Float64Array,
    shares: Float64Array,
) -> None:
    """Write the expected surprise of the present channels, and their squared standard scores, over the modes."""
    for t in range(Z.shape[0]):
        expected[t] = 0.0
        for c in range(Z.shape[1]):
            shares[t, c] = 0.0
            if math.isnan(Z[t, c]):
                continue
            for mode in range(probs.shape[1]):
                v = variance[mode, c]
                expected[t] += probs[t, mode] * 0.5 * math.log(2.0 * math.pi * math.e * v)
                shares[t, c] += probs[t, mode] * (Z[t, c] - mean[mode, c]) ** 2 / v
