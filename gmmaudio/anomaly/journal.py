"""A few bytes beside a state file that say how far a stream had come when it was killed.

The state of a stream is saved now and then; this note is written after every sample, so that a stream that was killed
can name the samples that its last saved state does not know. One small `pwrite` for each sample goes to the cache of
the operating system: it survives the end of the process, not of the power.
"""

import math
import os
import struct
from pathlib import Path
from typing import NamedTuple

_NOTE = struct.Struct("<8sqd")
_MAGIC = b"gmmaseen"


class Note(NamedTuple):
    """Number of samples taken, and the time of the last one (NaN: not known)."""

    n_samples: int
    time: float


class Journal:
    """Writes the note.

    Parameters
    ----------
    path : Path
        The note's file; it is made if it is not there.

    Raises
    ------
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.seen"
    >>> journal = Journal(path)
    >>> journal.write(12, 34.5)
    >>> Journal.read(path)
    Note(n_samples=12, time=34.5)
    >>> journal.close()
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)

    def write(self, n_samples: int, time: float = math.nan) -> None:
        """Note how far the stream has come."""
        os.pwrite(self._descriptor, _NOTE.pack(_MAGIC, n_samples, time), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @staticmethod
    def read(path: Path) -> Note | None:
        """Return the note; None where there is none that can be read."""
        try:
            magic, n_samples, time = _NOTE.unpack(path.read_bytes())
        except (OSError, struct.error):
            return None
        return Note(n_samples, time) if magic == _MAGIC else None
