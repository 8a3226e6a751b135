import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.features import stack_context

FRAMES = np.random.default_rng(0).normal(size=(7, 3))


def test_each_row_is_the_frames_around_one_with_the_ends_repeated():
    stacked = stack_context(FRAMES, 2)
    for t in range(7):
        expected = np.concatenate([FRAMES[min(max(place, 0), 6)] for place in range(t - 2, t + 3)])
        np.testing.assert_array_equal(stacked[t], expected)


def test_no_neighbours_leave_the_frames():
    np.testing.assert_array_equal(stack_context(FRAMES, 0), FRAMES)


def test_one_frame_is_repeated_and_none_stays_none():
    np.testing.assert_array_equal(stack_context(FRAMES[:1], 1), np.tile(FRAMES[:1], 3))
    assert stack_context(FRAMES[:0], 1).shape == (0, 9)


@pytest.mark.parametrize("number", [-1, 1.0, True])
def test_a_number_of_neighbours_that_is_none_is_refused(number):
    with pytest.raises(ParameterError, match="n_neighbours is"):
        stack_context(FRAMES, number)
