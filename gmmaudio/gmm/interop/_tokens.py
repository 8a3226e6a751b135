"""Words and numbers of an untrusted text file, one after the other, with the line for messages."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError, ParameterError

MAX_FILE_BYTES = 2**28
"""Larger files are refused before they are read: the text of a thousand Gaussians of 80 features is 3 MB."""

MAX_SHOWN = 40
"""Characters of a token that a message repeats."""


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the contents of a file of bounded size.

    Raises
    ------
    GmmAudioError
        If it cannot be read, or is too large.
    """
    try:
        with Path(path).open("rb") as file:
            contents = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise GmmAudioError(f"cannot read {path}: {error.strerror or error}") from error
    if len(contents) > MAX_FILE_BYTES:
        raise GmmAudioError(f"{path} is larger than {MAX_FILE_BYTES} bytes, which no model of this kind is")
    return contents


class Tokens:
    """The tokens of a text.

    Parameters
    ----------
    contents : bytes
        ASCII; other bytes are kept as characters that no keyword and no number has.
    pattern : str
        Regular expression of one token; what is between tokens is skipped.
    source : str
        What messages call the text.
    upper : str
        Regular expression of the tokens that may be in either case; they become upper case.
    """

    def __init__(self, contents: bytes, pattern: str, source: str, *, upper: str = r"(?!)") -> None:
        self._text = contents.decode("latin-1")
        self._matches = re.compile(pattern).finditer(self._text)
        self._upper = re.compile(upper)
        self._source = source
        self._place = 0
        self._next: str | None = None
        self.advance()

    def advance(self) -> str | None:
        """Return the next token and go past it; None at the end."""
        token = self._next
        match = next(self._matches, None)
        self._place = len(self._text) if match is None else match.start()
        self._next = None if match is None else match.group()
        if self._next is not None and self._upper.fullmatch(self._next):
            self._next = self._next.upper()
        return token

    def peek(self) -> str | None:
        """Return the next token without going past it; None at the end."""
        return self._next

    def place(self) -> str:
        """Return the file and the line of the next token."""
        return f"{self._source}, line {self._text.count(chr(10), 0, self._place) + 1}"

    def error(self, message: str) -> GmmAudioError:
        """Return an error that names the line of the next token."""
        return GmmAudioError(f"{self.place()}: {message}")

    @contextlib.contextmanager
    def places_errors(self) -> Iterator[None]:
        """Let errors of values that were read name the line."""
        try:
            yield
        except ParameterError as error:
            raise self.error(str(error)) from error

    def unexpected(self, expected: str) -> GmmAudioError:
        """Return an error that says what stands there instead of what is expected."""
        got = "the file ends" if self._next is None else f"found {self._next[:MAX_SHOWN]!r}"
        return self.error(f"{got} where {expected} is expected")

    def expect(self, *allowed: str) -> str:
        """Return the next token, which must be one of those allowed (case counts)."""
        if self._next not in allowed:
            raise self.unexpected(" or ".join(allowed))
        return self.advance() or ""

    def number(self, what: str) -> float:
        """Return the next token as a number; NaN is none, infinities are."""
        try:
            value = float(self._next or "")
        except ValueError:
            value = np.nan
        if np.isnan(value) or "_" in (self._next or ""):
            raise self.unexpected(f"a number ({what})")
        self.advance()
        return value

    def count(self, what: str, *, most: int) -> int:
        """Return the next token as a whole number from 1 to `most`."""
        token = self._next or ""
        if not (token.isdecimal() and token.isascii() and len(token) < 10 and 1 <= int(token) <= most):
            raise self.unexpected(f"a whole number from 1 to {most} ({what})")
        self.advance()
        return int(token)

    def vector(self, what: str, size: int) -> Float64Array:
        """Return the next so many tokens as numbers; memory grows with what is in the file, not with `size`."""
        return np.array([self.number(f"{what}, {index + 1} of {size}") for index in range(size)])
