"""One safe file format for every model: NPZ arrays and a JSON header, never a pickle.

A model file is an uncompressed ZIP archive (what `numpy.load` calls NPZ) with one `.npy` member per array and a
member `header.json` that says what the file is: format version, kind of model, library version, configuration,
and the name, shape and type of every array. The file is written under a temporary name beside the target and
renamed when it is complete, so a reader sees the old model or the new one, never a part.

Reading trusts nothing: members must be stored plainly and be as large as their headers say, arrays must be of
numbers, the header must be JSON of the expected shape, and the model's own checks (finite parameters, positive
variances, a valid feature pipeline) run on what was read. Nothing is ever unpickled.
"""

import contextlib
import glob
import importlib
import json
import math
import os
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, Self, runtime_checkable

import numpy as np

import gmmaudio
from gmmaudio._typing import AnyArray
from gmmaudio.errors import GmmAudioError, ParameterError

FORMAT = "gmmaudio-model"
FORMAT_VERSION = 1
"""Files of this version and older are read; newer ones are refused."""

_HEADER = "header.json"
_MAX_HEADER_BYTES = 16 * 2**20
_NUMBER_KINDS = "biuf"
_KINDS = {
    "anomaly_detector": "gmmaudio.anomaly.detector:AnomalyDetector",
    "anomaly_fleet": "gmmaudio.anomaly.fleet:AnomalyFleet",
    "anomaly_fleet_member": "gmmaudio.anomaly.fleet:Member",
    "anomaly_listener": "gmmaudio.anomaly.listening:Listener",
    "anomaly_model": "gmmaudio.anomaly.model:AnomalyModel",
    "anomaly_watcher": "gmmaudio.anomaly.watching:Watcher",
    "bayesian_gmm": "gmmaudio.gmm.bayesian.estimator:BayesianGMM",
    "checkpoint": "gmmaudio.checkpoint:Checkpoint",
    "features": "gmmaudio.features:Features",
    "gmm": "gmmaudio.gmm.estimator:GMM",
    "gmm_hmm": "gmmaudio.hmm.estimator:GMMHMM",
    "gmm_params": "gmmaudio.gmm.parameters:GmmParams",
    "gmm_regressor": "gmmaudio.gmm.conditional.regressor:GaussianMixtureRegressor",
    "hmm_params": "gmmaudio.hmm.parameters:HmmParams",
    "separator": "gmmaudio.separation.separator:Separator",
    "speaker_identifier": "gmmaudio.speaker.identifier:SpeakerIdentifier",
    "spectral_params": "gmmaudio.separation.spectral:SpectralParams",
    "student_mixture": "gmmaudio.gmm.student.estimator:StudentTMixture",
    "student_params": "gmmaudio.gmm.student.parameters:StudentParams",
    "word_recognizer": "gmmaudio.words.recognizer:WordRecognizer",
}
"""Kind of model -> the class that reads it, imported only when such a file is opened."""


@dataclass(frozen=True, eq=False)
class StoredModel:
    """What a model file holds, before and after the disk.

    Parameters
    ----------
    kind : str
        Which class it belongs to, one of the kinds of this module.
    config : dict
        Everything but the arrays, as JSON values.
    arrays : dict of str to ndarray
        Arrays of numbers by name.
    pipeline : dict, optional
        The feature pipeline that the model was trained behind, where there is one.
    library_version : str
        Version of the library that made it.
    """

    kind: str
    config: Mapping[str, Any]
    arrays: Mapping[str, AnyArray] = field(default_factory=dict)
    pipeline: Mapping[str, Any] | None = None
    library_version: str = gmmaudio.__version__


@runtime_checkable
class Storable(Protocol):
    """A model that can be saved: it turns itself into a `StoredModel` and back."""

    def to_stored(self) -> StoredModel:
        """Return configuration and arrays."""
        ...

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the model, checking everything; raise `GmmAudioError` where it cannot be."""
        ...


def save(model: Storable, path: str | os.PathLike[str]) -> None:
    """Write a model to a file; an existing file is replaced only once the new one is complete.

    Parameters
    ----------
    model : Storable
        A fitted model of this package.
    path : path-like
        Where to write it. The suffix is the caller's choice; `.gmm` is the custom.

    Raises
    ------
    ParameterError
        If the object is not a model of this package.
    GmmAudioError
        If the file cannot be written (no such folder, no permission, disk full); nothing is left behind.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, gmmaudio
    >>> gmm = gmmaudio.GMM(2, random_state=0).fit(np.random.default_rng(0).normal(size=(100, 3)))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "two.gmm"
    >>> gmmaudio.save(gmm, path)
    >>> bool(np.array_equal(gmmaudio.load(path).means_, gmm.means_))
    True
    """
    if not isinstance(model, Storable):
        raise ParameterError(f"cannot save a {type(model).__name__}; only models of gmmaudio have a file format")
    stored = model.to_stored()
    # ZipInfo without a date: the same model gives the same bytes.
    with replacing(Path(path)) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(_HEADER), json.dumps(_header(stored), indent=1, allow_nan=False))
        for name, array in stored.arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def load(path: str | os.PathLike[str], *, kind: str | None = None) -> Any:
    """Read a model from a file.

    Parameters
    ----------
    path : path-like
        A file that `save` wrote.
    kind : str, optional
        The kind of model that is needed; a file of another kind is an error.

    Returns
    -------
    object
        The model, of the class that was saved.

    Raises
    ------
    GmmAudioError
        If the file is missing, truncated, corrupted, of another format, kind or newer version, or holds values
        that no model can have.
    """
    stored = read_stored(path)
    if kind is not None and stored.kind != kind:
        raise GmmAudioError(f"{path} holds a model of kind '{stored.kind}', but '{kind}' is needed here")
    try:
        return restore(stored)
    except GmmAudioError as error:
        raise GmmAudioError(f"{path} is not a valid {stored.kind} model: {error}") from error


def restore(stored: StoredModel) -> Any:
    """Build the model that was stored, of whatever kind.

    Raises
    ------
    GmmAudioError
        If the kind is unknown, something is missing, or a value is one that no model can have.
    """
    if stored.kind not in _KINDS:
        raise GmmAudioError(f"the kind of model {stored.kind!r} is unknown; known are {', '.join(_KINDS)}")
    module, _, name = _KINDS[stored.kind].partition(":")
    model_class: type[Storable] = getattr(importlib.import_module(module), name)
    try:
        return model_class.from_stored(stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise GmmAudioError(f"{error} is missing" if isinstance(error, KeyError) else str(error)) from error


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what processes that were killed in the middle of `save` to this path have left beside it."""
    path = Path(path).resolve()
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        left.unlink(missing_ok=True)


def read_stored(path: str | os.PathLike[str]) -> StoredModel:
    """Read what a model file holds without building the model (what `gmmaudio info` prints).

    Raises
    ------
    GmmAudioError
        As for `load`, except for the checks that belong to the model itself.
    """
    path = Path(path)
    if path.is_dir():
        raise GmmAudioError(f"{path} is a folder, not a model file")
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = _checked_members(archive, path.stat().st_size)
            header = _parse_header(archive.read(members.pop(_HEADER)))
            arrays = {
                name: _read_array(archive, members.pop(f"{name}.npy", None), name, layout)
                for name, layout in header["arrays"].items()
            }
            if members:
                raise GmmAudioError(f"it holds {len(members)} members that its header does not name")
    except FileNotFoundError:
        raise GmmAudioError(f"there is no model file {path}") from None
    except (zipfile.BadZipFile, EOFError) as error:
        raise GmmAudioError(f"{path} is not a model file, or a truncated or corrupted one ({error})") from error
    except OSError as error:
        raise GmmAudioError(f"cannot read the model file {path}: {error.strerror or error}") from error
    except (GmmAudioError, NotImplementedError, RuntimeError) as error:
        raise GmmAudioError(f"{path} cannot be used as a model file: {error}") from error
    return StoredModel(header["kind"], header["config"], arrays, header["pipeline"], header["library_version"])


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` when the block ends well, and vanishes when it does not."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise GmmAudioError(f"cannot write {path}: {error.strerror or error}; nothing was changed") from error
    finally:
        temporary.unlink(missing_ok=True)


def _header(stored: StoredModel) -> dict[str, Any]:
    """Return the JSON header of a model."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": stored.kind,
        "library_version": stored.library_version,
        "pipeline": stored.pipeline,
        "config": stored.config,
        "arrays": {
            name: {"shape": list(array.shape), "dtype": array.dtype.str} for name, array in stored.arrays.items()
        },
    }


def _checked_members(archive: zipfile.ZipFile, file_size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the members by name, none of them compressed, encrypted, doubled or larger than the file."""
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise GmmAudioError("two of its members have the same name")
    for info in members.values():
        plain = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x1
        if not plain or info.file_size != info.compress_size:
            raise GmmAudioError(f"its member {info.filename} is compressed or encrypted, which model files never are")
    if sum(info.file_size for info in members.values()) > file_size:
        raise GmmAudioError("its members claim more bytes than the file has")
    if _HEADER not in members:
        raise GmmAudioError(f"it has no {_HEADER}; is it another program's NPZ file?")
    if members[_HEADER].file_size > _MAX_HEADER_BYTES:
        raise GmmAudioError(f"its header is larger than {_MAX_HEADER_BYTES} bytes")
    return members


def _parse_header(text: bytes) -> dict[str, Any]:
    """Return the header, with the fields of the right types and a version that can be read."""
    try:
        header = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise GmmAudioError(f"its header is not JSON ({error})") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise GmmAudioError(f"its header does not say '{FORMAT}'; is it another program's file?")
    version = header.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise GmmAudioError(f"its format version is {version!r}, not a positive number")
    if version > FORMAT_VERSION:
        raise GmmAudioError(
            f"it has format version {version}, written by gmmaudio {header.get('library_version')}, but this is "
            f"gmmaudio {gmmaudio.__version__}, which reads versions up to {FORMAT_VERSION}; upgrade gmmaudio"
        )
    types = {"library_version": str, "config": dict, "arrays": dict, "pipeline": dict | None}
    for name, expected in types.items():
        if name not in header or not isinstance(header[name], expected):
            raise GmmAudioError(f"the field '{name}' of its header is missing or of the wrong type")
    kind = header.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise GmmAudioError(f"it holds a model of the unknown kind {kind!r}; known are {', '.join(_KINDS)}")
    return header


def _refuse_constant(name: str) -> float:
    """Refuse NaN and Infinity, which are not JSON although Python reads them."""
    raise ValueError(f"{name} is not JSON")


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo | None, name: str, layout: Any) -> AnyArray:
    """Return one array, of numbers, whose bytes, own header and place in the file's header agree."""
    if info is None:
        raise GmmAudioError(f"its array '{name}' is missing")
    with archive.open(info) as member:
        try:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran_order, dtype = read(member)
        except ValueError as error:
            raise GmmAudioError(f"its array '{name}' has no readable header ({error})") from error
        if dtype.kind not in _NUMBER_KINDS or fortran_order:
            raise GmmAudioError(f"its array '{name}' is of type {dtype}, but model files hold plain numbers only")
        if not isinstance(layout, dict) or layout != {"shape": list(shape), "dtype": dtype.str}:
            raise GmmAudioError(f"its array '{name}' is {dtype.str} {list(shape)}, but the header says {layout}")
        n_bytes = math.prod(shape) * dtype.itemsize
        if member.tell() + n_bytes != info.file_size:
            raise GmmAudioError(f"its array '{name}' of shape {list(shape)} does not fill its {info.file_size} bytes")
        return np.frombuffer(member.read(), dtype).reshape(shape).copy()
