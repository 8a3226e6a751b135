"""Diagonal Gaussian mixtures of Kaldi (`DiagGmm`), in its text and its binary form.

Conventions. A file holds one mixture, as `gmm-global-init-from-feats` and `train_diag_ubm.sh` write it (`final.dubm`):
`<DiagGMM>` (or `<DiagGMMBegin>`), `<GCONSTS>`, `<WEIGHTS>`, `<MEANS_INVVARS>` and `<INV_VARS>`, `</DiagGMM>`. Binary
files start with a zero byte and `B`; vectors and matrices are float (`FV`, `FM`) or double (`DV`, `DM`), numbers are
little-endian. Acoustic models (`final.mdl`) and full covariances (`<FullGMM>`) are refused.
"""

import os
import struct
import warnings
from pathlib import Path
from typing import NoReturn

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.gmm.interop._tokens import MAX_FILE_BYTES, Tokens, read_bytes
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.persistence import replacing

BINARY = b"\0B"
BEGINNINGS = ("<DiagGMM>", "<DiagGMMBegin>")
ENDS = ("</DiagGMM>", "<DiagGMMEnd>")
WEIGHT_TOLERANCE = 1e-3
"""How far stored weights may be from a sum of 1: thousands of them were rounded to seven digits."""

CONSTANT_TOLERANCE = 1e-4
"""How far a stored `<GCONSTS>` may be from what the parameters give, relative to the sum of its terms' magnitudes:
both were rounded to single precision."""

_FORMATS = {"FV": ("<f4", 1), "DV": ("<f8", 1), "FM": ("<f4", 2), "DM": ("<f8", 2)}


def read_kaldi(path: str | os.PathLike[str]) -> GmmParams:
    """Read a diagonal mixture that Kaldi has written, text or binary.

    Raises
    ------
    GmmAudioError
        If the file cannot be read or is not such a mixture; the message names the line or the byte.

    Warns
    -----
    GmmAudioWarning
        If the stored `<GCONSTS>` are not those of the parameters: the file was edited, or is damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "final.dubm"
    >>> write_kaldi(GmmParams([0.25, 0.75], [[0.0], [1.0]], [[1.0], [2.0]]), path)
    >>> read_kaldi(path).variances
    array([[1.],
           [2.]])
    """
    contents = read_bytes(path)
    parts: _TextParts | _BinaryParts
    parts = _BinaryParts(contents, str(path)) if contents.startswith(BINARY) else _TextParts(contents, str(path))
    parts.begin(*BEGINNINGS)
    constants = parts.vector() if parts.find("<GCONSTS>") else None
    parts.begin("<WEIGHTS>")
    weights = parts.vector()
    parts.begin("<MEANS_INVVARS>")
    scaled_means = parts.matrix()
    parts.begin("<INV_VARS>")
    precisions = parts.matrix()
    parts.begin(*ENDS)
    params = _params(str(path), weights, scaled_means, precisions)
    if constants is not None:
        _check_constants(str(path), constants, params)
    return params


def write_kaldi(params: GmmParams, path: str | os.PathLike[str], *, binary: bool = True) -> None:
    """Write a diagonal mixture for Kaldi, in single precision as its programs do.

    Parameters
    ----------
    params : GmmParams
        Diagonal or spherical.
    path : path-like
        Replaced only once the new file is complete.
    binary : bool
        Whether in the binary form, which is Kaldi's default.

    Raises
    ------
    ParameterError
        If there are correlations, or a value does not fit into single precision.
    GmmAudioError
        If the file cannot be written.
    """
    precisions = 1.0 / params.variances
    parts = {
        "<GCONSTS>": component_constants(params),
        "<WEIGHTS>": params.weights,
        "<MEANS_INVVARS>": params.means * precisions,
        "<INV_VARS>": precisions,
    }
    largest = float(np.finfo(np.float32).max)
    for name in ("<MEANS_INVVARS>", "<INV_VARS>"):
        if not (np.abs(parts[name]) <= largest).all():
            raise ParameterError(f"{name} has values beyond the single precision of Kaldi; use a larger variance floor")
    write = _binary_block if binary else _text_block
    body = b"".join(write(name, values.astype("<f4")) for name, values in parts.items())
    with replacing(Path(path)) as file:
        file.write((BINARY if binary else b"") + f"{BEGINNINGS[0]} ".encode() + body + f"{ENDS[0]} ".encode())


def component_constants(params: GmmParams) -> Float64Array:
    """Return what Kaldi calls GCONSTS: the log of weight times density of each component at the point 0.

    ``log w − ½ D log 2π + ½ Σ log(1/σ²) − ½ Σ μ²/σ²`` (`DiagGmm::ComputeGconsts`), shape (n_components,).
    """
    return np.asarray(_constant_terms(params).sum(axis=1))


def _constant_terms(params: GmmParams) -> Float64Array:
    """Return the terms of the constants, shape (n_components, 2 + n_features)."""
    with np.errstate(divide="ignore"):  # a weight of 0 has the constant −inf, as it has in Kaldi
        log_weights = np.log(params.weights)
    volumes = -0.5 * params.n_features * np.log(2.0 * np.pi) - 0.5 * np.log(params.variances).sum(axis=1)
    distances = -0.5 * np.square(params.means) / params.variances
    return np.column_stack([log_weights, volumes, distances])


def _params(source: str, weights: Float64Array, scaled_means: Float64Array, precisions: Float64Array) -> GmmParams:
    """Return the mixture, or say what is wrong with the arrays together."""
    total = float(weights.sum())
    if not abs(total - 1.0) <= WEIGHT_TOLERANCE:
        raise GmmAudioError(f"{source}: the sum of <WEIGHTS> is {total:.6g} but must be 1")
    if scaled_means.shape != precisions.shape or len(weights) != len(precisions):
        raise GmmAudioError(
            f"{source}: {len(weights)} weights, means of shape {scaled_means.shape} and precisions of shape "
            f"{precisions.shape} do not belong together"
        )
    if not ((precisions > 0) & (precisions < np.inf)).all():
        raise GmmAudioError(f"{source}: <INV_VARS> must be positive and finite; the smallest is {precisions.min()}")
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # GmmParams says so
            return GmmParams(weights / total, scaled_means / precisions, 1.0 / precisions)
    except ParameterError as error:
        raise GmmAudioError(f"{source}: {error}") from error


def _check_constants(source: str, constants: Float64Array, params: GmmParams) -> None:
    """Raise if there is not one stored constant for each component; warn if they are not those of the mixture."""
    if len(constants) != params.n_components:
        raise GmmAudioError(f"{source}: {len(constants)} <GCONSTS> but {params.n_components} components")
    used = np.flatnonzero(params.weights)  # the others have −inf, or whatever
    terms = _constant_terms(params)[used]
    allowed = CONSTANT_TOLERANCE * (1 + np.abs(terms).sum(axis=1))
    wrong = np.flatnonzero(~(np.abs(constants[used] - terms.sum(axis=1)) <= allowed))
    if len(wrong):
        stored, right = constants[used[wrong[0]]], terms[wrong[0]].sum()
        warnings.warn(
            f"{source}: <GCONSTS>, component {used[wrong[0]]}: {stored:.6g} is stored but the parameters give "
            f"{right:.6g}, which is used; was the file edited by hand?",
            GmmAudioWarning,
            stacklevel=3,
        )


class _TextParts:
    """The parts of a text file."""

    def __init__(self, contents: bytes, source: str) -> None:
        self._tokens = Tokens(contents, r"\[|\]|\n|[^\s\[\]]+", source)
        self._skip_newlines()

    def begin(self, *names: str) -> None:
        """Go past one of these keywords."""
        self._tokens.expect(*names)
        self._skip_newlines()

    def find(self, name: str) -> bool:
        """Go past this keyword if it is there."""
        if self._tokens.peek() != name:
            return False
        self.begin(name)
        return True

    def vector(self) -> Float64Array:
        """Return the numbers between brackets."""
        return np.concatenate([np.empty(0), *self._rows()])

    def matrix(self) -> Float64Array:
        """Return the numbers between brackets, one row a line."""
        rows = self._rows()
        if len({len(row) for row in rows}) != 1:
            raise self._tokens.error(f"the matrix that ends here has rows of {sorted({*map(len, rows)})} numbers")
        return np.stack(rows)

    def _rows(self) -> list[Float64Array]:
        """Return the lines between brackets that are not empty."""
        self._tokens.expect("[")
        rows: list[list[float]] = [[]]
        while self._tokens.peek() != "]":
            if self._tokens.peek() == "\n":
                self._tokens.advance()
                rows.append([])
            else:
                rows[-1].append(self._tokens.number("or a closing bracket"))
        self._tokens.advance()
        self._skip_newlines()
        return [np.array(row) for row in rows if row]

    def _skip_newlines(self) -> None:
        """Go past ends of lines, which have a meaning in matrices only."""
        while self._tokens.peek() == "\n":
            self._tokens.advance()


class _BinaryParts:
    """The parts of a binary file."""

    def __init__(self, contents: bytes, source: str) -> None:
        self._contents, self._source, self._place = contents, source, len(BINARY)

    def begin(self, *names: str) -> None:
        """Go past one of these keywords."""
        if not any(self.find(name) for name in names):
            self._fail(f"{' or '.join(names)} is expected")

    def find(self, name: str) -> bool:
        """Go past this keyword if it is there."""
        wanted = f"{name} ".encode()
        found = self._contents.startswith(wanted, self._place)
        self._place += len(wanted) if found else 0
        return found

    def vector(self) -> Float64Array:
        """Return a vector."""
        return self._numbers(1)

    def matrix(self) -> Float64Array:
        """Return a matrix."""
        return self._numbers(2)

    def _numbers(self, n_axes: int) -> Float64Array:
        """Return an array of so many axes, whose header must agree with what is left of the file."""
        names = [name for name, (_, axes) in _FORMATS.items() if axes == n_axes]
        name = next((name for name in names if self.find(name)), None)
        if name is None:
            self._fail(f"{' or '.join(names)} is expected (compressed and packed arrays cannot be read)")
        shape = tuple(self._size() for _ in range(n_axes))
        number, start = np.dtype(_FORMATS[name][0]), self._place
        n_numbers = shape[0] * shape[-1] if n_axes == 2 else shape[0]
        if start + n_numbers * number.itemsize > len(self._contents):
            self._fail(f"an array of shape {shape} is announced but the file ends before its end")
        self._place += n_numbers * number.itemsize
        values = np.frombuffer(self._contents, number, n_numbers, start).astype(np.float64).reshape(shape)
        if np.isnan(values).any():
            self._fail("the array that ends here holds NaN")
        return values

    def _size(self) -> int:
        """Return one size of an array: the byte 4, and four bytes of a whole number."""
        field = self._contents[self._place : self._place + 5]
        size = struct.unpack("<i", field[1:])[0] if len(field) == 5 and field[0] == 4 else 0
        if not 1 <= size <= MAX_FILE_BYTES:
            self._fail("the size of an array, 1 or more in four bytes, is expected")
        self._place += 5
        return int(size)

    def _fail(self, message: str) -> NoReturn:
        """Raise an error that names the byte."""
        raise GmmAudioError(f"{self._source}, byte {self._place}: {message}")


def _binary_block(name: str, values: Float64Array) -> bytes:
    """Return a keyword and an array in single precision."""
    sizes = b"".join(struct.pack("<bi", 4, size) for size in values.shape)
    return f"{name} {'FV' if values.ndim == 1 else 'FM'} ".encode() + sizes + values.tobytes()


def _text_block(name: str, values: Float64Array) -> bytes:
    """Return a keyword and an array, one row a line, with the digits that single precision needs."""
    rows = values[np.newaxis] if values.ndim == 1 else values
    lines = ["  " + " ".join(f"{value:.9g}" for value in row) for row in rows]
    opening = " [" if values.ndim == 1 else " [\n"
    return f"{name} {opening}{(' ' + chr(10)).join(lines)} ]\n".encode()
