import warnings

import numpy as np
import pytest
from gmm.problems import problem
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import betaln, gammaln
from scipy.stats import multivariate_normal, wishart
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture
from sklearn.mixture._bayesian_mixture import _log_wishart_norm
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GMM, BayesianGMM, GmmStats
from gmmaudio.gmm.bayesian.variational import MixturePosterior, MixturePrior, estimate_posterior
from gmmaudio.gmm.bayesian.weight_priors import DirichletDistribution, DirichletProcess
from gmmaudio.gmm.covariances import Full
from gmmaudio.persistence import load, save

STRUCTURES = ("diag", "full", "tied", "spherical")
WEIGHT_PRIORS = ("dirichlet_process", "dirichlet_distribution")
N_COMPONENTS = 4
SIZES = (100, 60, 40)
RTOL = 1e-9  # float64 after tens of iterations; components that empty amplify the last bits


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([BayesianGMM(), BayesianGMM(2, covariance_type="full")])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module", name="X")
def three_clusters():
    """Three clusters of correlated features and unequal size, away from the origin."""
    rng = np.random.default_rng(0)
    means = (0, 0, 0), (3, 1, -2), (-4, 2, 5)
    return 10 + np.concatenate(
        [rng.multivariate_normal(m, np.eye(3) + 0.5, n) for m, n in zip(means, SIZES, strict=True)]
    )


@pytest.fixture(scope="module", name="assigned")
def random_assignment(X):
    """Responsibilities to start from."""
    return np.eye(N_COMPONENTS)[np.random.default_rng(1).integers(0, N_COMPONENTS, len(X))]


class Peer(BayesianGaussianMixture):
    """scikit-learn's, from given responsibilities."""

    def _initialize_parameters(self, X, *_args, **_options):
        self._initialize(X, self.assigned)


def both(X, assigned, covariance_type, weights, max_iter, **options):
    """Ours and scikit-learn's after so many iterations from the same start."""
    shared = {"covariance_type": covariance_type, "weight_concentration_prior_type": weights, **options}
    shared |= {"tol": 0.0, "max_iter": max_iter}
    n_components = assigned.shape[1]
    counts, means, covariances = _estimate_gaussian_parameters(X, assigned, 0.0, covariance_type)
    start = {"weights_init": counts / counts.sum(), "means_init": means, "covariances_init": covariances}
    peer = Peer(n_components=n_components, reg_covar=0.0, **shared)
    peer.assigned = assigned
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return BayesianGMM(n_components, **shared, **start).fit(X), peer.fit(X)


@pytest.mark.parametrize("weights", WEIGHT_PRIORS)
@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize("max_iter", [1, 20])
def test_parameters_agree_with_scikit_learn(X, assigned, covariance_type, weights, max_iter):
    ours, peer = both(X, assigned, covariance_type, weights, max_iter)
    for name in ("weights_", "means_", "covariances_"):
        assert_allclose(getattr(ours, name), getattr(peer, name), rtol=RTOL)
    assert_allclose(ours.posterior_.mean_precision, peer.mean_precision_, rtol=RTOL)
    degrees = np.broadcast_to(peer.degrees_of_freedom_, N_COMPONENTS)
    assert_allclose(ours.posterior_.degrees_of_freedom, degrees, rtol=RTOL)


def test_parameters_agree_with_scikit_learn_where_every_prior_is_given(X, assigned):
    priors = {"weight_concentration_prior": 0.7, "mean_precision_prior": 3.0, "mean_prior": np.array([9.0, 10.0, 11.0])}
    priors |= {"degrees_of_freedom_prior": 6.5, "covariance_prior": np.diag([1.0, 2.0, 3.0]) + 0.2}
    ours, peer = both(X, assigned, "full", "dirichlet_process", 20, **priors)
    assert_allclose(ours.covariances_, peer.covariances_, rtol=RTOL)


def constants_left_out(peer, n_frames):
    """What scikit-learn's bound leaves out: the normalisers of the prior, and the 2π of the Gaussians."""
    n_components, n_features = peer.means_.shape
    covariance = peer.covariance_prior_
    if np.ndim(covariance) < 2:
        covariance = np.diag(np.broadcast_to(covariance, n_features))
    log_root_precision = -0.5 * np.linalg.slogdet(covariance)[1]
    degrees = np.array([peer.degrees_of_freedom_prior_], dtype=float)
    of_precisions = n_components * _log_wishart_norm(degrees, log_root_precision, n_features)[0]
    of_means = 0.5 * n_features * n_components * np.log(peer.mean_precision_prior_)
    concentration = peer.weight_concentration_prior_
    if peer.weight_concentration_prior_type == "dirichlet_process":
        of_weights = -n_components * betaln(1.0, concentration)
    else:
        of_weights = gammaln(n_components * concentration) - n_components * gammaln(concentration)
    return of_precisions + of_means + of_weights - 0.5 * n_frames * n_features * np.log(2 * np.pi)


@pytest.mark.parametrize("weights", WEIGHT_PRIORS)
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_bound_is_scikit_learns_with_the_constants_that_it_leaves_out(X, covariance_type, weights):
    # At a fixed point: scikit-learn takes its bound after the M-step, ours belongs to the parameters that entered it.
    ours, peer = both(X, np.repeat(np.eye(3), SIZES, axis=0), covariance_type, weights, 130)
    assert ours.history_[-1] - ours.history_[-2] < 1e-12
    assert_allclose(
        ours.lower_bound_, float(np.squeeze(peer.lower_bound_)) + constants_left_out(peer, len(X)), rtol=RTOL
    )


@pytest.mark.parametrize("weights", WEIGHT_PRIORS)
@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_bound_never_falls(X, assigned, covariance_type, weights):
    ours, _ = both(X, assigned, covariance_type, weights, 40)
    assert np.diff(ours.history_).min() > -1e-13  # rounding


def test_bound_of_one_component_is_the_evidence_of_the_frames_one_by_one(X):
    """p(x₁, …, x_n) = Π p(x_t | x₁, …, x_{t−1}), each the predictive density: nothing is approximate with one."""
    frames, prior = X[:12], MixturePrior(DirichletDistribution(1.0), np.full(3, 10.0), 2.0, 4.5, Full([2 * np.eye(3)]))
    fitted = BayesianGMM(
        covariance_type="full",
        weight_concentration_prior_type="dirichlet_distribution",
        mean_prior=prior.mean,
        mean_precision_prior=prior.mean_precision,
        degrees_of_freedom_prior=prior.degrees_of_freedom,
        covariance_prior=2 * np.eye(3),
    ).fit(frames)
    evidence = 0.0
    for number, frame in enumerate(frames):
        seen = frames[:number] - 10.0
        stats = GmmStats([number], [seen.sum(axis=0)], [seen.T @ seen], np.full(3, 10.0), 0.0, number, Full)
        known = BayesianGMM(1)
        known._publish(estimate_posterior(stats, prior), (), True, 0.0)
        known.n_features_in_ = 3
        evidence += known.score([frame])
    assert_allclose(fitted.lower_bound_, evidence, rtol=1e-11)


def test_predictive_density_integrates_to_one():
    frames = problem(1, 3.0).frames[:40, :1]
    model = BayesianGMM(3, random_state=0).fit(frames)
    grid = np.linspace(-300, 300, 200_001)[:, np.newaxis]  # tails fall as the 13th power or faster
    assert_allclose(np.trapezoid(np.exp(model.score_samples(grid)), grid[:, 0]), 1.0, atol=1e-4)


def test_predictive_density_is_the_mean_over_what_the_parameters_may_be(X):
    model = BayesianGMM(2, covariance_type="full", random_state=0).fit(X[::10])
    known, frame, rng = model.posterior_, X[0], np.random.default_rng(0)
    densities = np.zeros(1000)
    for k, weight in enumerate(model.weights_):
        degrees, scale = known.degrees_of_freedom[k], np.linalg.inv(known.covariances.array[k])
        precisions = wishart(degrees, scale / degrees).rvs(len(densities), random_state=rng)
        for number, precision in enumerate(precisions):
            covariance = np.linalg.inv(precision)
            mean = rng.multivariate_normal(known.means[k], covariance / known.mean_precision[k])
            densities[number] += weight * multivariate_normal(mean, covariance).pdf(frame)
    four_errors = 4 * densities.std() / np.sqrt(len(densities))
    assert_allclose(np.exp(model.score([frame])), densities.mean(), atol=four_errors)


@pytest.mark.parametrize("seed", range(20))
def test_components_that_are_not_needed_empty(seed):
    given = problem(seed, separation=6.0)
    weights = WEIGHT_PRIORS[seed % 2]
    model = BayesianGMM(10, weight_concentration_prior_type=weights, random_state=0).fit(given.frames)
    assert model.n_active_ == model.to_gmm().n_components == given.n_components


def test_without_frames_the_posterior_is_the_prior():
    prior = MixturePrior(DirichletProcess(1.0), [1.0, 2.0], 2.0, 5.0, Full(np.tile(3 * np.eye(2), (2, 1, 1))))
    nothing = GmmStats(np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2, 2)), np.zeros(2), 0.0, 0.0, Full)
    known = estimate_posterior(nothing, prior)
    assert_allclose(known.means, [[1.0, 2.0]] * 2, rtol=RTOL)
    assert_allclose(known.covariances.array, prior.covariances.array / 5.0, rtol=RTOL, atol=1e-15)
    assert_allclose(known.divergence, 0.0, atol=1e-13)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_frames_far_from_the_origin_give_the_same_model(X, covariance_type):
    near = BayesianGMM(4, covariance_type=covariance_type, random_state=0, max_iter=20, tol=0.0).fit(X)
    far = BayesianGMM(4, covariance_type=covariance_type, random_state=0, max_iter=20, tol=0.0).fit(X + 1e6)
    assert_allclose(far.covariances_, near.covariances_, rtol=1e-5, atol=1e-6)  # frames have ten digits left
    assert_allclose(far.lower_bound_, near.lower_bound_, rtol=1e-7)


def test_chunks_give_the_bits_of_the_whole(X):
    whole = BayesianGMM(4, covariance_type="full", random_state=0).fit(X)
    chunks = BayesianGMM(4, covariance_type="full", random_state=0).fit([X[:7], X[7:150], X[150:]])
    assert_array_equal(chunks.covariances_, whole.covariances_)
    assert chunks.lower_bound_ == whole.lower_bound_


START = {"weights_init": [0.5, 0.5], "means_init": [[9.0] * 3, [11.0] * 3], "covariances_init": np.ones((2, 3))}


def test_integer_weights_are_repeated_frames(X):
    counts = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = BayesianGMM(2, **START).fit(X, sample_weight=counts)
    repeated = BayesianGMM(2, **START).fit(np.repeat(X, counts, axis=0))
    assert_allclose(weighted.covariances_, repeated.covariances_, rtol=RTOL)
    assert_allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=RTOL)


def test_more_of_the_same_frames_outweigh_the_prior(X):
    once, thousandfold = (
        BayesianGMM(mean_prior=np.zeros(3)).fit(X, sample_weight=np.full(len(X), w)) for w in (0.01, 10)
    )
    assert (np.abs(once.means_) < np.abs(thousandfold.means_)).all()


def test_single_precision_ends_where_double_does(X):
    single, double = (BayesianGMM(4, precision=name, random_state=0, tol=1e-5).fit(X) for name in ("single", "double"))
    assert_allclose(single.lower_bound_, double.lower_bound_, rtol=1e-5)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
@pytest.mark.parametrize(
    "frames",
    [np.zeros((1, 2)), np.repeat([[3.0, 4.0]], 20, axis=0), np.outer(np.arange(20.0), [1.0, 2.0])],
    ids=["one frame", "one value", "collinear"],
)
def test_frames_without_spread_give_finite_models(frames, covariance_type):
    model = BayesianGMM(2, covariance_type=covariance_type, random_state=0).fit(frames)
    assert np.isfinite(model.score_samples(frames)).all()
    assert np.isfinite(model.lower_bound_)


@pytest.mark.parametrize("covariance_type", STRUCTURES)
def test_a_stored_model_is_the_same_model(X, covariance_type, tmp_path):
    model = BayesianGMM(4, covariance_type=covariance_type, random_state=0, mean_prior=X[0]).fit(X)
    save(model, tmp_path / "model.gmm")
    again = load(tmp_path / "model.gmm", kind="bayesian_gmm")
    assert_array_equal(again.score_samples(X), model.score_samples(X))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert (again.lower_bound_, again.history_, again.n_active_) == (
        model.lower_bound_,
        model.history_,
        model.n_active_,
    )


def test_the_active_components_are_a_mixture(X):
    model = BayesianGMM(10, covariance_type="full", random_state=0).fit(X)
    kept = model.to_gmm()
    assert isinstance(kept, GMM)
    assert_allclose(kept.weights_.sum(), 1.0, rtol=RTOL)
    assert_array_equal(kept.means_, model.means_[model.counts_ >= 1])


def test_frames_are_drawn_from_the_expected_mixture(X):
    model = BayesianGMM(3, covariance_type="full", random_state=0).fit(X)
    drawn, components = model.sample(20_000)
    assert_allclose(np.bincount(components, minlength=3) / 20_000, model.weights_, atol=0.02)
    assert_allclose(drawn.mean(axis=0), model.weights_ @ model.means_, atol=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariance_type": "round"}, "covariance_type is 'round'"),
        ({"weight_concentration_prior_type": "uniform"}, "weight_concentration_prior_type is 'uniform'"),
        ({"weight_concentration_prior": 0.0}, r"weight_concentration_prior is 0\.0"),
        ({"mean_precision_prior": -1.0}, r"mean_precision_prior is -1\.0"),
        ({"degrees_of_freedom_prior": 2.0}, "3 features need more than 2"),
        ({"mean_prior": [0.0, 0.0]}, "mean_prior"),
        ({"covariance_prior": np.eye(3)}, r"has shape \(n_features\), not \(3, 3\)"),
        ({"covariance_prior": np.ones(2)}, r"covariances have shape \(1, 2\)"),
        ({"covariance_type": "full", "covariance_prior": -np.eye(3)}, "positive"),
        ({"n_components": 0}, "n_components is 0"),
    ],
)
def test_impossible_options_are_refused(X, options, message):
    with pytest.raises(ParameterError, match=message):
        BayesianGMM(**options).fit(X)


def test_missing_features_are_refused(X):
    with pytest.raises(ValueError, match="NaN"):
        BayesianGMM().fit(np.where(X > 14, np.nan, X))
    with pytest.raises(ParameterError, match="NaN"):
        BayesianGMM().fit([X, np.full((1, 3), np.nan)])


def test_negative_counts_are_refused():
    prior = MixturePrior(DirichletProcess(1.0), [0.0], 1.0, 1.0, Full(np.ones((2, 1, 1))))
    with pytest.raises(ParameterError, match="negative"):
        MixturePosterior(prior, [-1.0, 2.0], np.zeros((2, 1)), Full(np.ones((2, 1, 1))))
