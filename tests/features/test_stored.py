import numpy as np
import pytest

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import FeaturePipeline, Features, check_same_pipeline
from gmmaudio.persistence import StoredModel, load, save

PIPELINE = FeaturePipeline(sample_rate=8000)
FRAMES = PIPELINE.transform(np.random.default_rng(0).normal(size=4000))


def test_saved_and_loaded_frames_have_the_same_bits(tmp_path):
    save(Features(FRAMES, PIPELINE.config), tmp_path / "a.features")
    loaded = load(tmp_path / "a.features", kind="features")
    np.testing.assert_array_equal(loaded.frames, FRAMES)
    check_same_pipeline(PIPELINE.config, loaded.pipeline)


def test_no_frames_are_features_too(tmp_path):
    save(Features(FRAMES[:0], PIPELINE.config), tmp_path / "a.features")
    assert load(tmp_path / "a.features").frames.shape == (0, PIPELINE.n_features)


@pytest.mark.parametrize(
    "frames",
    [FRAMES[:, :-1], FRAMES[0], np.full_like(FRAMES, np.nan), np.full_like(FRAMES, np.inf)],
    ids=["narrow", "one frame", "nan", "infinite"],
)
def test_frames_that_the_pipeline_cannot_have_made_are_refused(frames):
    with pytest.raises(ParameterError, match=r"must be finite and of shape \(n_frames, 26\)"):
        Features(frames, PIPELINE.config)


def test_frames_of_another_type_become_float32():
    assert Features(FRAMES.astype(np.float64), PIPELINE.config).frames.dtype == np.float32


def test_a_file_without_frames_is_refused(tmp_path):
    class Empty(Features):
        def to_stored(self):
            return StoredModel("features", {}, {}, PIPELINE.config.to_dict())

    save(Empty(FRAMES, PIPELINE.config), tmp_path / "a.features")
    with pytest.raises(GmmAudioError, match="'frames' is missing"):
        load(tmp_path / "a.features")
