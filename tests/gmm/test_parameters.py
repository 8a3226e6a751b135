import copy
import dataclasses
import pickle

import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams

GOOD = {"weights": [0.25, 0.75], "means": [[0.0, 1.0], [2.0, 3.0]], "covariances": [[1.0, 1.0], [1.0, 1.0]]}


def test_center_is_the_mean_of_the_mixture(mixture):
    np.testing.assert_allclose(mixture.center, np.average(mixture.means, axis=0, weights=mixture.weights), rtol=1e-14)


def test_scale_is_the_standard_deviation_of_the_mixture(mixture):
    second = np.average(mixture.variances + mixture.means**2, axis=0, weights=mixture.weights)
    np.testing.assert_allclose(mixture.scale, np.sqrt(second - mixture.center**2), rtol=1e-13)


def test_arrays_are_copies_that_do_not_follow_the_source():
    means = np.zeros((1, 2))
    params = GmmParams([1.0], means, np.ones((1, 2)))
    means[0, 0] = 9.0
    assert params.means[0, 0] == 0.0


@pytest.mark.parametrize("duplicate", [lambda params: params, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.parametrize("name", ["weights", "means", "variances", "center", "scale", "density_matrix"])
def test_arrays_cannot_be_written_to_not_even_in_copies(mixture, duplicate, name):
    array = getattr(duplicate(mixture), name)
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 1.0


def test_attributes_cannot_be_replaced(mixture):
    with pytest.raises(dataclasses.FrozenInstanceError):
        mixture.means = mixture.means


def test_replace_makes_a_new_mixture_with_new_constants(mixture):
    moved = dataclasses.replace(mixture, means=mixture.means + 1.0)
    np.testing.assert_allclose(moved.center, mixture.center + 1.0, rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", [0.5, 0.6], "must sum to 1"),
        ("weights", [-0.5, 1.5], "must not be negative"),
        ("weights", [1.0], r"weights has shape \(1,\) but needs \(2\)"),
        ("weights", [np.nan, 1.0], "weights holds NaN"),
        ("means", [0.0, 1.0], r"means has shape \(2,\)"),
        ("means", np.zeros((2, 0)), r"means has shape \(2, 0\)"),
        ("means", [[0.0, np.inf], [0.0, 0.0]], "means holds NaN or infinity"),
        ("means", [["a", "b"]] * 2, "means is not an array of real numbers"),
        ("covariances", [[1.0], [1.0]], r"diag covariances have shape \(2, 1\) but the means need \(2, 2\)"),
        ("covariances", [[1.0, 0.0], [1.0, 1.0]], r"variances must be positive; the smallest is 0\.0"),
        ("covariances", [[1.0, -1.0], [1.0, 1.0]], "variances must be positive"),
        ("covariances", [[1.0, np.nan], [1.0, 1.0]], "diag covariances holds NaN"),
    ],
)
def test_unusable_parameters_are_refused(name, value, message):
    with pytest.raises(ParameterError, match=message):
        GmmParams(**(GOOD | {name: value}))


def test_float32_is_refused_for_a_component_that_is_narrow_for_its_distance():
    assert not GmmParams([0.5, 0.5], [[-1.0], [1.0]], [[1e-6], [1e-6]]).bears_single


def test_float32_is_accepted_for_an_ordinary_mixture_at_an_offset(make_params):
    assert make_params(0, 8, 39, offset=1e6).bears_single
