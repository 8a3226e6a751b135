"""`BayesianGMM`: the mixture that leaves components empty which the data do not need, as a scikit-learn estimator."""

from collections.abc import Callable
from functools import partial
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from gmmaudio._typing import Float64Array
from gmmaudio.em import run_em, warn_unconverged
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.bayesian.predictive import predictive_log_likelihoods
from gmmaudio.gmm.bayesian.variational import MixturePosterior, MixturePrior, estimate_posterior, with_bound
from gmmaudio.gmm.bayesian.weight_priors import weight_prior
from gmmaudio.gmm.covariances import Covariances, structure_of
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import estimate_ml
from gmmaudio.gmm.estimator import GMM
from gmmaudio.gmm.frame_source import Frames, FrameSource
from gmmaudio.gmm.mixture_estimator import MixtureEstimator
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.initialization import Initialization
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.gmm.survey import Survey, survey
from gmmaudio.gmm.training import accumulate_source, check_n_components, empty_sample, plain_options, starting_params
from gmmaudio.persistence import StoredModel

WeightPriorType = Literal["dirichlet_process", "dirichlet_distribution"]

SMALLEST_VARIANCE = 1e-6
"""Of a start and of the default prior, as a fraction of the variance of the data; what they need to be positive."""

_ARRAYS = ("weights_init", "means_init", "covariances_init", "mean_prior", "covariance_prior")


class BayesianGMM(MixtureEstimator):
    """Mixture of Gaussians by variational Bayes, which prunes components by itself.

    Give more components than may be needed: those that the data do not need end with no frames. For the mathematics,
    and what `covariance_type` means here, see `gmmaudio.gmm.bayesian.variational`.

    Parameters
    ----------
    n_components : int
        The most that there may be.
    covariance_type : {"diag", "full", "tied", "spherical"}
    weight_concentration_prior_type : {"dirichlet_process", "dirichlet_distribution"}
        See `gmmaudio.gmm.bayesian.weight_priors`.
    weight_concentration_prior : float, optional
        The smaller, the fewer components are used; ``1 / n_components`` if not given.
    mean_precision_prior : float, optional
        Number of frames that `mean_prior` counts as, 1 if not given.
    mean_prior : array-like, shape (n_features,), optional
        The mean of the data if not given.
    degrees_of_freedom_prior : float, optional
        Number of frames that `covariance_prior` counts as, more than ``n_features − 1``; n_features if not given.
    covariance_prior : array-like, optional
        Of one component, times `degrees_of_freedom_prior`: a matrix ("full", "tied"), a variance for each feature
        ("diag"), or one number ("spherical"). If not given, that of the data, as in scikit-learn.
    max_iter : int
    tol : float
        Training ends when the bound per frame changes by less than this, in nats. Small by default: components empty
        slowly. 0.0 runs all iterations.
    init : {"kmeans++", "trimmed", "greedy", "split", "random"}
        How the start is found; see `gmmaudio.gmm.starts`. A greedy start has few components
        too many where they are needed, and most often ends with a higher bound; its time grows with the square of
        n_components.
    weights_init, means_init, covariances_init : array-like, optional
        A mixture to start from, as in `GMM`: the first posterior is that of frames drawn from it.
    precision : {"double", "single"}
        Arithmetic of densities. The change of the bound from one iteration to the next is below the rounding of single
        precision long before components have emptied.
    random_state : int, RandomState or None

    Attributes
    ----------
    posterior_ : MixturePosterior
        What is known of the parameters; `posterior_.prior` is what was known before.
    params_ : GmmParams
        Expected weights and means, and inverses of expected precisions.
    weights_, means_, covariances_ : array
        The same arrays, in the shapes of scikit-learn's `BayesianGaussianMixture`.
    counts_ : array, shape (n_components,)
        Expected number of frames of each component.
    n_active_ : int
        Number of components with at least one frame.
    lower_bound_ : float
        Variational bound of the log evidence of all frames, in nats. With all constants, unlike scikit-learn's: models
        with other numbers of components or structures can be compared by it.
    history_ : tuple of float
        Bound per frame of the posterior that entered each iteration; it never falls.
    n_iter_ : int
    converged_ : bool

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(mean, 1, (200, 2)) for mean in (-8, 0, 8)])
    >>> model = BayesianGMM(10, random_state=0).fit(X)
    >>> model.n_active_, np.sort(model.to_gmm().means_[:, 0]).round()
    (3, array([-8., -0.,  8.]))
    """

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "diag",
        weight_concentration_prior_type: WeightPriorType = "dirichlet_process",
        weight_concentration_prior: float | None = None,
        mean_precision_prior: float | None = None,
        mean_prior: npt.ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        covariance_prior: npt.ArrayLike | None = None,
        max_iter: int = 1000,
        tol: float = 1e-6,
        init: Initialization = "greedy",
        weights_init: npt.ArrayLike | None = None,
        means_init: npt.ArrayLike | None = None,
        covariances_init: npt.ArrayLike | None = None,
        precision: Precision = "double",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.weight_concentration_prior_type = weight_concentration_prior_type
        self.weight_concentration_prior = weight_concentration_prior
        self.mean_precision_prior = mean_precision_prior
        self.mean_prior = mean_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.covariance_prior = covariance_prior
        self.max_iter = max_iter
        self.tol = tol
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
        callback: Callable[[int, MixturePosterior, float], None] | None = None,
    ) -> Self:
        """Train on frames, in memory that does not grow with their number.

        Parameters
        ----------
        X : array-like, memory map, chunks or paths
            As in `GMM.fit`, but nothing may be missing.
        y : ignored
        sample_weight : array-like, shape (n_frames,), optional
            How many times each frame counts. Not only their ratios matter: more frames outweigh more of the prior.
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
        check_n_components(self.n_components)
        structure_of(self.covariance_type)
        source = self._source(X, sample_weight, rescale=False)
        random_state = check_random_state(self.random_state)
        sample = empty_sample(self, random_state)
        surveyed = survey(source, sample)
        if source.has_missing:
            raise ParameterError("X holds NaN, which BayesianGMM cannot use; GMM can, and impute fills it in")
        self.n_features_in_ = surveyed.n_features
        floor = surveyed.variance_floor(SMALLEST_VARIANCE)
        prior = self._prior(surveyed, source, floor)
        start = starting_params(self, surveyed, sample, floor, random_state)
        accumulate = partial(_accumulate, source=source, precision=self.precision)
        result = run_em(
            estimate_posterior(GmmStats.expected(start, surveyed.total_weight * start.weights), prior),
            accumulate,
            partial(estimate_posterior, prior=prior),
            max_iter=self.max_iter,
            tol=self.tol,
            callback=callback,
        )
        warn_unconverged(result, max_iter=self.max_iter, tol=self.tol)
        bound = accumulate(result.params).log_likelihood
        self._publish(result.params, result.history, result.converged, bound)
        return self

    def score_samples(self, X: npt.ArrayLike) -> Float64Array:
        """Return the log of the predictive density of each frame, shape (n_frames,).

        A mixture of Student distributions, in which the parameters are integrated out; see
        `gmmaudio.gmm.bayesian.predictive`.
        """
        check_is_fitted(self, "posterior_")
        return predictive_log_likelihoods(self.posterior_, self._validated(X), precision=self.precision)

    def _assigning_params(self) -> GmmParams:
        """Return the parameters that the variational responsibilities follow from."""
        check_is_fitted(self, "posterior_")
        return self.posterior_.surrogate

    def to_gmm(self) -> GMM:
        """Return the active components as a mixture with fixed parameters."""
        params = self._fitted_params()
        active = self.posterior_.active
        weights = params.weights[active]
        kept = GmmParams(weights / weights.sum(), params.means[active], params.covariances.chosen(active))
        return GMM.from_params(kept, precision=self.precision)

    def to_stored(self) -> StoredModel:
        """Return the fitted model as it is written to a file; `*_init` and arrays among the options are left behind."""
        check_is_fitted(self, "posterior_")
        options = {name: value for name, value in plain_options(self).items() if name not in _ARRAYS}
        if isinstance(self.random_state, np.random.RandomState):
            options["random_state"] = None  # the state of a generator is no number
        fitted = {"history": list(self.history_), "converged": self.converged_, "lower_bound": self.lower_bound_}
        stored = self.posterior_.to_stored()
        return StoredModel(
            "bayesian_gmm", {"options": options, "fitted": fitted, "posterior": stored.config}, stored.arrays
        )

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fitted model from what a file holds."""
        model = cls(**stored.config["options"])
        posterior = MixturePosterior.from_stored(
            StoredModel("mixture_posterior", stored.config["posterior"], stored.arrays)
        )
        if len(posterior.counts) != model.n_components:
            raise ParameterError(
                f"n_components is {model.n_components} but there are {len(posterior.counts)} components"
            )
        fitted = stored.config["fitted"]
        model.n_features_in_ = posterior.means.shape[1]
        history = tuple(float(value) for value in fitted["history"])
        model._publish(posterior, history, bool(fitted["converged"]), float(fitted["lower_bound"]))
        return model

    def _publish(
        self, posterior: MixturePosterior, history: tuple[float, ...], converged: bool, lower_bound: float
    ) -> None:
        """Set the attributes that training leaves."""
        self.posterior_ = posterior
        self.params_ = posterior.expected_params
        self.counts_ = posterior.counts
        self.n_active_ = int(posterior.active.sum())
        self.lower_bound_ = lower_bound
        self.history_ = history
        self.n_iter_ = len(history)
        self.converged_ = converged

    def _prior(self, surveyed: Survey, source: FrameSource, floor: Float64Array) -> MixturePrior:
        """Return the prior: the options, and what the data say where none is given."""
        structure, n_features = structure_of(self.covariance_type), surveyed.n_features
        scatter = self.covariance_prior
        concentration, precision, degrees = (
            default if given is None else given
            for given, default in (
                (self.weight_concentration_prior, 1.0 / self.n_components),
                (self.mean_precision_prior, 1.0),
                (self.degrees_of_freedom_prior, float(n_features)),
            )
        )
        prior = MixturePrior(
            weight_prior(self.weight_concentration_prior_type, concentration),
            surveyed.mean if self.mean_prior is None else np.asarray(self.mean_prior),
            precision,
            degrees,
            structure.repeated(
                _scatter(structure, surveyed, source, floor) if scatter is None else scatter, self.n_components
            ),
        )
        if prior.mean.shape != (n_features,):
            raise ParameterError(f"mean_prior has shape {prior.mean.shape} but the data need ({n_features},)")
        prior.covariances.check_fits(self.n_components, n_features)
        return prior


def _accumulate(posterior: MixturePosterior, *, source: FrameSource, precision: Precision) -> GmmStats:
    """Return the statistics of all frames, with the bound as their log-likelihood."""
    return with_bound(accumulate_source(posterior.surrogate, source=source, precision=precision), posterior)


def _scatter(structure: type[Covariances], surveyed: Survey, source: FrameSource, floor: Float64Array) -> Float64Array:
    """Return the unbiased covariance of all frames in the shape that `covariance_prior` has."""
    whole = GmmParams([1.0], surveyed.mean[np.newaxis], structure.from_variances(surveyed.variance[np.newaxis] + floor))
    fitted = estimate_ml(accumulate_source(whole, source=source, precision="double"), variance_floor=floor)
    unbiased = surveyed.total_weight / max(surveyed.total_weight - 1.0, 1.0)
    return unbiased * fitted.covariances.first()
