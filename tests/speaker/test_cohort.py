import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from speaker.voices import SimulatedPeople

from gmmaudio.gmm import GmmParams, accumulate_stats, estimate_map, frame_log_likelihood_ratios
from gmmaudio.speaker.cohort import MAX_UNITS, RUN_UNITS, UNIT_FRAMES, Cohort, excerpt, normalize

BITS_RTOL = 1e-9  # the same sums in another order
RELEVANCE = 4.0
PEOPLE = SimulatedPeople(0)


def some_ubm(seed: int = 0) -> GmmParams:
    means = np.random.default_rng(seed).normal(scale=2.0, size=(8, 6))
    return GmmParams(np.full(8, 0.125), means, np.full((8, 6), 2.0))


def cohort_of(n_speakers: int, n_units: int = 6) -> Cohort:
    """Cohort of two folds."""
    speech = {f"s{i}": PEOPLE.frames(PEOPLE.person(), n_units * UNIT_FRAMES) for i in range(n_speakers)}
    return Cohort.build(
        speech, [some_ubm(1), some_ubm(2)], [i % 2 for i in range(n_speakers)], relevance_factor=RELEVANCE
    )


@given(n_frames=st.integers(0, 4000))
def test_excerpt_is_whole_units_of_the_speech_and_not_more_than_are_kept(n_frames):
    kept = excerpt(np.arange(n_frames, dtype=np.float32)[:, np.newaxis])
    assert len(kept) == min(n_frames // UNIT_FRAMES, MAX_UNITS) * UNIT_FRAMES
    assert len(np.unique(kept)) == len(kept)


def test_excerpt_reaches_from_the_beginning_to_the_end_in_runs_of_neighbours():
    kept = excerpt(np.arange(10_000, dtype=np.float32)[:, np.newaxis])[:, 0]
    assert kept[0] == 0
    assert kept[-1] == 9999
    assert np.count_nonzero(np.diff(kept) != 1) == MAX_UNITS // RUN_UNITS - 1


def test_normalize_without_scale_subtracts_the_mean_of_the_usable_models():
    against = np.array([[1.0, 3.0, 100.0]])
    score = normalize(np.array([5.0]), against, np.array([[True, True, False]]), scale=False)
    np.testing.assert_array_equal(score, [3.0])


def test_normalize_is_the_t_norm_of_the_usable_models():
    rng = np.random.default_rng(0)
    against, usable = rng.normal(size=(5, 20)), rng.random((5, 20)) < 0.7
    llrs = rng.normal(size=5)
    # zmap is (llr - mean) / standard deviation, computed by somebody else
    expected = [
        scipy.stats.zmap(llr, row[mask], ddof=1).item() for llr, row, mask in zip(llrs, against, usable, strict=True)
    ]
    np.testing.assert_allclose(normalize(llrs, against, usable, scale=True), expected, rtol=BITS_RTOL)


def test_equal_cohort_scores_do_not_divide_by_zero():
    assert np.isfinite(normalize(np.ones(1), np.ones((1, 10)), np.ones((1, 10), bool), scale=True)).all()


def test_every_unit_is_scored_in_the_world_of_its_speakers_fold():
    cohort = cohort_of(4)
    for unit, speaker in enumerate(cohort.speaker_of_unit):
        fold = cohort.folds[cohort.fold_of[speaker]]
        models = [
            estimate_map(accumulate_stats(fold, frames), fold, relevance_factor=RELEVANCE) for frames in cohort.frames
        ]
        start = (unit - cohort.n_units[0] * speaker) * UNIT_FRAMES
        frames = cohort.frames[speaker][start : start + UNIT_FRAMES]
        expected = frame_log_likelihood_ratios(models, fold, frames).mean(axis=0)
        np.testing.assert_allclose(cohort.unit_llrs[unit], expected, rtol=BITS_RTOL)


def test_scores_of_pieces_are_those_of_a_loop():
    cohort = cohort_of(4)
    llrs = {"new": np.random.default_rng(1).normal(size=24), "s2": np.random.default_rng(2).normal(size=24)}
    for units in (1, 2, 4):
        pieces = cohort.pieces_against(llrs)[units * UNIT_FRAMES]
        column = 0
        for speaker in range(4):
            for start in range(speaker * 6, speaker * 6 + 6 - units + 1, units):
                piece = slice(start, start + units)
                for row, name in enumerate(llrs):
                    others = [o for o in range(4) if o != speaker and cohort.speakers[o] != name]
                    expected = llrs[name][piece].mean() - cohort.unit_llrs[piece].mean(axis=0)[others].mean()
                    np.testing.assert_allclose(pieces.scores[row, column], expected, rtol=BITS_RTOL)
                    np.testing.assert_allclose(pieces.llrs[row, column], llrs[name][piece].mean(), rtol=BITS_RTOL)
                    assert pieces.by_stranger[row, column] == (cohort.speakers[speaker] != name)
                column += 1
        assert column == pieces.scores.shape[1]


def test_an_enrolled_speaker_is_scored_against_every_unit_in_its_fold():
    cohort = cohort_of(4)
    stats = accumulate_stats(some_ubm(), PEOPLE.frames(PEOPLE.person(), 200))
    got = cohort.unit_llrs_of(stats)
    for unit, speaker in enumerate(cohort.speaker_of_unit):
        fold = cohort.folds[cohort.fold_of[speaker]]
        model = estimate_map(stats, fold, relevance_factor=RELEVANCE)
        start = (unit - cohort.n_units[0] * speaker) * UNIT_FRAMES
        frames = cohort.frames[speaker][start : start + UNIT_FRAMES]
        expected = frame_log_likelihood_ratios([model], fold, frames).mean()
        np.testing.assert_allclose(got[unit], expected, rtol=BITS_RTOL)


def test_a_cohort_without_a_speaker_is_the_cohort_that_never_had_that_speaker():
    cohort = cohort_of(3)
    spoken = dict(zip(cohort.speakers[:2], cohort.frames[:2], strict=True))
    expected = Cohort.build(spoken, cohort.folds, cohort.fold_of[:2], relevance_factor=RELEVANCE)
    got = cohort.without("s2")
    assert (got.speakers, got.fold_of) == (expected.speakers, expected.fold_of)
    np.testing.assert_array_equal(got.unit_llrs, expected.unit_llrs)


def test_more_speech_of_a_cohort_speaker_joins_what_there_is():
    cohort = cohort_of(3)
    more = cohort.with_speech("s1", PEOPLE.frames(PEOPLE.person(), 3 * UNIT_FRAMES))
    assert more.speakers == cohort.speakers
    assert more.fold_of == cohort.fold_of
    assert more.n_units == (6, 9, 6)


@pytest.mark.parametrize(("n_speakers", "centers", "scales"), [(1, False, False), (2, False, False), (3, True, False)])
def test_a_small_cohort_is_used_as_far_as_it_goes(n_speakers, centers, scales):
    cohort = cohort_of(n_speakers)
    assert (cohort.centers, cohort.scales) == (centers, scales)
    assert np.isfinite(cohort.pieces_against({"new": np.zeros(6 * n_speakers)})[UNIT_FRAMES].scores).all()


def test_a_large_cohort_divides_by_the_standard_deviation():
    assert cohort_of(12).scales
    assert not cohort_of(11).scales
