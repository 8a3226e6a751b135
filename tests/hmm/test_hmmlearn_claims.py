"""What hmmlearn's own tests claim, run against us, with tolerances that mean something.

The test classes and the data are those of the installed hmmlearn; its models are replaced by ours. Where a test asks
for less than it says (one rise among many steps, a relative error of 1000 %, a failure), it is overridden here.
Left out are covariance structures that are not ours, and messages and attributes that only hmmlearn has.
"""

import itertools

import numpy as np
import pytest
from hmm.hmmlearn_api import PeerGaussianHMM, PeerGMMHMM

with np.errstate():  # importing them makes NumPy report every underflow, in all tests that follow
    from hmmlearn.tests import test_gaussian_hmm as gaussian_tests
    from hmmlearn.tests import test_gmm_hmm_multisequence as sequence_tests
    from hmmlearn.tests import test_gmm_hmm_new as mixture_tests
    from hmmlearn.tests.test_gmm_hmm import create_random_gmm

FALL = 1e-9  # relative: rounding of float64
ONE_WAY = pytest.mark.parametrize("implementation", ["log"])  # "scaling" and "log" are one and the same here


def assert_likelihood_never_falls(h, X, lengths, n_iter):
    """hmmlearn's own version asks for a rise in one of the steps."""
    h.n_iter, h.init_params = 1, ""
    scores = []
    for _ in range(n_iter):
        h.fit(X, lengths)
        scores.append(h.score(X, lengths))
    assert (np.diff(scores) > -FALL * np.abs(scores[1:])).all()


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """Our models in the place of hmmlearn's."""
    monkeypatch.setattr(mixture_tests, "GMMHMM", PeerGMMHMM)
    monkeypatch.setattr(gaussian_tests.hmm, "GaussianHMM", PeerGaussianHMM)
    for module in (mixture_tests, gaussian_tests):
        monkeypatch.setattr(module, "assert_log_likelihood_increasing", assert_likelihood_never_falls)


class TestGMMHMM(mixture_tests.GMMHMMTestMixin):
    covariance_type = "diag"

    @ONE_WAY
    def test_fit_zero_variance(self, implementation):
        """Expected to fail in hmmlearn."""
        seen = []
        model = self.new_hmm(implementation)
        model.fit = lambda X: seen.append((X, PeerGMMHMM.fit(model, X)))
        self.new_hmm = lambda _: model
        super().test_fit_zero_variance(implementation)
        ((X, fitted),) = seen
        assert np.isfinite(fitted.covars_).all()
        assert np.isfinite(fitted.score(X))

    @ONE_WAY
    def test_criterion(self, implementation):
        """hmmlearn's own asks whether `np.all(aic)`, which is True, is greater than 0."""
        truth = self.new_hmm(implementation)
        truth.means_ = truth.means_ * 10
        X, _ = truth.sample(4000, random_state=2013)
        models = [PeerGMMHMM(n, 2, random_state=2013).fit(X) for n in (2, 3, 4, 5)]
        assert np.argmin([model.bic(X) for model in models]) == 1
        assert np.argmin([model.aic(X) for model in models]) in (1, 2)


class TestKmeansInit(mixture_tests.TestGMMHMM_KmeansInit):
    pass


@pytest.mark.parametrize("n_parts", [1, 5])
def test_chunked_sequences_give_about_the_same_model(n_parts):
    """hmmlearn's `test_chunked`: five sequences of 200 frames have lost four transitions, no more."""
    gmm = create_random_gmm(3, 2, covariance_type="diag", prng=0)
    rng = np.random.default_rng(0)
    components = rng.choice(3, 1000, p=gmm.weights_)
    data = gmm.means_[components] + np.sqrt(0.03) * rng.normal(size=(1000, 2))
    whole, parts = (PeerGMMHMM(3, 2, random_state=1, init_params="mcw", n_iter=30) for _ in range(2))
    for model in (whole, parts):
        model.startprob_, model.transmat_ = np.full(3, 1 / 3), np.full((3, 3), 1 / 3)
    whole.fit(data)
    parts.fit(data, [1000 // n_parts] * n_parts)
    np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-2)
    np.testing.assert_allclose(parts.transmat_, whole.transmat_, atol=1e-2)


def test_fit_does_not_depend_on_the_order_of_the_sequences():
    """hmmlearn allows half a per cent; issue 410 is its data."""
    data = sequence_tests.EXAMPLE_SEQUENCES_ISSUE_410_PRUNED
    scores = []
    for order in itertools.permutations(range(len(data))):
        X, lengths = np.concatenate(data[list(order)]), [len(sequence) for sequence in data]
        model = PeerGMMHMM(2, 2, n_iter=200, init_params="mcw", random_state=1234)
        model.startprob_, model.transmat_ = np.full(2, 0.5), np.full((2, 2), 0.5)
        model.monitor_ = sequence_tests.StrictMonitor(model.monitor_.tol, 200, False)
        model.fit(X, lengths)
        assert model.monitor_.converged
        scores.append(model.score(X, lengths))
    assert len(set(scores)) == 1


class TestGaussianHMM(gaussian_tests.TestGaussianHMMWithDiagonalCovars):
    covariance_type = "diag"
    test_fit_ignored_init_warns = None  # a message of hmmlearn
    test_fit_too_little_data = None  # a message of hmmlearn
    test_covar_is_writeable = None  # an attribute of hmmlearn; ours are read-only on purpose

    @ONE_WAY
    def test_criterion(self, implementation):
        """hmmlearn's own asks whether `np.all(aic)`, which is True, is greater than 0."""
        truth = PeerGaussianHMM(self.n_components)
        truth.startprob_, truth.transmat_ = self.startprob, self.transmat
        truth.means_, truth.covars_ = self.means * 10, self.covars
        X, _ = truth.sample(2000, random_state=42)
        models = [PeerGaussianHMM(n, n_iter=50, random_state=42).fit(X) for n in (2, 3, 4)]
        assert np.argmin([model.bic(X) for model in models]) == 1

    @ONE_WAY
    def test_fit_with_priors(self, implementation):
        """hmmlearn's own compares covariances with a relative tolerance of 10."""
        truth = PeerGaussianHMM(self.n_components)
        truth.startprob_, truth.transmat_ = self.startprob, self.transmat
        truth.means_, truth.covars_ = 20.0 * self.means, self.covars
        lengths = [200] * 10
        X, _ = truth.sample(sum(lengths), random_state=0)
        model = PeerGaussianHMM(self.n_components, init_params="mc", random_state=0)
        model.startprob_, model.transmat_ = np.full(3, 1 / 3), np.full((3, 3), 1 / 3)
        model._init(X, lengths)
        assert_likelihood_never_falls(model, X, lengths, 20)
        np.testing.assert_allclose(np.sort(model.means_.ravel()), np.sort(truth.means_.ravel()), rtol=1e-3, atol=0.02)
        order, wanted = (np.lexsort(array.T) for array in (model.means_.round(), truth.means_))
        np.testing.assert_allclose(model._covars_[order], truth._covars_[wanted], rtol=0.2)  # 3 σ of 400 frames

    @ONE_WAY
    def test_underflow_from_scaling(self, implementation):
        """hmmlearn's own expects an exception from its scaled recursion."""
        data = np.concatenate([self.prng.normal(mean, 1, 100) for mean in (0, 5, 0, 5)])[:, np.newaxis]
        data[40] = 10_000
        model = PeerGaussianHMM(2, n_iter=100, init_params="")
        model.startprob_, model.transmat_ = np.array([0.0, 1.0]), np.array([[0.4, 0.6], [0.6, 0.4]])
        model.means_, model.covars_ = np.array([[0.0], [5.0]]), np.ones((2, 1))
        assert np.isfinite(model.fit(data).score(data))
