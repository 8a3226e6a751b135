import numpy as np
import pytest
from speaker.voices import FRAMES_PIPELINE, SimulatedPeople

from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm import GmmParams
from gmmaudio.speaker.cohort import Cohort
from gmmaudio.speaker.decision import Judge
from gmmaudio.speaker.enrollment import with_speech, without_speaker

PEOPLE = SimulatedPeople(0)
SUM_RTOL = 1e-12  # float64 sums in another order; the tiles of 512 frames are the same
SPEECH = {name: PEOPLE.frames(PEOPLE.person(), 600) for name in ("a", "b", "c", "d")}


def nobody() -> Judge:
    """A judge whose cohort will be those who are enrolled."""
    ubm = GmmParams(np.full(8, 0.125), PEOPLE._common, np.ones((8, FRAMES_PIPELINE.n_features)))
    cohort = Cohort.build({}, [ubm], [], relevance_factor=4.0)
    return Judge(ubm, cohort, {}, 0.01, cohort_is_enrolled=True)


def judge_of(names: str) -> Judge:
    judge = nobody()
    for name in names:
        judge = with_speech(judge, name, [SPEECH[name]])
    return judge


def assert_same(first: Judge, second: Judge) -> None:
    assert list(first.enrolled) == list(second.enrolled)
    assert first.cohort.speakers == second.cohort.speakers
    np.testing.assert_array_equal(first.cohort.unit_llrs, second.cohort.unit_llrs)
    for one, other in zip(first.enrolled.values(), second.enrolled.values(), strict=True):
        np.testing.assert_array_equal(one.stats.first, other.stats.first)
        np.testing.assert_array_equal(one.unit_llrs, other.unit_llrs)


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])
def test_removal_is_as_if_the_speaker_had_never_come(name):
    assert_same(without_speaker(judge_of("abcd"), name), judge_of("abcd".replace(name, "")))


def test_every_change_leaves_the_old_judge_as_it_was():
    judge = judge_of("ab")
    with_speech(judge, "c", [SPEECH["c"]])
    without_speaker(judge, "a")
    assert_same(judge, judge_of("ab"))


def test_recordings_are_counted():
    judge = with_speech(judge_of("a"), "a", [SPEECH["b"], SPEECH["c"]])
    assert judge.enrolled["a"].n_recordings == 3


def test_speech_in_parts_gives_the_statistics_of_the_whole():
    parts = with_speech(with_speech(nobody(), "a", [SPEECH["a"][:512]]), "a", [SPEECH["a"][512:]])
    assert parts.enrolled["a"].stats.n_frames == 600
    whole = judge_of("a").enrolled["a"].stats.first
    np.testing.assert_allclose(parts.enrolled["a"].stats.first, whole, rtol=SUM_RTOL)


def test_the_enrolled_cohort_hears_more_of_a_speaker_who_is_in_it():
    judge = with_speech(nobody(), "a", [SPEECH["a"][:512]])
    assert with_speech(judge, "a", [SPEECH["a"][512:]]).cohort.n_units[0] > judge.cohort.n_units[0]


def test_a_cohort_of_others_does_not_hear_the_enrolled():
    own = judge_of("abc").cohort
    judge = with_speech(Judge(nobody().ubm, own, {}, 0.01), "d", [SPEECH["d"]])
    assert judge.cohort is own


def test_no_speech_is_refused():
    with pytest.raises(GmmAudioError, match="there is no speech in the recordings of 'a'"):
        with_speech(nobody(), "a", [SPEECH["a"][:0]])
