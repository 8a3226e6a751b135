"""Voices for the tests: the bundled clips, and speakers that are mixtures of Gaussians."""

import copy
import csv
import functools
from pathlib import Path

import numpy as np

from gmmaudio.features import FeaturePipeline, Features, MfccConfig
from gmmaudio.speaker import SpeakerIdentifier

SAMPLES = Path(__file__).resolve().parents[2] / "audio_samples"
NAMES = ("anna", "bruno", "clara", "david")
RATE = 16000


def clips(split: str, voice: str | None = None) -> list[Path]:
    """Return the bundled clips of a split, of one voice or of all."""
    with (SAMPLES / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split and voice in (None, row["voice"])]
    return [SAMPLES / row["path"] for row in rows]


@functools.cache
def _bundled(n_components: int) -> SpeakerIdentifier:
    """Train on the bundled background and enroll four voices."""
    identifier = SpeakerIdentifier(n_components=n_components, max_iter=5, false_accept_rate=0.05)
    identifier.train(clips("background"))
    for name in NAMES:
        identifier.enroll(name, clips("enroll", name))
    return identifier


def bundled(n_components: int = 16) -> SpeakerIdentifier:
    """Return an identifier of the bundled voices; it may be changed, as its models are immutable.

    One of 16 components scores in full, one of 32 by the top components.
    """
    return copy.copy(_bundled(n_components))


FRAMES_PIPELINE = FeaturePipeline(deltas=None, mfcc=MfccConfig(n_mfcc=7, zeroth="none"))
"""Its frames have six columns; the simulated speakers pretend to come from it."""


class SimulatedPeople:
    """People whose frames come from mixtures of Gaussians: common means, moved a little for each person."""

    def __init__(self, seed: int, *, n_components: int = 8, spread: float = 0.5) -> None:
        self._rng = np.random.default_rng(seed)
        self._common = self._rng.normal(scale=2.0, size=(n_components, FRAMES_PIPELINE.n_features))
        self._spread = spread

    def person(self) -> np.ndarray:
        """Return the means of a new person, shape (n_components, n_features)."""
        return self._common + self._rng.normal(scale=self._spread, size=self._common.shape)

    def frames(self, person: np.ndarray, n_frames: int) -> np.ndarray:
        """Return frames of a person, float32, shape (n_frames, n_features)."""
        means = person[self._rng.integers(len(person), size=n_frames)]
        return (means + self._rng.normal(size=means.shape)).astype(np.float32)

    def recording(self, person: np.ndarray, n_frames: int) -> Features:
        """Return a recording of a person."""
        return Features(self.frames(person, n_frames), FRAMES_PIPELINE.config)
