"""`StudentTMixture`: the mixture that outliers do not drag away, with the manners of a scikit-learn estimator."""

from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.criteria import aic, bic
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.frame_source import Frames
from gmmaudio.gmm.mixture_estimator import FrameEstimator
from gmmaudio.gmm.starts.initialization import Initialization
from gmmaudio.gmm.student.density import most_likely_students, student_log_likelihoods, student_responsibilities
from gmmaudio.gmm.student.parameters import StudentParams
from gmmaudio.gmm.student.sampling import sample_students
from gmmaudio.gmm.student.training import check_student_options, train_student
from gmmaudio.gmm.training import plain_options
from gmmaudio.persistence import StoredModel

_STARTS = ("weights_init", "means_init", "covariances_init")


class StudentTMixture(FrameEstimator):
    """Mixture of Student distributions, trained by expectation-maximisation: outliers count little in it.

    A frame that is far from its component, in units of that component's scale matrix, has a weight of about
    ``(ν + D) / δ``, with ν degrees of freedom, D features and the squared distance δ. For mathematics and papers see
    `gmmaudio.gmm.student`.

    Parameters
    ----------
    n_components : int
    covariance_type : {"diag", "full", "tied", "spherical"}
        Structure of the scale matrices, as in `GMM`.
    degrees_of_freedom : float, optional
        Of all components: 1 makes Cauchy distributions, infinity Gaussians. Estimated for each component by itself,
        from 0.1 to 1000, if not given.
    noise : bool
        Whether to add a component of uniform density for frames that belong nowhere. For outliers that are many or
        that lie together; with Gaussian components (``degrees_of_freedom=np.inf``) for any.
    noise_volume : float, optional
        Volume of the region that noise may come from; that of the smallest box around all frames if not given.
    max_iter : int
    tol : float
        EM ends when the mean log-likelihood per frame changes by less than this, in nats. Small by default: degrees of
        freedom settle slowly. 0.0 runs all iterations, each of them plain EM.
    variance_floor : float
        Smallest scale, as a fraction of the squared spread (by quartiles) of the feature; see `GMM`.
    init : {"trimmed", "kmeans++", "greedy", "split", "random"}, optional
        How EM starts; see `gmmaudio.gmm.starts`. "kmeans++" is drawn to outliers, "trimmed" is
        not, but takes a small cluster that is far from all others for some. If not given, the one of these two that is
        likelier after a few iterations with noise on a sample.
    weights_init : array-like, shape (n_components,), optional
        Without noise; the sum is 1.
    means_init : array-like, shape (n_components, n_features), optional
    covariances_init : array-like, optional
        Scale matrices to start from. With all three given, nothing else is done to initialise.
    precision : {"double", "single"}
        Arithmetic of densities. Degrees of freedom settle by changes that single precision does not resolve.
    random_state : int, RandomState or None

    Attributes
    ----------
    params_ : StudentParams
        The model as a value, for the functions of `gmmaudio.gmm.student`.
    weights_, means_ : array
        Probabilities and locations of the components.
    covariances_ : array
        *Scale* matrices, in the shapes of scikit-learn's `GaussianMixture`. The covariance is ``ν / (ν − 2)`` times as
        large where ν > 2, and infinite elsewhere.
    degrees_of_freedom_ : array, shape (n_components,)
    noise_weight_ : float
        Probability of noise; `weights_` and it have the sum 1.
    history_ : tuple of float
        Mean log-likelihood per frame of the parameters that entered each iteration; `params_` is one update further.
    n_iter_ : int
    converged_ : bool
    variance_floor_ : array, shape (n_features,)
        Smallest scale that `fit` allowed, in squared units of the features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-5, 1, (500, 2)), rng.normal(5, 1, (500, 2)), rng.uniform(10, 30, (100, 2))])
    >>> model = StudentTMixture(2, random_state=0).fit(X)
    >>> np.sort(model.means_[:, 0]).round(1)
    array([-5.1,  5.1])
    >>> noisy = StudentTMixture(2, noise=True, random_state=0).fit(X)
    >>> int((noisy.predict(X[1000:]) == -1).sum()), round(noisy.noise_weight_, 1)
    (100, 0.1)
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "diag",
        degrees_of_freedom: float | None = None,
        noise: bool = False,
        noise_volume: float | None = None,
        max_iter: int = 500,
        tol: float = 1e-5,
        variance_floor: float = 1e-3,
        init: Initialization | None = None,
        weights_init: npt.ArrayLike | None = None,
        means_init: npt.ArrayLike | None = None,
        covariances_init: npt.ArrayLike | None = None,
        precision: Precision = "double",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.degrees_of_freedom = degrees_of_freedom
        self.noise = noise
        self.noise_volume = noise_volume
        self.max_iter = max_iter
        self.tol = tol
        self.variance_floor = variance_floor
        self.init = init
        self.weights_init = weights_init
        self.means_init = means_init
        self.covariances_init = covariances_init
        self.precision = precision
        self.random_state = random_state

    def fit(
        self,
        X: Frames,
        y: object = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        callback: Callable[[int, StudentParams, float], None] | None = None,
    ) -> Self:
        """Train on frames, in memory that does not grow with their number.

        Parameters
        ----------
        X : array-like, memory map, chunks or paths
            As in `GMM.fit`, but nothing may be missing. With noise the frames are gone through once more.
        y : ignored
        sample_weight : array-like, shape (n_frames,), optional
            How many times each frame counts. Their common scale has no meaning.
        callback : callable, optional
            For progress bars; see `gmmaudio.em.run_em`.

        Raises
        ------
        ParameterError
            If an option, a weight or a chunk cannot be used.
        GmmAudioError
            If a file cannot be read.

        Warns
        -----
        ConvergenceWarning
            If the iteration limit ends the training.
        """
        check_student_options(self)
        source = self._source(X, sample_weight)
        result, floor = train_student(self, source, check_random_state(self.random_state), callback=callback)
        self.n_features_in_ = result.params.n_features
        self.variance_floor_ = floor
        self._publish(result.params, result.history, result.converged)
        return self

    @property
    def weights_(self) -> Float64Array:
        """Probabilities of the components, shape (n_components,)."""
        return self._fitted_params().weights

    @property
    def means_(self) -> Float64Array:
        """Locations of the components, shape (n_components, n_features)."""
        return self._fitted_params().components.means

    @property
    def covariances_(self) -> Float64Array:
        """Scale matrices, in the shape of the structure."""
        return self._fitted_params().components.covariances.array

    @property
    def degrees_of_freedom_(self) -> Float64Array:
        """Degrees of freedom, shape (n_components,)."""
        return self._fitted_params().degrees_of_freedom

    @property
    def noise_weight_(self) -> float:
        """Probability of noise."""
        return self._fitted_params().noise_weight

    def score_samples(self, X: npt.ArrayLike) -> Float64Array:
        """Return the log-likelihood of each frame, shape (n_frames,)."""
        params = self._fitted_params()
        return student_log_likelihoods(params, self._validated(X), precision=self.precision)

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return the most likely component of each frame, −1 for noise, shape (n_frames,)."""
        params = self._fitted_params()
        return most_likely_students(params, self._validated(X), precision=self.precision)

    def predict_proba(self, X: npt.ArrayLike) -> Float64Array:
        """Return the responsibilities, a column for each component; with noise its column is the last, number −1."""
        params = self._fitted_params()
        return student_responsibilities(params, self._validated(X), precision=self.precision)

    def sample(self, n_samples: int = 1) -> tuple[Float64Array, IntArray]:
        """Draw frames; return them with the component of each, in the order of components, noise (−1) at the end."""
        return sample_students(self._fitted_params(), n_samples, check_random_state(self.random_state))

    def bic(self, X: npt.ArrayLike) -> float:
        """Return the Bayesian information criterion; see `gmmaudio.gmm.criteria.bic`."""
        log_likelihoods = self.score_samples(X)
        return bic(float(log_likelihoods.sum()), self._n_free(), len(log_likelihoods))

    def aic(self, X: npt.ArrayLike) -> float:
        """Return the Akaike information criterion; see `gmmaudio.gmm.criteria.aic`."""
        return aic(float(self.score_samples(X).sum()), self._n_free())

    def to_stored(self) -> StoredModel:
        """Return the fitted model as it is written to a file; the `*_init` parameters are left behind."""
        stored = self._fitted_params().to_stored()
        options = {name: value for name, value in plain_options(self).items() if name not in _STARTS}
        if isinstance(self.random_state, np.random.RandomState):
            options["random_state"] = None  # the state of a generator is no number
        if self.degrees_of_freedom is not None:
            options["degrees_of_freedom"] = str(self.degrees_of_freedom)  # JSON has no infinity
        fitted = {"history": list(self.history_), "converged": self.converged_}
        config = {"options": options, "fitted": fitted, "params": stored.config}
        return StoredModel("student_mixture", config, stored.arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fitted model from what a file holds."""
        options, fitted = dict(stored.config["options"]), stored.config["fitted"]
        if options["degrees_of_freedom"] is not None:
            options["degrees_of_freedom"] = float(options["degrees_of_freedom"])
        model = cls(**options)
        check_student_options(model)
        params = StudentParams.from_stored(StoredModel("student_params", stored.config["params"], stored.arrays))
        if params.n_components != model.n_components:
            raise ParameterError(f"n_components is {model.n_components} but there are {params.n_components} components")
        model.n_features_in_ = params.n_features
        model._publish(params, tuple(float(value) for value in fitted["history"]), bool(fitted["converged"]))
        return model

    def _n_free(self) -> int:
        """Return the number of parameters that were estimated."""
        estimated = self.n_components if self.degrees_of_freedom is None else 0
        return self._fitted_params().n_free + estimated

    def _fitted_params(self) -> StudentParams:
        """Return the parameters, or raise scikit-learn's NotFittedError."""
        check_is_fitted(self, "params_")
        params: StudentParams = self.params_
        return params

    def _publish(self, params: StudentParams, history: tuple[float, ...], converged: bool) -> None:
        """Set the attributes that training leaves."""
        self.params_ = params
        self.history_ = history
        self.n_iter_ = len(history)
        self.converged_ = converged
