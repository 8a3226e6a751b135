"""Parts of a mixture: some of its features, alone or given the others.

Both are mixtures again. With x the given features and y the rest, ``p(y | x) = Σ_k r_k(x) N(y; m_k(x), C_k)``: the
components are conditional Gaussians (Bishop 2006, eq. 2.81–2.82; `gmmaudio.gmm.conditional.gaussians`), their weights
``r_k(x) ∝ w_k N(x; μ_k, Σ_k)`` the responsibilities of x. Its mean as a function of x is Gaussian-mixture regression
(Ghahramani & Jordan 1994, "Supervised learning from incomplete data via an EM approach").

Conventions. float64. Features are numbered from 0. A frame has the same bits alone and in any batch. Far from all
components the weights are those of the widest one in that direction, never NaN.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.conditional.gaussians import ConditionalGaussians
from gmmaudio.gmm.covariances import Full
from gmmaudio.gmm.density import frame_log_likelihoods, responsibilities
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import check_frames

TILE_FRAMES = 512
"""Frames worked on at once, so that memory does not grow with the number of components."""

Tile = tuple[slice, Float64Array, Float64Array]
"""Some of the frames, their weights (n_frames, n_components) and conditional means (n_frames, n_components, n_rest)."""


def marginal(params: GmmParams, features: Sequence[int] | IntArray) -> GmmParams:
    """Return the mixture of some of the features, whatever the others are (Bishop 2006, eq. 2.98).

    Parameters
    ----------
    params : GmmParams
    features : sequence of int
        At least one, in the order that the result shall have.

    Returns
    -------
    GmmParams
        Of the same structure.

    Raises
    ------
    ParameterError
        If a feature does not exist, or is named twice, or there are none.

    Examples
    --------
    >>> params = GmmParams(weights=[1.0], means=[[0.0, 1.0, 2.0]], covariances=[[1.0, 2.0, 3.0]])
    >>> marginal(params, [2, 0]).means
    array([[2., 0.]])
    """
    chosen = _checked_features(features, params.n_features)
    return GmmParams(params.weights, params.means[:, chosen], params.covariances.marginal(chosen))


def condition(
    params: GmmParams, given: Mapping[int, float] | tuple[Sequence[int] | IntArray, npt.ArrayLike]
) -> GmmParams:
    """Return the mixture of the other features of one frame of which some are given.

    Parameters
    ----------
    params : GmmParams
    given : mapping of int to float, or pair of sequences
        The values by the number of their feature, or the numbers and the values.

    Returns
    -------
    GmmParams
        Of the features that are not given, in their order; diagonal if features are independent within a component,
        else full.

    Raises
    ------
    ParameterError
        As `ConditionalMixture`.

    Examples
    --------
    >>> params = GmmParams([0.5, 0.5], [[0.0, -3.0], [9.0, 3.0]], [[1.0, 1.0], [1.0, 1.0]])
    >>> condition(params, {0: 4.5}).weights, condition(params, {0: 9.0}).weights.round(6)
    (array([0.5, 0.5]), array([0., 1.]))
    """
    features, values = (list(given), list(given.values())) if isinstance(given, Mapping) else given
    return ConditionalMixture(params, features).at(values)


class ConditionalMixture:
    """A mixture of which some features will be given: what the others are, as a function of these.

    Parameters
    ----------
    params : GmmParams
        With covariances of any structure.
    given : sequence of int
        Which features will be given; at least one, and not all.

    Attributes
    ----------
    rest : array of int, shape (n_rest,)
        The other features, in order.
    gate : GmmParams
        The mixture of the given features, in the order of `given`.

    Raises
    ------
    ParameterError
        If a feature does not exist, or is named twice, or none or all are given.

    Examples
    --------
    >>> from gmmaudio.gmm.covariances import Full
    >>> line = GmmParams([1.0], [[0.0, 1.0]], Full(np.array([[[1.0, 2.0], [2.0, 5.0]]])))
    >>> mixture = ConditionalMixture(line, given=[0])
    >>> mixture.means([[0.0], [10.0]]), mixture.variances([[0.0]])
    (array([[ 1.], [21.]]), array([[1.]]))
    """

    def __init__(self, params: GmmParams, given: Sequence[int] | IntArray) -> None:
        chosen = _checked_features(given, params.n_features)
        if len(chosen) == params.n_features:
            raise ParameterError(f"all {params.n_features} features are given, so that nothing is left to say")
        self._params = params
        self._given = chosen
        self._gaussians = ConditionalGaussians(params, chosen)
        self.gate = marginal(params, chosen)
        self.rest: IntArray = self._gaussians.rest

    def at(self, values: npt.ArrayLike) -> GmmParams:
        """Return the mixture of the other features given the values of one frame, shape (n_given,)."""
        frame = np.asarray(values)
        if frame.shape != self._given.shape:
            raise ParameterError(f"there are values of shape {frame.shape} for {len(self._given)} given features")
        _, shares, means = next(self._tiles(self._checked(frame[np.newaxis])))
        if self._params.covariances.axis_aligned:
            return GmmParams(shares[0], means[0], self._params.covariances.marginal(self.rest))
        return GmmParams(shares[0], means[0], Full(self._gaussians.covariances))

    def means(self, values: npt.ArrayLike) -> Float64Array:
        """Return the mean of the other features, ``m(x) = Σ_k r_k(x) m_k(x)``, shape (n_frames, n_rest).

        Parameters
        ----------
        values : array-like, shape (n_frames, n_given)

        Raises
        ------
        ParameterError
            If the values do not fit or are not finite.
        """
        given = self._checked(values)
        found = np.empty((len(given), len(self.rest)))
        for rows, shares, means in self._tiles(given):
            found[rows] = _average(shares, means)
        return found

    def variances(self, values: npt.ArrayLike) -> Float64Array:
        """Return the variance of each of the other features, shape (n_frames, n_rest); see `covariances`."""
        given = self._checked(values)
        within = np.diagonal(self._gaussians.covariances, axis1=1, axis2=2)
        found = np.zeros((len(given), len(self.rest)))
        for rows, shares, means in self._tiles(given):
            deviations = means - _average(shares, means)[:, np.newaxis]
            for k, variance in enumerate(within):
                found[rows] += shares[:, k, np.newaxis] * (variance + np.square(deviations[:, k]))
        return found

    def covariances(self, values: npt.ArrayLike) -> Float64Array:
        """Return the covariance of the other features, shape (n_frames, n_rest, n_rest).

        ``Σ_k r_k(x) (C_k + (m_k(x) − m(x)) (m_k(x) − m(x))ᵀ)``: within components and between them (the law of total
        covariance). Parameters and errors as in `means`.
        """
        given = self._checked(values)
        found = np.zeros((len(given), len(self.rest), len(self.rest)))
        for rows, shares, means in self._tiles(given):
            deviations = means - _average(shares, means)[:, np.newaxis]
            for k, covariance in enumerate(self._gaussians.covariances):
                between = deviations[:, k, :, np.newaxis] * deviations[:, k, np.newaxis]
                found[rows] += shares[:, k, np.newaxis, np.newaxis] * (covariance + between)
        return found

    def log_likelihoods(self, values: npt.ArrayLike, others: npt.ArrayLike) -> Float64Array:
        """Return ``log p(y | x) = log p(x, y) − log p(x)`` of each frame, shape (n_frames,).

        Parameters
        ----------
        values : array-like, shape (n_frames, n_given)
        others : array-like, shape (n_frames, n_rest)
        """
        given, rest = self._checked(values), check_frames(others, n_features=len(self.rest), name="others")
        if len(given) != len(rest):
            raise ParameterError(f"there are {len(given)} frames of given features but {len(rest)} of the others")
        frames = np.empty((len(given), self._params.n_features))
        frames[:, self._given], frames[:, self.rest] = given, rest
        joint = frame_log_likelihoods(self._params, frames, precision="double")
        return np.asarray(joint - frame_log_likelihoods(self.gate, given, precision="double"))

    def sample(self, values: npt.ArrayLike, random_state: np.random.RandomState) -> Float64Array:
        """Draw the other features of each frame from ``p(y | x)``, shape (n_frames, n_rest); repeat rows for more."""
        given = self._checked(values)
        found = np.empty((len(given), len(self.rest)))
        factors = np.linalg.cholesky(self._gaussians.covariances)
        for rows, shares, means in self._tiles(given):
            heights = random_state.uniform(size=(len(shares), 1)) * shares.sum(axis=1, keepdims=True)
            components = (np.cumsum(shares, axis=1) <= heights).sum(axis=1).clip(max=shares.shape[1] - 1)
            standard = random_state.standard_normal((len(shares), len(self.rest)))
            noise = np.einsum("tij,tj->ti", factors[components], standard)
            found[rows] = means[np.arange(len(shares)), components] + noise
        return found

    def _checked(self, values: npt.ArrayLike) -> FloatArray:
        """Return the given features of frames as a finite matrix."""
        return check_frames(values, n_features=len(self._given), name="values")

    def _tiles(self, values: FloatArray) -> Iterator[Tile]:
        """Yield weights and conditional means, some frames after the others."""
        conditional_means = one_blas_thread(self._gaussians.means)
        for start in range(0, len(values), TILE_FRAMES):
            rows = slice(start, start + TILE_FRAMES)
            shares = responsibilities(self.gate, values[rows], precision="double")
            yield rows, shares, conditional_means(values[rows])


def _average(shares: Float64Array, means: Float64Array) -> Float64Array:
    """Return the weighted means, summed one component after the other for the sake of bits."""
    total = np.zeros((len(shares), means.shape[2]))
    for k in range(shares.shape[1]):
        total += shares[:, k, np.newaxis] * means[:, k]
    return total


def _checked_features(features: Sequence[int] | IntArray, n_features: int) -> IntArray:
    """Return the numbers of features as an array."""
    chosen = np.asarray(features)
    whole = chosen.ndim == 1 and len(chosen) > 0 and chosen.dtype.kind in "iu"
    if not whole or chosen.min() < 0 or chosen.max() >= n_features or len(np.unique(chosen)) < len(chosen):
        raise ParameterError(
            f"features are {features!r} but need at least one number from 0 to {n_features - 1}, and none twice"
        )
    return chosen.astype(np.intp)
