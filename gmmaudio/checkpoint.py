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

from gmmaudio.em import EmResult
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import StoredModel, load, remove_unfinished, restore, save

WRITE_SHARE = 0.02
"""Largest share of the time that is spent on writing checkpoints, apart from the first and the last one."""

Identity = Mapping[str, str | int | float | None]
"""Whatever the result of a run depends on, by the names that messages use."""


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
        params = self.result.params.to_stored()
        config = {
            "identity": dict(self.identity),
            "converged": self.result.converged,
            "fall_expected": self.result.fall_expected,
            "params": {"kind": params.kind, "config": params.config},
        }
        arrays = {f"params_{name}": array for name, array in params.arrays.items()}
        return StoredModel("checkpoint", config, arrays | {"history": np.array(self.result.history, dtype=np.float64)})

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the checkpoint from what a file holds."""
        config, arrays = stored.config, dict(stored.arrays)
        history = tuple(arrays.pop("history").tolist())
        if not isinstance(config["identity"], dict):
            raise GmmAudioError("its identity is not a table of options")
        flags = config["converged"], config["fall_expected"]
        if not all(isinstance(flag, bool) for flag in flags):
            raise GmmAudioError("converged and fall_expected must be true or false")
        param_arrays = {name.removeprefix("params_"): array for name, array in arrays.items()}
        params = restore(StoredModel(config["params"]["kind"], config["params"]["config"], param_arrays))
        return cls(config["identity"], EmResult(params, history, len(history), *flags))


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
