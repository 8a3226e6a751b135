"""`GMM`: the Gaussian mixture with the manners of a scikit-learn estimator; all mathematics is in the other modules."""

import contextlib
import functools
import os
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.checkpoint import CheckpointFile
from gmmaudio.em import run_em
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import Precision, frame_log_likelihoods, most_likely_components, responsibilities
from gmmaudio.gmm.estimation import absolute_variance_floor, dead_components, estimate_ml, global_moments, over_relaxed
from gmmaudio.gmm.frame_source import Frames, FrameSource, is_one_array
from gmmaudio.gmm.initialization import Initialization, Subsample, initial_params, subsample_limit
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats, StatsAccumulator
from gmmaudio.gmm.survey import Survey, array_digest, survey
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import check_frames

_OPTIONS = ("n_components", "covariance_type", "max_iter", "tol", "variance_floor", "init", "precision", "random_state")


class GMM(DensityMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Mixture of Gaussians with diagonal covariances, trained by expectation-maximisation.

    Parameters
    ----------
    n_components : int
        Number of components; may exceed the number of distinct frames.
    covariance_type : "diag"
        Shape of the covariances; "diag" is the only one so far.
    max_iter : int
        Largest number of EM iterations.
    tol : float
        EM ends when the mean log-likelihood per frame changes by less than this, in nats. 0.0 runs all iterations,
        all of them plain EM. Otherwise, and unless all of `*_init` are given, steps are over-relaxed where EM is slow
        (see `gmmaudio.gmm.estimation.over_relaxed`), which takes about half the iterations.
        Below 1e-4, single precision may not be fine enough to end by itself.
    variance_floor : float
        Smallest variance of a component, as a fraction of the global variance of that feature. A feature that is
        constant in the training data counts as having unit variance (as in scikit-learn's `StandardScaler`).
    init : {"kmeans++", "split", "random"}
        How EM starts; see `gmmaudio.gmm.initialization.initial_params`.
    weights_init : array-like, shape (n_components,), optional
    means_init, covariances_init : array-like, shape (n_components, n_features), optional
        Where EM starts instead; with all three given, nothing else is done to initialise.
    precision : {"single", "double"}
        Arithmetic of densities; sums of statistics are float64 in both.
    random_state : int, RandomState or None
    memory_frames : float, optional
        How many frames `partial_fit` remembers of a stream that drifts: a frame that is t frames old counts
        ``exp(−t / memory_frames)``, so that the model never stands for more than about that many frames, and 63 % of
        what it knows is younger. It forgets nothing if not given. `fit` takes no notice.

    Attributes
    ----------
    params_ : GmmParams
        The model as a value, for the functions of `gmmaudio.gmm`.
    weights_, means_, covariances_ : array
        The same arrays, in the shapes of scikit-learn's `GaussianMixture`.
    history_ : tuple of float
        Mean log-likelihood per frame of the parameters that entered each iteration; `params_` is one update further.
    n_iter_ : int
        Number of iterations, or of calls to `partial_fit`.
    converged_ : bool
        False at the iteration limit.
    variance_floor_ : array, shape (n_features,)
        Smallest variance that `fit` allowed, in squared units of the features.
    n_frames_seen_ : float
        Frames that `params_` stands for, in sum of weights; `partial_fit` counts on from here.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(-3, 1, (500, 2)), rng.normal(3, 1, (500, 2))])
    >>> gmm = GMM(2, random_state=0).fit(X)
    >>> np.sort(gmm.means_[:, 0]).round()
    array([-3.,  3.])
    >>> gmm.converged_
    True
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "diag",
        max_iter: int = 100,
        tol: float = 1e-3,
        variance_floor: float = 1e-3,
        init: Initialization = "kmeans++",
        weights_init: npt.ArrayLike | None = None,
        means_init: npt.ArrayLike | None = None,
        covariances_init: npt.ArrayLike | None = None,
        precision: Precision = "single",
        random_state: int | np.random.RandomState | None = None,
        memory_frames: float | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.max_iter = max_iter
        self.tol = tol
        self.variance_floor = variance_floor
        self.init = init
        self.weights_init = weights_init
        self.means_init = means_init
        self.covariances_init = covariances_init
        self.precision = precision
        self.random_state = random_state
        self.memory_frames = memory_frames

    @classmethod
    def from_params(cls, params: GmmParams, *, precision: Precision = "single") -> Self:
        """Return an estimator that scores with known parameters, as if it had been fitted.

        Examples
        --------
        >>> params = GmmParams(weights=[1.0], means=[[0.0]], variances=[[1.0]])
        >>> round(GMM.from_params(params).score([[0.0]]), 4)
        -0.9189
        """
        gmm = cls(params.n_components, precision=precision)
        gmm.n_features_in_ = params.n_features
        gmm._publish(params, history=(), converged=False, n_frames_seen=0.0)
        return gmm

    def to_stored(self) -> StoredModel:
        """Return the fitted model as it is written to a file; the `*_init` parameters are left behind."""
        params = self._fitted_params()
        plain = self._plain_options()
        if isinstance(self.random_state, np.random.RandomState):
            plain["random_state"] = None  # the state of a generator is no number
        options = {name: plain[name] for name in (*_OPTIONS, "memory_frames")}
        fitted = {"history": list(self.history_), "converged": self.converged_, "n_frames_seen": self.n_frames_seen_}
        arrays = {"weights": params.weights, "means": params.means, "variances": params.variances}
        return StoredModel("gmm", {"options": options, "fitted": fitted}, arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fitted model from what a file holds."""
        options = stored.config["options"]
        # The first files had no memory_frames.
        gmm = cls(**{name: options[name] for name in _OPTIONS}, memory_frames=options.get("memory_frames"))
        gmm._check_options()
        fitted = stored.config["fitted"]
        params = GmmParams(*(stored.arrays[name] for name in ("weights", "means", "variances")))
        if params.n_components != gmm.n_components:
            raise ParameterError(f"n_components is {gmm.n_components} but there are {params.n_components} components")
        gmm.n_features_in_ = params.n_features
        history = tuple(float(value) for value in fitted["history"])
        gmm._publish(params, history, bool(fitted["converged"]), float(fitted["n_frames_seen"]))
        return gmm

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
        """Component variances, shape (n_components, n_features)."""
        return self._fitted_params().variances

    def fit(
        self,
        X: Frames,
        y: object = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        callback: Callable[[int, GmmParams, float], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on frames, in memory that does not grow with their number.

        Parameters
        ----------
        X : array-like, memory map, chunks or paths
            Frames, shape (n_frames, n_features). Whatever is more than memory holds comes as a memory map, as chunks (a
            list of arrays, an object whose `__iter__` starts afresh, or a function that returns a fresh iterator), or
            as a list of `.npy` and `.features` files. The same frames give the same bits in all these forms, in any
            chunks. They are gone through once for a survey and once in each iteration.
        y : ignored
        sample_weight : array-like, shape (n_frames,), optional
            How many times each frame counts; a frame of weight 0 counts as absent. Their common scale has no meaning.
        callback : callable, optional
            For progress bars; see `gmmaudio.em.run_em`.
        checkpoint : path-like, optional
            A file that keeps the training. It is replaced now and then, so that writing takes a few hundredths of the
            time, and whenever the training ends: also by Ctrl-C or an exception. Where it exists, the training goes on
            from it and ends with the same bits as one that was never interrupted. `max_iter` may be raised to go on
            after the end.

        Raises
        ------
        ParameterError
            If an option, a weight or a chunk cannot be used, or the checkpoint is of another training.
        GmmAudioError
            If a file cannot be read or written.

        Warns
        -----
        ConvergenceWarning
            If the iteration limit ends the training.

        Examples
        --------
        >>> halves = [np.zeros((100, 1)), np.ones((100, 1))]
        >>> GMM(1).fit(halves).means_, GMM(1).fit(lambda: iter(halves)).means_
        (array([[0.5]]), array([[0.5]]))
        """
        self._check_options()
        source = self._source(X, sample_weight)
        random_state = check_random_state(self.random_state)
        identity = self._identity(random_state)
        surveyed, sample = self._survey(source, random_state)
        floor = absolute_variance_floor(surveyed.mean, surveyed.variance, fraction=self.variance_floor)
        with contextlib.ExitStack() as stack:
            kept = None
            if checkpoint is not None:
                identity |= {"n_frames": surveyed.n_frames, "n_features": surveyed.n_features, "data": surveyed.digest}
                kept = stack.enter_context(CheckpointFile(checkpoint, identity))
            resume = None if kept is None else kept.state
            result = run_em(
                self._start(surveyed, sample, floor, random_state) if resume is None else resume.params,
                lambda params: self._accumulate(params, source),
                lambda stats: estimate_ml(stats, variance_floor=floor),
                max_iter=self.max_iter,
                tol=self.tol,
                may_fall=lambda params, stats: bool(dead_components(stats).any() or (params.variances < floor).any()),
                relax=None
                if self.tol == 0 or sample is None
                else functools.partial(over_relaxed, variance_floor=floor),
                callback=callback,
                resume=resume,
                on_update=None if kept is None else kept.keep,
            )
        if not result.converged and self.tol > 0:
            warnings.warn(
                f"EM stopped at max_iter={self.max_iter} before the change per iteration fell below tol={self.tol}; "
                "raise max_iter or tol, or set tol=0.0 if a fixed number of iterations is meant",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.variance_floor_ = floor
        self._publish(result.params, result.history, result.converged, surveyed.total_weight)
        return self

    def partial_fit(self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on one more batch of frames, with one EM step.

        Incremental EM (Neal & Hinton 1998): the batch's statistics under the present model are added to the statistics
        that the model stands for, `n_frames_seen_` frames distributed as it says, and the sum is re-estimated. Every
        frame counts once, whichever batch it came in; with `memory_frames` it counts the less the older it is (in sums
        of weights, within a batch too, so that one component does not depend on the cutting). The first batch of an
        unfitted estimator also initialises it: it should hold many frames per component, from everywhere in the data.
        One pass does not reach what `fit` does.

        X is an array-like; other parameters and errors as in `fit`.
        """
        self._check_options()
        first = not hasattr(self, "params_")
        source = FrameSource(self._validated(X, reset=first), sample_weight)
        if first:
            random_state = check_random_state(self.random_state)
            surveyed, sample = self._survey(source, random_state)
            floor = absolute_variance_floor(surveyed.mean, surveyed.variance, fraction=self.variance_floor)
            start = self._start(surveyed, sample, floor, random_state)
            self._publish(start, history=(), converged=False, n_frames_seen=0.0)
        total_weight = sum(float(weights.sum()) for _, weights in source.blocks())
        batch = self._accumulate(self.params_, source, end=total_weight)
        remembered = self._remembered(total_weight) * self.n_frames_seen_
        total = batch + GmmStats.expected(self.params_, remembered * self.params_.weights)
        floor = absolute_variance_floor(*global_moments(total), fraction=self.variance_floor)
        params = estimate_ml(total, variance_floor=floor)
        history = (*self.history_, batch.log_likelihood / batch.n_frames)
        self.variance_floor_ = floor
        self._publish(params, history, converged=False, n_frames_seen=total.n_frames)
        return self

    def score_samples(self, X: npt.ArrayLike) -> Float64Array:
        """Return the log-likelihood of each frame, shape (n_frames,)."""
        params = self._fitted_params()
        return frame_log_likelihoods(params, self._validated(X), precision=self.precision)

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Return the mean log-likelihood per frame."""
        return float(self.score_samples(X).mean())

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return the most likely component of each frame, shape (n_frames,)."""
        params = self._fitted_params()
        return most_likely_components(params, self._validated(X), precision=self.precision)

    def predict_proba(self, X: npt.ArrayLike) -> Float64Array:
        """Return the responsibilities, shape (n_frames, n_components)."""
        params = self._fitted_params()
        return responsibilities(params, self._validated(X), precision=self.precision)

    def sample(self, n_samples: int = 1) -> tuple[Float64Array, IntArray]:
        """Draw frames from the mixture; return them with the component of each, in the order of components."""
        params = self._fitted_params()
        if n_samples < 1:
            raise ParameterError(f"n_samples is {n_samples} but at least 1 frame must be drawn")
        random = check_random_state(self.random_state)
        counts = random.multinomial(n_samples, params.weights)
        components = np.repeat(np.arange(params.n_components), counts)
        noise = random.standard_normal((n_samples, params.n_features))
        return params.means[components] + np.sqrt(params.variances[components]) * noise, components

    def bic(self, X: npt.ArrayLike) -> float:
        """Return the Bayesian information criterion ``−2 log L + n_parameters log n_frames`` (Schwarz 1978)."""
        log_likelihoods = self.score_samples(X)
        return float(-2.0 * log_likelihoods.sum() + self._n_parameters() * np.log(len(log_likelihoods)))

    def aic(self, X: npt.ArrayLike) -> float:
        """Return the Akaike information criterion ``−2 log L + 2 n_parameters`` (Akaike 1974)."""
        return float(-2.0 * self.score_samples(X).sum() + 2.0 * self._n_parameters())

    def _n_parameters(self) -> int:
        """Return the number of free parameters: weights that sum to 1, means and variances."""
        params = self._fitted_params()
        return params.n_components - 1 + 2 * params.means.size

    def _fitted_params(self) -> GmmParams:
        """Return the parameters, or raise scikit-learn's NotFittedError."""
        check_is_fitted(self, "params_")
        params: GmmParams = self.params_
        return params

    def _publish(self, params: GmmParams, history: tuple[float, ...], converged: bool, n_frames_seen: float) -> None:
        """Set the attributes that training leaves."""
        self.params_ = params
        self.history_ = history
        self.n_iter_ = len(history)
        self.converged_ = converged
        self.n_frames_seen_ = n_frames_seen

    def _validated(self, X: npt.ArrayLike, *, reset: bool = False) -> FloatArray:
        """Return X as a float array after scikit-learn's checks."""
        return check_frames(validate_data(self, X, reset=reset, dtype=[np.float64, np.float32]), name="X")

    def _check_options(self) -> None:
        """Raise for options that no later check covers."""
        if self.covariance_type != "diag":
            raise ParameterError(f"covariance_type is {self.covariance_type!r} but only 'diag' is implemented so far")
        if not isinstance(self.n_components, int | np.integer) or self.n_components < 1:
            raise ParameterError(f"n_components is {self.n_components!r} but must be a whole number of at least 1")
        if not 0 < self.variance_floor < np.inf:
            raise ParameterError(
                f"variance_floor is {self.variance_floor} but must be a positive fraction of the global variance"
            )
        if self.memory_frames is not None and not 0 < self.memory_frames < np.inf:
            raise ParameterError(
                f"memory_frames is {self.memory_frames} but must be a positive number of frames; None forgets nothing"
            )

    def _source(self, X: Frames, sample_weight: npt.ArrayLike | None) -> FrameSource:
        """Return the frames for `fit`; scikit-learn checks what it knows, and of that nothing is copied."""
        if is_one_array(X):
            return FrameSource(validate_data(self, X, dtype="numeric"), sample_weight)
        return FrameSource(X, sample_weight)

    def _survey(self, source: FrameSource, random_state: np.random.RandomState) -> tuple[Survey, Subsample | None]:
        """Go through the frames once; the subsample is None where the start is given in full."""
        given = (self.weights_init, self.means_init, self.covariances_init)
        sample = None
        if any(values is None for values in given):
            sample = Subsample(subsample_limit(self.n_components), random_state)
        surveyed = survey(source, sample)
        self.n_features_in_ = surveyed.n_features
        return surveyed, sample

    def _accumulate(self, params: GmmParams, source: FrameSource, *, end: float | None = None) -> GmmStats:
        """Return the statistics of all frames; with their total weight as `end`, of what is remembered of them."""
        accumulator = StatsAccumulator(params, precision=self.precision)
        passed = 0.0
        for frames, weights in source.blocks():
            remembered = weights
            if end is not None and self.memory_frames is not None:
                ages = end - passed - weights.cumsum()
                remembered = weights * self._remembered(np.maximum(ages, 0.0))  # rounding makes the last a little < 0
                passed += float(weights.sum())
            accumulator.push(frames, remembered)
        return accumulator.result()

    def _remembered(self, age: Any) -> Any:
        """Return how much a frame of some age counts."""
        return 1.0 if self.memory_frames is None else np.exp(-age / self.memory_frames)

    def _plain_options(self) -> dict[str, Any]:
        """Return the options, NumPy's numbers as Python's."""
        given = self.get_params()
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}

    def _identity(self, random_state: np.random.RandomState) -> dict[str, Any]:
        """Return the options that the result depends on; arrays and states of generators as digests."""
        identity = self._plain_options()
        for name in ("weights_init", "means_init", "covariances_init"):
            if identity[name] is not None:
                identity[name] = array_digest(np.asarray(identity[name], dtype=np.float64))
        if isinstance(self.random_state, np.random.RandomState):
            state = tuple(random_state.get_state(legacy=True))
            identity["random_state"] = array_digest(*map(np.asarray, state[1:]))
        del identity["max_iter"], identity["memory_frames"]
        return identity

    def _start(
        self, surveyed: Survey, sample: Subsample | None, floor: Float64Array, random_state: np.random.RandomState
    ) -> GmmParams:
        """Return where EM starts: the given parameters, completed by the initialiser where some are missing."""
        weights_init: Any = self.weights_init
        means_init: Any = self.means_init
        covariances_init: Any = self.covariances_init
        if sample is not None:
            frames, weights = sample.result()
            found = initial_params(
                frames,
                self.n_components,
                init=self.init,
                variance_floor=floor,
                frame_weights=weights,
                random_state=random_state,
            )
            weights_init = found.weights if weights_init is None else weights_init
            means_init = found.means if means_init is None else means_init
            covariances_init = found.variances if covariances_init is None else covariances_init
        params = GmmParams(weights_init, means_init, covariances_init)
        if params.means.shape != (self.n_components, surveyed.n_features):
            raise ParameterError(
                f"the *_init parameters have shape {params.means.shape} but n_components and the data "
                f"need {(self.n_components, surveyed.n_features)}"
            )
        return params
