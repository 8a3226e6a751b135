"""Densities, statistics and the M-step of mixtures of Student distributions."""

import pickle

import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, matrices_of
from gmm.students import em_step, log_joint, random_students
from scipy import stats
from scipy.special import logsumexp

from gmmaudio.em import run_em
from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, accumulate_stats, estimate_ml, frame_log_likelihoods
from gmmaudio.gmm.frame_source import FrameSource
from gmmaudio.gmm.student.density import most_likely_students, student_log_likelihoods, student_responsibilities
from gmmaudio.gmm.student.estimation import FIRST_DEGREES, estimate_student
from gmmaudio.gmm.student.parameters import StudentParams, UniformNoise
from gmmaudio.gmm.student.sampling import sample_students
from gmmaudio.gmm.student.statistics import accumulate_blocks, accumulate_student

FLOOR = np.full(3, 1e-12)  # small enough never to act in these tests
RTOL = 1e-9  # double precision, some digits of cancellation in the expanded squares
RTOL_SEARCH = 1e-6  # a maximum is found to the root of the rounding
ATOL_SINGLE = 1e-3  # nats: float32
OFFSET = 1e6

every_structure = pytest.mark.parametrize("name", STRUCTURE_NAMES)


# Densities


@every_structure
@pytest.mark.parametrize("noise", [False, True])
def test_log_likelihoods_equal_those_of_scipy(name, noise, make_frames):
    params, frames = random_students(name, 0, 4, 3, noise=noise), make_frames(1, 70, 3)
    ours = student_log_likelihoods(params, frames, precision="double")
    np.testing.assert_allclose(ours, logsumexp(log_joint(params, frames), axis=1), rtol=RTOL)


def test_one_feature_equals_the_student_distribution_of_scipy():
    params = StudentParams(GmmParams([1.0], [[2.0]], [[9.0]]), 2.5)
    frames = np.linspace(-100, 100, 41)[:, np.newaxis]
    expected = stats.t(2.5, loc=2.0, scale=3.0).logpdf(frames[:, 0])
    np.testing.assert_allclose(student_log_likelihoods(params, frames, precision="double"), expected, rtol=RTOL)


@pytest.mark.parametrize("degrees", [np.inf, 1e12])
def test_with_infinite_degrees_of_freedom_it_is_the_gaussian_mixture(degrees, mixture, frames):
    ours = student_log_likelihoods(StudentParams(mixture, degrees), frames, precision="double")
    np.testing.assert_allclose(ours, frame_log_likelihoods(mixture, frames, precision="double"), rtol=RTOL)


@every_structure
def test_single_precision_is_close(name, make_frames):
    params, frames = random_students(name, 0, 6, 3), make_frames(1, 200, 3)
    frames[0] = 1e5  # an outlier among them
    expected = logsumexp(log_joint(params, frames), axis=1)
    np.testing.assert_allclose(student_log_likelihoods(params, frames), expected, atol=ATOL_SINGLE, rtol=0)


@every_structure
def test_offset_changes_nothing(name, make_frames):
    near, far = (random_students(name, 0, 4, 3, offset, noise=True) for offset in (0.0, OFFSET))
    frames = make_frames(1, 70, 3)
    np.testing.assert_allclose(
        student_log_likelihoods(far, frames + OFFSET, precision="double"),
        student_log_likelihoods(near, frames, precision="double"),
        atol=1e-7,  # at an offset of 1e6, frames themselves keep 10 digits
        rtol=0,
    )


@every_structure
@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_frame_has_the_same_bits_alone_and_in_a_batch(name, precision, make_frames):
    params, frames = random_students(name, 0, 5, 3, noise=True), make_frames(1, 600, 3)
    together = student_log_likelihoods(params, frames, precision=precision)
    alone = [student_log_likelihoods(params, frames[[t]], precision=precision)[0] for t in (0, 17, 511, 599)]
    np.testing.assert_array_equal(together[[0, 17, 511, 599]], alone)


def test_responsibilities_equal_brute_force_with_noise_in_the_last_column(make_frames):
    params, frames = random_students("full", 0, 4, 3, noise=True), make_frames(1, 70, 3)
    table = log_joint(params, frames)
    expected = np.exp(table - logsumexp(table, axis=1, keepdims=True))
    np.testing.assert_allclose(student_responsibilities(params, frames, precision="double"), expected, rtol=RTOL)


def test_a_frame_that_belongs_nowhere_is_noise_and_number_minus_one():
    box = UniformNoise(0.1, [-50.0], [50.0])
    params = StudentParams(GmmParams([0.5, 0.5], [[-3.0], [3.0]], [[1.0], [1.0]]), np.inf, box)
    np.testing.assert_array_equal(most_likely_students(params, [[-3.0], [3.0], [30.0], [1e9]]), [0, 1, -1, -1])


# Statistics and the M-step


@every_structure
@pytest.mark.parametrize("noise", [False, True])
def test_estimate_equals_one_brute_force_em_step(name, noise, make_frames):
    params, frames = random_students(name, 0, 4, 3, noise=noise), make_frames(1, 70, 3)
    frame_weights = np.random.default_rng(2).uniform(0.0, 2.0, len(frames))
    stats = accumulate_student(params, frames, frame_weights=frame_weights, precision="double")
    updated = estimate_student(stats, variance_floor=FLOOR, noise=params.noise)
    weights, means, array, degrees = em_step(params, frames, frame_weights)
    np.testing.assert_allclose(updated.components.weights, weights, rtol=RTOL)
    np.testing.assert_allclose(updated.components.means, means, rtol=RTOL)
    np.testing.assert_allclose(updated.components.covariances.array, array, rtol=RTOL, atol=RTOL)
    np.testing.assert_allclose(updated.degrees_of_freedom, degrees, rtol=RTOL_SEARCH)
    np.testing.assert_allclose(updated.weights.sum() + updated.noise_weight, 1.0, rtol=RTOL)


def test_the_weight_of_noise_is_the_share_that_no_component_takes(make_frames):
    params, frames = random_students("full", 0, 4, 3, noise=True), make_frames(1, 70, 3)
    stats = accumulate_student(params, frames, precision="double")
    updated = estimate_student(stats, variance_floor=FLOOR, noise=params.noise)
    expected = student_responsibilities(params, frames, precision="double")[:, -1].mean()
    np.testing.assert_allclose(updated.noise_weight, expected, rtol=RTOL)


@every_structure
def test_with_infinite_degrees_of_freedom_the_step_is_that_of_gaussians(name, make_frames):
    gaussians, frames = random_students(name, 0, 4, 3).components, make_frames(1, 70, 3)
    ours = estimate_student(
        accumulate_student(StudentParams(gaussians, np.inf), frames, precision="double"),
        variance_floor=FLOOR,
        degrees_of_freedom=np.inf,
    )
    expected = estimate_ml(accumulate_stats(gaussians, frames, precision="double"), variance_floor=FLOOR)
    np.testing.assert_allclose(ours.components.weights, expected.weights, rtol=RTOL)
    np.testing.assert_allclose(ours.components.means, expected.means, rtol=RTOL)
    np.testing.assert_allclose(ours.components.covariances.array, expected.covariances.array, rtol=RTOL, atol=RTOL)


@every_structure
def test_statistics_have_the_same_bits_for_any_cutting_and_threads(name, make_frames):
    params, frames = random_students(name, 0, 4, 3, noise=True), make_frames(1, 40_000, 3)
    whole = accumulate_student(params, frames, n_threads=1)
    source = FrameSource(np.array_split(frames, [1, 2, 700, 17_000, 17_000, 39_999]))
    pieces = accumulate_blocks(params, source.blocks(), precision="single", n_threads=3)
    np.testing.assert_array_equal(pieces.occupancy, whole.occupancy)
    np.testing.assert_array_equal(pieces.log_scales, whole.log_scales)
    np.testing.assert_array_equal(pieces.scaled.second, whole.scaled.second)
    assert pieces.log_likelihood == whole.log_likelihood


def test_statistics_add_up(make_frames):
    params, frames = random_students("tied", 0, 4, 3), make_frames(1, 70, 3)
    whole = accumulate_student(params, frames, precision="double")
    first, second = (accumulate_student(params, part, precision="double") for part in (frames[:30], frames[30:]))
    np.testing.assert_allclose((first + second).log_scales, whole.log_scales, rtol=RTOL)
    np.testing.assert_allclose((first + second).scaled.second, whole.scaled.second, rtol=RTOL, atol=RTOL)


def test_integer_weights_equal_duplication_and_weight_zero_drops_a_frame(make_frames):
    params, frames = random_students("full", 0, 4, 3), make_frames(1, 70, 3)
    counts = np.arange(70) % 3
    weighted = accumulate_student(params, frames, frame_weights=counts, precision="double")
    repeated = accumulate_student(params, np.repeat(frames, counts, axis=0), precision="double")
    np.testing.assert_allclose(weighted.log_scales, repeated.log_scales, rtol=RTOL)
    np.testing.assert_allclose(weighted.scaled.second, repeated.scaled.second, rtol=RTOL, atol=RTOL)


@every_structure
@pytest.mark.parametrize("noise", [False, True])
def test_the_likelihood_never_falls(name, noise, make_frames):
    params, frames = random_students(name, 0, 3, 3, noise=noise), make_frames(1, 500, 3)
    frames[:25] *= 8.0
    result = run_em(
        params,
        lambda current: accumulate_student(current, frames, precision="double"),
        lambda stats: estimate_student(stats, variance_floor=FLOOR, noise=params.noise),
        max_iter=60,
        tol=0.0,
    )
    history = np.array(result.history)
    assert (np.diff(history) > -1e-12 * np.abs(history[1:])).all()


def test_one_component_finds_the_degrees_of_freedom_that_scipy_finds():
    frames = stats.t(3.0, loc=1.0, scale=2.0).rvs(2000, random_state=0)[:, np.newaxis]
    result = run_em(
        StudentParams(GmmParams([1.0], [[0.0]], [[1.0]]), FIRST_DEGREES),
        lambda current: accumulate_student(current, frames, precision="double"),
        lambda sums: estimate_student(sums, variance_floor=FLOOR[:1]),
        max_iter=500,
        tol=1e-13,
    )
    degrees, location, scale = stats.t.fit(frames[:, 0])
    found = result.params
    ours = found.degrees_of_freedom[0], found.components.means[0, 0], found.components.variances[0, 0] ** 0.5
    np.testing.assert_allclose(ours, [degrees, location, scale], rtol=1e-3)  # SciPy's simplex ends there


def test_a_dead_component_takes_half_of_the_heaviest(make_frames):
    near = random_students("full", 0, 3, 3)
    moved = near.components.means + np.array([[0.0], [0.0], [1e7]])
    far = StudentParams(GmmParams(near.components.weights, moved, near.components.covariances), np.inf)
    updated = estimate_student(accumulate_student(far, make_frames(1, 500, 3)), variance_floor=FLOOR)
    assert np.abs(updated.components.means).max() < 10.0
    assert updated.degrees_of_freedom[2] == FIRST_DEGREES
    np.testing.assert_allclose(updated.components.weights.sum(), 1.0, rtol=RTOL)


def test_no_frames_are_an_error(mixture):
    stats = accumulate_student(StudentParams(mixture, 3.0), np.empty((0, 3)))
    with pytest.raises(ParameterError, match="no frames belong"):
        estimate_student(stats, variance_floor=FLOOR)


# Parameters and sampling


@pytest.mark.parametrize("degrees", [0.0, -1.0, np.nan, [1.0, 2.0]])
def test_degrees_of_freedom_that_cannot_be_are_refused(degrees, mixture):
    with pytest.raises(ParameterError, match="degrees_of_freedom"):
        StudentParams(mixture, degrees)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((1.5, [0.0], [1.0]), "probability"), ((0.5, [1.0], [1.0]), "wider than 0"), ((0.5, [0.0, 1.0], [1.0]), "shape")],
)
def test_noise_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        UniformNoise(*arguments)


def test_a_copy_is_read_only_too(mixture):
    copied = pickle.loads(pickle.dumps(StudentParams(mixture, 3.0, UniformNoise(0.5, [0.0] * 3, [1.0] * 3))))
    assert not copied.degrees_of_freedom.flags.writeable
    assert not copied.noise.low.flags.writeable


def test_samples_have_the_covariance_and_the_tails_of_the_model():
    params = StudentParams(random_students("full", 0, 1, 3).components, 8.0)
    frames, _ = sample_students(params, 200_000, np.random.RandomState(0))
    covariance = 8.0 / 6.0 * matrices_of(params.components)[0]
    np.testing.assert_allclose(np.cov(frames.T), covariance, atol=0.02 * np.abs(covariance).max())  # four errors
    standard = (frames[:, 0] - params.components.means[0, 0]) / np.sqrt(matrices_of(params.components)[0, 0, 0])
    assert stats.kstest(standard[:2000], stats.t(8.0).cdf).pvalue > 1e-3


def test_sampled_noise_comes_last_and_fills_its_box(mixture):
    params = StudentParams(mixture, np.inf, UniformNoise(0.25, [10.0] * 3, [20.0] * 3))
    frames, components = sample_students(params, 4000, np.random.RandomState(0))
    assert abs((components == -1).mean() - 0.25) < 0.03  # four errors
    assert (frames[components == -1] >= 10.0).all()
    assert (np.diff(components[components >= 0]) >= 0).all()
