"""Bugs that other programs for speaker recognition have had, one test each; none of them may ever be ours."""

import pickle

import numpy as np
import pytest
import soundfile
from speaker.voices import RATE, bundled, clips

from gmmaudio import load
from gmmaudio.errors import GmmAudioError
from gmmaudio.speaker import UNKNOWN


@pytest.mark.parametrize("split", ["unknown", "not_speech"])
def test_a_voice_that_nobody_enrolled_is_not_assigned_to_somebody(split):
    """abhijeet3922/Speaker-identification-using-GMMs #4 and seven other repositories: an argmax always has a winner."""
    assert {bundled().identify(clip).decision for clip in clips(split)} == {UNKNOWN}


def test_no_speech_is_not_assigned_to_the_first_name():
    """The argmax of equal scores is the first."""
    assert bundled().identify(np.zeros(RATE), sample_rate=RATE).decision == UNKNOWN


def test_scores_do_not_grow_with_the_length_of_the_recording():
    """A sum over frames instead of their mean: a threshold for two seconds is no threshold for four."""
    identifier, clip = bundled(), clips("test", "anna")[0]
    once = identifier.identify(clip)
    signal = soundfile.read(clip, dtype="float32")[0]
    twice = identifier.identify(np.concatenate([signal, signal]), sample_rate=RATE)
    np.testing.assert_allclose(twice.ranking[0][1], once.ranking[0][1], rtol=0.1)


def test_a_pickled_model_is_never_loaded(tmp_path):
    """Lists of pickled scikit-learn mixtures run whatever code their author put in."""
    (tmp_path / "m.gmm").write_bytes(pickle.dumps({"anna": 1.0}))
    with pytest.raises(GmmAudioError, match="is not a model file"):
        load(tmp_path / "m.gmm")
