import copy
import pickle

import numpy as np
import pytest
from hmm.models import random_emissions, random_hmm

import gmmaudio
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.hmm import HmmParams
from gmmaudio.persistence import StoredModel

KINDS = pytest.mark.parametrize(
    "kind", [{}, {"tied": True, "n_components": (3, 3)}, {"left_right": True, "ends": True}]
)


def model(kind):
    return random_hmm(np.random.default_rng(0), **kind)


def assert_same(found, expected):
    frames = np.random.default_rng(1).normal(size=(5, 2))
    np.testing.assert_array_equal(found.frame_log_likelihoods(frames), expected.frame_log_likelihoods(frames))
    np.testing.assert_array_equal(found.start_probs, expected.start_probs)
    np.testing.assert_array_equal(found.transition_matrix, expected.transition_matrix)
    assert (found.end_probs is None) == (expected.end_probs is None)


@KINDS
def test_copies_and_pickles_are_equal(kind):
    assert_same(copy.deepcopy(model(kind)), model(kind))
    assert_same(pickle.loads(pickle.dumps(model(kind))), model(kind))


@KINDS
def test_files_are_equal(kind, tmp_path):
    gmmaudio.save(model(kind), tmp_path / "model.gmm")
    assert_same(gmmaudio.load(tmp_path / "model.gmm", kind="hmm_params"), model(kind))


@KINDS
def test_arrays_cannot_be_written_to(kind):
    with pytest.raises(ValueError, match="read-only"):
        model(kind).transition_matrix[0, 0] = 1.0


def test_files_of_unknown_emissions_are_refused():
    stored = model({}).to_stored()
    with pytest.raises(ParameterError, match="emissions is 'discrete'"):
        HmmParams.from_stored(StoredModel("hmm_params", {"emissions": "discrete"}, stored.arrays))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start_probs": [0.5, 0.6]}, "start_probs .* sum to 1"),
        ({"start_probs": [1.0]}, "start_probs has shape"),
        ({"start_probs": [1.5, -0.5]}, "start_probs must not hold negative"),
        ({"start_probs": [np.nan, 1.0]}, "start_probs holds NaN"),
        ({"transition_matrix": [[0.5, 0.5], [0.0, 0.0]]}, "row 1 of transition_matrix"),
        ({"transition_matrix": [[0.5, 0.5]]}, "transition_matrix has shape"),
        ({"transition_matrix": [[0.5, 0.5], [np.inf, 0.0]]}, "transition_matrix holds NaN or inf"),
        ({"end_probs": [0.0, 0.5]}, "row 1 of transition_matrix with its end probability"),
        ({"end_probs": [0.0]}, "end_probs has shape"),
    ],
)
def test_impossible_chains_are_refused(change, message):
    emissions = random_emissions(np.random.default_rng(0), (1, 1), 2)
    arguments = {"start_probs": [0.5, 0.5], "transition_matrix": [[0.5, 0.5], [0.5, 0.5]], **change}
    with pytest.raises(GmmAudioError, match=message):
        HmmParams(emissions=emissions, **arguments)
