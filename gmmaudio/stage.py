"""The one streaming abstraction: a stage takes blocks of rows and gives blocks of rows.

Conventions. A *row* is whatever the stage consumes: an audio sample, a frame, a log energy. `push` accepts any
number of rows, zero included, and returns the output rows that have become final; `flush` ends the stream,
returns what is still owed and leaves the stage as new. The batch call is `transform(rows)`, defined as
`push(rows)` followed by `flush()` on a fresh copy, so a stream and a batch give the same bits however the input
is cut. A stage keeps everything it remembers in one dataclass of arrays and numbers, which is what
`state_dict` copies and `load_state` puts back.
"""

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from gmmaudio._typing import AnyArray
from gmmaudio.errors import ParameterError

StateDict = dict[str, Any]


class Stage(ABC):
    """A step of a streaming chain.

    A subclass sets `self._state` (a dataclass instance of arrays and numbers) in `reset`, and, when it is made of
    other stages, names them in `_parts`.
    """

    streamable: ClassVar[bool] = True
    """False for a stage that needs the whole recording; its `push` raises with advice."""

    _state: Any = None

    @property
    @abstractmethod
    def lookahead(self) -> int:
        """Number of input rows after row t that must be seen before the output of row t is final."""

    @abstractmethod
    def push(self, rows: AnyArray) -> AnyArray:
        """Take the next rows of the stream and return the output rows that have become final."""

    @abstractmethod
    def flush(self) -> AnyArray:
        """End the stream: return the rows still owed and start afresh."""

    @abstractmethod
    def reset(self) -> None:
        """Forget the stream; the next `push` starts a new one."""

    def transform(self, rows: AnyArray) -> AnyArray:
        """Return the output for a whole recording; the stage's own stream is not touched."""
        fresh = self.fresh()
        return np.concatenate([fresh.push(rows), fresh.flush()])

    def fresh(self) -> Self:
        """Return a stage of the same configuration at the start of its stream."""
        clone = copy.deepcopy(self)
        clone.reset()
        return clone

    def _parts(self) -> Mapping[str, "Stage"]:
        """Return the stages that this one is made of, by name."""
        return {}

    def state_dict(self) -> StateDict:
        """Return a copy of everything the stage remembers of the stream (arrays, numbers, nested dicts)."""
        own = {} if self._state is None else dataclasses.asdict(copy.deepcopy(self._state))
        return own | {name: part.state_dict() for name, part in self._parts().items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a copy made by `state_dict` of a stage with the same configuration.

        Raises
        ------
        ParameterError
            If the state has other fields than this stage, i.e. comes from another kind of stage.
        """
        expected = self.state_dict().keys()
        if state.keys() != expected:
            raise ParameterError(
                f"the state has the fields {sorted(state)} but {type(self).__name__} needs {sorted(expected)}; "
                "load it into the kind of stage that it was saved from"
            )
        parts = self._parts()
        if self._state is not None:
            own = {name: copy.deepcopy(value) for name, value in state.items() if name not in parts}
            self._state = dataclasses.replace(self._state, **own)
        for name, part in parts.items():
            part.load_state(state[name])
