"""The cohort: strangers whose voices say how high a stranger may score.

Two things come from it. *T-normalisation* (Auckenthaler, Carey & Lloyd-Thomas 2000, "Score normalization for
text-independent speaker verification systems", eq. 6) expresses the score of a recording in standard deviations above
the scores that the same recording has against the cohort's models; the result hardly depends on the length and the
quality of the recording (with a small cohort, only its mean is subtracted). *Calibration* scores the cohort's own
recordings against the enrolled models and finds the threshold that only a stated fraction of them exceeds.

A background model has adapted to the recordings that it was trained on, so these score lower against speakers than a
stranger's would, and a threshold found on them is far too low. The cohort is therefore *cross-fitted*: its speakers
are divided into folds, each fold has a background model that was trained without it, and a cohort recording is scored
in the world of its fold's model.

Conventions. Log-likelihood ratios are means per frame, of a speaker's model against the background model. A *unit* is
`UNIT_FRAMES` consecutive frames; longer pieces are means over units.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from gmmaudio._typing import BoolArray, Float32Array, Float64Array, IntArray
from gmmaudio.gmm.estimation import estimate_map
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats, accumulate_stats
from gmmaudio.speaker.scoring import arranged, frame_llrs

UNIT_FRAMES = 25
"""Frames of speech in the shortest piece that is scored."""

PIECE_UNITS = (1, 2, 4, 8, 16)
"""Lengths of the pieces, in units: a quarter of a second to four seconds at 100 frames a second."""

MAX_SPEAKERS = 64
"""More speakers than this make scoring slower and the threshold hardly better."""

MAX_UNITS = 24
"""Units kept of each cohort speaker: six seconds of speech at 100 frames a second."""

RUN_UNITS = 8
"""Units kept in one run: neighbouring frames of real speech vary less than scattered ones."""

MIN_NORMALIZERS = 10
"""A standard deviation over fewer cohort models is too rough to divide by; then only their mean is subtracted."""


class Pieces(NamedTuple):
    """How pieces of the cohort's speech do against enrolled speakers; all of shape (n_enrolled, n_pieces).

    Attributes
    ----------
    llrs, scores : array
        Log-likelihood ratios, and what they are after normalisation.
    by_stranger : array of bool
        Whether it was not the enrolled speaker who spoke the piece.
    """

    llrs: Float64Array
    scores: Float64Array
    by_stranger: BoolArray


@dataclass(frozen=True, eq=False)
class Cohort:
    """Strangers' speech, and the background models that have not heard it.

    Attributes
    ----------
    speakers : tuple of str
        A label for each, to be recognised when one of them is enrolled.
    frames : tuple of float32 arrays, each of shape (n_units * UNIT_FRAMES, n_features)
        Some of the speech of each.
    folds : tuple of GmmParams
        Background models.
    fold_of : tuple of int
        For each speaker, which of the `folds` was trained without them.
    relevance_factor : float
        That of the adaptation of the speakers' models.
    unit_llrs : array, shape (total units, n_speakers)
        Ratio of each unit against each cohort speaker's model in the unit's fold.
    """

    speakers: tuple[str, ...]
    frames: tuple[Float32Array, ...]
    folds: tuple[GmmParams, ...]
    fold_of: tuple[int, ...]
    relevance_factor: float
    unit_llrs: Float64Array

    @classmethod
    def build(
        cls,
        speech: Mapping[str, Float32Array],
        folds: Sequence[GmmParams],
        fold_of: Sequence[int],
        *,
        relevance_factor: float,
    ) -> Self:
        """Return a cohort of excerpts of each speaker's speech, scored against all of its speakers."""
        frames = tuple(excerpt(part) for part in speech.values())

        def models_in(fold: GmmParams) -> list[GmmParams]:
            return _adapted(fold, frames, relevance_factor)

        unit_llrs = _unit_llrs(frames, folds, fold_of, models_in, n_models=len(frames))
        return cls(tuple(speech), frames, tuple(folds), tuple(fold_of), relevance_factor, unit_llrs)

    def with_speech(self, name: str, speech: Float32Array) -> Self:
        """Return a cohort that has heard more of a speaker; a new one is a stranger to the first fold's model."""
        spoken = dict(zip(self.speakers, self.frames, strict=True))
        fold_of = self.fold_of if name in spoken else (*self.fold_of, 0)
        spoken[name] = np.concatenate([spoken[name], speech]) if name in spoken else speech
        return self.build(spoken, self.folds, fold_of, relevance_factor=self.relevance_factor)

    def without(self, name: str) -> Self:
        """Return a cohort without a speaker."""
        kept = [index for index, speaker in enumerate(self.speakers) if speaker != name]
        spoken = {self.speakers[index]: self.frames[index] for index in kept}
        fold_of = [self.fold_of[index] for index in kept]
        return self.build(spoken, self.folds, fold_of, relevance_factor=self.relevance_factor)

    @cached_property
    def n_units(self) -> tuple[int, ...]:
        """Number of units of each speaker."""
        return tuple(len(frames) // UNIT_FRAMES for frames in self.frames)

    @cached_property
    def speaker_of_unit(self) -> IntArray:
        """Index of the speaker of each unit, shape (total units,)."""
        return np.repeat(np.arange(len(self.speakers)), self.n_units)

    def models(self, ubm: GmmParams) -> list[GmmParams]:
        """Return the models of all cohort speakers adapted from a background model."""
        return _adapted(ubm, self.frames, self.relevance_factor)

    def unit_llrs_of(self, stats: GmmStats) -> Float64Array:
        """Return the ratio of each unit against a speaker's model in the unit's fold, shape (total units,).

        The folds' models are a few EM steps from the background model, so its alignment of the enrolment (`stats`)
        serves for all of them.
        """

        def model_in(fold: GmmParams) -> list[GmmParams]:
            return [estimate_map(stats, fold, relevance_factor=self.relevance_factor)]

        return _unit_llrs(self.frames, self.folds, self.fold_of, model_in, n_models=1)[:, 0]

    @property
    def centers(self) -> bool:
        """Whether anybody is left to compare with, besides a speaker and the one whose model is scored."""
        return len(self.speakers) > 2

    @property
    def scales(self) -> bool:
        """Whether there are enough of them to divide by their standard deviation."""
        return len(self.speakers) >= MIN_NORMALIZERS + 2

    def strangers_to(self, names: Sequence[str]) -> BoolArray:
        """Return which cohort speakers are other people than each of the names, shape (n_names, n_speakers)."""
        return np.array([[speaker != name for speaker in self.speakers] for name in names], dtype=np.bool_)

    def pieces_against(self, unit_llrs: Mapping[str, Float64Array]) -> dict[int, "Pieces"]:
        """Return the ratios and scores of the cohort's pieces against enrolled speakers.

        Parameters
        ----------
        unit_llrs : dict of str to array, shape (total units,)
            For each enrolled speaker, what `unit_llrs_of` returned.

        Returns
        -------
        dict of int to Pieces
            By the length of the pieces in frames.
        """
        strangers = self.strangers_to(list(unit_llrs))
        return {units * UNIT_FRAMES: self._pieces_against(units, unit_llrs, strangers) for units in PIECE_UNITS}

    def _pieces_against(self, units: int, unit_llrs: Mapping[str, Float64Array], strangers: BoolArray) -> "Pieces":
        """Return the ratios and scores of all pieces of one length."""
        starts = self._piece_starts(units)
        spoken_by = self.speaker_of_unit[starts]
        llrs = _piece_means(np.stack(list(unit_llrs.values()), axis=1), starts, units).T
        scores = llrs.copy()
        if self.centers:
            against_cohort = _piece_means(self.unit_llrs, starts, units)
            # Most of the enrolled are strangers to the whole cohort, so what they are normalised by is the same.
            patterns, pattern_of = np.unique(strangers, axis=0, return_inverse=True)
            for index, is_stranger in enumerate(patterns):
                # A piece is normalised by strangers to both, its own speaker and the enrolled one.
                usable = is_stranger & (np.arange(len(self.speakers)) != spoken_by[:, np.newaxis])
                rows = pattern_of.ravel() == index
                scores[rows] = normalize(llrs[rows], against_cohort, usable, scale=self.scales)
        return Pieces(llrs, scores, strangers[:, spoken_by])

    def _piece_starts(self, units: int) -> IntArray:
        """Return the first unit of each piece; pieces do not overlap and do not cross speakers."""
        first = np.concatenate([[0], np.cumsum(self.n_units, dtype=np.intp)])
        starts = [np.arange(a, b - units + 1, units) for a, b in itertools.pairwise(first)]
        return np.concatenate([np.empty(0, np.intp), *starts])


def normalize(llrs: Float64Array, against_cohort: Float64Array, usable: BoolArray, *, scale: bool) -> Float64Array:
    """Return T-normalised scores, ``(llr − mean) / standard deviation`` over the usable cohort models.

    Parameters
    ----------
    llrs : array, shape (..., n)
    against_cohort : array, shape (n, n_cohort) or (n_cohort,)
    usable : array of bool, shape (n, n_cohort)
        At least one in each row, two if `scale`.
    scale : bool
        Whether to divide by the standard deviation.

    Returns
    -------
    array, shape (..., n)
    """
    counts = usable.sum(axis=1)
    means = np.where(usable, against_cohort, 0.0).sum(axis=1) / counts
    if not scale:
        return np.asarray(llrs - means)
    deviations = np.where(usable, against_cohort - means[:, np.newaxis], 0.0)
    variances = np.square(deviations).sum(axis=1) / (counts - 1)
    return np.asarray((llrs - means) / np.sqrt(np.maximum(variances, np.finfo(np.float64).tiny)))


def excerpt(frames: Float32Array) -> Float32Array:
    """Return what a cohort keeps of a speaker: whole units, in a few runs evenly spread over all of the speech."""
    n_units = len(frames) // UNIT_FRAMES
    if n_units <= MAX_UNITS:
        return frames[: n_units * UNIT_FRAMES]
    starts = np.linspace(0, n_units - RUN_UNITS, MAX_UNITS // RUN_UNITS).astype(np.intp)
    return np.concatenate([frames[start * UNIT_FRAMES : (start + RUN_UNITS) * UNIT_FRAMES] for start in starts])


def _adapted(ubm: GmmParams, frames: Sequence[Float32Array], relevance_factor: float) -> list[GmmParams]:
    """Return the models of several speakers."""
    return [estimate_map(accumulate_stats(ubm, part), ubm, relevance_factor=relevance_factor) for part in frames]


def _unit_llrs(
    frames: Sequence[Float32Array],
    folds: Sequence[GmmParams],
    fold_of: Sequence[int],
    models_in: Callable[[GmmParams], list[GmmParams]],
    *,
    n_models: int,
) -> Float64Array:
    """Return the ratio of each unit against the models that are made for its fold, shape (total units, n_models)."""
    fold_of_unit = np.repeat(np.array(fold_of, np.intp), [len(part) // UNIT_FRAMES for part in frames])
    llrs = np.empty((len(fold_of_unit), n_models))
    for index, fold in enumerate(folds):
        speech = [part for part, own in zip(frames, fold_of, strict=True) if own == index]
        if speech:
            models = arranged(models_in(fold), fold)
            llrs[fold_of_unit == index] = _unit_means(frame_llrs(models, fold, np.concatenate(speech)))
    return llrs


def _unit_means(frame_values: Float64Array) -> Float64Array:
    """Return the means over units of per-frame values, shape (n_units, n_columns)."""
    return np.asarray(frame_values.reshape(-1, UNIT_FRAMES, frame_values.shape[1]).mean(axis=1))


def _piece_means(unit_values: Float64Array, starts: IntArray, units: int) -> Float64Array:
    """Return the means over the units of each piece."""
    return np.asarray(unit_values[starts[:, np.newaxis] + np.arange(units)].mean(axis=1))
