"""The listener: raw sound in, the bits of the file out, however it is cut."""

import numpy as np
import pytest

from gmmaudio import AnomalyDetector, load, save
from gmmaudio.anomaly.listening import Listener
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.sound import SoundConfig, SoundRows
from gmmaudio.errors import GmmAudioError

CONFIG = SoundConfig(n_mels=4)


def noise(seconds, seed):
    return np.random.default_rng(seed).integers(-3000, 3000, size=int(seconds * CONFIG.sample_rate), dtype=np.int16)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("listening") / "m.gmm"
    rows = SoundRows(CONFIG).transform(noise(60, 0).astype(np.float32) / 32768)
    detector = AnomalyDetector(n_lags=1, window=8).fit(rows, channels=CONFIG.channels)
    save(AnomalyModel(detector, sound=CONFIG), path)
    return path


def test_the_rows_are_the_same_however_the_bytes_are_cut(stored):
    data = noise(4, 1).tobytes()
    expected = [row.result.score for row in Listener(load(stored)).take(data)]
    assert len(expected) == 15
    for size in (1, 777, 65536):
        listener = Listener(load(stored))
        rows = [row for i in range(0, len(data), size) for row in listener.take(data[i : i + size])] if size > 1 else []
        rows = rows or [row for part in (data[:1], data[1:3], data[3:]) for row in listener.take(part)]
        assert [row.result.score for row in rows] == expected
        assert [row.time for row in rows] == [0.25 * i for i in range(15)]


def test_a_listener_from_a_file_goes_on_with_a_new_row(stored, tmp_path):
    data = noise(4, 1).tobytes()
    listener = Listener(load(stored))
    listener.take(data)
    save(listener, tmp_path / "state")
    again = load(tmp_path / "state", kind="anomaly_listener")
    assert again.n_samples == 15
    assert again.take(data)[0].index == 15
    assert again.model.same_training(load(stored))


def test_a_model_of_numbers_is_refused(stored):
    detector = AnomalyDetector().fit(np.random.default_rng(0).normal(size=(300, 2)))
    with pytest.raises(GmmAudioError, match="a Listener sound"):
        Listener(AnomalyModel(detector))
