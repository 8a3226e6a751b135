"""The state of a detector's stream: taken out, put back, begun anew."""

from collections.abc import Mapping

from sklearn.exceptions import NotFittedError

from gmmaudio._typing import AnyArray
from gmmaudio.anomaly.stream import Stream
from gmmaudio.errors import ParameterError


class StreamState:
    """What a detector can do with the state of its stream; the stream exists once it is fitted."""

    def __init__(self) -> None:
        self._running: Stream | None = None
        self._start: dict[str, AnyArray] = {}

    @property
    def n_seen(self) -> int:
        """Number of samples of the stream so far."""
        return int(self._stream().tracker.place[0])

    def reset(self) -> None:
        """Start a new stream with what `fit` learnt."""
        self._stream()
        self.load_state(self._start)

    def state_dict(self) -> dict[str, AnyArray]:
        """Return a copy of all that the stream has changed since `fit`, as arrays."""
        return {name: array.copy() for name, array in self._stream().arrays().items()}

    def load_state(self, state: Mapping[str, AnyArray]) -> None:
        """Go on from a copy made by `state_dict` of a detector with the same channels and settings.

        Raises
        ------
        ParameterError
            If names, shapes or types differ; nothing is changed then.
        """
        arrays = self._stream().arrays()
        if state.keys() != arrays.keys():
            raise ParameterError("the state has other arrays than this detector; load it into the one it came from")
        for name, array in arrays.items():
            if state[name].shape != array.shape or state[name].dtype != array.dtype:
                raise ParameterError(
                    f"the state's {name} is {state[name].dtype} {state[name].shape}, but this detector needs "
                    f"{array.dtype} {array.shape}; load it into the one it came from"
                )
        for name, array in arrays.items():
            array[...] = state[name]

    def start_state(self) -> dict[str, AnyArray]:
        """Return a copy of the state that a new stream begins with."""
        return {name: array.copy() for name, array in self._start.items()}

    def load_start(self, state: Mapping[str, AnyArray]) -> None:
        """Begin a new stream with a copy made by `start_state`, and so each after a `reset`; errors as `load_state`."""
        self.load_state(state)
        self._start = self.state_dict()

    def _stream(self) -> Stream:
        """Return the stream, which exists from `fit` on."""
        if self._running is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet; call fit with normal data first")
        return self._running
