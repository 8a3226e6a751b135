"""Words of a stream: the same as of the whole utterance, however it is cut."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from words.toys import GRAMMARS, plain_word, toy

from gmmaudio.words.acceptor import one_of, sentence
from gmmaudio.words.decoding import decode
from gmmaudio.words.hypotheses import NOTHING
from gmmaudio.words.network import build_network
from gmmaudio.words.streaming import WordStream

N_FRAMES = 60


def network_and_frames(grammar="loop", seed=0, n_frames=N_FRAMES):
    models, frames = toy(seed, n_frames=n_frames)
    return build_network(GRAMMARS[grammar], models), frames


def cut(frames, cuts):
    """The frames in pieces, some of them empty."""
    return np.split(frames, sorted(cuts))


@given(st.sampled_from(sorted(GRAMMARS)), st.integers(0, 9), st.lists(st.integers(0, N_FRAMES), max_size=6))
@settings(max_examples=60, deadline=None)
def test_result_after_flush_is_exactly_that_of_the_whole_utterance(grammar, seed, cuts):
    network, frames = network_and_frames(grammar, seed)
    stream = WordStream(network)
    for piece in cut(frames, cuts):
        stream.push(piece)
    stream.flush()
    assert stream.result == decode(network, network.emission_log_likelihoods(frames))


def test_final_frames_never_change():
    network, frames = network_and_frames(seed=3)
    stream = WordStream(network)
    states = []
    for frame in frames:
        states.extend(stream.push(frame[np.newaxis]))
        assert len(states) == stream.n_final_frames
    states.extend(stream.flush())
    whole = WordStream(network)
    assert states == [*whole.push(frames), *whole.flush()]


def test_result_before_the_end_is_the_best_beginning_of_a_sentence():
    network = build_network(sentence(["a", "b"]), {"a": plain_word(0.0, 3.0), "b": plain_word(6.0, 9.0)})
    stream = WordStream(network)
    stream.push(np.array([[0.0], [3.0], [6.0]]))
    assert [(part.label, part.end_frame) for part in stream.result.segments] == [("a", 2), ("b", 3)]
    assert decode(network, network.emission_log_likelihoods([[0.0], [3.0], [6.0]])) == NOTHING


def test_word_is_in_the_result_as_soon_as_it_has_been_said():
    models = {"up": plain_word(0.0, 5.0), "down": plain_word(5.0, 0.0)}
    stream = WordStream(build_network(one_of(["up", "down"]), models))
    said = []
    for frame in ([0.0], [0.1], [4.9]):
        stream.push(np.array([frame]))
        said.append(stream.result.words)
    assert said == [("up",), ("up",), ("up",)]


@pytest.mark.parametrize("place", [0, 1, 17, N_FRAMES])
def test_stream_goes_on_from_a_saved_state_with_the_same_result(place):
    network, frames = network_and_frames(seed=1)
    first, second = WordStream(network), WordStream(network)
    first.push(frames[:place])
    second.load_state(pickle.loads(pickle.dumps(first.state_dict())))
    for stream in (first, second):
        stream.push(frames[place:])
        stream.flush()
    assert first.result == second.result == decode(network, network.emission_log_likelihoods(frames))


def test_next_push_after_flush_begins_a_new_utterance():
    network, frames = network_and_frames(seed=2)
    stream = WordStream(network)
    for part in (frames[:25], frames[25:]):
        stream.push(part)
        stream.flush()
        assert stream.result == decode(network, network.emission_log_likelihoods(part))


def test_utterance_without_frames_recognises_nothing():
    network, frames = network_and_frames()
    stream = WordStream(network)
    stream.push(frames)
    for _ in range(2):
        assert stream.result != NOTHING
        stream.flush()
    stream.flush()
    assert stream.result == NOTHING


def test_stream_too_short_for_any_sentence_recognises_nothing():
    network = build_network(one_of(["a"]), {"a": plain_word(0.0, 1.0, 2.0)})
    stream = WordStream(network)
    stream.push(np.zeros((2, 1)))
    stream.flush()
    assert stream.result == NOTHING


def test_segments_of_partial_results_add_up():
    network, frames = network_and_frames(seed=4)
    stream = WordStream(network)
    for piece in cut(frames, range(5, N_FRAMES, 5)):
        stream.push(piece)
        result = stream.result
        assert all(before.end_frame == after.start_frame for before, after in itertools.pairwise(result.segments))
        np.testing.assert_allclose(sum(p.log_likelihood for p in result.segments), result.log_probability, rtol=1e-10)
