import tracemalloc

import numpy as np
import pytest
from speaker.voices import FRAMES_PIPELINE, SimulatedPeople

from gmmaudio.errors import GmmAudioError
from gmmaudio.speaker import SpeakerIdentifier
from gmmaudio.speaker.speech import Speech

RNG = np.random.default_rng(0)
SPOKEN = [(name, RNG.normal(size=(n, 2)).astype(np.float32)) for name, n in [("a", 5), ("b", 0), ("c", 3), ("a", 2)]]


@pytest.fixture(params=["in memory", "in files"])
def speech(request, tmp_path):
    speech = Speech(tmp_path if request.param == "in files" else None)
    for name, frames in SPOKEN:
        speech.add(name, frames)
    return speech


def test_speakers_keep_the_order_in_which_they_first_spoke(speech):
    assert speech.speakers == ["a", "b", "c"]


def test_frames_of_a_speaker_are_those_of_all_recordings(speech):
    np.testing.assert_array_equal(speech.frames("a"), np.concatenate([SPOKEN[0][1], SPOKEN[3][1]]))
    assert [speech.n_frames([name]) for name in "abc"] == [7, 0, 3]
    assert speech.n_frames("abc") == 10


def test_parts_come_speaker_by_speaker_without_empty_ones(speech):
    parts = [part if isinstance(part, np.ndarray) else np.load(part) for part in speech.parts(["a", "b", "c"])]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate([SPOKEN[i][1] for i in (0, 3, 2)]))
    assert len(parts) == 3


def test_frames_in_a_folder_are_not_held_in_memory(tmp_path):
    speech, one = Speech(tmp_path), np.zeros((1000, 10), np.float32)
    tracemalloc.start()
    for number in range(100):
        speech.add(f"s{number}", one.copy())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * one.nbytes


def identifier() -> SpeakerIdentifier:
    return SpeakerIdentifier(FRAMES_PIPELINE, n_components=8, max_iter=2)


def recordings():
    people = SimulatedPeople(0)
    return [people.recording(people.person(), 300) for _ in range(6)]


def test_training_from_a_work_folder_gives_the_bits_of_training_in_memory_and_leaves_nothing(tmp_path):
    there, here = identifier().train(recordings(), work_folder=tmp_path), identifier().train(recordings())
    np.testing.assert_array_equal(there.ubm.means, here.ubm.means)
    np.testing.assert_array_equal(there.cohort.unit_llrs, here.cohort.unit_llrs)
    assert list(tmp_path.iterdir()) == []


def test_training_that_fails_leaves_nothing_in_the_work_folder(tmp_path):
    with pytest.raises(GmmAudioError, match="there is no file"):
        identifier().train([*recordings(), "missing.wav"], work_folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_that_is_not_there_is_refused_before_reading(tmp_path):
    with pytest.raises(GmmAudioError, match=r"the work folder .* is not there; make it first"):
        identifier().train(["missing.wav"], work_folder=tmp_path / "missing", sample_rate=16000)
