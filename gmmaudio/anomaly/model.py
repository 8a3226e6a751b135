"""A detector together with what turns files and lines into its samples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from gmmaudio.anomaly.detector import AnomalyDetector
from gmmaudio.anomaly.results import BlockResult
from gmmaudio.anomaly.sound import SoundConfig, read_sound
from gmmaudio.anomaly.tables import Table, read_table
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import StoredModel, restore

_KIND = "anomaly_model"
STREAM = "now."
"""How the names of a stored detector's arrays begin that a stream changes."""


@dataclass(frozen=True, eq=False)
class AnomalyModel:
    """A detector and its front end.

    Attributes
    ----------
    detector : AnomalyDetector
        Fitted.
    grid_period : float or None
        Seconds between the rows of the regular grid that samples are put on; None takes them as they come.
    sound : SoundConfig or None
        How recordings become samples; None for streams of numbers.

    Raises
    ------
    GmmAudioError
        If the parts do not fit together.
    """

    detector: AnomalyDetector
    grid_period: float | None = None
    sound: SoundConfig | None = None

    def __post_init__(self) -> None:
        if self.sound is not None and self.grid_period is not None:
            raise GmmAudioError("sound has a grid of its own; leave grid_period out")
        if self.sound is not None and self.detector.channels != self.sound.channels:
            raise GmmAudioError("the detector's channels are not those of its sound front end")

    def read(self, path: str | Path) -> Table:
        """Return the samples of a file, as the detector needs them.

        Raises
        ------
        GmmAudioError
            If the file cannot be read or has none of the channels.
        """
        if self.sound is not None:
            return read_sound(path, self.sound)
        table = read_table(path, channels=self.detector.channels)
        return table if self.grid_period is None else table.on_grid(self.grid_period)

    def score(self, table: Table) -> BlockResult:
        """Score samples as a stream of their own."""
        self.detector.reset()
        return self.detector.process(table.values, None if self.sound is not None else table.times)

    def same_training(self, other: "AnomalyModel") -> bool:
        """Whether both were trained alike, wherever their streams have come to."""
        mine, theirs = self.to_stored(), other.to_stored()
        trained = [name for name in mine.arrays if not name.startswith(STREAM)]
        return (
            mine.config == theirs.config
            and mine.arrays.keys() == theirs.arrays.keys()
            and all(np.array_equal(mine.arrays[name], theirs.arrays[name], equal_nan=True) for name in trained)
        )

    def to_stored(self) -> StoredModel:
        """Return the detector's settings and arrays with those of the front end."""
        inner = self.detector.to_stored()
        config = {
            "detector": dict(inner.config),
            "grid_period": self.grid_period,
            "sound": None if self.sound is None else self.sound.to_dict(),
        }
        return StoredModel(_KIND, config, inner.arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model from a file, which may come from anywhere.

        Raises
        ------
        GmmAudioError
            If parts are missing or do not fit together.
        """
        detector = restore(StoredModel("anomaly_detector", stored.config["detector"], stored.arrays))
        period, sound = stored.config["grid_period"], stored.config["sound"]
        if period is not None and not 0 < float(period) < np.inf:
            raise GmmAudioError(f"its grid_period is {period}, but seconds above 0 are needed")
        return cls(detector, period, None if sound is None else SoundConfig.from_dict(sound))


def as_model(loaded: Any, path: str | Path) -> AnomalyModel:
    """Return what a file held as a model with a front end.

    Raises
    ------
    GmmAudioError
        If it is neither a model nor a detector.
    """
    if isinstance(loaded, AnomalyModel):
        return loaded
    if isinstance(loaded, AnomalyDetector):
        return AnomalyModel(loaded)
    raise GmmAudioError(f"{path} holds a {type(loaded).__name__}, but an anomaly model is needed here")
