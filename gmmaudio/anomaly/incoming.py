"""Lines from a pipe or from a file that grows, until somebody asks to stop.

Conventions. A stop is asked for by `Stop.ask`, from a signal handler or another thread; what has been read by then is
still given out, line by line, and nothing is read after it. A line ends with a line feed; one longer than
`LONGEST_LINE` bytes is given as None. Waiting uses `select`, which a stop wakes.
"""

import glob
import os
import select
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONGEST_LINE = 2**20
BLOCK = 2**16
LONGEST_FINGERPRINT = 1024


class Stop:
    """A flag that wakes whoever waits for input."""

    def __init__(self) -> None:
        self._asked = False
        self._wake, self._write = os.pipe()

    def ask(self) -> None:
        """Ask for the end; safe in a signal handler."""
        self._asked = True
        os.write(self._write, b"x")

    def is_asked(self) -> bool:
        """Whether somebody has asked."""
        return self._asked

    def wait(self, *descriptors: int, timeout: float | None = None) -> None:
        """Wait until one of the files can be read, the time is over or a stop is asked for."""
        select.select([*descriptors, self._wake], [], [], timeout)

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._wake)
        os.close(self._write)


class LineSplitter:
    """Cuts blocks of bytes into lines of bounded length."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skipped = 0

    def push(self, block: bytes) -> Iterator[tuple[str | None, int]]:
        """Yield the lines that are complete, and the bytes that each took."""
        *lines, last = block.split(b"\n")
        for line in lines:
            yield self._line(line, 1)
        self._keep(last)

    def flush(self) -> Iterator[tuple[str | None, int]]:
        """Yield what is left as a line, if anything is."""
        if self._rest or self._skipped:
            yield self._line(b"", 0)

    def _line(self, end: bytes, n_ending: int) -> tuple[str | None, int]:
        """Return the line that ends here."""
        self._keep(end)
        n_bytes, text = self._skipped + len(self._rest) + n_ending, None
        if not self._skipped:
            text = self._rest.decode("utf-8", errors="replace")
        self._rest.clear()
        self._skipped = 0
        return text, n_bytes

    def _keep(self, part: bytes) -> None:
        """Add to the line that has begun, or only count once it is too long."""
        self._rest += part
        if self._skipped or len(self._rest) > LONGEST_LINE:
            self._skipped += len(self._rest)
            self._rest.clear()


def pipe_lines(descriptor: int, stop: Stop) -> Iterator[str | None]:
    """Yield the lines of a pipe until it ends or a stop is asked for; an unfinished line counts at the end only."""
    splitter = LineSplitter()
    for block in pipe_blocks(descriptor, stop):
        for line, _ in splitter.push(block):
            yield line
    if not stop.is_asked():
        for line, _ in splitter.flush():
            yield line


def pipe_blocks(descriptor: int, stop: Stop) -> Iterator[bytes]:
    """Yield what comes through a pipe until it ends or a stop is asked for."""
    while not stop.is_asked():
        stop.wait(descriptor)
        if stop.is_asked() or not (block := os.read(descriptor, BLOCK)):
            return
        yield block


class FollowedFile:
    """The lines of a file that other programs append to, rotate or truncate.

    A file that was renamed is read to its end before the new one of that name is opened; one that became shorter is
    read again from its start; one that is not there, or not to be read, is waited for. A file that is truncated and
    grows beyond the old size between two looks cannot be told from one that grew, and of files that were renamed one
    after the other while nobody followed only the one that was read last is finished.

    Parameters
    ----------
    path : Path
        The file.
    stop : Stop
        What ends it.
    position : dict, optional
        Where to go on: `position` of an earlier follower of the same file. If the file has been renamed meanwhile
        within its folder, its rest is read first.
    poll : float
        Seconds between two looks at a file that does not grow.
    """

    def __init__(self, path: Path, stop: Stop, *, position: dict[str, Any] | None = None, poll: float = 0.2) -> None:
        self.path, self.stop, self.poll = path, stop, poll
        self.n_restarts = 0
        self._descriptor = -1
        self._offset = self._read_to = 0
        self._splitter = LineSplitter()
        if position is not None:
            self._resume(position)

    @property
    def position(self) -> dict[str, Any] | None:
        """Where the last line that was given ended: inode, offset and a fingerprint of the file's first bytes."""
        if self._descriptor < 0:
            return None
        length = min(self._offset, LONGEST_FINGERPRINT)
        return {
            "inode": os.fstat(self._descriptor).st_ino,
            "offset": self._offset,
            "fingerprint": zlib.crc32(os.pread(self._descriptor, length, 0)),
        }

    def __iter__(self) -> Iterator[str | None]:
        """Yield lines until a stop is asked for."""
        while not self.stop.is_asked():
            block = os.pread(self._descriptor, BLOCK, self._read_to) if self._descriptor >= 0 else b""
            if block:
                yield from self._lines(block)
            elif not self._look_again():
                self.stop.wait(timeout=self.poll)
            else:
                yield from self._rest()
                self._open(0)

    def _lines(self, block: bytes) -> Iterator[str | None]:
        """Yield the lines of a block, the position being after each when it is given."""
        self._read_to += len(block)
        for line, n_bytes in self._splitter.push(block):
            self._offset += n_bytes
            yield line

    def _rest(self) -> Iterator[str | None]:
        """Yield what came between the last read and the look, and an unfinished line of a file that ended."""
        while self._descriptor >= 0 and (block := os.pread(self._descriptor, BLOCK, self._read_to)):
            yield from self._lines(block)
        for line, n_bytes in self._splitter.flush():
            self._offset += n_bytes
            yield line

    def _look_again(self) -> bool:
        """Whether the name now stands for another file, or for the same one cut short."""
        try:
            now = self.path.stat()
        except (FileNotFoundError, PermissionError):
            return False
        if self._descriptor < 0:
            return True
        mine = os.fstat(self._descriptor)
        return (mine.st_dev, mine.st_ino) != (now.st_dev, now.st_ino) or now.st_size < self._read_to

    def _open(self, offset: int) -> None:
        """Open the file that has the name now; if it is gone again, wait for the next."""
        if self._descriptor >= 0:
            self.n_restarts += 1
        self.close()
        self._splitter = LineSplitter()
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        except (FileNotFoundError, PermissionError):
            self._descriptor = -1
        self._offset = self._read_to = offset

    def _resume(self, position: dict[str, Any]) -> None:
        """Open the file that was read before, under whatever name of the folder, at the place where it was left."""
        inode, offset, fingerprint = (int(position[name]) for name in ("inode", "offset", "fingerprint"))
        for path in [self.path, *sorted(self.path.resolve().parent.glob(f"{glob.escape(self.path.name)}*"))]:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except OSError:
                continue
            status = os.fstat(descriptor)
            start = os.pread(descriptor, min(offset, LONGEST_FINGERPRINT), 0)
            if status.st_ino == inode and status.st_size >= offset and zlib.crc32(start) == fingerprint:
                self._descriptor, self._offset, self._read_to = descriptor, offset, offset
                return
            os.close(descriptor)

    def close(self) -> None:
        """Close the file that is open; there is no position after that."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
