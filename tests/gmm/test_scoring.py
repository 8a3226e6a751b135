import numpy as np
import pytest
from oracles import gmm_frame_log_likelihoods, gmm_log_joint

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import (
    accumulate_stats,
    estimate_map,
    frame_log_likelihood_ratios,
    frame_log_likelihoods,
    log_likelihood_ratio,
)

RTOL_DOUBLE = 1e-10
ATOL_SINGLE = 5e-5  # differences of log-likelihoods of about 30 nats, each off by 6e-8 a few times
N_COMPONENTS = 12
PRECISIONS = ("single", "double")


@pytest.fixture(scope="module")
def ubm(make_params):
    return make_params(0, N_COMPONENTS, 4)


@pytest.fixture(scope="module")
def models(ubm, make_frames):
    """Three models adapted from the background, with other weights, means and variances."""
    return [
        estimate_map(
            accumulate_stats(ubm, make_frames(seed, 200, 4) + shift),
            ubm,
            update_weights=True,
            update_variances=True,
        )
        for seed, shift in ((1, 0.5), (2, -0.5), (3, 1.0))
    ]


@pytest.fixture(scope="module")
def test_frames(make_frames):
    return make_frames(4, 530, 4)


def parts(params):
    return params.weights, params.means, params.variances


def brute_force_top_ratio(model, ubm, frame, n_top):
    """Top components of the background in the model, all others from the background, as a plain sum of densities."""
    in_ubm = np.exp(gmm_log_joint(*parts(ubm), [frame])[0])
    in_model = np.exp(gmm_log_joint(*parts(model), [frame])[0])
    top = set(np.argsort(in_ubm)[-n_top:])
    mixed = sum(in_model[k] if k in top else in_ubm[k] for k in range(len(in_ubm)))
    return np.log(mixed) - np.log(in_ubm.sum())


@pytest.mark.parametrize(("precision", "atol"), [("double", 1e-12), ("single", ATOL_SINGLE)])
def test_full_ratio_equals_brute_force(models, ubm, test_frames, precision, atol):
    frames = test_frames[:40]
    background = gmm_frame_log_likelihoods(*parts(ubm), frames)
    expected = [gmm_frame_log_likelihoods(*parts(model), frames) - background for model in models]
    actual = frame_log_likelihood_ratios(models, ubm, frames, precision=precision)
    np.testing.assert_allclose(actual, np.transpose(expected), rtol=RTOL_DOUBLE, atol=atol)


@pytest.mark.parametrize(("precision", "atol"), [("double", 1e-12), ("single", ATOL_SINGLE)])
@pytest.mark.parametrize("n_top", [1, 3, N_COMPONENTS - 1])
def test_top_ratio_equals_brute_force(models, ubm, test_frames, n_top, precision, atol):
    frames = test_frames[:40]
    expected = [[brute_force_top_ratio(model, ubm, frame, n_top) for model in models] for frame in frames]
    actual = frame_log_likelihood_ratios(models, ubm, frames, n_top=n_top, precision=precision)
    np.testing.assert_allclose(actual, expected, rtol=RTOL_DOUBLE, atol=atol)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_all_components_on_top_are_the_full_score_bit_for_bit(models, ubm, test_frames, precision):
    np.testing.assert_array_equal(
        frame_log_likelihood_ratios(models, ubm, test_frames, n_top=N_COMPONENTS, precision=precision),
        frame_log_likelihood_ratios(models, ubm, test_frames, precision=precision),
    )


def test_error_of_the_top_score_falls_with_every_component(models, ubm, test_frames):
    full = frame_log_likelihood_ratios(models, ubm, test_frames, precision="double")
    errors = [
        np.abs(frame_log_likelihood_ratios(models, ubm, test_frames, n_top=n, precision="double") - full).max()
        for n in (1, 4, 8, N_COMPONENTS - 1)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 10 * errors[-1]


@pytest.mark.parametrize("n_top", [None, 5])
def test_the_background_against_itself_scores_zero(ubm, test_frames, n_top):
    np.testing.assert_allclose(frame_log_likelihood_ratios([ubm], ubm, test_frames, n_top=n_top), 0.0, atol=ATOL_SINGLE)


@pytest.mark.parametrize("n_top", [1, 5])
def test_a_frame_far_from_everything_still_has_a_finite_ratio(models, ubm, n_top):
    assert np.isfinite(frame_log_likelihood_ratios(models, ubm, [[1e8] * 4], n_top=n_top)).all()


@pytest.mark.parametrize("n_top", [None, 1, 5])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_any_cutting_gives_the_same_bits(models, ubm, test_frames, n_top, precision):
    def score(frames):
        return frame_log_likelihood_ratios(models, ubm, frames, n_top=n_top, precision=precision)

    pieces = [score(piece) for piece in np.split(test_frames, [1, 1, 30, 47, 512, 515])]
    np.testing.assert_array_equal(np.concatenate(pieces), score(test_frames))


@pytest.mark.parametrize("n_top", [None, 5])
def test_score_of_a_model_does_not_depend_on_the_others(models, ubm, test_frames, n_top):
    together = frame_log_likelihood_ratios(models, ubm, test_frames, n_top=n_top)
    alone = frame_log_likelihood_ratios(models[1:2], ubm, test_frames, n_top=n_top)
    np.testing.assert_array_equal(together[:, 1:2], alone)


def test_mean_ratio_is_the_mean_over_frames(models, ubm, test_frames):
    expected = frame_log_likelihood_ratios(models, ubm, test_frames).mean(axis=0)
    np.testing.assert_allclose(log_likelihood_ratio(models, ubm, test_frames), expected, rtol=1e-12)


def test_mean_ratio_has_the_bits_of_a_running_sum(models, ubm, test_frames):
    total = np.zeros(len(models))
    for frame in test_frames:
        total += frame_log_likelihood_ratios(models, ubm, frame[np.newaxis])[0]
    np.testing.assert_array_equal(log_likelihood_ratio(models, ubm, test_frames), total / len(test_frames))


def test_a_full_score_needs_no_correspondence_of_components(ubm, make_params, test_frames):
    other = make_params(7, 3, 4)
    expected = frame_log_likelihoods(other, test_frames) - frame_log_likelihoods(ubm, test_frames)
    np.testing.assert_array_equal(frame_log_likelihood_ratios([other], ubm, test_frames)[:, 0], expected)


def test_no_models_give_no_columns(ubm, test_frames):
    assert frame_log_likelihood_ratios([], ubm, test_frames, n_top=3).shape == (530, 0)


def test_no_frames_give_no_rows(models, ubm):
    assert frame_log_likelihood_ratios(models, ubm, np.zeros((0, 4)), n_top=3).shape == (0, 3)


def test_the_mean_of_no_frames_is_refused(models, ubm):
    with pytest.raises(ParameterError, match="no frames to score"):
        log_likelihood_ratio(models, ubm, np.zeros((0, 4)))


@pytest.mark.parametrize("n_top", [0, -1, N_COMPONENTS + 1])
def test_unusable_number_of_components_is_refused(models, ubm, test_frames, n_top):
    with pytest.raises(ParameterError, match=f"n_top is {n_top}"):
        frame_log_likelihood_ratios(models, ubm, test_frames, n_top=n_top)


def test_top_score_of_an_unrelated_model_is_refused(ubm, make_params, test_frames):
    with pytest.raises(ParameterError, match="adapted from the background"):
        frame_log_likelihood_ratios([make_params(7, 3, 4)], ubm, test_frames, n_top=2)


def test_model_of_other_features_is_refused(ubm, make_params, test_frames):
    with pytest.raises(ParameterError, match="a model has 3 features but the background has 4"):
        frame_log_likelihood_ratios([make_params(7, N_COMPONENTS, 3)], ubm, test_frames)
