"""What a file of a word recogniser may not hold."""

import dataclasses

import numpy as np
import pytest
from words.tones import recognizer

from gmmaudio import GmmAudioError
from gmmaudio.persistence import StoredModel, restore


def changed(stored: StoredModel, **arrays) -> StoredModel:
    return dataclasses.replace(stored, arrays={**stored.arrays, **arrays})


def test_a_stored_recogniser_is_restored_with_all_its_models():
    restored = restore(recognizer().to_stored())
    assert list(restored.models) == list(recognizer().models)
    for label, model in recognizer().models.items():
        assert np.array_equal(restored.models[label].transition_matrix, model.transition_matrix)
        assert np.array_equal(restored.models[label].emissions.pool.means, model.emissions.pool.means)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("n_states", np.array([3]), "labels for 1 models"),
        ("n_components", np.array([1, 2]), "do not agree"),
        ("means", np.full((2, 39), np.nan), "do not agree"),
        ("transform_matrix", np.zeros((39, 39)), "transform_offset"),
    ],
)
def test_arrays_that_do_not_fit_are_one_error(name, values, message):
    with pytest.raises(GmmAudioError, match=message):
        restore(changed(recognizer().to_stored(), **{name: values}))


def test_models_of_another_front_end_are_refused():
    stored = recognizer().to_stored()
    pipeline = {**stored.pipeline, "deltas": None, "normalization": None}
    with pytest.raises(GmmAudioError, match="must agree"):
        restore(dataclasses.replace(stored, pipeline=pipeline))


def test_an_unknown_option_is_refused():
    stored = recognizer().to_stored()
    config = {**stored.config, "training": {**stored.config["training"], "n_gaussians": 3}}
    with pytest.raises(GmmAudioError, match="n_gaussians"):
        restore(dataclasses.replace(stored, config=config))
