"""The separator: what it promises, and what it refuses."""

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose, assert_array_equal
from separation.sounds import RATE, buzz, hiss, mixture, trained

from gmmaudio import Separator, load, save
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.metrics import si_sdr
from gmmaudio.separation import BACKGROUND, SeparationConfig, StftConfig, oracle_estimates

SUM = 1e-6  # what the estimates may miss of the mixture
KINDS = [
    {},
    {"dynamics": "hmm"},
    {"likelihood": "mixmax"},
    {"mask": "binary"},
]


def test_sources_are_pulled_apart(separator):
    low, noise, mixed = mixture()
    estimates = separator.separate(mixed, ["low", "hiss"])
    assert si_sdr(low, estimates["low"]) - si_sdr(low, mixed) > 10
    assert si_sdr(noise, estimates["hiss"]) - si_sdr(noise, mixed) > 10


@pytest.mark.parametrize("options", KINDS)
def test_every_kind_of_inference_separates_and_its_estimates_sum_to_the_mixture(options):
    low, _, mixed = mixture()
    estimates = trained(**options).separate(mixed, ["low", "hiss"])
    assert_allclose(estimates["low"] + estimates["hiss"], mixed, rtol=0, atol=SUM)
    assert si_sdr(low, estimates["low"]) - si_sdr(low, mixed) > 8


def test_estimated_levels_are_those_of_the_sources(separator):
    low, noise, mixed = mixture(4.0, ratio_db=-9.0)
    levels = separator.estimate_levels(mixed, ["low", "hiss"])
    assert_allclose(levels["low"], 10 * np.log10(np.mean(low**2)), atol=2.5)  # the sources change their level
    assert_allclose(levels["hiss"], 10 * np.log10(np.mean(noise**2)), atol=2.5)


def test_a_source_that_is_not_there_is_found_to_be_quiet(separator):
    only = buzz(2, seed=21)
    levels = separator.estimate_levels(only, ["low", "hiss"])
    assert levels["hiss"] < levels["low"] - 20
    estimates = separator.separate(only, ["low", "hiss"])
    assert si_sdr(only, estimates["low"]) > 20


def test_the_sources_of_a_mixture_are_found(separator):
    ranking = separator.rank_sources(mixture()[2])
    assert len(ranking) == 3
    assert set(ranking[0].sources) == {"low", "hiss"}
    assert set(separator.separate(mixture()[2])) == {"low", "hiss"}


def test_three_sources_sum_to_the_mixture(separator):
    _, _, mixed = mixture()
    mixed = mixed + buzz(2, seed=30, lowest=330.0)
    estimates = separator.separate(mixed, ["low", "high", "hiss"])
    assert_allclose(sum(estimates.values()), mixed, rtol=0, atol=SUM)


def test_channels_are_separated_with_the_same_masks(separator):
    low, noise, _ = mixture()
    stereo = np.stack([low + noise, 0.5 * (low + noise)], axis=1)
    estimates = separator.separate(stereo, ["low", "hiss"])
    assert estimates["low"].shape == stereo.shape
    assert_allclose(0.5 * estimates["low"][:, 0], estimates["low"][:, 1], rtol=0, atol=SUM)
    assert_allclose(estimates["low"] + estimates["hiss"], stereo, rtol=0, atol=SUM)


def test_one_source_is_separated_from_the_background():
    low, _, mixed = mixture()
    separator = trained()
    separator.train_source(BACKGROUND, [hiss(12, seed=5)])
    estimates = separator.separate(mixed, ["low"])
    assert set(estimates) == {"low", BACKGROUND}
    assert si_sdr(low, estimates["low"]) - si_sdr(low, mixed) > 10


def test_an_adapted_source_is_closer_to_its_sound_than_the_background():
    separator = Separator(8, RATE).train_source(BACKGROUND, [buzz(12, seed=1), buzz(12, seed=2, lowest=330.0)])
    separator.train_source("low", buzz(2, seed=6), adapt=True).train_source("hiss", hiss(12, seed=3))
    ranking = separator.rank_sources(mixture()[2])
    assert set(ranking[0].sources) == {"low", "hiss"}
    low, _, mixed = mixture()
    assert si_sdr(low, separator.separate(mixed, ["low", "hiss"])["low"]) - si_sdr(low, mixed) > 8


def test_a_saved_separator_gives_the_same_bits(separator, tmp_path):
    save(separator, tmp_path / "m.gmm")
    again = load(tmp_path / "m.gmm", kind="separator")
    mixed = mixture()[2]
    assert_array_equal(again.separate(mixed, ["low", "hiss"])["low"], separator.separate(mixed, ["low", "hiss"])["low"])
    assert again.sources == separator.sources


def test_a_file_is_separated_as_its_samples_are(separator, tmp_path):
    mixed = mixture()[2]
    soundfile.write(tmp_path / "mix.wav", mixed, RATE, subtype="FLOAT")
    from_file = separator.separate(tmp_path / "mix.wav", ["low", "hiss"])
    assert_array_equal(from_file["low"], separator.separate(mixed, ["low", "hiss"])["low"])


def test_a_stereo_file_is_separated_as_its_samples_are(separator, tmp_path):
    stereo = np.stack([mixture()[2], 0.3 * mixture()[0]], axis=1)
    soundfile.write(tmp_path / "mix.wav", stereo, RATE, subtype="FLOAT")
    from_file = separator.separate(tmp_path / "mix.wav", ["low", "hiss"])
    assert_array_equal(from_file["low"], separator.separate(stereo, ["low", "hiss"])["low"])


def test_another_sample_rate_is_converted(separator):
    mixed = np.repeat(mixture()[2], 2)
    estimates = separator.separate(mixed, ["low", "hiss"], sample_rate=2 * RATE)
    assert len(estimates["low"]) == len(mixed) // 2


def test_a_narrower_recording_is_warned_of(separator):
    with pytest.warns(GmmAudioWarning, match="nothing in it above 2000 Hz"):
        separator.separate(mixture()[2], ["low", "hiss"], sample_rate=4000)


@pytest.mark.parametrize("n_samples", [1, 80, 511, 512, 513])
def test_short_mixtures_are_separated(separator, n_samples):
    mixed = mixture()[2][:n_samples]  # 80 samples are 10 ms
    estimates = separator.separate(mixed, ["low", "hiss"])
    assert_allclose(estimates["low"] + estimates["hiss"], mixed, rtol=0, atol=SUM)


def test_ten_milliseconds_are_enough_to_train_on():
    separator = Separator(8, RATE).train_source("a", buzz(0.01, seed=1)).train_source("b", hiss(0.01, seed=1))
    assert np.isfinite(separator.separate(mixture()[2], ["a", "b"])["a"]).all()


@pytest.mark.parametrize("options", KINDS)
def test_silence_is_separated_into_silence(options):
    silence = np.zeros(RATE, np.float32)
    for estimate in trained(**options).separate(silence, ["low", "hiss"]).values():
        assert_array_equal(estimate, silence)


def test_a_pause_of_digital_silence_does_no_harm(separator):
    mixed = np.concatenate([mixture()[2], np.zeros(RATE, np.float32), mixture()[2]])
    estimates = separator.separate(mixed, ["low", "hiss"])
    assert_allclose(estimates["low"] + estimates["hiss"], mixed, rtol=0, atol=SUM)


def test_a_clipped_mixture_is_separated_and_warned_of(separator, tmp_path):
    clipped = np.clip(20 * mixture()[2], -1, 1)
    soundfile.write(tmp_path / "mix.wav", clipped, RATE, subtype="FLOAT")
    with pytest.warns(GmmAudioWarning, match="clipped"):
        estimates = separator.separate(tmp_path / "mix.wav", ["low", "hiss"])
    assert_allclose(estimates["low"] + estimates["hiss"], clipped, rtol=0, atol=SUM)


def test_identical_models_are_refused_with_advice():
    separator = Separator(4, RATE).train_source("a", buzz(2, seed=1)).train_source("b", buzz(2, seed=1))
    with pytest.raises(ParameterError, match="same model, so nothing tells them apart"):
        separator.separate(mixture()[2], ["a", "b"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.separate(np.zeros(0), ["low", "hiss"]), "no samples"),
        (lambda s: s.separate(np.full(800, np.nan, np.float32), ["low", "hiss"]), "nan at sample 0"),
        (lambda s: s.separate(mixture()[2], ["low", "nobody"]), "'nobody' is not known; known are: low"),
        (lambda s: s.separate(mixture()[2], ["low"]), "train 'background'"),
        (lambda s: s.separate(mixture()[2], ["low", "low"]), "same model"),
        (lambda s: s.separate(mixture()[2], ["low", "hiss"], levels={"low": 0.0}), "levels has no 'hiss'"),
        (lambda s: s.separate("absent.wav", ["low", "hiss"]), "there is no file"),
        (lambda s: s.rank_sources(np.zeros(8000)), "digital silence"),
        (lambda s: Separator(4, RATE).rank_sources(mixture()[2]), "a pair needs two"),
        (lambda s: Separator(4, RATE).train_source("a", np.zeros(8000)), "digital silence"),
        (lambda s: Separator(4, RATE).train_source("a", []), "no recordings"),
        (lambda s: Separator(4, RATE).train_source(" ", np.ones(8000)), "name of a source is empty"),
        (lambda s: Separator(4, RATE).train_source("a", np.ones(80), adapt=True), "train that first"),
        (lambda s: Separator(0), "n_components is 0"),
        (lambda s: Separator(mask="hard"), "mask is 'hard'"),
        (lambda s: Separator(sample_rate=8), "sample_rate is 8"),
    ],
)
def test_what_cannot_be_is_one_clear_error(separator, call, message):
    with pytest.raises(GmmAudioError, match=message):
        call(separator)


def test_three_sources_with_a_hidden_markov_model_are_refused():
    with pytest.raises(ParameterError, match="two at a time"):
        trained(dynamics="hmm").separate(mixture()[2], ["low", "high", "hiss"])


def test_oracle_masks_are_a_ceiling(separator):
    low, noise, mixed = mixture()
    ours = si_sdr(low, separator.separate(mixed, ["low", "hiss"])["low"])
    for mask in ("ratio", "binary"):
        ceiling = oracle_estimates([low, noise], StftConfig(RATE), mask=mask)
        assert_allclose(sum(ceiling), mixed, rtol=0, atol=SUM)
        assert si_sdr(low, ceiling[0]) > ours


def test_another_kind_of_inference_needs_no_new_training(separator):
    mixed = mixture()[2]
    binary = separator.with_config(SeparationConfig(mask="binary")).separate(mixed, ["low", "hiss"])
    assert_array_equal(binary["low"], trained(mask="binary").separate(mixed, ["low", "hiss"])["low"])
    assert separator.config == SeparationConfig()
