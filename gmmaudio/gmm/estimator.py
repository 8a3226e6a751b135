"""`GMM`: the Gaussian mixture with the manners of a scikit-learn estimator; all mathematics is in the other modules."""

import contextlib
import os
from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from gmmaudio._typing import Float64Array
from gmmaudio.checkpoint import CheckpointFile
from gmmaudio.gmm.criteria import aic, bic
from gmmaudio.gmm.density import Precision, frame_log_likelihoods
from gmmaudio.gmm.frame_source import Frames, FrameSource
from gmmaudio.gmm.incomplete import imputed
from gmmaudio.gmm.incremental import incremental_step
from gmmaudio.gmm.mixture_estimator import MixtureEstimator
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.initialization import Initialization
from gmmaudio.gmm.storage import pack, unpack
from gmmaudio.gmm.survey import survey
from gmmaudio.gmm.training import accumulate_source, check_options, empty_sample, identity, starting_params, train
from gmmaudio.persistence import StoredModel


class GMM(MixtureEstimator):
    """Mixture of Gaussians, trained by expectation-maximisation.

    Parameters
    ----------
    n_components : int
        Number of components; may exceed the number of distinct frames.
    covariance_type : {"diag", "full", "tied", "spherical"}
        Structure of the covariances, as in scikit-learn: independent features; a matrix for each component; one matrix
        for all; one variance for all features of a component.
    max_iter : int
        Largest number of EM iterations.
    tol : float
        EM ends when the mean log-likelihood per frame changes by less than this, in nats. 0.0 runs all iterations.
        Below 1e-4, single precision may not be fine enough to end by itself. Where EM is slow its steps are lengthened
        (see `gmmaudio.gmm.estimation.over_relaxed`); with 0.0, or all of `*_init` given, every step is plain EM.
    variance_floor : float
        Smallest variance of a component, as a fraction of the global variance of that feature. A feature that is
        constant in the training data counts as having unit variance (as in scikit-learn's `StandardScaler`). Matrices
        have no direction below it, and spherical variances are not below its mean over the features.
    shrinkage : float
        By how much the correlations of "full" and "tied" covariances are drawn to 0, from 0 to 1: for few frames.
    init : {"kmeans++", "trimmed", "greedy", "split", "random"}
        How EM starts; see `gmmaudio.gmm.starts`.
    weights_init : array-like, shape (n_components,), optional
    means_init : array-like, shape (n_components, n_features), optional
    covariances_init : array-like, optional
        Where EM starts instead; with all three given, nothing else is done to initialise. The covariances have the
        shape of the structure.
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

    accepts_missing = True

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "diag",
        max_iter: int = 100,
        tol: float = 1e-3,
        variance_floor: float = 1e-3,
        shrinkage: float = 0.0,
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
        self.shrinkage = shrinkage
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
        >>> params = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
        >>> round(GMM.from_params(params).score([[0.0]]), 4)
        -0.9189
        """
        gmm = cls(params.n_components, covariance_type=params.covariances.name, precision=precision)
        gmm.n_features_in_ = params.n_features
        gmm._publish(params, history=(), converged=False, n_frames_seen=0.0)
        return gmm

    def to_stored(self) -> StoredModel:
        """Return the fitted model as it is written to a file; the `*_init` parameters are left behind."""
        return pack(self, self._fitted_params())

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fitted model from what a file holds."""
        options, fitted = unpack(stored)
        gmm = cls(**options)
        check_options(gmm)
        gmm.n_features_in_ = fitted.params.n_features
        gmm._publish(*fitted)
        return gmm

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
            Frames, shape (n_frames, n_features); NaN is a missing feature, which is integrated out. Whatever is more
            than memory holds comes as a memory map, as chunks (a list of arrays, an object whose `__iter__` starts
            afresh, or a function that returns a fresh iterator), or as a list of `.npy` and `.features` files. The same
            frames give the same bits in all these forms, in any chunks. They are gone through once for a survey and
            once in each iteration.
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
        check_options(self)
        source = self._source(X, sample_weight)
        random_state = check_random_state(self.random_state)
        options = identity(self, random_state)
        sample = empty_sample(self, random_state)
        surveyed = survey(source, sample)
        self.n_features_in_ = surveyed.n_features
        with contextlib.ExitStack() as stack:
            kept = None
            if checkpoint is not None:
                data = {"n_frames": surveyed.n_frames, "n_features": surveyed.n_features, "data": surveyed.digest}
                kept = stack.enter_context(CheckpointFile(checkpoint, options | data))
            accumulate = partial(accumulate_source, source=source, precision=self.precision)
            result, floor = train(self, accumulate, surveyed, sample, random_state, callback=callback, kept=kept)
        self.variance_floor_ = floor
        self._publish(result.params, result.history, result.converged, surveyed.total_weight)
        return self

    def partial_fit(self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Train on one more batch of frames, with one EM step.

        See `gmmaudio.gmm.incremental`: every frame counts once, whichever batch it came in; with `memory_frames` it
        counts the less the older it is, within a batch too. The first batch of an unfitted estimator also initialises
        it: it should hold many frames per component, from everywhere in the data. One pass does not reach what `fit`
        does.

        X is an array-like; other parameters and errors as in `fit`.
        """
        check_options(self)
        first = not hasattr(self, "params_")
        source = FrameSource(self._validated(X, reset=first), sample_weight)
        if first:
            random_state = check_random_state(self.random_state)
            sample = empty_sample(self, random_state)
            surveyed = survey(source, sample)
            floor = surveyed.variance_floor(self.variance_floor)
            start = starting_params(self, surveyed, sample, floor, random_state)
            self._publish(start, history=(), converged=False, n_frames_seen=0.0)
        step = incremental_step(
            self.params_,
            source,
            self.n_frames_seen_,
            floor_fraction=self.variance_floor,
            shrinkage=self.shrinkage,
            memory_frames=self.memory_frames,
            precision=self.precision,
        )
        self.variance_floor_ = step.variance_floor
        self._publish(step.params, (*self.history_, step.mean_log_likelihood), False, step.n_frames_seen)
        return self

    def score_samples(self, X: npt.ArrayLike) -> Float64Array:
        """Return the log-likelihood of each frame, shape (n_frames,)."""
        params = self._fitted_params()
        return frame_log_likelihoods(params, self._validated(X), precision=self.precision)

    def impute(self, X: npt.ArrayLike) -> Float64Array:
        """Return the frames with the expectation ``E[x_m | x_o]`` of each missing feature given the observed ones.

        Examples
        --------
        >>> from gmmaudio.gmm.covariances import Full
        >>> params = GmmParams([1.0], [[0.0, 0.0]], Full([[[1.0, 0.5], [0.5, 1.0]]]))
        >>> GMM.from_params(params).impute([[2.0, np.nan], [1.0, 1.0]])
        array([[2., 1.],
               [1., 1.]])
        """
        return imputed(self._fitted_params(), self._validated(X))

    def bic(self, X: npt.ArrayLike) -> float:
        """Return the Bayesian information criterion; see `gmmaudio.gmm.criteria.bic`."""
        log_likelihoods = self.score_samples(X)
        return bic(float(log_likelihoods.sum()), self._fitted_params().n_free, len(log_likelihoods))

    def aic(self, X: npt.ArrayLike) -> float:
        """Return the Akaike information criterion; see `gmmaudio.gmm.criteria.aic`."""
        return aic(float(self.score_samples(X).sum()), self._fitted_params().n_free)

    def _publish(self, params: GmmParams, history: tuple[float, ...], converged: bool, n_frames_seen: float) -> None:
        """Set the attributes that training leaves."""
        self.params_ = params
        self.history_ = history
        self.n_iter_ = len(history)
        self.converged_ = converged
        self.n_frames_seen_ = n_frames_seen
