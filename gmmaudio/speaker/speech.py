"""The frames of many speakers: in memory, or in a folder that may hold more than memory does."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.errors import ParameterError
from gmmaudio.speaker.recordings import Progress, Recording, RecordingReader

Part = Float32Array | Path
"""The frames of one recording, shape (n_frames, n_features), or the .npy file that holds them."""


class Speech:
    """All frames of each speaker, in the order in which they first spoke.

    Parameters
    ----------
    folder : path-like, optional
        Folder for one .npy file per recording; without it, frames are kept in memory.

    Examples
    --------
    >>> speech = Speech()
    >>> for name in ("anna", "bruno", "anna"):
    ...     speech.add(name, np.ones((2, 1), np.float32))
    >>> speech.speakers, speech.n_frames(["anna"]), len(speech.parts(["anna", "bruno"]))
    (['anna', 'bruno'], 4, 3)
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = None if folder is None else Path(folder).absolute()
        self._parts: dict[str, list[Part]] = {}
        self._n_frames: dict[str, int] = {}
        self._n_files = 0

    @property
    def speakers(self) -> list[str]:
        """Their names, also of those who were silent."""
        return list(self._parts)

    def add(self, speaker: str, frames: Float32Array) -> None:
        """Add a recording of a speaker."""
        own = self._parts.setdefault(speaker, [])
        self._n_frames[speaker] = self._n_frames.get(speaker, 0) + len(frames)
        if not len(frames):  # a file without frames cannot be mapped
            return
        if self._folder is None:
            own.append(frames)
            return
        path = self._folder / f"{self._n_files:06d}.npy"
        np.save(path, frames)
        self._n_files += 1
        own.append(path)

    def n_frames(self, speakers: Iterable[str]) -> int:
        """Return how many frames there are of some speakers together."""
        return sum(self._n_frames[speaker] for speaker in speakers)

    def parts(self, speakers: Iterable[str]) -> list[Part]:
        """Return the recordings of some speakers, one speaker after the other: what `GMM.fit` takes."""
        return [part for speaker in speakers for part in self._parts[speaker]]

    def frames(self, speaker: str) -> Float32Array:
        """Return all frames of a speaker."""
        return np.concatenate([np.load(part) if isinstance(part, Path) else part for part in self._parts[speaker]])


def read_speech(
    reader: RecordingReader,
    recordings: Sequence[Recording],
    speakers: Sequence[str] | None,
    *,
    folder: str | os.PathLike[str] | None,
    progress: Progress,
) -> Speech:
    """Return the speech in recordings; without names, each is of another speaker."""
    if speakers is None:
        speakers = [f"recording {number}" for number in range(1, len(recordings) + 1)]
    if len(speakers) != len(recordings):
        raise ParameterError(f"speakers has {len(speakers)} names for {len(recordings)} recordings; give one for each")
    speech = Speech(folder)
    for index, (name, recording) in enumerate(zip(speakers, recordings, strict=True)):
        progress("reading", index, len(recordings))
        speech.add(name, reader.frames(recording))
    progress("reading", len(recordings), len(recordings))
    return speech
