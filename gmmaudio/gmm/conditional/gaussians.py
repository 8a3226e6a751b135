"""Each Gaussian of a mixture given some of the features: what missing values and regression are made of.

Bishop 2006, eq. 2.81–2.82: with Σ_oo of the given features, ``x_m | x_o`` has the mean
``μ_m + Σ_mo Σ_oo⁻¹ (x_o − μ_o)`` and the covariance ``Σ_mm − Σ_mo Σ_oo⁻¹ Σ_om``.

Conventions. float64. Frames are rows outside and columns inside, in products of one shape, so that a frame has the same
bits alone and in any batch (see `gmmaudio.gmm.density`).
"""

import math

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.gmm.designs import BLOCK_FRAMES, column_blocks
from gmmaudio.gmm.parameters import GmmParams


class ConditionalGaussians:
    """The components of a mixture, given some of the features.

    Parameters
    ----------
    params : GmmParams
        With covariances of any structure.
    given : array of int, shape (n_given,)
        Which features are known; may be none, or all.

    Attributes
    ----------
    rest : array of int, shape (n_rest,)
        The other features, in order.
    coefficients : array, shape (n_components, n_rest, n_given)
        ``Σ_mo Σ_oo⁻¹`` of each component.
    covariances : array, shape (n_components, n_rest, n_rest)
        Of the other features given these.

    Examples
    --------
    >>> from gmmaudio.gmm.covariances import Full
    >>> params = GmmParams([1.0], [[0.0, 1.0]], Full(np.array([[[1.0, 0.5], [0.5, 1.0]]])))
    >>> given = ConditionalGaussians(params, np.array([0]))
    >>> given.means(np.array([[2.0]])), given.covariances
    (array([[[2.]]]), array([[[0.75]]]))
    """

    def __init__(self, params: GmmParams, given: IntArray) -> None:
        self.rest = np.setdiff1d(np.arange(params.n_features), given)
        matrices = params.covariances.matrices(*params.means.shape)
        within, across = matrices[:, given[:, np.newaxis], given], matrices[:, self.rest[:, np.newaxis], given]
        factors = np.linalg.cholesky(within)
        self._whiteners = np.linalg.inv(factors)
        whitened = across @ np.swapaxes(self._whiteners, 1, 2)
        self.coefficients = whitened @ self._whiteners
        among = matrices[:, self.rest[:, np.newaxis], self.rest]
        self.covariances = among - whitened @ np.swapaxes(whitened, 1, 2)
        self._means_given, self._means_rest = params.means[:, given], params.means[:, self.rest]
        with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm −inf, as it should
            log_weights = np.log(params.weights)
        log_volumes = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        self._log_constants = log_weights - log_volumes - 0.5 * len(given) * math.log(2.0 * math.pi)

    def log_densities(self, values: FloatArray) -> Float64Array:
        """Return ``log w_k N(x_o; μ_k, Σ_k)``, shape (n_frames, n_components).

        Parameters
        ----------
        values : array, shape (n_frames, n_given)
            Of the given features.
        """
        whitened = self._products(self._whiteners, values)
        squares = np.zeros(whitened.shape[:2])
        for feature in range(whitened.shape[2]):  # a sum of NumPy's may depend on how many frames there are
            squares += np.square(whitened[:, :, feature])
        return np.asarray(self._log_constants - 0.5 * squares)

    def means(self, values: FloatArray) -> Float64Array:
        """Return the means of the other features in each component, shape (n_frames, n_components, n_rest)."""
        return np.asarray(self._means_rest + self._products(self.coefficients, values))

    def _products(self, matrices: Float64Array, values: FloatArray) -> Float64Array:
        """Return each component's matrix times the values about its mean, shape (n_frames, n_components, n_rows)."""
        n_frames, n_given = values.shape
        n_components, n_rows, _ = matrices.shape
        n_padded = -(-n_frames // BLOCK_FRAMES) * BLOCK_FRAMES
        products = np.zeros((n_frames, n_components, n_rows))
        columns = np.zeros((n_given, n_padded))
        out = np.empty((n_rows, n_padded))
        if not (n_frames and n_given and n_rows):
            return products
        for component, matrix in enumerate(matrices):
            columns[:, :n_frames] = (values - self._means_given[component]).T
            np.matmul(matrix, column_blocks(columns), out=column_blocks(out))
            products[:, component] = out[:, :n_frames].T
        return products
