"""hmmlearn's interface over `GMMHMM`, as much of it as hmmlearn's own tests use."""

import numpy as np
from hmmlearn.base import ConvergenceMonitor
from sklearn.utils import check_random_state

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.hmm import GMMHMM, HmmParams, MixtureEmissions
from gmmaudio.hmm.sampling import sample_sequence

_UPDATES = {"s": "start", "t": "transitions", "m": "means", "c": "covariances", "w": "weights"}

_ONE_STEP = {"max_iter": 1, "tol": 0.0, "precision": "double", "variance_floor": 1e-9}  # hmmlearn's floor is absolute


class PeerGMMHMM:
    """`hmmlearn.hmm.GMMHMM` with diagonal covariances; letters say what is initialised and what is trained."""

    def __init__(
        self,
        n_components=1,
        n_mix=1,
        covariance_type="diag",
        *,
        n_iter=10,
        tol=1e-2,
        params="stmcw",
        init_params="stmcw",
        random_state=None,
        verbose=False,
        implementation="log",
        covars_prior=None,
    ):
        self.n_components, self.n_mix, self.covariance_type = n_components, n_mix, covariance_type
        self.n_iter, self.tol, self.params, self.init_params = n_iter, tol, params, init_params
        self.random_state = random_state
        self.monitor_ = ConvergenceMonitor(tol, n_iter, verbose)

    def _mixtures(self):
        return [GmmParams(*arrays) for arrays in zip(self.weights_, self.means_, self.covars_, strict=True)]

    def _model(self):
        if self.covariance_type != "diag":
            raise ParameterError(f"covariance_type is {self.covariance_type!r}")
        return HmmParams(self.startprob_, self.transmat_, MixtureEmissions(self._mixtures()))

    def _take(self, model, letters="stmcw"):
        mixtures = model.emissions.mixtures
        found = {
            "s": ("startprob_", model.start_probs),
            "t": ("transmat_", model.transition_matrix),
            "w": ("weights_", np.stack([mixture.weights for mixture in mixtures])),
            "m": ("means_", np.stack([mixture.means for mixture in mixtures])),
            "c": ("covars_", np.stack([mixture.variances for mixture in mixtures])),
        }
        for letter in set(letters) & set(found):
            setattr(self, *found[letter])

    def _hmm(self):
        return GMMHMM.from_params(self._model(), precision="double")

    def _check(self):
        self._model()

    def _init(self, X, lengths=None):
        models = []
        start = GMMHMM(self.n_components, self.n_mix, random_state=self.random_state, **_ONE_STEP)
        start.fit(
            X, None if lengths is None else np.atleast_1d(lengths), callback=lambda _, model, __: models.append(model)
        )
        self._take(models[0], set(self.init_params) & set("mcw"))
        if "s" in self.init_params:
            self.startprob_ = np.full(self.n_components, 1 / self.n_components)
        if "t" in self.init_params:
            self.transmat_ = np.full((self.n_components, self.n_components), 1 / self.n_components)

    def fit(self, X, lengths=None):
        if self.init_params:
            self._init(X, lengths)
        self.monitor_.n_iter = self.n_iter
        self.monitor_._reset()
        for _ in range(self.n_iter):
            model = self._model()
            step = GMMHMM(
                self.n_components,
                self.n_mix,
                start_probs_init=model.start_probs,
                transition_matrix_init=model.transition_matrix,
                weights_init=[mixture.weights for mixture in model.emissions.mixtures],
                means_init=[mixture.means for mixture in model.emissions.mixtures],
                covariances_init=[mixture.variances for mixture in model.emissions.mixtures],
                **_ONE_STEP,
                **{f"update_{name}": letter in self.params for letter, name in _UPDATES.items()},
            ).fit(X, lengths)
            self._take(step.params_)
            self.monitor_.report(step.history_[0] * len(X))
            if self.monitor_.converged:
                break
        return self

    def score(self, X, lengths=None):
        return self._hmm().score(X, lengths)

    def score_samples(self, X, lengths=None):
        return self.score(X, lengths), self.predict_proba(X, lengths)

    def predict_proba(self, X, lengths=None):
        return self._hmm().predict_proba(X, lengths)

    def decode(self, X, lengths=None, algorithm="viterbi"):
        return self._hmm().decode(X, lengths)

    def aic(self, X, lengths=None):
        return self._hmm().aic(X, lengths)

    def bic(self, X, lengths=None):
        return self._hmm().bic(X, lengths)

    def sample(self, n_samples=1, random_state=None):
        chosen = self.random_state if random_state is None else random_state
        return sample_sequence(self._model(), n_samples, check_random_state(chosen))


class PeerGaussianHMM(PeerGMMHMM):
    """`hmmlearn.hmm.GaussianHMM` with diagonal covariances: one component, and no axis for it."""

    def __init__(self, n_components=1, covariance_type="diag", **options):
        super().__init__(n_components, 1, covariance_type, **options)

    @property
    def weights_(self):
        return np.ones((self.n_components, 1))

    @weights_.setter
    def weights_(self, value):
        pass

    def _mixtures(self):
        pairs = zip(np.reshape(self.means_, (self.n_components, -1)), self._rows(), strict=True)
        return [GmmParams([1.0], mean[np.newaxis], variance[np.newaxis]) for mean, variance in pairs]

    def _rows(self):
        return np.reshape(np.asarray(self._covars_, dtype=float), (self.n_components, -1))

    @property
    def covars_(self):
        return self._rows()[:, np.newaxis]

    @covars_.setter
    def covars_(self, value):
        self._covars_ = np.asarray(value, dtype=float)

    def _take(self, model, letters="stmcw"):
        super()._take(model, letters)
        if "m" in letters:
            self.means_ = np.asarray(self.means_)[:, 0]
        if "c" in letters:
            self._covars_ = self._rows()
