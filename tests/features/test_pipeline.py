import numpy as np
import pytest
from features.signals import speechlike
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import (
    MFCC,
    Deltas,
    DeltasConfig,
    EnergyVad,
    EnergyVadConfig,
    FeaturePipeline,
    FeatureWarpingConfig,
    MfccConfig,
    OnlineCmvnConfig,
    PipelineConfig,
    SlidingCmvn,
    SlidingCmvnConfig,
    UtteranceCmvnConfig,
)

SIGNAL = speechlike(2.0, 16000)
EVERYTHING = [
    PipelineConfig(MfccConfig(dither=1.0), DeltasConfig(order=2), EnergyVadConfig(), SlidingCmvnConfig(60, 20, 40)),
    PipelineConfig(
        MfccConfig(padding="reflect"), DeltasConfig(), EnergyVadConfig(lookahead=3), FeatureWarpingConfig(50, 0, 10)
    ),
    PipelineConfig(
        MfccConfig(), None, EnergyVadConfig(), OnlineCmvnConfig(means=(10.0,) * 13, variances=(4.0,) * 13, window=50)
    ),
]


@pytest.mark.parametrize("config", EVERYTHING, ids=lambda config: type(config.normalization).__name__)
@settings(max_examples=25, deadline=None)
@given(cuts=cuttings(len(SIGNAL)), resume_after=st.integers(0, 12))
def test_stream_gives_the_bits_of_the_batch_with_everything_on(config, cuts, resume_after):
    pipeline = FeaturePipeline(config)
    assert np.array_equal(fed(pipeline, SIGNAL, cuts, resume_after), pipeline.transform(SIGNAL))


def test_stream_of_single_samples_gives_the_bits_of_the_batch():
    pipeline, signal = FeaturePipeline(EVERYTHING[0]), SIGNAL[8000:16000]
    assert np.array_equal(fed(pipeline, signal, range(len(signal))), pipeline.transform(signal))


def test_the_pipeline_is_its_stages_one_after_the_other():
    config = EVERYTHING[0]
    frames, levels = MFCC.from_config(config.mfcc).push_with_level(SIGNAL)
    speech = Deltas(13, config.deltas).transform(frames)[EnergyVad(config.vad).transform(levels)]
    expected = SlidingCmvn(39, config.normalization).transform(speech)
    np.testing.assert_array_equal(FeaturePipeline(config).transform(SIGNAL), expected)


def test_default_pipeline_is_kaldi_mfcc_with_deltas():
    expected = Deltas(13).transform(MFCC(sample_rate=8000).transform(SIGNAL))
    np.testing.assert_array_equal(FeaturePipeline(sample_rate=8000).transform(SIGNAL), expected)


def test_parts_by_name_make_the_same_pipeline_as_a_configuration():
    by_name = FeaturePipeline(sample_rate=8000, deltas=None, vad=EnergyVadConfig())
    assert by_name.config == PipelineConfig(MfccConfig(sample_rate=8000), None, EnergyVadConfig())


def test_transform_leaves_the_own_stream_alone():
    pipeline = FeaturePipeline(EVERYTHING[0])
    first = pipeline.push(SIGNAL[:5000])
    pipeline.transform(SIGNAL[::-1].copy())
    rest = [pipeline.push(SIGNAL[5000:]), pipeline.flush()]
    np.testing.assert_array_equal(np.concatenate([first, *rest]), pipeline.transform(SIGNAL))


def test_flush_starts_a_new_stream():
    pipeline = FeaturePipeline(EVERYTHING[0])
    twice = [np.concatenate([pipeline.push(SIGNAL), pipeline.flush()]) for _ in range(2)]
    np.testing.assert_array_equal(*twice)


@pytest.mark.parametrize("n_samples", [0, 1, 160, 399])
@pytest.mark.parametrize("normalization", [None, SlidingCmvnConfig(), UtteranceCmvnConfig(), FeatureWarpingConfig()])
def test_too_short_a_signal_gives_no_frames_of_the_right_width(normalization, n_samples):
    pipeline = FeaturePipeline(vad=EnergyVadConfig(), normalization=normalization)
    assert pipeline.transform(np.ones(n_samples)).shape == (0, pipeline.n_features)


def test_silence_has_no_speech():
    assert len(FeaturePipeline(vad=EnergyVadConfig()).transform(np.zeros(16000))) == 0


@pytest.mark.parametrize("config", [EVERYTHING[0], PipelineConfig()], ids=["all", "default"])
def test_no_frame_comes_later_than_the_declared_lookahead(config):
    pipeline = FeaturePipeline(config)
    whole = pipeline.transform(SIGNAL)
    n_samples = 100 * 160 + pipeline.lookahead + 1
    early = pipeline.push(SIGNAL[:n_samples])
    speech = EnergyVad(config.vad).transform(MFCC().push_with_level(SIGNAL)[1]) if config.vad else np.ones(101, bool)
    n_due = np.count_nonzero(speech[:101]) - (pipeline._normalization.lookahead if config.normalization else 0)
    assert n_due > 0
    assert len(early) >= n_due
    np.testing.assert_array_equal(early, whole[: len(early)])


def test_a_pipeline_that_needs_the_whole_recording_refuses_to_stream():
    pipeline = FeaturePipeline(normalization=UtteranceCmvnConfig())
    assert not pipeline.streamable
    with pytest.raises(ParameterError, match="utterance CMVN needs the whole recording"):
        pipeline.push(SIGNAL)


def test_a_pipeline_that_needs_the_whole_recording_transforms_it():
    frames = FeaturePipeline(normalization=UtteranceCmvnConfig()).transform(SIGNAL)
    np.testing.assert_allclose(frames.mean(axis=0, dtype=np.float64), 0, atol=1e-6)


def test_int16_float32_and_float64_give_the_same_frames():
    samples, pipeline = np.round(SIGNAL * 32768).astype(np.int16), FeaturePipeline(EVERYTHING[0])
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(pipeline.transform(samples.astype(dtype) / 32768), pipeline.transform(samples))


def plain(value):
    """Whether a state holds nothing but what an array file can hold."""
    if isinstance(value, dict):
        return all(isinstance(name, str) and plain(item) for name, item in value.items())
    return isinstance(value, bool | int | float) or (isinstance(value, np.ndarray) and value.dtype != object)


@pytest.mark.parametrize("config", EVERYTHING, ids=lambda config: type(config.normalization).__name__)
def test_state_is_plain_arrays_and_numbers(config):
    pipeline = FeaturePipeline(config)
    pipeline.push(SIGNAL[:20_000])
    assert plain(pipeline.state_dict())


def test_a_state_of_another_pipeline_is_refused():
    with pytest.raises(ParameterError, match="load it into the kind of stage"):
        FeaturePipeline(EVERYTHING[0]).load_state(FeaturePipeline().state_dict())


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([8000], {}, "must be a PipelineConfig, or use sample_rate=8000"),
        ([], {"delta": None}, "has no delta; the valid names are mfcc, deltas, vad, normalization"),
        ([], {"sample_rate": 8000, "mfcc": MfccConfig()}, "sample_rate is 8000 but mfcc.sample_rate is 16000"),
        ([PipelineConfig()], {"vad": None}, "either a PipelineConfig or"),
        ([], {"normalization": OnlineCmvnConfig((0.0,), (1.0,))}, "1 features but the frames have 26"),
        ([], {"vad": "energy"}, "must be a EnergyVadConfig"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, options, message):
    with pytest.raises(ParameterError, match=message):
        FeaturePipeline(*arguments, **options)


def test_a_sample_that_is_not_a_number_is_refused():
    with pytest.raises(GmmAudioError, match="nan"):
        FeaturePipeline().push(np.array([0.0, np.nan]))
