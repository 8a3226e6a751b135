import dataclasses
import functools

import numpy as np
import pytest
from speaker.voices import FRAMES_PIPELINE, SimulatedPeople, clips

from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.gmm import GMM
from gmmaudio.speaker import SpeakerIdentifier
from gmmaudio.speaker.cohort import MAX_SPEAKERS, Cohort
from gmmaudio.speaker.speech import Speech
from gmmaudio.speaker.training import (
    MAX_COMPONENTS,
    MIN_COMPONENTS,
    N_FOLDS,
    TrainingOptions,
    choose_n_components,
    cross_fitted_cohort,
)
from gmmaudio.speaker.workplace import Workplace

STATED = 0.05
N_WORLDS, N_STRANGERS = 4, 100
# 20 cohort speakers in each of 4 worlds set the thresholds: the rate they realise is known to ±2.4 % (one standard
# deviation of 80 draws at 5 %), the count of strangers to ±1.1 %.
HONEST = (0.005, 0.10)
DISHONEST = 0.20
OPTIONS = TrainingOptions(8, relevance_factor=4.0, max_iter=2, random_state=0)


@functools.cache
def realised_rates() -> tuple[float, float]:
    """Return the fractions of strangers that are accepted with cross-fitted folds, and without."""
    accepted = np.zeros(2)
    for seed in range(N_WORLDS):
        people = SimulatedPeople(seed, spread=1.0)
        background = [people.recording(people.person(), 600) for _ in range(20)]
        # Large enough to learn the background's speakers by heart.
        identifier = SpeakerIdentifier(FRAMES_PIPELINE, n_components=128, max_iter=10).train(background)
        for name in ("a", "b", "c", "d", "e"):
            identifier.enroll(name, people.recording(people.person(), 1000))
        judges = [identifier._judge, without_folds(identifier._judge)]
        for _ in range(N_STRANGERS):
            frames = people.frames(people.person(), 200)
            for index, judge in enumerate(judges):
                scorer = judge.scorer()
                scorer.push(frames)
                accepted[index] += judge.identify(scorer, STATED).is_known
    cross_fitted, naive = accepted / (N_WORLDS * N_STRANGERS)
    return cross_fitted, naive


def without_folds(judge):
    """Return a judge whose cohort is scored with the background model that it trained."""
    cohort = judge.cohort
    spoken = dict(zip(cohort.speakers, cohort.frames, strict=True))
    naive = Cohort.build(spoken, [judge.ubm], [0] * len(spoken), relevance_factor=cohort.relevance_factor)
    enrolled = {
        name: dataclasses.replace(one, unit_llrs=naive.unit_llrs_of(one.stats)) for name, one in judge.enrolled.items()
    }
    return dataclasses.replace(judge, cohort=naive, enrolled=enrolled)


def test_realised_false_accept_rate_is_the_stated_one():
    assert HONEST[0] < realised_rates()[0] < HONEST[1]


def test_without_cross_fitting_far_more_strangers_are_accepted_than_stated():
    assert realised_rates()[1] > DISHONEST


def test_two_trainings_give_the_same_bits_and_leave_the_global_random_state_alone():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = (SpeakerIdentifier(n_components=16, max_iter=2).train(clips("background")[:6]) for _ in range(2))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    np.testing.assert_array_equal(first.ubm.means, second.ubm.means)
    np.testing.assert_array_equal(first.cohort.unit_llrs, second.cohort.unit_llrs)


def test_another_seed_gives_another_background_model():
    first, second = (
        SpeakerIdentifier(n_components=16, max_iter=2, random_state=seed).train(clips("background")[:4])
        for seed in (0, 1)
    )
    assert not np.array_equal(first.ubm.means, second.ubm.means)


def people_frames(n_people: int, n_frames: int = 300):
    people = SimulatedPeople(0)
    return [people.recording(people.person(), n_frames) for _ in range(n_people)]


def train(recordings, **options):
    return SpeakerIdentifier(FRAMES_PIPELINE, n_components=8, max_iter=2).train(recordings, **options)


def test_recordings_may_come_from_a_generator():
    listed = people_frames(3)
    np.testing.assert_array_equal(train(iter(listed)).ubm.means, train(listed).ubm.means)


def test_every_recording_is_of_another_stranger_unless_names_are_given():
    recordings = people_frames(4)
    assert len(train(recordings).cohort.speakers) == 4
    assert train(recordings, speakers=["x", "y", "x", "y"]).cohort.speakers == ("x", "y")


def speech_of(spoken):
    speech = Speech()
    for name, frames in spoken.items():
        speech.add(name, frames)
    return speech


def test_a_fold_has_not_heard_its_own_speakers():
    people = SimulatedPeople(0)
    spoken = {f"s{number}": people.frames(people.person(), 300) for number in range(7)}
    ubm = GMM(8, max_iter=2, tol=0.0, random_state=0).fit(list(spoken.values())).params_
    first, changed = (
        cross_fitted_cohort(ubm, speech_of(own), OPTIONS, workplace=Workplace(), progress=lambda *_: None)
        for own in (spoken, spoken | {"s3": people.frames(people.person(), 300)})
    )
    same = [np.array_equal(one.means, other.means) for one, other in zip(first.folds, changed.folds, strict=True)]
    assert same == [fold == first.fold_of[3] for fold in range(N_FOLDS)]


def test_a_huge_background_leaves_a_cohort_of_bounded_size():
    assert len(train(people_frames(MAX_SPEAKERS + 5, 50)).cohort.speakers) == MAX_SPEAKERS


def test_a_speaker_with_less_than_a_unit_of_speech_is_not_in_the_cohort():
    recordings = [*people_frames(3), *people_frames(1, 10)]
    assert train(recordings).cohort.speakers == ("recording 1", "recording 2", "recording 3")


def test_training_on_one_speaker_warns_that_there_are_no_strangers():
    with pytest.warns(GmmAudioWarning, match="no strangers to calibrate with"):
        train(people_frames(1))


@pytest.mark.filterwarnings("ignore:all training speech is of one")
def test_training_on_next_to_nothing_is_refused():
    with pytest.raises(GmmAudioError, match="hold only 49 frames of speech"):
        train(people_frames(1, 49))


def test_a_missing_name_is_refused():
    with pytest.raises(ParameterError, match="speakers has 1 names for 2 recordings"):
        train(people_frames(2), speakers=["x"])


def test_progress_of_every_step_ends_at_its_total():
    last = {}
    train(people_frames(3), progress=lambda step, done, total: last.update({step: (done, total)}))
    assert last == {"reading": (3, 3), "background model": (2, 2), "cohort": (3, 3)}


@pytest.mark.parametrize(
    ("n_frames", "n_speakers", "expected"),
    [(6000, 60, 32), (360_000, 1000, 256), (100, 1, MIN_COMPONENTS), (10**8, 10**5, MAX_COMPONENTS), (10**6, 5, 32)],
)
def test_size_of_the_background_model_follows_the_speech_and_the_number_of_speakers(n_frames, n_speakers, expected):
    assert choose_n_components(n_frames, n_speakers) == expected
