"""Scoring many adapted models together: the compiled path, linear scores, batches of trials."""

import subprocess
import sys

import numpy as np
import pytest
from oracles import gmm_log_joint

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import (
    AdaptedModels,
    GmmParams,
    accumulate_stats,
    estimate_map,
    frame_log_likelihood_ratios,
    linear_log_likelihood_ratios,
    log_likelihood_ratio,
    score_trials,
)

ATOL_SINGLE = 5e-5  # exponents of up to about 30 nats, each off by 6e-8 a few times
ATOL_SUM = 1e-5  # float32 logarithms, summed in float64
RTOL_PRODUCT = 1e-4  # a float32 product of a few hundred terms of both signs
N_COMPONENTS = 40  # more than what NumPy does in full
N_MODELS = 70  # more than one block


@pytest.fixture(scope="module")
def ubm(make_params):
    return make_params(0, N_COMPONENTS, 5)


@pytest.fixture(scope="module")
def models(ubm, make_frames):
    return [
        estimate_map(accumulate_stats(ubm, make_frames(seed, 60, 5) + 0.02 * seed), ubm) for seed in range(N_MODELS)
    ]


@pytest.fixture(scope="module")
def test_frames(make_frames):
    return make_frames(99, 530, 5)


def parts(params):
    return params.weights, params.means, params.variances


def full_ratios(models, ubm, frames):
    return frame_log_likelihood_ratios(models, ubm, frames, precision="double")


@pytest.mark.parametrize("n_top", [1, 4, N_COMPONENTS - 1])
def test_adapted_models_score_as_a_plain_sum_of_densities(models, ubm, test_frames, n_top):
    frames = test_frames[:30]
    in_ubm = np.exp(gmm_log_joint(*parts(ubm), frames))
    top = np.argsort(-in_ubm, axis=1)[:, :n_top]
    for model, actual in zip(
        models[:3], frame_log_likelihood_ratios(models[:3], ubm, frames, n_top=n_top).T, strict=True
    ):
        mixed = in_ubm.copy()
        in_model = np.exp(gmm_log_joint(*parts(model), frames))
        np.put_along_axis(mixed, top, np.take_along_axis(in_model, top, axis=1), axis=1)
        np.testing.assert_allclose(actual, np.log(mixed.sum(axis=1) / in_ubm.sum(axis=1)), rtol=0, atol=ATOL_SINGLE)


@pytest.mark.parametrize("n_top", [1, 5])
def test_any_cutting_gives_the_same_bits(models, ubm, test_frames, n_top):
    arranged = AdaptedModels(models, ubm)
    pieces = [
        frame_log_likelihood_ratios(arranged, ubm, piece, n_top=n_top)
        for piece in np.split(test_frames, [1, 1, 30, 47, 512, 515])
    ]
    np.testing.assert_array_equal(
        np.concatenate(pieces), frame_log_likelihood_ratios(arranged, ubm, test_frames, n_top=n_top)
    )


@pytest.mark.parametrize("column", [0, 5, 69])
def test_score_of_a_model_does_not_depend_on_the_others(models, ubm, test_frames, column):
    together = frame_log_likelihood_ratios(models, ubm, test_frames, n_top=5)
    alone = frame_log_likelihood_ratios([models[column]], ubm, test_frames, n_top=5)
    np.testing.assert_array_equal(together[:, column], alone[:, 0])


def test_models_of_other_variances_are_scored_beside_adapted_ones(models, ubm, test_frames, make_frames):
    stats = accumulate_stats(ubm, make_frames(5, 200, 5))
    mixed = [models[0], estimate_map(stats, ubm, update_variances=True, update_weights=True), models[1]]
    actual = frame_log_likelihood_ratios(mixed, ubm, test_frames, n_top=N_COMPONENTS - 1)
    # One component of 40 is taken from the background: that of the least density.
    np.testing.assert_allclose(actual, full_ratios(mixed, ubm, test_frames), rtol=0, atol=1e-3)


def test_a_background_too_narrow_for_float32_is_scored_as_exactly(make_params, make_frames):
    wide = make_params(0, N_COMPONENTS, 5)
    variances, means = wide.variances.copy(), wide.means.copy()
    variances[3], means[3] = 1e-5, 4.0  # digital silence
    ubm = GmmParams(wide.weights, means, variances)
    frames = np.concatenate([make_frames(1, 100, 5), 4.0 + 0.003 * make_frames(2, 30, 5)])
    models = [estimate_map(accumulate_stats(ubm, frames[80:]), ubm)]
    actual = frame_log_likelihood_ratios(models, ubm, frames, n_top=10)
    expected = frame_log_likelihood_ratios(models, ubm, frames, n_top=10, precision="double")
    assert not ubm.bears_single
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-3)  # what MAX_LENGTHS allows


def test_a_frame_far_from_everything_has_a_finite_ratio(models, ubm):
    assert np.isfinite(frame_log_likelihood_ratios(models, ubm, [[1e8] * 5], n_top=5)).all()


def test_first_order_scores_equal_the_sum_over_components(models, ubm, test_frames):
    joint = gmm_log_joint(*parts(ubm), test_frames)
    posteriors = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
    expected = [
        sum(
            posteriors[:, k] @ ((test_frames - ubm.means[k]) @ ((model.means[k] - ubm.means[k]) / ubm.variances[k]))
            for k in range(N_COMPONENTS)
        )
        / len(test_frames)
        for model in models
    ]
    stats = accumulate_stats(ubm, test_frames, precision="double")
    actual = linear_log_likelihood_ratios(models, ubm, [stats])[0]
    np.testing.assert_allclose(actual, expected, rtol=RTOL_PRODUCT, atol=ATOL_SUM)


def test_first_order_score_is_the_derivative_of_the_full_one(models, ubm, test_frames):
    step = 1e-4
    nearly = GmmParams(ubm.weights, ubm.means + step * (models[0].means - ubm.means), ubm.variances)
    slope = full_ratios([nearly], ubm, test_frames).mean() / step
    actual = score_trials(models[:1], ubm, [test_frames], method="linear")[0, 0]
    np.testing.assert_allclose(actual, slope, rtol=0, atol=1e-3)  # the second order is about step · Q


def test_full_score_lies_within_the_stated_bound_of_the_first_order(models, ubm, test_frames):
    models, frames = models[:5], test_frames[:60]
    joint = gmm_log_joint(*parts(ubm), frames)
    posteriors = np.exp(joint - np.logaddexp.reduce(joint, axis=1, keepdims=True))
    linear = score_trials(models, ubm, [frames], method="linear")[0]
    full = full_ratios(models, ubm, frames).mean(axis=0)
    for model, first_order, exact in zip(models, linear, full, strict=True):
        distances = (np.square(model.means - ubm.means) / ubm.variances).sum(axis=1)
        loss = 0.5 * (posteriors @ distances).mean()
        component_ratios = gmm_log_joint(*parts(model), frames) - joint
        gain = (np.square(np.ptp(component_ratios, axis=1)) / 8.0).mean()
        assert first_order - loss - ATOL_SUM <= exact <= first_order - loss + gain + ATOL_SUM


@pytest.mark.parametrize(("method", "n_top"), [("top", 5), ("top", N_COMPONENTS), ("full", None)])
def test_trials_equal_the_scores_one_by_one(models, ubm, make_frames, method, n_top):
    recordings = [make_frames(7, n, 5) for n in (1, 300, 8000, 2, 9000)]  # some across the borders of windows
    options = {"n_top": n_top} if n_top else {}
    actual = score_trials(models[:5], ubm, recordings, method=method, **options)
    expected = [log_likelihood_ratio(models[:5], ubm, frames, n_top=n_top) for frames in recordings]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=ATOL_SUM)


@pytest.mark.parametrize("method", ["top", "linear", "full"])
def test_no_recordings_give_no_rows(models, ubm, method):
    assert score_trials(models[:3], ubm, [], method=method).shape == (0, 3)


@pytest.mark.parametrize("method", ["top", "linear", "full"])
def test_no_models_give_no_columns(ubm, test_frames, method):
    assert score_trials([], ubm, [test_frames], method=method).shape == (1, 0)


def test_a_recording_without_frames_is_refused_by_its_number(models, ubm, test_frames):
    with pytest.raises(ParameterError, match="recording 1 has no frames"):
        score_trials(models, ubm, [test_frames, np.zeros((0, 5))])


def test_an_unknown_method_is_refused(models, ubm, test_frames):
    with pytest.raises(ParameterError, match="method is 'fast'"):
        score_trials(models, ubm, [test_frames], method="fast")


def test_models_of_other_variances_cannot_be_arranged(ubm, make_params):
    with pytest.raises(ParameterError, match="model 0 was not made from the background"):
        AdaptedModels([make_params(3, N_COMPONENTS, 5)], ubm)


def test_statistics_of_another_background_are_refused(models, ubm, make_params, test_frames):
    other = accumulate_stats(make_params(3, N_COMPONENTS, 5), test_frames)
    with pytest.raises(ParameterError, match="accumulate them with the background"):
        linear_log_likelihood_ratios(models, ubm, [other])


@pytest.mark.parametrize("n_components", [1, 31])
def test_small_models_are_scored_without_the_compiler(n_components):
    code = f"""import sys, numpy as np
from gmmaudio.gmm import GmmParams, score_trials
ubm = GmmParams(np.full({n_components}, 1 / {n_components}), np.ones(({n_components}, 2)), np.ones(({n_components}, 2)))
score_trials([ubm], ubm, [np.zeros((3, 2))], n_top=1)
sys.exit('numba' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
