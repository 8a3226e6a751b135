import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.validation import check_frame_weights, check_frames, read_only_array


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_frames_are_not_copied(dtype):
    frames = np.zeros((3, 2), dtype)
    assert check_frames(frames) is frames


def test_integer_frames_become_float64():
    assert check_frames([[1, 2]]).dtype == np.float64


def test_no_frames_are_frames():
    assert check_frames(np.zeros((0, 2)), n_features=2).shape == (0, 2)


def test_wrong_number_of_columns_names_both_numbers():
    with pytest.raises(ParameterError, match="13 columns but the model was trained on 39 features"):
        check_frames(np.zeros((2, 13)), n_features=39)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_unusable_value_is_refused_with_its_row(value):
    frames = np.zeros((5, 2))
    frames[3, 1] = value
    with pytest.raises(ParameterError, match="first in row 3"):
        check_frames(frames)


@pytest.mark.parametrize("frames", [np.zeros(3), np.zeros((2, 2, 2)), np.zeros((2, 0)), 1.0])
def test_frames_that_are_no_matrix_are_refused(frames):
    with pytest.raises(ParameterError, match="needs \\(n_frames, n_features\\)"):
        check_frames(frames)


@pytest.mark.parametrize("frames", [[["a"]], [[1j]], [[object()]], [[1.0], [1.0, 2.0]]])
def test_frames_that_are_no_real_numbers_are_refused(frames):
    with pytest.raises(ParameterError, match="not an array of real numbers"):
        check_frames(frames)


def test_missing_frame_weights_are_ones():
    np.testing.assert_array_equal(check_frame_weights(None, 3), np.ones(3))


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, np.nan], [1.0, np.inf]])
def test_unusable_frame_weight_is_refused(weights):
    with pytest.raises(ParameterError, match="negative or non-finite"):
        check_frame_weights(weights, 2)


def test_wrong_number_of_frame_weights_is_refused():
    with pytest.raises(ParameterError, match=r"shape \(2,\) but 3 frames"):
        check_frame_weights([1.0, 1.0], 3)


def test_read_only_array_does_not_follow_its_source():
    source = np.zeros(2)
    array = read_only_array(source, name="means", shape=(2,))
    source[0] = 1.0
    assert array[0] == 0.0


def test_read_only_array_cannot_be_written_to():
    array = read_only_array([0.0], name="means", shape=(None,))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0


@pytest.mark.parametrize("shape", [(2,), (None, None), (1, 2)])
def test_read_only_array_of_another_shape_is_refused(shape):
    with pytest.raises(ParameterError, match="means has shape"):
        read_only_array(np.zeros(3), name="means", shape=shape)
