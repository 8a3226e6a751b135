"""`GaussianMixtureRegressor`: a mixture of inputs and targets together, asked for the targets given the inputs.

All mathematics is in `gmmaudio.gmm.conditional.mixture`; the training is that of `GMM`.
"""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.conditional.mixture import ConditionalMixture
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimator import GMM
from gmmaudio.gmm.starts.initialization import Initialization
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import check_frames

Prediction = Float64Array | tuple[Float64Array, Float64Array]


class GaussianMixtureRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Gaussian-mixture regression: the mean, the spread and samples of the targets given the inputs.

    A mixture is trained on the rows ``[x, y]``; the prediction is the mean of ``p(y | x)`` (Ghahramani & Jordan 1994).
    One component with full covariances is ordinary least squares; more are lines that take over from each other, with
    a spread of their own; with diagonal covariances they are steps. For inputs with gaps there
    is `mixture_.impute`: of rows ``[x, y]`` with NaN it expects everything that is missing, targets too.

    Parameters
    ----------
    n_components : int
        Number of components; a larger one follows finer bends. Compare by the score of held-out data.
    covariance_type : {"full", "diag", "tied", "spherical"}
        Structure of the covariances of ``[x, y]``. Between them "full" and "tied" know slopes.
    max_iter, tol, init, random_state
        As of `GMM`.
    variance_floor : float
        As of `GMM`, but small by default: a target that follows from the inputs leaves little variance across the line,
        and a floor would tilt it.
    shrinkage : float
        By how much correlations, and so slopes, are drawn to 0, from 0 to 1: for few rows of many features.
    precision : {"double", "single"}
        Arithmetic of the training; predictions are in float64.

    Attributes
    ----------
    mixture_ : GMM
        The mixture of inputs and targets, these last.
    n_targets_ : int

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-3, 3, (500, 1))
    >>> y = np.abs(X[:, 0]) + rng.normal(0, 0.1, 500)
    >>> regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    >>> mean, std = regressor.predict([[-2.0], [2.0]], return_std=True)
    >>> mean.round(1), std.round(1)
    (array([2., 2.]), array([0.1, 0.1]))
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        max_iter: int = 200,
        tol: float = 1e-4,
        variance_floor: float = 1e-8,
        shrinkage: float = 0.0,
        init: Initialization = "kmeans++",
        precision: Precision = "double",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.max_iter = max_iter
        self.tol = tol
        self.variance_floor = variance_floor
        self.shrinkage = shrinkage
        self.init = init
        self.precision = precision
        self.random_state = random_state

    @property
    def n_iter_(self) -> int:
        """Number of iterations of the training."""
        check_is_fitted(self, "mixture_")
        return self.mixture_.n_iter_

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train the mixture of inputs and targets.

        Parameters
        ----------
        X : array-like, shape (n_frames, n_features)
        y : array-like, shape (n_frames,) or (n_frames, n_targets)
        sample_weight : array-like, shape (n_frames,), optional
            How many times each frame counts.

        Raises
        ------
        ParameterError
            If an option or a weight cannot be used, or a value is too large to square.

        Warns
        -----
        ConvergenceWarning
            If the iteration limit ends the training.
        """
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float64)
        targets = np.asarray(y, dtype=np.float64)
        self._one_target = targets.ndim == 1
        joint = np.column_stack([X, targets])
        self.n_targets_ = joint.shape[1] - self.n_features_in_
        self.mixture_ = GMM(**self.get_params()).fit(joint, sample_weight=sample_weight)
        return self

    def predict(self, X: npt.ArrayLike, return_std: bool = False, return_cov: bool = False) -> Prediction:
        """Return the mean of the targets given the inputs, and if asked for how far they spread about it.

        Parameters
        ----------
        X : array-like, shape (n_frames, n_features)
        return_std : bool
            Also return their standard deviations, in the shape of the means.
        return_cov : bool
            Also return their covariances, shape (n_frames, n_targets, n_targets).

        Returns
        -------
        array, shape (n_frames,) or (n_frames, n_targets) as `y` was, or a pair of arrays
        """
        if return_std and return_cov:
            raise ParameterError("return_std and return_cov are both True; the variances are in the covariances")
        mixture = self.conditional()
        frames = self._validated(X)
        means = self._in_shape_of_y(mixture.means(frames))
        if return_cov:
            return means, mixture.covariances(frames)
        if return_std:
            return means, self._in_shape_of_y(np.sqrt(mixture.variances(frames)))
        return means

    def sample(self, X: npt.ArrayLike) -> Float64Array:
        """Draw targets from ``p(y | x)`` for each row, in the shape of the predictions; repeat rows for more."""
        mixture = self.conditional()
        return self._in_shape_of_y(mixture.sample(self._validated(X), check_random_state(self.random_state)))

    def log_likelihoods(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Float64Array:
        """Return ``log p(y | x)`` of each row, shape (n_frames,): unlike R² it also judges the spread."""
        mixture = self.conditional()
        targets = np.asarray(y, dtype=np.float64)
        return mixture.log_likelihoods(self._validated(X), targets.reshape(len(targets), -1))

    def conditional(self) -> ConditionalMixture:
        """Return the mixture of the targets as a function of the inputs."""
        check_is_fitted(self, "mixture_")
        return ConditionalMixture(self.mixture_.params_, np.arange(self.n_features_in_))

    def to_stored(self) -> StoredModel:
        """Return the fitted model as it is written to a file."""
        check_is_fitted(self, "mixture_")
        stored = self.mixture_.to_stored()
        config = {"mixture": stored.config, "n_targets": self.n_targets_, "one_target": self._one_target}
        return StoredModel("gmm_regressor", config, stored.arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fitted model from what a file holds."""
        mixture = GMM.from_stored(StoredModel("gmm", stored.config["mixture"], stored.arrays))
        n_targets = int(stored.config["n_targets"])
        if not 0 < n_targets < mixture.n_features_in_:
            raise ParameterError(f"n_targets is {n_targets} but the mixture has {mixture.n_features_in_} features")
        options = mixture.get_params()
        regressor = cls(**{name: options[name] for name in cls._get_param_names()})
        regressor.mixture_ = mixture
        regressor.n_targets_ = n_targets
        regressor.n_features_in_ = mixture.n_features_in_ - n_targets
        regressor._one_target = bool(stored.config["one_target"])
        return regressor

    def _in_shape_of_y(self, values: Float64Array) -> Float64Array:
        """Return one number for each row where `fit` got such targets."""
        return values[:, 0] if self._one_target else values

    def _validated(self, X: npt.ArrayLike) -> Any:
        """Return X after scikit-learn's checks."""
        return check_frames(validate_data(self, X, reset=False, dtype=np.float64), name="X")

    def __sklearn_tags__(self) -> Any:
        """Say that there may be several targets."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
