"""A live stream of sound: raw samples from a pipe, judged row by row.

Conventions. Samples are 16-bit little-endian integers, mono, at the sample rate of the model, as
`ffmpeg … -ac 1 -ar RATE -f s16le -` writes them. Times are seconds of sound since the first row. A listener that is
restored from a file begins with a new row: up to a row of sound is lost with the process.
"""

import math
from collections import Counter
from typing import Any, Self

from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.sound import SoundRows
from gmmaudio.anomaly.telling import Judged, Teller
from gmmaudio.audio import PcmFormat
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import StoredModel, restore

_KIND = "anomaly_listener"
_FILE_MAGICS = (b"RIFF", b"fLaC", b"OggS")


class Listener:
    """Follows a stream of sound with a model.

    Parameters
    ----------
    model : AnomalyModel
        For sound; the listener goes on with the stream of its detector.

    Raises
    ------
    GmmAudioError
        If the model is one of numbers.
    """

    def __init__(self, model: AnomalyModel) -> None:
        if model.sound is None:
            raise GmmAudioError("this model reads numbers; a Watcher reads numbers, a Listener sound")
        self.model = model
        self.teller = Teller(model.detector)
        self.n_samples = 0
        self.counts: Counter[str] = Counter()
        self.last_time = math.nan
        self.position: dict[str, Any] | None = None
        self._period = model.sound.period
        self._format = PcmFormat(model.sound.sample_rate)
        self._rows = SoundRows(model.sound)
        self._odd, self._heard = b"", False

    @property
    def n_left_out(self) -> int:
        """Lines that gave no sample; sound has no lines."""
        return 0

    def take(self, block: bytes) -> list[Judged]:
        """Take any number of bytes and return the rows that they completed.

        Raises
        ------
        GmmAudioError
            If the stream begins like a file with a header.
        """
        if not self._heard and block[:4] in _FILE_MAGICS:
            raise GmmAudioError(
                "the stream begins like a file of sound, but raw samples are needed (ffmpeg -f s16le -)"
            )
        data = self._odd + block
        self._heard = self._heard or bool(data)
        n_whole = len(data) - len(data) % self._format.frame_bytes
        self._odd = data[n_whole:]
        judged = []
        for row in self._rows.push(self._format.decode(data[:n_whole])[:, 0]):
            judged.append(self.teller.judge(self.n_samples * self._period, row))
            self.n_samples += 1
        return judged

    def finish(self) -> list[Judged]:
        """Return nothing: a row that is not complete is left out."""
        return []

    def to_stored(self) -> StoredModel:
        """Return the model in the middle of its stream, and what has been told."""
        inner = self.model.to_stored()
        progress = {"n_samples": self.n_samples, "told": self.teller.to_json()}
        return StoredModel(_KIND, {"model": dict(inner.config), "progress": progress}, inner.arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the listener from a file, which may come from anywhere.

        Raises
        ------
        GmmAudioError
            If parts are missing or do not fit together.
        """
        listener = cls(restore(StoredModel("anomaly_model", stored.config["model"], stored.arrays)))
        listener.n_samples = int(stored.config["progress"]["n_samples"])
        listener.teller.load_json(stored.config["progress"]["told"])
        return listener
