import warnings

import numpy as np
import pytest
import soundfile
from speaker.voices import FRAMES_PIPELINE as PIPELINE
from speaker.voices import NAMES, RATE, SimulatedPeople, bundled, clips

from gmmaudio import audio, load, save
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.features import FeaturePipeline, Features, MfccConfig
from gmmaudio.gmm import GMM
from gmmaudio.speaker import UNKNOWN, SpeakerIdentifier

STATISTICS_RTOL = 1e-6  # sums of float32 responsibilities in another order


@pytest.fixture
def identifier() -> SpeakerIdentifier:
    return bundled()


@pytest.fixture(scope="module")
def anna() -> np.ndarray:
    return soundfile.read(clips("test", "anna")[0], dtype="float32")[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_test_clip_of_an_enrolled_voice_is_recognised(identifier, name):
    assert {identifier.identify(clip).decision for clip in clips("test", name)} == {name}


def test_voices_that_nobody_enrolled_are_unknown(identifier):
    assert {identifier.identify(clip).decision for clip in clips("unknown")} == {UNKNOWN}


def test_what_is_not_speech_is_unknown(identifier):
    assert {identifier.identify(clip).decision for clip in clips("not_speech")} == {UNKNOWN}


def test_silence_has_an_empty_ranking_and_no_speech(identifier):
    result = identifier.identify(np.zeros(RATE), sample_rate=RATE)
    assert (result.decision, result.ranking, result.speech_duration) == (UNKNOWN, (), 0.0)
    assert result.closest is None


def test_the_ranking_names_everybody_best_first(identifier):
    result = identifier.identify(clips("test", "clara")[0])
    assert {name for name, _ in result.ranking} == set(NAMES)
    llrs = [llr for _, llr in result.ranking]
    assert llrs == sorted(llrs, reverse=True)
    assert (result.closest, result.score) == ("clara", result.scores["clara"])


def test_the_true_voice_is_verified_and_another_is_not(identifier):
    accepted = {name: identifier.verify(name, clips("test", "bruno")[0]).accepted for name in ("anna", "bruno")}
    assert accepted == {"anna": False, "bruno": True}


def test_silence_is_never_verified(identifier):
    result = identifier.verify("anna", np.zeros(RATE), sample_rate=RATE)
    assert (result.accepted, result.score) == (False, -np.inf)


def test_a_lower_false_accept_rate_asks_for_a_higher_score(identifier, anna):
    thresholds = [
        identifier.identify(anna, sample_rate=RATE, false_accept_rate=rate).threshold for rate in (0.2, 0.05, 0.001)
    ]
    assert thresholds == sorted(set(thresholds))


def test_identification_asks_for_more_than_verification_as_the_best_of_many_is_judged(identifier, anna):
    claimed = identifier.verify("anna", anna, sample_rate=RATE)
    assert identifier.identify(anna, sample_rate=RATE).threshold > claimed.threshold


def test_a_score_is_accepted_from_the_threshold_on(identifier):
    for clip in clips("test"):
        result = identifier.identify(clip)
        assert result.is_known == (result.score >= result.threshold and result.ranking[0][1] > 0)


def test_adding_recordings_is_the_same_as_enrolling_with_all_at_once(identifier):
    takes, test = clips("enroll", "emma"), clips("test", "emma")[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GmmAudioWarning)
        in_parts = bundled().enroll("emma", takes[:1]).add_recordings("emma", takes[1:])
    at_once = identifier.enroll("emma", takes)
    np.testing.assert_allclose(
        in_parts.identify(test).scores["emma"], at_once.identify(test).scores["emma"], rtol=STATISTICS_RTOL
    )


def test_added_recordings_keep_the_place_of_the_speaker(identifier):
    assert identifier.add_recordings("anna", clips("test", "anna")).speakers == NAMES


@pytest.mark.parametrize("n_components", [16, 32])
def test_a_removed_speaker_is_forgotten_and_the_others_are_not(n_components, anna):
    identifier = bundled(n_components)
    before = identifier.identify(anna, sample_rate=RATE).scores
    after = identifier.remove("bruno").identify(anna, sample_rate=RATE).scores
    assert after == {name: score for name, score in before.items() if name != "bruno"}


@pytest.mark.parametrize("call", ["remove", "verify", "add_recordings"])
def test_a_name_that_is_not_enrolled_is_refused_with_those_that_are(identifier, call, anna):
    arguments = () if call == "remove" else (anna,)
    with pytest.raises(ParameterError, match="no speaker named 'zoe' is enrolled; enrolled are: anna, bruno"):
        getattr(identifier, call)("zoe", *arguments)


def test_a_duplicate_name_is_refused_with_a_way_out(identifier, anna):
    with pytest.raises(ParameterError, match="'anna' is enrolled already; add recordings to that one"):
        identifier.enroll("anna", anna, sample_rate=RATE)


@pytest.mark.parametrize("name", ["", "  ", "unknown", " anna", "a\nb", "a\tb", "\udcff"])
def test_a_name_that_no_list_can_hold_is_refused(identifier, name, anna):
    with pytest.raises(ParameterError, match="cannot be used; give one that is printable"):
        identifier.enroll(name, anna, sample_rate=RATE)


def test_enrolment_of_silence_is_refused_and_changes_nothing(identifier):
    with pytest.raises(GmmAudioError, match="no speech in the recordings of 'zoe'"):
        identifier.enroll("zoe", np.zeros(RATE * 10), sample_rate=RATE)
    assert identifier.speakers == NAMES


def test_a_short_enrolment_warns_at_the_line_of_the_caller(identifier, anna):
    with pytest.warns(GmmAudioWarning, match=r"'zoe' is enrolled with \d\.\d s of speech only") as caught:
        identifier.enroll("zoe", anna, sample_rate=RATE)
    assert caught[0].filename == __file__


def test_ten_seconds_of_recording_are_enough_not_to_be_warned(identifier):
    assert "emma" in identifier.enroll("emma", clips("enroll", "emma")[:3]).speakers


def test_saved_and_loaded_every_decision_has_the_same_bits(identifier, tmp_path):
    save(identifier, tmp_path / "m.gmm")
    loaded = load(tmp_path / "m.gmm")
    for clip in [*clips("test"), *clips("not_speech")]:
        assert loaded.identify(clip) == identifier.identify(clip)
        assert loaded.verify("anna", clip) == identifier.verify("anna", clip)


def test_a_loaded_model_can_be_enrolled_into_as_the_saved_one(identifier, tmp_path, anna):
    save(identifier, tmp_path / "m.gmm")
    both = [
        one.enroll("emma", clips("enroll", "emma")).identify(anna, sample_rate=RATE)
        for one in (identifier, load(tmp_path / "m.gmm"))
    ]
    assert both[0] == both[1]


def simulated(n_enrolled: int, *, units: int = 40) -> tuple[SpeakerIdentifier, SimulatedPeople, np.ndarray]:
    """Enroll people on a given background model; return also one more person."""
    people = SimulatedPeople(0, spread=1.0)
    crowd = np.concatenate([people.frames(people.person(), 200) for _ in range(20)])
    identifier = SpeakerIdentifier.from_ubm(GMM(8, max_iter=5, tol=0.0, random_state=0).fit(crowd).params_, PIPELINE)
    for number in range(n_enrolled):
        identifier.enroll(f"p{number}", people.recording(people.person(), 25 * units))
    return identifier, people, people.person()


@pytest.mark.parametrize("n_enrolled", [2, 3, 12])
def test_without_a_cohort_the_enrolled_are_strangers_to_each_other(n_enrolled):
    identifier, people, stranger = simulated(n_enrolled)
    assert identifier.cohort.speakers == identifier.speakers
    known = identifier.identify(people.recording(stranger, 200), false_accept_rate=0.05)
    assert np.isfinite([known.threshold, *known.scores.values()]).all()


def test_without_a_cohort_enrolled_people_are_known_and_a_stranger_is_not():
    identifier, people, stranger = simulated(12)
    known = people.person()
    identifier.enroll("known", people.recording(known, 1000))
    decisions = [
        identifier.identify(people.recording(voice, 300), false_accept_rate=0.05).decision
        for voice in (known, stranger)
    ]
    assert decisions == ["known", UNKNOWN]


def test_one_enrolled_speaker_without_a_cohort_has_no_threshold_and_is_told_why():
    identifier, people, stranger = simulated(1)
    with pytest.raises(
        GmmAudioError, match=r"at least 10 scores of strangers but there are 0; train with .* or enroll"
    ):
        identifier.identify(people.recording(stranger, 200))


def test_two_enrolled_speakers_with_very_little_speech_have_no_threshold():
    with pytest.warns(GmmAudioWarning, match="will often be missed"):
        identifier, people, stranger = simulated(2, units=3)
    with pytest.raises(GmmAudioError, match="at least 10 scores of strangers but there are 6"):
        identifier.identify(people.recording(stranger, 200))


def test_without_a_cohort_removal_is_as_if_the_speaker_had_never_come():
    (shorter, people, _), (longer, _, _) = simulated(3), simulated(4)
    recording = people.recording(people.person(), 200)
    assert longer.remove("p3").identify(recording) == shorter.identify(recording)


def test_a_background_model_of_another_width_is_refused():
    ubm = GMM(2, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 3))).params_
    with pytest.raises(ParameterError, match="has 3 features but the pipeline makes 6"):
        SpeakerIdentifier.from_ubm(ubm, PIPELINE)


def test_a_background_speaker_who_is_enrolled_is_a_stranger_to_the_others_only():
    people = SimulatedPeople(0, spread=1.0)
    voices = [people.person() for _ in range(12)]
    background = [people.recording(voice, 300) for voice in voices]
    labels = [f"s{number}" for number in range(12)]
    trained = SpeakerIdentifier(PIPELINE, n_components=8, max_iter=5).train(background, speakers=labels)
    thresholds = {}
    for name in ("s0", "somebody"):  # the same voice, under the cohort's label and under another
        own = SpeakerIdentifier(PIPELINE, n_components=8, max_iter=5).train(background, speakers=labels)
        own.enroll(name, people.recording(voices[0], 1000))
        thresholds[name] = own.identify(people.recording(voices[1], 200)).threshold
    # Taken for a stranger, the own voice would push the threshold up to where it reaches itself.
    assert thresholds["s0"] < 0.7 * thresholds["somebody"]
    assert trained.cohort.speakers == tuple(labels)


def test_int16_and_float_samples_give_the_same_bits(identifier):
    samples = soundfile.read(clips("test", "anna")[0], dtype="int16")[0]
    results = [
        identifier.identify(x, sample_rate=RATE)
        for x in (samples, (samples / 32768).astype(np.float32), samples / 32768)
    ]
    assert results[0] == results[1] == results[2]


def test_a_file_its_samples_a_stream_and_its_features_give_the_same_result(identifier, anna):
    clip = clips("test", "anna")[0]
    features = Features(identifier.pipeline.transform(anna), identifier.pipeline.config)
    expected = identifier.identify(clip)
    assert identifier.identify(str(clip)) == expected
    assert identifier.identify(anna, sample_rate=RATE) == expected
    assert identifier.identify(audio.stream_blocks(clip, block_duration=0.01)) == expected
    assert identifier.identify(features) == expected


def test_enrolment_takes_one_recording_a_list_or_a_generator(identifier):
    takes = clips("enroll", "emma")
    joined = np.concatenate([soundfile.read(take)[0] for take in takes])
    identifier.enroll("list", takes).enroll("generator", (take for take in takes))
    identifier.enroll("one", joined, sample_rate=RATE)
    llrs = dict(identifier.identify(clips("test", "emma")[0]).ranking)
    assert llrs["list"] == llrs["generator"]
    assert llrs["one"] == pytest.approx(llrs["list"], abs=0.5)


def test_features_of_another_pipeline_are_refused_naming_both_sides(identifier):
    other = FeaturePipeline(mfcc=MfccConfig(sample_rate=8000), vad=None)
    with pytest.raises(ParameterError, match=r"mfcc.sample_rate: 16000 in the model, 8000 given.*model's own pipeline"):
        identifier.identify(Features(other.transform(np.zeros(8000)), other.config))


def test_an_array_without_its_sample_rate_is_refused(identifier, anna):
    with pytest.raises(ParameterError, match="without its sample rate"):
        identifier.identify(anna)


def test_a_stream_of_another_rate_is_refused(identifier):
    with (
        audio.stream_blocks(clips("test", "anna")[0], sample_rate=8000) as stream,
        pytest.raises(ParameterError, match="8000 Hz but the model works at 16000 Hz; open it with sample_rate=16000"),
    ):
        identifier.identify(stream)


def resampled(signal: np.ndarray, rate: int) -> np.ndarray:
    return audio.Resampler(RATE, rate).transform(signal)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 192_000])
def test_a_higher_sample_rate_gives_the_same_voice(identifier, anna, rate):
    assert identifier.identify(resampled(anna, rate), sample_rate=rate).decision == "anna"


def test_4_khz_audio_warns_that_the_upper_band_is_missing(identifier, anna):
    with pytest.warns(GmmAudioWarning, match="has 4000 Hz but the model works at 16000 Hz.*above 2000 Hz"):
        result = identifier.identify(resampled(anna, 4000), sample_rate=4000)
    assert result.ranking


def test_a_model_of_4_khz_recordings_works_at_8_khz(anna):
    people = [resampled(soundfile.read(clip)[0], 4000) for clip in clips("background")[:6]]
    with pytest.warns(GmmAudioWarning, match="has 4000 Hz but the model works at 8000 Hz"):
        identifier = SpeakerIdentifier(n_components=8, max_iter=2).train(people, sample_rate=4000)
    assert identifier.pipeline.config.sample_rate == 8000


def test_stereo_is_refused_mixed_or_picked_as_asked(identifier, anna, tmp_path):
    noise = 0.1 * np.random.default_rng(0).normal(size=anna.size)
    soundfile.write(tmp_path / "stereo.flac", np.column_stack([anna, noise]), RATE)
    with pytest.raises(GmmAudioError, match="has 2 channels and one is needed"):
        identifier.identify(tmp_path / "stereo.flac")
    mono = identifier.identify(clips("test", "anna")[0])
    assert identifier.identify(tmp_path / "stereo.flac", channel=0) == mono
    assert identifier.identify(tmp_path / "stereo.flac", channel="mix") != mono


def test_an_array_of_two_channels_is_refused(identifier, anna):
    with pytest.raises(ParameterError, match="must be mono"):
        identifier.identify(np.column_stack([anna, anna]), sample_rate=RATE)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_is_refused(identifier, anna, bad):
    broken = anna.copy()
    broken[100] = bad
    with pytest.raises(GmmAudioError, match="at sample 100 but every sample must be a finite number"):
        identifier.identify(broken, sample_rate=RATE)


@pytest.mark.parametrize("call", ["identify", "stream"])
def test_nobody_enrolled_is_an_error_with_advice(call, anna):
    identifier = bundled()
    for name in NAMES:
        identifier.remove(name)
    arguments = {"recording": anna} if call == "identify" else {}
    with pytest.raises(GmmAudioError, match="nobody is enrolled; call enroll"):
        getattr(identifier, call)(sample_rate=RATE, **arguments)


@pytest.mark.parametrize("attribute", ["speakers", "ubm", "cohort"])
def test_before_training_there_is_nothing(attribute):
    with pytest.raises(GmmAudioError, match="no background model yet; call train"):
        getattr(SpeakerIdentifier(), attribute)


def test_before_training_there_is_no_pipeline():
    with pytest.raises(GmmAudioError, match="no pipeline before it is trained"):
        SpeakerIdentifier().pipeline  # noqa: B018


def test_a_training_that_fails_leaves_the_identifier_as_it_was(identifier):
    with pytest.raises(GmmAudioError, match="there is no file"):
        identifier.train([clips("background")[0], "missing.wav"])
    assert identifier.speakers == NAMES


def test_a_training_that_fails_does_not_settle_the_sample_rate(anna):
    identifier = SpeakerIdentifier(n_components=8, max_iter=1)
    with pytest.raises(GmmAudioError, match="hold only 0 frames"), pytest.warns(GmmAudioWarning, match="8000"):
        identifier.train([np.zeros(4000)], sample_rate=4000)
    identifier.train([soundfile.read(clip)[0] for clip in clips("background")[:4]], sample_rate=RATE)
    assert identifier.pipeline.config.sample_rate == RATE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"false_accept_rate": 0.0}, "false_accept_rate is 0.0"),
        ({"false_accept_rate": 0.5}, "false_accept_rate is 0.5"),
        ({"relevance_factor": 0.0}, "relevance_factor is 0.0"),
        ({"relevance_factor": float("nan")}, "relevance_factor is nan"),
    ],
)
def test_options_that_cannot_be_used_are_refused_at_once(options, message):
    with pytest.raises(ParameterError, match=message):
        SpeakerIdentifier(**options)


@pytest.mark.parametrize("call", ["identify", "enroll", "train"])
def test_a_misspelt_argument_is_an_error(identifier, call, anna):
    arguments = ("zoe", anna) if call == "enroll" else (anna,)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sample_rat'"):
        getattr(identifier, call)(*arguments, sample_rat=RATE)


def test_recordings_must_be_at_least_one(identifier):
    with pytest.raises(ParameterError, match="no recordings were given"):
        identifier.enroll("zoe", [])


def test_enrolled_models_of_copies_are_independent():
    assert bundled().enroll("emma", clips("enroll", "emma")).speakers == (*NAMES, "emma")
    assert bundled().speakers == NAMES
