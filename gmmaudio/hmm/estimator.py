"""`GMMHMM`: the hidden Markov model with the manners of a scikit-learn estimator; all mathematics is elsewhere."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from gmmaudio._typing import Float64Array
from gmmaudio.checkpoint import CheckpointFile
from gmmaudio.em import EmResult, run_em, warn_unconverged
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import MIN_OCCUPANCY, absolute_variance_floor
from gmmaudio.hmm import _options
from gmmaudio.hmm._scoring import HmmScoring
from gmmaudio.hmm._sequence_forms import Sequences
from gmmaudio.hmm.alignment import ALIGNERS, Training
from gmmaudio.hmm.estimation import Updates
from gmmaudio.hmm.initialization import Initialization, Plan, initial_hmm
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.prior import Prior
from gmmaudio.hmm.sequences import SequenceSource
from gmmaudio.hmm.topology import Topology
from gmmaudio.hmm.training import EmSteps, LocalData, TrainingData
from gmmaudio.persistence import StoredModel


class GMMHMM(HmmScoring, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Hidden Markov model whose states emit mixtures of Gaussians with diagonal covariances.

    Parameters
    ----------
    n_states : int
    n_components : int or sequence of int
        Gaussians of each state, one number for all or one for each; of the codebook if `tied`.
    topology : {"ergodic", "left-right"}, array of bool, shape (n_states, n_states), or Topology
        Which transitions are possible. "left-right" starts in state 0 and stays or goes on to the next; a `Topology`
        also says where a sequence may start and end. What is impossible stays so.
    covariance_type : "diag"
        Shape of the covariances; "diag" is the only one so far.
    tied : bool
        Whether all states share one codebook of Gaussians, each with weights of its own (semi-continuous).
    max_iter : int
        Largest number of EM iterations.
    tol : float
        EM ends when the mean log-likelihood per frame changes by less than this, in nats. 0.0 runs all iterations.
    variance_floor : float
        Smallest variance, as a fraction of the global variance of that feature. A feature that is constant in the
        training data counts as having unit variance.
    min_occupancy : float
        A component with fewer frames than this takes over one half of the heaviest one of its state.
    training : {"baum-welch", "viterbi"}
        Whether frames belong to states by their posteriors or by the best path.
    init : {"alignment", "clusters"}, optional
        How training starts (see `gmmaudio.hmm.initialization`): by default "alignment" where time goes one way and
        "clusters" elsewhere.
    n_init : int
        Number of starts; the best after a few iterations is trained to the end.
    prior : HmmParams, optional
        A model to adapt: maximum a posteriori estimation towards it (Gauvain & Lee 1994). Training starts there unless
        all of the `*_init` emissions are given.
    relevance_factor : float
        How much the prior counts, in frames of each component.
    update_start, update_transitions, update_weights, update_means, update_covariances : bool
        What training changes.
    start_probs_init, transition_matrix_init, end_probs_init : array-like, optional
        The chain that training starts with; uniform where the topology allows by default.
    weights_init, means_init, covariances_init : array-like, optional
        Where the emissions start, in the shapes of the attributes; with all three given, nothing else is done to
        initialise.
    precision : {"single", "double"}
        Arithmetic of densities; recursions and sums are float64 in both.
    random_state : int, RandomState or None

    Attributes
    ----------
    params_ : HmmParams
        The model as a value.
    start_probs_, transition_matrix_, end_probs_ : array
        The chain; `end_probs_` is None where a sequence may end anywhere.
    weights_, means_, covariances_ : array
        Shapes (n_states, n_components), and (n_states, n_components, n_features) twice; tuples of arrays where the
        states differ in their number of components. If `tied`, means and covariances are those of the codebook,
        shape (n_components, n_features).
    topology_ : Topology
        What the chain was allowed to do.
    history_ : tuple of float
        Mean log-likelihood per frame of the parameters that entered each iteration; `params_` is one update further.
    n_iter_ : int
    converged_ : bool
        False at the iteration limit.
    variance_floor_ : array, shape (n_features,)
        Smallest variance that `fit` allowed, in squared units of the features.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = [np.concatenate([rng.normal(0, 1, (30, 2)), rng.normal(4, 1, (20, 2))]) for _ in range(5)]
    >>> hmm = GMMHMM(2, topology="left-right").fit(X)
    >>> hmm.transition_matrix_.round(2)
    array([[0.97, 0.03],
           [0.  , 1.  ]])
    >>> int(hmm.predict(X[:1]).argmax())
    30
    """

    def __init__(
        self,
        n_states: int = 1,
        n_components: Any = 1,
        *,
        topology: Any = "ergodic",
        covariance_type: str = "diag",
        tied: bool = False,
        max_iter: int = 100,
        tol: float = 1e-3,
        variance_floor: float = 1e-3,
        min_occupancy: float = MIN_OCCUPANCY,
        training: Training = "baum-welch",
        init: Initialization | None = None,
        n_init: int = 1,
        prior: HmmParams | None = None,
        relevance_factor: float = 16.0,
        update_start: bool = True,
        update_transitions: bool = True,
        update_weights: bool = True,
        update_means: bool = True,
        update_covariances: bool = True,
        start_probs_init: npt.ArrayLike | None = None,
        transition_matrix_init: npt.ArrayLike | None = None,
        end_probs_init: npt.ArrayLike | None = None,
        weights_init: Any = None,
        means_init: Any = None,
        covariances_init: Any = None,
        precision: Precision = "single",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_states = n_states
        self.n_components = n_components
        self.topology = topology
        self.covariance_type = covariance_type
        self.tied = tied
        self.max_iter = max_iter
        self.tol = tol
        self.variance_floor = variance_floor
        self.min_occupancy = min_occupancy
        self.training = training
        self.init = init
        self.n_init = n_init
        self.prior = prior
        self.relevance_factor = relevance_factor
        self.update_start = update_start
        self.update_transitions = update_transitions
        self.update_weights = update_weights
        self.update_means = update_means
        self.update_covariances = update_covariances
        self.start_probs_init = start_probs_init
        self.transition_matrix_init = transition_matrix_init
        self.end_probs_init = end_probs_init
        self.weights_init = weights_init
        self.means_init = means_init
        self.covariances_init = covariances_init
        self.precision = precision
        self.random_state = random_state

    @classmethod
    def from_params(cls, params: HmmParams, *, precision: Precision = "single") -> Self:
        """Return an estimator that scores and decodes with known parameters, as if it had been fitted."""
        hmm = cls(params.n_states, **_options.of_params(params), precision=precision)
        hmm._publish(_options.allowed_by(params), EmResult(params, (), 0, converged=False))
        return hmm

    def fit(
        self,
        X: Sequences,
        lengths: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        callback: Callable[[int, HmmParams, float], None] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train on sequences, in memory that does not grow with their number where they come from files.

        Parameters
        ----------
        X : array-like, list of arrays, list of paths, or iterable
            One array of shape (n_frames, n_features) with `lengths`, or one item per sequence: a list of arrays or of
            `.npy` and `.features` files, an object whose `__iter__` starts afresh, or a function that returns a fresh
            iterator. NaN is a missing feature. Arrays, lists and files give the same bits in any order.
        lengths : array-like of int, optional
            Lengths of the sequences of one array; one sequence by default.
        sample_weight : array-like, shape (n_frames,), optional
            The log-likelihood of a frame is multiplied by its weight; of a frame of weight 0 only the time counts.
        callback : callable, optional
            For progress bars; see `gmmaudio.em.run_em`.
        checkpoint : path-like, optional
            A file that keeps the training, as in `GMM.fit`.

        Raises
        ------
        ParameterError
            If an option, a weight or a sequence cannot be used, or the checkpoint is of another training.
        GmmAudioError
            If a file cannot be read or written.

        Warns
        -----
        ConvergenceWarning
            If the iteration limit ends the training.
        """
        _options.check(self)
        source = SequenceSource(self._validated(X, reset=True), lengths, sample_weight)
        self.n_features_in_ = source.n_features
        random_state = check_random_state(self.random_state)
        identity = _options.identity(self, random_state)
        with contextlib.ExitStack() as stack:
            kept = None
            if checkpoint is not None:
                identity |= {"n_sequences": source.n_sequences, "n_features": source.n_features, "data": source.digest}
                kept = stack.enter_context(CheckpointFile(checkpoint, identity))
            return self._train(LocalData(source), random_state, callback, kept)

    def to_stored(self) -> StoredModel:
        """Return the fitted model as it is written to a file; `prior` and the `*_init` parameters are left behind."""
        return _options.to_stored(self)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fitted model from what a file holds."""
        options, topology, result = _options.from_stored(stored)
        hmm = cls(**options)
        _options.check(hmm)
        hmm._publish(topology, result)
        return hmm

    def _train(
        self,
        data: TrainingData,
        random_state: np.random.RandomState,
        callback: Callable[[int, HmmParams, float], None] | None,
        kept: CheckpointFile | None = None,
    ) -> Self:
        """Train on sequences, wherever they are."""
        chain = _options.chain(self)
        _options.check_lengths(chain, data.lengths)
        mean, variance = data.moments()
        floor = absolute_variance_floor(mean, variance, fraction=self.variance_floor)
        steps = EmSteps(data, ALIGNERS[self.training], floor, self.precision, self.min_occupancy, *self._goals())
        resume = None if kept is None else kept.state
        result = run_em(
            self._start(chain, steps, mean, variance, random_state) if resume is None else resume.params,
            steps.accumulate,
            steps.estimate,
            max_iter=self.max_iter,
            tol=self.tol,
            may_fall=steps.may_fall,
            callback=callback,
            resume=resume,
            on_update=None if kept is None else kept.keep,
        )
        warn_unconverged(result, max_iter=self.max_iter, tol=self.tol)
        self.variance_floor_ = floor
        self._publish(_options.allowed_by_chain(chain), result)
        return self

    def _goals(self) -> tuple[Prior | None, Updates]:
        """Return the prior, and what is to be updated."""
        prior = None if self.prior is None else Prior(self.prior, self.relevance_factor)
        names = ("start", "transitions", "weights", "means", "covariances")
        return prior, Updates(*(getattr(self, f"update_{name}") for name in names))

    def _start(
        self,
        chain: _options.Chain,
        steps: EmSteps,
        mean: Float64Array,
        variance: Float64Array,
        random_state: np.random.RandomState,
    ) -> HmmParams:
        """Return where EM starts: the given parameters, completed by the initialiser where some are missing."""
        start: HmmParams | None = None
        if any(values is None for values in (self.weights_init, self.means_init, self.covariances_init)):
            start = self.prior
            if start is None:
                numbers = _options.numbers_of_components(self)
                init = self.init or _options.default_init(chain)
                plan = Plan(*chain, numbers, self.tied, init, mean, variance, steps)
                start = initial_hmm(plan, n_init=self.n_init, random_state=random_state)
        return _options.completed_start(self, chain, start, steps.data.n_features)

    def _publish(self, topology: Topology, result: EmResult[HmmParams]) -> None:
        """Set the attributes of a fitted estimator."""
        self.params_ = result.params
        self.topology_ = topology
        self.history_ = result.history
        self.n_iter_ = result.n_iter
        self.converged_ = result.converged
        self.n_features_in_ = result.params.n_features
