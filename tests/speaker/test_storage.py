import copy
import zipfile

import numpy as np
import pytest
from speaker.voices import NAMES, bundled

from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import StoredModel, load, save
from gmmaudio.speaker import SpeakerIdentifier


@pytest.fixture
def stored() -> StoredModel:
    """What a model file holds, to be damaged."""
    whole = bundled().to_stored()
    arrays = {name: array.copy() for name, array in whole.arrays.items()}
    return StoredModel(whole.kind, copy.deepcopy(whole.config), arrays, whole.pipeline)


def test_options_are_stored(tmp_path):
    save(bundled(), tmp_path / "m.gmm")
    loaded = load(tmp_path / "m.gmm")
    assert (loaded.n_components, loaded.false_accept_rate, loaded.max_iter) == (16, 0.05, 5)
    assert (loaded.speakers, loaded.pipeline.config) == (NAMES, bundled().pipeline.config)


def test_saving_what_was_loaded_gives_the_same_file(tmp_path):
    save(bundled(), tmp_path / "first.gmm")
    save(load(tmp_path / "first.gmm"), tmp_path / "second.gmm")
    assert bytes_without_times(tmp_path / "first.gmm") == bytes_without_times(tmp_path / "second.gmm")


def bytes_without_times(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_identifier_without_speakers_can_be_stored():
    identifier = bundled()
    for name in NAMES:
        identifier.remove(name)
    assert SpeakerIdentifier.from_stored(identifier.to_stored()).speakers == ()


def change_array(name, change):
    def damage(stored):
        stored.arrays[name] = change(stored.arrays[name])

    return damage


def change_models(**values):
    return lambda stored: stored.config["models"].update(values)


def change_person(**values):
    return lambda stored: stored.config["models"]["enrolled"][1].update(values)


def with_nan(array):
    array = array.astype(float)
    array.flat[0] = np.nan
    return array


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_array("cohort_unit_llrs", lambda a: a[:-1]), "'cohort_unit_llrs' has the shape"),
        (change_array("enrolled_unit_llrs", lambda a: a[:, :-1]), "'enrolled_unit_llrs' has the shape"),
        (change_array("enrolled_unit_llrs", with_nan), "'enrolled_unit_llrs' holds values that are not finite"),
        (change_array("cohort_frames", with_nan), "'cohort_frames' holds values that are not finite"),
        (change_array("cohort_frames", lambda a: a[:, :-1]), "'cohort_frames' has the shape"),
        (change_array("cohort_fold_of", lambda a: a + 100), "folds of the cohort's speakers are out of range"),
        (change_array("cohort_n_units", lambda a: -a), "out of range"),
        (change_array("fold_means", lambda a: a[:, :, :-1]), "covariances have shape"),
        (change_array("ubm_variances", lambda a: -a), "variances must be positive"),
        (change_array("ubm_weights", lambda a: a[:0]), "argument 2 is longer|no ubm model"),
        (change_array("enrolled_first", lambda a: a[:, :, :-1]), "second has shape|shape of the background"),
        (change_array("enrolled_second", lambda a: -a), "must not be negative"),
        (change_models(relevance_factor=0), "relevance_factor is 0.0"),
        (change_models(cohort=["a"]), "has the shape"),
        (change_models(enrolled=[{}, {}, {}, {}]), "'name' is missing"),
        (change_person(name="anna"), "two enrolled speakers have the same name"),
        (change_person(name="unknown"), "the name 'unknown' cannot be used"),
        (change_person(n_frames=-1), "must not be negative"),
        (change_person(n_frames="many"), "could not convert"),
        (lambda stored: stored.arrays.pop("fold_weights"), "'fold_weights' is missing"),
        (lambda stored: stored.config["options"].pop("max_iter"), "'max_iter' is missing"),
        (lambda stored: stored.config["options"].update(false_accept_rate=2), "false_accept_rate is 2"),
        (lambda stored: stored.pipeline.update(deltas=None), "as many features as its pipeline"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_with_the_reason(damage, message, stored, tmp_path):
    damage(stored)

    class Damaged:
        def to_stored(self):
            return stored

        @classmethod
        def from_stored(cls, stored):
            raise AssertionError

    save(Damaged(), tmp_path / "m.gmm")
    with pytest.raises(GmmAudioError, match=rf"m.gmm is not a valid speaker_identifier model: .*({message})"):
        load(tmp_path / "m.gmm")
