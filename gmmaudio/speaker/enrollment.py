"""Speakers come, say more, and go: each change makes a new `Judge` of an old one."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.gmm.statistics import GmmStats, accumulate_stats
from gmmaudio.speaker.cohort import MAX_SPEAKERS, Cohort
from gmmaudio.speaker.decision import Enrollment, Judge
from gmmaudio.speaker.results import UNKNOWN

MIN_ENROLLMENT = 5.0
"""Seconds of speech, about 10 s of recording, below which an enrolment is said to be short."""


def check_name(name: str) -> str:
    """Return a speaker's name, or raise if it cannot be one: lists and tables have to be able to hold it."""
    if not name or name != name.strip() or not name.isprintable() or name == UNKNOWN:
        raise ParameterError(
            f"the name {name!r} cannot be used; give one that is printable, without spaces around it, and not "
            f"'{UNKNOWN}'"
        )
    return name


def check_relevance_factor(relevance_factor: float) -> float:
    """Return the relevance factor, or raise if no model can be adapted with it."""
    if not 0 < relevance_factor < np.inf:
        raise ParameterError(
            f"relevance_factor is {relevance_factor} but must be positive and finite; 4 to 16 is usual"
        )
    return relevance_factor


def with_speech(judge: Judge, name: str, recordings: Sequence[Float32Array]) -> Judge:
    """Return a judge that has heard more of a speaker, who may be new.

    Parameters
    ----------
    judge : Judge
    name : str
    recordings : sequence of arrays, shape (n_frames, n_features)

    Raises
    ------
    GmmAudioError
        If there is no speech at all of this speaker.

    Warns
    -----
    GmmAudioWarning
        If there is less than `MIN_ENROLLMENT`.
    """
    old = judge.enrolled.get(name)
    known = old.stats if old else GmmStats.zeros_like(judge.ubm)
    stats = sum((accumulate_stats(judge.ubm, frames) for frames in recordings), start=known)
    _check_enough(name, stats.n_frames * judge.frame_shift)
    cohort = judge.cohort
    if judge.cohort_is_enrolled and (name in cohort.speakers or len(cohort.speakers) < MAX_SPEAKERS):
        cohort = cohort.with_speech(name, np.concatenate(recordings))
    judge = _with_cohort(judge, cohort)
    n_recordings = len(recordings) + (old.n_recordings if old else 0)
    new = Enrollment(stats, n_recordings, cohort.unit_llrs_of(stats))
    return replace(judge, enrolled={**judge.enrolled, name: new})


def without_speaker(judge: Judge, name: str) -> Judge:
    """Return a judge that does not know a speaker."""
    cohort = judge.cohort.without(name) if judge.cohort_is_enrolled else judge.cohort
    others = {other: speaker for other, speaker in judge.enrolled.items() if other != name}
    return _with_cohort(replace(judge, enrolled=others), cohort)


def _with_cohort(judge: Judge, cohort: Cohort) -> Judge:
    """Return a judge with another cohort, whose units are scored against all enrolled speakers."""
    if cohort is judge.cohort:
        return judge
    enrolled = {name: replace(one, unit_llrs=cohort.unit_llrs_of(one.stats)) for name, one in judge.enrolled.items()}
    return replace(judge, cohort=cohort, enrolled=enrolled)


def _check_enough(name: str, seconds: float) -> None:
    """Raise if there is no speech to enroll, warn if there is little."""
    if seconds == 0:
        raise GmmAudioError(
            f"there is no speech in the recordings of '{name}'; are they silent, or is it the wrong file?"
        )
    if seconds < MIN_ENROLLMENT:
        warnings.warn(
            f"'{name}' is enrolled with {seconds:.1f} s of speech only and will often be missed; "
            "add recordings until there are 10 s or more",
            GmmAudioWarning,
            stacklevel=5,  # the caller of SpeakerIdentifier.enroll
        )
