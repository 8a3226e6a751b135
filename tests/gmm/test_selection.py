import warnings

import numpy as np
import pytest
from gmm.problems import problem
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GroupKFold

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GMM, select
from gmmaudio.gmm.criteria import assignment_entropy, mean_with_error
from gmmaudio.gmm.folds import joined_recordings, recording_folds

RTOL = 1e-12  # the same sums of float64 in another order
SEARCH = {"n_components": range(1, 8), "random_state": 0}


@pytest.fixture(scope="module", name="recordings")
def recordings_of_unequal_length():
    """Nine recordings of two clusters, each with an offset of its own."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(20, 80, 9)
    return [rng.normal(rng.choice([-3, 3], (n, 1)) + rng.normal(0, 0.5, 2), 1.0) for n in lengths]


@pytest.mark.parametrize("seed", range(20))
def test_finds_the_number_of_well_separated_components(seed):
    given = problem(seed, separation=6.0)
    assert select(given.frames, **SEARCH).best.n_components == given.n_components


@pytest.mark.parametrize("seed", range(20))
def test_is_within_one_of_the_number_of_moderately_separated_components(seed):
    given = problem(seed, separation=3.0)
    assert abs(select(given.frames, **SEARCH).best.n_components - given.n_components) <= 1


@pytest.mark.parametrize("covariance_type", ["spherical", "diag", "tied", "full"])
def test_finds_the_structure_of_the_covariances(covariance_type):
    rng = np.random.default_rng(0)
    turned = np.array([[3.0, 1.5], [1.5, 1.0]])
    covariances = {
        "spherical": [np.eye(2), 3 * np.eye(2)],
        "diag": [np.diag([1.0, 4.0]), np.diag([3.0, 0.5])],
        "tied": [turned, turned],
        "full": [turned, turned[::-1, ::-1] * [[1, -1], [-1, 1]]],
    }[covariance_type]
    frames = np.concatenate([rng.multivariate_normal([8.0 * k, 0.0], covariances[k], 400) for k in range(2)])
    found = select(frames, (1, 2, 3), covariance_types=("spherical", "diag", "tied", "full"), random_state=0)
    assert (found.best.covariance_type, found.best.n_components) == (covariance_type, 2)


def test_missing_features_are_no_obstacle():
    frames = problem(3, 6.0).frames
    gappy = np.where(np.random.default_rng(0).random(frames.shape) < 0.05, np.nan, frames)
    assert select(gappy, (3, 4, 5), random_state=0).best.n_components == 4


def test_candidates_have_the_criteria_of_their_models():
    frames = problem(3, 3.0).frames
    for candidate in select(frames, (2, 4), n_init=1, random_state=0).candidates:
        model = candidate.model
        entropy = -sum(share * np.log(share) for share in model.predict_proba(frames).ravel() if share > 0)
        expected = [model.score(frames), model.bic(frames), model.aic(frames), model.bic(frames) + 2 * entropy]
        assert_allclose([candidate.log_likelihood, candidate.bic, candidate.aic, candidate.icl], expected, rtol=RTOL)


def test_each_criterion_chooses_the_least():
    frames = problem(4, 3.0).frames
    for criterion in ("bic", "aic", "icl"):
        found = select(frames, range(1, 6), criterion=criterion, n_init=1, random_state=0)
        assert getattr(found.best, criterion) == min(getattr(c, criterion) for c in found.candidates)


def test_overlapping_components_are_one_cluster_for_icl_and_two_for_bic():
    rng = np.random.default_rng(0)
    frames = np.concatenate([rng.normal(0, 1, (400, 2)), rng.normal(0, 3, (400, 2))])
    chosen = {c: select(frames, (1, 2), criterion=c, random_state=0).best.n_components for c in ("bic", "icl")}
    assert chosen == {"bic": 2, "icl": 1}


def test_held_out_likelihood_is_that_of_training_without_the_recording(recordings):
    found = select(recordings, (2,), criterion="held_out", n_folds=3, n_init=1, random_state=0, tol=1e-3)
    frames, labels = joined_recordings(recordings, None)
    sums = np.zeros(len(recordings))
    for train, test in GroupKFold(3).split(frames, groups=labels):
        model = GMM(2, tol=1e-3, random_state=found.model.random_state).fit(frames[train])
        for number in np.unique(labels[test]):
            sums[number] = sum(model.score_samples(frames[labels == number]))
    mean = sums.sum() / len(frames)
    residuals = sums - mean * np.bincount(labels)
    error = np.sqrt(9 / 8 * (residuals**2).sum()) / len(frames)
    assert_allclose([found.best.held_out, found.best.held_out_error], [mean, error], rtol=RTOL)


def test_how_far_a_candidate_is_behind_is_judged_recording_by_recording(recordings):
    found = select(recordings, (1, 2), criterion="held_out", n_init=1, random_state=0)
    behind = found.candidates[0]
    assert_allclose(behind.behind, found.best.held_out - behind.held_out, rtol=1e-9)  # a difference of means
    assert found.best.behind == found.best.behind_error == 0.0


def test_frames_of_a_recording_are_never_split(recordings):
    _, labels = joined_recordings(recordings, None)
    folds = recording_folds(labels, 4, seed=0)
    assert all(set(labels[train]).isdisjoint(labels[test]) for train, test in folds)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(labels)))


def test_a_list_of_recordings_is_an_array_with_groups(recordings):
    names = np.repeat([f"file {i}" for i in range(9)], [len(recording) for recording in recordings])
    search = {"criterion": "held_out", "n_init": 1, "random_state": 0}
    listed = select(recordings, (1, 2), **search)
    grouped = select(np.concatenate(recordings), (1, 2), groups=names, **search)
    assert [c.held_out for c in listed.candidates] == [c.held_out for c in grouped.candidates]


def test_learning_every_recording_by_heart_is_not_rewarded_where_recordings_are_held_out():
    rng = np.random.default_rng(1)
    offsets = rng.normal(0, 3, (12, 2))
    recordings = [rng.normal(offset, 0.3, (60, 2)) for offset in offsets]
    search = {"criterion": "held_out", "n_init": 1, "random_state": 0, "n_folds": 4}
    by_recording = select(recordings, (1, 12), **search)
    by_frame = select(np.concatenate(recordings), (1, 12), **search)
    assert (by_recording.best.n_components, by_frame.best.n_components) == (1, 12)


def test_one_standard_error_takes_the_smallest_that_is_not_clearly_behind():
    rng = np.random.default_rng(3)
    recordings = [rng.laplace(size=(40, 2)) for _ in range(10)]
    found = select(recordings, (1, 2, 3), criterion="held_out", one_standard_error=True, n_init=1, random_state=0)
    best = max(found.candidates, key=lambda candidate: candidate.held_out)
    near = [c.n_components for c in found.candidates if c.behind <= c.behind_error]
    assert found.best.n_components == min(near) < best.n_components


def test_groups_of_one_frame_have_the_usual_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    expected = (values.mean(), values.std(ddof=1) / np.sqrt(50))
    assert_allclose(mean_with_error(values, np.ones(50)), expected, rtol=RTOL)


def test_sure_assignments_have_no_entropy():
    assert assignment_entropy(np.eye(3)) == 0.0


def test_the_restart_with_the_greatest_likelihood_counts():
    frames = problem(5, 3.0).frames
    best = select(frames, (6,), n_init=4, random_state=0, init="random").best
    one = select(frames, (6,), n_init=1, random_state=0, init="random").best
    assert best.log_likelihood > one.log_likelihood


def test_a_candidate_does_not_depend_on_the_rest_of_the_grid():
    frames = problem(3, 3.0).frames
    alone = select(frames, (3,), random_state=0).best
    among = select(frames, (1, 2, 3), random_state=0).candidates[-1]
    assert alone.bic == among.bic


def test_progress_is_told_after_each_candidate():
    told = []
    select(problem(0, 6.0).frames, (1, 2), n_init=1, callback=lambda *args: told.append(args))
    assert [(done, total, candidate.n_components) for done, total, candidate in told] == [(1, 2, 1), (2, 2, 2)]


def test_unfinished_trainings_are_named_in_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        select(problem(5, 3.0).frames, (1, 5, 6), max_iter=2, random_state=0)
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert "candidates with 5 (diag), 6 (diag) components" in str(caught[0].message)


def test_the_table_marks_what_was_chosen():
    text = str(select(problem(1, 6.0).frames, (1, 2, 3), n_init=1, random_state=0)).splitlines()
    assert [line.startswith("*") for line in text] == [False, False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "likelihood"}, "criterion is 'likelihood'"),
        ({"n_components": ()}, "the grid is empty"),
        ({"n_init": 0}, "n_init is 0"),
        ({"one_standard_error": True}, "goes with criterion='held_out'"),
        ({"criterion": "held_out", "n_folds": 9, "groups": np.arange(20) % 4}, "n_folds is 9 but 4 recordings"),
        ({"criterion": "held_out", "groups": np.arange(7)}, r"groups has shape \(7,\)"),
        ({"covariance_types": ("round",)}, "covariance_type is 'round'"),
    ],
)
def test_impossible_searches_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        select(np.random.default_rng(0).normal(size=(20, 2)), **{"n_components": (1,), **options})


def test_recordings_of_different_features_are_refused():
    with pytest.raises(ParameterError, match=r"\(4, 2\), \(4, 3\)"):
        select([np.zeros((4, 2)), np.zeros((4, 3))], (1,))
