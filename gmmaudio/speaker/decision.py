"""From the log-likelihood ratios of a recording to a decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array
from gmmaudio.gmm.estimation import estimate_map
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.speaker.calibration import TailModel
from gmmaudio.speaker.cohort import Cohort, Pieces, normalize
from gmmaudio.speaker.results import UNKNOWN, Identification, Verification
from gmmaudio.speaker.scoring import RecordingScorer, arranged


@dataclass(frozen=True, eq=False)
class Enrollment:
    """What is known of an enrolled speaker.

    Attributes
    ----------
    stats : GmmStats
        Of all frames of speech under the background model.
    n_recordings : int
    unit_llrs : array, shape (n_units,)
        Ratios of the cohort's units against this speaker (`Cohort.unit_llrs_of`).
    """

    stats: GmmStats
    n_recordings: int
    unit_llrs: Float64Array


@dataclass(frozen=True, eq=False)
class Judge:
    """The enrolled speakers and the cohort, ready to score recordings and to decide.

    Parameters
    ----------
    ubm : GmmParams
    cohort : Cohort
    enrolled : dict of str to Enrollment
    frame_shift : float
        Seconds between frames.
    cohort_is_enrolled : bool
        Whether the cohort are the enrolled speakers themselves, for want of others.
    """

    ubm: GmmParams
    cohort: Cohort
    enrolled: Mapping[str, Enrollment]
    frame_shift: float
    cohort_is_enrolled: bool = False

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self  # nothing in it changes, and a fresh stream should not copy a thousand models

    def scorer(self) -> RecordingScorer:
        """Return a scorer for one recording, against all enrolled speakers and then all cohort speakers."""
        return RecordingScorer(self._models, self.ubm)

    def identify(self, scorer: RecordingScorer, false_accept_rate: float) -> Identification:
        """Decide whose voice the scorer has heard."""
        threshold = self.identification_tail.threshold(scorer.n_frames, false_accept_rate)
        if scorer.n_frames == 0:
            return Identification(UNKNOWN, (), {}, -np.inf, threshold, 1.0, 0.0)
        llrs = scorer.llrs[: len(self.enrolled)]
        scores = self._scores(scorer)
        names = list(self.enrolled)
        order = np.argsort(-llrs, kind="stable")
        best = int(order[0])
        accepted = scores[best] >= threshold and llrs[best] > 0
        return Identification(
            names[best] if accepted else UNKNOWN,
            tuple((names[index], float(llrs[index])) for index in order),
            {names[index]: float(scores[index]) for index in order},
            float(scores[best]),
            threshold,
            self.identification_tail.exceedance_probability(float(scores[best]), scorer.n_frames),
            scorer.n_frames * self.frame_shift,
        )

    def verify(self, claimed: str, scorer: RecordingScorer, false_accept_rate: float) -> Verification:
        """Decide whether the scorer has heard the claimed speaker."""
        threshold = self.verification_tail.threshold(scorer.n_frames, false_accept_rate)
        if scorer.n_frames == 0:
            return Verification(claimed, False, -np.inf, -np.inf, threshold, 1.0, 0.0)
        index = list(self.enrolled).index(claimed)
        llr, score = float(scorer.llrs[index]), float(self._scores(scorer)[index])
        return Verification(
            claimed,
            score >= threshold and llr > 0,
            llr,
            score,
            threshold,
            self.verification_tail.exceedance_probability(score, scorer.n_frames),
            scorer.n_frames * self.frame_shift,
        )

    @cached_property
    def identification_tail(self) -> TailModel:
        """The tail of the score of the best candidate, of all enrolled speakers, for a stranger's recording."""
        return TailModel.fit({length: _of_best_candidate(pieces) for length, pieces in self._pieces.items()})

    @cached_property
    def verification_tail(self) -> TailModel:
        """The tail of the scores of strangers against any one enrolled speaker."""
        return TailModel.fit({length: pieces.scores[pieces.by_stranger] for length, pieces in self._pieces.items()})

    @cached_property
    def _models(self) -> Sequence[GmmParams]:
        """Models of the enrolled speakers, then of the cohort."""
        relevance_factor = self.cohort.relevance_factor
        enrolled = [
            estimate_map(speaker.stats, self.ubm, relevance_factor=relevance_factor)
            for speaker in self.enrolled.values()
        ]
        return arranged(enrolled + (self.cohort.models(self.ubm) if self.cohort.centers else []), self.ubm)

    @cached_property
    def _strangers(self) -> BoolArray:
        """Which cohort speakers are strangers to each enrolled speaker, shape (n_enrolled, n_cohort)."""
        return self.cohort.strangers_to(list(self.enrolled))

    @cached_property
    def _pieces(self) -> dict[int, Pieces]:
        """The cohort's pieces against the enrolled speakers, by their length in frames."""
        return self.cohort.pieces_against({name: speaker.unit_llrs for name, speaker in self.enrolled.items()})

    def _scores(self, scorer: RecordingScorer) -> Float64Array:
        """Return the normalised scores of the enrolled speakers, shape (n_enrolled,)."""
        n_enrolled = len(self.enrolled)
        if not self.cohort.centers:
            return scorer.llrs
        enrolled, against_cohort = np.split(scorer.llrs, [n_enrolled])
        return normalize(enrolled, against_cohort, self._strangers, scale=self.cohort.scales)


def _of_best_candidate(pieces: Pieces) -> Float64Array:
    """Return the score of each piece's best candidate, as `Judge.identify` chooses it, if there is a stranger to it."""
    llrs = np.where(pieces.by_stranger, pieces.llrs, -np.inf)
    best = np.argmax(llrs, axis=0)[np.newaxis]
    return np.take_along_axis(pieces.scores, best, axis=0)[0, pieces.by_stranger.any(axis=0)]
