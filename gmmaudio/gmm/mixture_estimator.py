"""What the estimators of mixtures share: checks of frames, and answers that follow from the parameters."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.frame_source import Frames, FrameSource, is_one_array
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import check_frames


class FrameEstimator(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of densities that looks at frames only through checks."""

    precision: Precision

    def _validated(self, X: npt.ArrayLike, *, reset: bool = False) -> FloatArray:
        """Return X as a float array after scikit-learn's checks."""
        return check_frames(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32]), name="X")

    def _source(self, X: Frames, sample_weight: npt.ArrayLike | None, **options: Any) -> FrameSource:
        """Return the frames for `fit`; scikit-learn checks what it knows, and of that nothing is copied."""
        if is_one_array(X):
            return FrameSource(validate_data(self, X, dtype="numeric"), sample_weight, **options)
        return FrameSource(X, sample_weight, **options)


class MixtureEstimator(FrameEstimator):
    """A fitted mixture, whose parameters are `params_`."""

    params_: GmmParams
    random_state: int | np.random.RandomState | None

    @property
    def weights_(self) -> Float64Array:
        """Component probabilities, shape (n_components,)."""
        return self._fitted_params().weights

    @property
    def means_(self) -> Float64Array:
        """Component means, shape (n_components, n_features)."""
        return self._fitted_params().means

    @property
    def covariances_(self) -> Float64Array:
        """Component covariances, in the shape of the structure."""
        return self._fitted_params().covariances.array

    def sample(self, n_samples: int = 1) -> tuple[Float64Array, IntArray]:
        """Draw frames from the mixture; return them with the component of each, in the order of components."""
        params = self._fitted_params()
        if n_samples < 1:
            raise ParameterError(f"n_samples is {n_samples} but at least 1 frame must be drawn")
        random = check_random_state(self.random_state)
        components = np.repeat(np.arange(params.n_components), random.multinomial(n_samples, params.weights))
        noise = random.standard_normal((n_samples, params.n_features))
        return params.means[components] + params.covariances.noise(components, noise), components

    def _fitted_params(self) -> GmmParams:
        """Return the parameters, or raise scikit-learn's NotFittedError."""
        check_is_fitted(self, "params_")
        return self.params_
