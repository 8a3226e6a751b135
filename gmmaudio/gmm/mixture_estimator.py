"""What the estimators of mixtures share: checks of frames, and answers that follow from the parameters."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import Precision, most_likely_components, responsibilities
from gmmaudio.gmm.frame_source import Frames, FrameSource, is_one_array
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.validation import check_incomplete_frames


class FrameEstimator(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """An estimator of densities of frames, which it looks at after checks only."""

    accepts_missing: ClassVar[bool] = False
    """Whether NaN is a missing feature, or an error."""

    precision: Precision
    random_state: int | np.random.RandomState | None

    def score_samples(self, X: npt.ArrayLike) -> Float64Array:
        """Return the log-density of each frame, shape (n_frames,)."""
        raise NotImplementedError

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Return the mean log-density per frame."""
        return float(self.score_samples(X).mean())

    def _validated(self, X: npt.ArrayLike, *, reset: bool = False) -> FloatArray:
        """Return X as a float array after scikit-learn's checks."""
        types = [np.float64, np.float32]
        checked = validate_data(self, X, reset=reset, dtype=types, ensure_all_finite=self._finite())
        return check_incomplete_frames(checked, name="X")[0]

    def _source(self, X: Frames, sample_weight: npt.ArrayLike | None, *, rescale: bool = True) -> FrameSource:
        """Return the frames for `fit`; scikit-learn checks what it knows, and of that nothing is copied."""
        if is_one_array(X):
            X = validate_data(self, X, dtype="numeric", ensure_all_finite=self._finite())
        return FrameSource(X, sample_weight, rescale=rescale)

    def _finite(self) -> bool | str:
        """Return what scikit-learn calls the values that are allowed."""
        return "allow-nan" if self.accepts_missing else True

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.accepts_missing
        return tags


class MixtureEstimator(FrameEstimator):
    """A mixture that is fitted once it has `params_`."""

    params_: GmmParams

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
        """Component covariances, in the shape of scikit-learn's for this structure."""
        return self._fitted_params().covariances.array

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return the most likely component of each frame, shape (n_frames,)."""
        params = self._assigning_params()
        return most_likely_components(params, self._validated(X), precision=self.precision)

    def predict_proba(self, X: npt.ArrayLike) -> Float64Array:
        """Return the responsibilities, shape (n_frames, n_components)."""
        params = self._assigning_params()
        return responsibilities(params, self._validated(X), precision=self.precision)

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

    def _assigning_params(self) -> GmmParams:
        """Return the parameters that responsibilities follow from."""
        return self._fitted_params()
