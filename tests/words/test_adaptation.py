"""Linear transforms of frames against direct maximisation and against known distortions."""

import numpy as np
import pytest
import scipy.optimize

from gmmaudio import ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.words.adaptation import (
    FrameTransform,
    accumulate_transform_stats,
    estimate_transform,
    prior_transform_stats,
)

N_FEATURES = 3
OPTIMUM_RTOL = 1e-6  # of a log-likelihood, after twenty sweeps of rows
IDENTITY_ATOL = 1e-10
RECOVERED_ATOL = 0.1  # 3000 frames of six Gaussians: four standard errors


@pytest.fixture
def pool() -> GmmParams:
    rng = np.random.default_rng(0)
    return GmmParams(np.full(6, 1 / 6), 3 * rng.standard_normal((6, N_FEATURES)), rng.uniform(0.5, 2, (6, N_FEATURES)))


OWNERS = np.arange(6)  # each Gaussian is a state of its own, so posteriors are certain


def drawn(pool: GmmParams, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    states = rng.integers(6, size=n_frames)
    return pool.means[states] + np.sqrt(pool.variances[states]) * rng.standard_normal((n_frames, N_FEATURES)), states


def mean_log_likelihood(rows: np.ndarray, pool: GmmParams, frames: np.ndarray, states: np.ndarray) -> float:
    """The objective in its definition: densities of transformed frames and the determinant."""
    matrix, offset = rows[:, :N_FEATURES], rows[:, N_FEATURES]
    moved = frames @ matrix.T + offset
    distances = (moved - pool.means[states]) ** 2 / pool.variances[states]
    return float(np.log(abs(np.linalg.det(matrix))) - 0.5 * distances.sum(axis=1).mean())


def test_the_transform_has_the_greatest_likelihood_that_a_general_optimiser_finds(pool):
    frames, states = drawn(pool, 40)
    frames = frames @ np.array([[1.2, 0.3, 0], [0, 0.8, 0.1], [0.2, 0, 1.1]]) + 0.5
    found = estimate_transform(accumulate_transform_stats(pool, OWNERS, frames, frames, states))
    shape = (N_FEATURES, N_FEATURES + 1)
    best = scipy.optimize.minimize(
        lambda x: -mean_log_likelihood(x.reshape(shape), pool, frames, states),
        np.eye(*shape).ravel(),
        method="BFGS",
        options={"gtol": 1e-8},
    )
    rows = np.column_stack([found.matrix, found.offset])
    np.testing.assert_allclose(mean_log_likelihood(rows, pool, frames, states), -best.fun, rtol=OPTIMUM_RTOL)


def test_pseudo_frames_of_the_model_alone_give_the_identity(pool):
    found = estimate_transform(prior_transform_stats(pool, 100.0))
    np.testing.assert_allclose(found.matrix, np.eye(N_FEATURES), atol=IDENTITY_ATOL)
    np.testing.assert_allclose(found.offset, np.zeros(N_FEATURES), atol=IDENTITY_ATOL)


def test_a_known_distortion_is_undone(pool):
    clean, states = drawn(pool, 3000)
    matrix, offset = np.array([[1.1, 0.2, 0], [0, 0.9, 0], [0.1, 0, 1.2]]), np.array([1.0, -2.0, 0.5])
    distorted = np.linalg.solve(matrix, (clean - offset).T).T
    found = estimate_transform(accumulate_transform_stats(pool, OWNERS, distorted, distorted, states))
    np.testing.assert_allclose(found.matrix, matrix, atol=RECOVERED_ATOL)
    np.testing.assert_allclose(found.offset, offset, atol=RECOVERED_ATOL)


def test_statistics_of_two_parts_add_up_to_those_of_the_whole(pool):
    frames, states = drawn(pool, 60)
    whole = accumulate_transform_stats(pool, OWNERS, frames, frames, states)
    parts = [
        accumulate_transform_stats(pool, OWNERS, frames[part], frames[part], states[part])
        for part in (slice(25), slice(25, None))
    ]
    total = parts[0] + parts[1]
    np.testing.assert_allclose(total.quadratic, whole.quadratic, rtol=1e-12)  # another order of addition
    assert total.occupancy == whole.occupancy


def test_a_frame_has_the_same_bits_alone_and_among_others():
    rng = np.random.default_rng(2)
    transform = FrameTransform(rng.standard_normal((39, 39)), rng.standard_normal(39))
    frames = rng.standard_normal((50, 39)).astype(np.float32)
    alone = np.concatenate([transform.apply(frame[np.newaxis]) for frame in frames])
    assert np.array_equal(alone, transform.apply(frames))


def test_a_singular_matrix_is_refused():
    with pytest.raises(ParameterError, match="singular"):
        FrameTransform(np.zeros((2, 2)), np.zeros(2))
