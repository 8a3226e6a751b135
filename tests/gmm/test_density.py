from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import gmm_frame_log_likelihoods, gmm_log_joint, gmm_responsibilities

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import (
    GmmParams,
    component_log_densities,
    frame_log_likelihoods,
    most_likely_components,
    responsibilities,
)

RTOL_DOUBLE = 1e-11  # a few dozen operations at 1e-16 and cancellation of two digits
ATOL_SINGLE = 2e-5  # sums of about 30 nats at 6e-8, a few times
ATOL_OFFSET = 1e-7  # frames at 1e6 are themselves only known to 1e-10
PRECISIONS = ("single", "double")
TOLERANCES = [("double", RTOL_DOUBLE), ("single", ATOL_SINGLE)]


def parts(params):
    return params.weights, params.means, params.variances


@pytest.mark.parametrize(("precision", "atol"), TOLERANCES)
def test_frame_log_likelihoods_equal_brute_force(mixture, frames, precision, atol):
    expected = gmm_frame_log_likelihoods(*parts(mixture), frames)
    np.testing.assert_allclose(
        frame_log_likelihoods(mixture, frames, precision=precision), expected, rtol=RTOL_DOUBLE, atol=atol
    )


@pytest.mark.parametrize(("precision", "atol"), TOLERANCES)
def test_component_log_densities_equal_brute_force(mixture, frames, precision, atol):
    expected = gmm_log_joint(*parts(mixture), frames)
    np.testing.assert_allclose(
        component_log_densities(mixture, frames, precision=precision), expected, rtol=RTOL_DOUBLE, atol=atol
    )


@pytest.mark.parametrize(("precision", "atol"), TOLERANCES)
def test_responsibilities_equal_brute_force(mixture, frames, precision, atol):
    expected = gmm_responsibilities(*parts(mixture), frames)
    np.testing.assert_allclose(
        responsibilities(mixture, frames, precision=precision), expected, rtol=RTOL_DOUBLE, atol=atol
    )


@pytest.mark.parametrize("precision", PRECISIONS)
def test_responsibilities_of_a_frame_sum_to_one(mixture, frames, precision):
    np.testing.assert_allclose(responsibilities(mixture, frames, precision=precision).sum(axis=1), 1.0, rtol=1e-14)


def test_most_likely_component_has_the_greatest_responsibility(mixture, frames):
    expected = gmm_responsibilities(*parts(mixture), frames).argmax(axis=1)
    np.testing.assert_array_equal(most_likely_components(mixture, frames), expected)


def test_float32_frames_give_what_the_same_values_give_in_float64(mixture, frames):
    single = frames.astype(np.float32)
    np.testing.assert_array_equal(
        frame_log_likelihoods(mixture, single), frame_log_likelihoods(mixture, single.astype(np.float64))
    )


@pytest.mark.parametrize(("precision", "atol"), [("double", ATOL_OFFSET), ("single", ATOL_SINGLE)])
def test_an_offset_of_a_million_costs_no_digits(make_params, make_frames, precision, atol):
    params, frames = make_params(2, 5, 4, offset=1e6), make_frames(3, 40, 4, offset=1e6)
    expected = gmm_frame_log_likelihoods(*parts(params), frames)
    np.testing.assert_allclose(frame_log_likelihoods(params, frames, precision=precision), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_units_of_the_features_do_not_matter(make_params, make_frames, precision):
    params, frames = make_params(2, 5, 3), make_frames(3, 40, 3)
    unit = np.array([1e-8, 1.0, 1e8])
    rescaled = GmmParams(params.weights, params.means * unit, params.variances * unit**2)
    expected = frame_log_likelihoods(params, frames, precision=precision) - np.log(unit).sum()
    np.testing.assert_allclose(
        frame_log_likelihoods(rescaled, frames * unit, precision=precision), expected, rtol=0, atol=ATOL_SINGLE
    )


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("distance", [8.0, 1.5e3, 1e6])
def test_log_likelihood_far_away_is_right_and_not_minus_infinity(mixture, precision, distance):
    frames = np.full((1, 3), distance)
    expected = gmm_frame_log_likelihoods(*parts(mixture), frames)
    np.testing.assert_allclose(frame_log_likelihoods(mixture, frames, precision=precision), expected, rtol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("value", [1e20, -1e100, 1e150, 3e38])
def test_log_likelihood_of_an_absurd_frame_is_finite_and_low(mixture, precision, value):
    log_likelihood = frame_log_likelihoods(mixture, [[value] * 3], precision=precision)[0]
    assert -np.inf < log_likelihood < -1e29


@pytest.mark.parametrize("precision", PRECISIONS)
def test_narrow_components_far_apart_are_right_in_either_precision(precision):
    params = GmmParams([0.5, 0.5], [[-1e4], [1e4]], [[1.0], [1.0]])
    frames = np.array([[-1e4], [1e4 + 2.0]])
    expected = gmm_frame_log_likelihoods(*parts(params), frames)
    np.testing.assert_allclose(frame_log_likelihoods(params, frames, precision=precision), expected, rtol=1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_component_of_weight_zero_changes_nothing(mixture, frames, precision):
    with_empty = GmmParams(
        [*mixture.weights, 0.0], [*mixture.means, mixture.means[0]], [*mixture.variances, mixture.variances[0]]
    )
    np.testing.assert_allclose(
        frame_log_likelihoods(with_empty, frames, precision=precision),
        frame_log_likelihoods(mixture, frames, precision=precision),
        rtol=1e-6,
    )


def test_permuted_components_have_the_same_density(mixture, frames):
    order = [2, 0, 3, 1]
    permuted = GmmParams(mixture.weights[order], mixture.means[order], mixture.variances[order])
    np.testing.assert_allclose(
        frame_log_likelihoods(permuted, frames, precision="double"),
        frame_log_likelihoods(mixture, frames, precision="double"),
        rtol=RTOL_DOUBLE,
    )


def cut(n_frames, cuts):
    """Slices between sorted cutting points; empty pieces are allowed."""
    points = [0, *sorted(point % (n_frames + 1) for point in cuts), n_frames]
    return [slice(*pair) for pair in pairwise(points)]


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    n_frames=st.sampled_from([1, 15, 16, 17, 100, 513, 700]),
    n_features=st.sampled_from([1, 2, 13, 39, 60]),
    n_components=st.sampled_from([1, 2, 7, 16, 33, 128, 300]),
    precision=st.sampled_from(PRECISIONS),
)
def test_any_cutting_gives_the_same_bits(make_params, make_frames, cuts, n_frames, n_features, n_components, precision):
    params, frames = make_params(5, n_components, n_features), make_frames(6, n_frames, n_features)
    whole = frame_log_likelihoods(params, frames, precision=precision)
    pieces = [frame_log_likelihoods(params, frames[rows], precision=precision) for rows in cut(n_frames, cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("n_components", [1, 2, 3, 8, 17, 64, 300])
@pytest.mark.parametrize("n_features", [1, 3, 13, 40, 60])
def test_equal_frames_have_equal_bits_in_every_place(make_params, make_frames, n_features, n_components, precision):
    params = make_params(7, n_components, n_features)
    frames = np.repeat(make_frames(8, 1, n_features), 533, axis=0)
    assert len(np.unique(component_log_densities(params, frames, precision=precision), axis=0)) == 1


@pytest.mark.parametrize("function", [responsibilities, component_log_densities, most_likely_components])
def test_tables_do_not_depend_on_the_cutting(mixture, frames, function):
    pieces = [function(mixture, frames[:1]), function(mixture, frames[1:40]), function(mixture, frames[40:])]
    np.testing.assert_array_equal(np.concatenate(pieces), function(mixture, frames))


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (frame_log_likelihoods, (0,)),
        (most_likely_components, (0,)),
        (responsibilities, (0, 4)),
        (component_log_densities, (0, 4)),
    ],
)
def test_no_frames_give_an_empty_result(mixture, function, shape):
    assert function(mixture, np.zeros((0, 3))).shape == shape


def test_frames_of_another_width_are_refused(mixture):
    with pytest.raises(ParameterError, match="2 columns but the model was trained on 3 features"):
        frame_log_likelihoods(mixture, np.zeros((5, 2)))


def test_unknown_precision_is_refused(mixture, frames):
    with pytest.raises(ParameterError, match="precision is 'half'"):
        frame_log_likelihoods(mixture, frames, precision="half")
