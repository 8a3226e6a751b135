import copy
import pickle

import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.hmm import Topology, as_topology


def test_ergodic_allows_everything():
    topology = Topology.ergodic(3)
    assert topology.start.all()
    assert topology.transitions.all()
    assert topology.end is None


def test_left_right_starts_in_the_first_state_and_stays_or_goes_on():
    topology = Topology.left_right(3)
    assert topology.start.tolist() == [True, False, False]
    assert topology.transitions.astype(int).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert topology.end is None


def test_skips_leave_out_that_many_states():
    topology = Topology.left_right(4, skips=1)
    assert topology.transitions.astype(int).tolist() == [[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1]]


def test_forced_end_is_the_last_state():
    assert Topology.left_right(3, forced_end=True).end.tolist() == [False, False, True]


def test_skips_beyond_the_last_state_allow_all_that_is_ahead():
    assert np.array_equal(Topology.left_right(3, skips=9).transitions, np.triu(np.ones((3, 3), bool)))


def test_uniform_probs_of_a_row_and_its_end_sum_to_1():
    start, transitions, end = Topology.left_right(4, skips=1, forced_end=True).uniform_probs()
    assert start.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert (transitions.sum(axis=1) + end).tolist() == [1.0] * 4
    assert (transitions[3, 3], end[3]) == (0.5, 0.5)


def test_number_of_parameters_counts_what_is_allowed_only():
    assert Topology.ergodic(3).n_parameters == 2 + 3 * 2
    assert Topology.left_right(3).n_parameters == 0 + 1 + 1 + 0
    assert Topology.left_right(3, forced_end=True).n_parameters == 0 + 1 + 1 + 1


def test_names_masks_and_topologies_are_understood():
    mask = [[1, 1], [1, 0]]
    assert np.array_equal(as_topology("ergodic", 2).transitions, np.ones((2, 2), bool))
    assert np.array_equal(as_topology("left-right", 2).transitions, np.triu(np.ones((2, 2), bool)))
    assert np.array_equal(as_topology(mask, 2).transitions, np.array(mask, bool))
    topology = Topology.ergodic(2)
    assert as_topology(topology, 2) is topology


def test_one_state_is_enough():
    assert Topology.left_right(1, forced_end=True).n_parameters == 1


def test_caller_keeps_its_arrays_and_the_topology_its_own():
    mask = np.ones((2, 2), bool)
    topology = as_topology(mask, 2)
    mask[0, 1] = False
    assert topology.transitions.all()
    with pytest.raises(ValueError, match="read-only"):
        topology.transitions[0, 0] = False


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_copies_cannot_be_written_to(duplicate):
    topology = duplicate(Topology.left_right(3, forced_end=True))
    assert not any(mask.flags.writeable for mask in (topology.start, topology.transitions, topology.end))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 1], [[1, 1], [0, 0]]), "state 1 has no way on"),
        (([1, 0], [[1, 0], [0, 1]]), "state 1 cannot be reached"),
        (([1, 1], [[1, 0], [0, 1]], [1, 0]), "state 1 cannot reach an end"),
        (([0, 0], [[1, 1], [1, 1]]), "start allows no state"),
        (([1, 1], [[1, 1], [1, 1]], [0, 0]), "end allows no state"),
        (([1, 1, 1], [[1, 1], [1, 1]]), "start has shape"),
        (([1], [[1, 1]]), r"needs \(n_states, n_states\)"),
        (([1, 1], [[0.5, 0.5], [1, 1]]), "transitions must be a mask"),
        (([], np.ones((0, 0))), r"needs \(n_states, n_states\)"),
    ],
)
def test_useless_topology_gives_one_clear_error(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Topology(*arguments)


@pytest.mark.parametrize(
    ("topology", "n_states", "message"),
    [
        ("bakis", 2, "'bakis' but must be"),
        (np.ones((3, 3)), 2, "3 states but the model has 2"),
        (Topology.ergodic(3), 2, "3 states but the model has 2"),
        ("ergodic", 0, "n_states is 0"),
        ("left-right", 2.5, "n_states is 2.5"),
    ],
)
def test_unfit_topology_gives_one_clear_error(topology, n_states, message):
    with pytest.raises(ParameterError, match=message):
        as_topology(topology, n_states)


@pytest.mark.parametrize("skips", [-1, 1.5, True, None])
def test_unusable_skips_give_one_clear_error(skips):
    with pytest.raises(ParameterError, match="skips is"):
        Topology.left_right(3, skips=skips)
