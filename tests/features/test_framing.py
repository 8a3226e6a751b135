import numpy as np
import pytest
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.features import Framer

SHAPES = [(5, 5), (6, 2), (7, 3), (8, 3), (9, 1)]


def frames_by_hand(signal, length, shift, padding):
    """The definition of the module's docstring, one sample at a time."""
    n_samples = len(signal)
    if padding == "none":
        n_frames, first = max(0, 1 + (n_samples - length) // shift), 0
    elif padding == "zero":
        n_frames, first = 1 + n_samples // shift, -((length + 1) // 2)
    else:
        n_frames, first = (n_samples + shift // 2) // shift, shift // 2 - length // 2
    frames = np.zeros((n_frames, length), np.float32)
    for frame in range(n_frames):
        for column in range(length):
            position = first + frame * shift + column
            while padding == "reflect" and not 0 <= position < n_samples:
                position = -position - 1 if position < 0 else 2 * n_samples - 1 - position
            if 0 <= position < n_samples:
                frames[frame, column] = signal[position]
    return frames


@pytest.mark.parametrize("padding", ["none", "zero", "reflect"])
@pytest.mark.parametrize(("length", "shift"), SHAPES)
@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 5, 6, 7, 11, 20, 21, 22, 23])
def test_frames_follow_the_definition_of_their_padding(padding, length, shift, n_samples):
    signal = np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    expected = frames_by_hand(signal, length, shift, padding)
    np.testing.assert_array_equal(Framer(length, shift, padding).transform(signal), expected)


@pytest.mark.parametrize("padding", ["none", "zero", "reflect"])
def test_no_samples_give_no_frames(padding):
    assert Framer(5, 2, padding).transform(np.zeros(0)).shape == (0, 5)


@pytest.mark.parametrize("padding", ["none", "zero", "reflect"])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), cuttings(n), st.integers(0, 5))))
def test_frames_do_not_depend_on_the_cutting(padding, case):
    n_samples, cuts, resume_after = case
    signal = np.random.default_rng(1).standard_normal(n_samples)
    framer = Framer(9, 4, padding)
    assert np.array_equal(fed(framer, signal, cuts, resume_after), framer.transform(signal))


@pytest.mark.parametrize("padding", ["none", "zero", "reflect"])
def test_a_frame_is_final_after_the_declared_lookahead_and_not_before(padding):
    framer, shift = Framer(9, 4, padding), 4
    framer.push(np.ones(10 * shift + framer.lookahead))
    n_before = framer._state.n_frames
    framer.push(np.ones(1))
    assert (n_before, framer._state.n_frames) == (10, 11)


@pytest.mark.parametrize(("length", "shift"), [(4, 0), (4, 5), (0, 0)])
def test_impossible_lengths_are_refused(length, shift):
    with pytest.raises(ParameterError, match="shift must be at least 1"):
        Framer(length, shift)


def test_an_unknown_padding_is_refused():
    with pytest.raises(ParameterError, match="none, zero, reflect"):
        Framer(4, 2, "edge")


def test_the_state_holds_less_than_a_frame():
    framer = Framer(400, 160)
    framer.push(np.ones(100_000))
    assert framer.state_dict()["buffer"].size < 400
