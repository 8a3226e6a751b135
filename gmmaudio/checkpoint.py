"""Checkpoints of an EM run: what it takes to go on after the process was killed, with the same bits at the end.

Conventions. A checkpoint file always holds a whole state, that of the last update or an earlier one: it is replaced by
an atomic rename. Whatever a run depends on is its *identity*; a checkpoint with another identity is refused. The
iteration limit is no part of it: it may be raised to go on after the end.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from gmmaudio._typing import AnyArray
from gmmaudio.em import EmResult
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import StoredModel, load, remove_unfinished, restore, save

WRITE_SHARE = 0.02
"""Largest share of the time that is spent on writing checkpoints, apart from the first and the last one."""

Identity = Mapping[str, str | int | float | None]
"""Whatever the result of a run depends on, by the names that messages use."""

_MODELS = ("params", "previous")
"""The models that a state may hold, by their attributes."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of an EM run after one of its updates, as it is stored.

    Attributes
    ----------
    identity : dict
        What the run depends on: options and a digest of the data.
    result : EmResult
        What the run would have returned had it ended here; `result.params` is the model so far.
    """

    identity: Identity
    result: EmResult[Any]

    def to_stored(self) -> StoredModel:
        """Return the checkpoint as it is written to a file."""
        result = self.result
        config: dict[str, Any] = {
            "identity": dict(self.identity),
            "converged": result.converged,
            "fall_expected": result.fall_expected,
        }
        arrays: dict[str, AnyArray] = {"history": np.array(result.history, dtype=np.float64)}
        for name in _MODELS:
            model = getattr(result, name)
            if model is not None:
                stored = model.to_stored()
                config[name] = {"kind": stored.kind, "config": stored.config}
                arrays |= {f"{name}_{key}": array for key, array in stored.arrays.items()}
        return StoredModel("checkpoint", config, arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the checkpoint from what a file holds."""
        config = stored.config
        history = tuple(stored.arrays["history"].tolist())
        if not isinstance(config["identity"], dict):
            raise GmmAudioError("its identity is not a table of options")
        flags = config["converged"], config["fall_expected"]
        if not all(isinstance(flag, bool) for flag in flags):
            raise GmmAudioError("converged and fall_expected must be true or false")
        models = {name: _restored(stored, name) for name in _MODELS if name in config}
        return cls(
            config["identity"],
            EmResult(models["params"], history, len(history), *flags, previous=models.get("previous")),
        )


def _restored(stored: StoredModel, name: str) -> Any:
    """Return one of the models in a checkpoint."""
    prefix = f"{name}_"
    arrays = {key.removeprefix(prefix): array for key, array in stored.arrays.items() if key.startswith(prefix)}
    return restore(StoredModel(stored.config[name]["kind"], stored.config[name]["config"], arrays))


class CheckpointFile:
    """The file that keeps an EM run; a context manager that writes the last state however the run ends.

    Parameters
    ----------
    path : path-like
        May exist or not; its folder must.
    identity : dict
        What the run depends on.

    Attributes
    ----------
    state : EmResult or None
        Where the run that the file holds has come to; None if there is no file.

    Raises
    ------
    ParameterError
        If the file is of another run.
    GmmAudioError
        If the file is no checkpoint, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Identity) -> None:
        self._path = Path(path)
        self._identity = dict(identity)
        remove_unfinished(path)
        self.state: EmResult[Any] | None = self._read() if self._path.exists() else None
        self._is_written = True
        self._next_write = 0.0

    def keep(self, state: EmResult[Any]) -> None:
        """Take note of a new state, and write it unless too much of the time would go into writing."""
        self.state, self._is_written = state, False
        if time.monotonic() >= self._next_write:
            self._write()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._is_written:
            self._write()
        if error is not None and self.state is not None:
            error.add_note(
                f"{self._path} holds the training after {self.state.n_iter} iterations: start again with the same "
                "arguments to go on from there, or load the file, whose result.params is the model so far"
            )

    def _write(self) -> None:
        """Replace the file."""
        assert self.state is not None
        started = time.monotonic()
        save(Checkpoint(self._identity, self.state), self._path)
        ended = time.monotonic()
        self._is_written = True
        self._next_write = ended + (ended - started) / WRITE_SHARE

    def _read(self) -> EmResult[Any]:
        """Return the state of the file if it is of the same run."""
        found: Checkpoint = load(self._path, kind="checkpoint")
        names = [*self._identity, *(name for name in found.identity if name not in self._identity)]
        differing = [
            f"{name} is {found.identity.get(name)!r} there and {self._identity.get(name)!r} here"
            for name in names
            if found.identity.get(name) != self._identity.get(name)
        ]
        if differing:
            raise ParameterError(
                f"the checkpoint {self._path} is of another training: {'; '.join(differing)}; "
                "use the same options and data to go on, or give another path, or delete the file to start afresh"
            )
        return found.result
