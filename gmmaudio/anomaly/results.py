"""What a detector says of a sample and of a block."""

import math
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.anomaly.events import Event


@dataclass(frozen=True, eq=False)
class Result:
    """One sample.

    Attributes
    ----------
    score : float
        −log10 p; 0 where nothing can be said.
    status : str
        `"ok"`, `"alarm"` (an event lasts), `"warmup"` (no head has learnt enough) or `"nodata"` (no channel gave a
        number).
    event : Event or None
        The event that lasts, or the one that this sample ended.
    contributions : ndarray, shape (n_channels,)
        Parts of the channels; they add up to the score, or are all 0.
    head : str
        Which question was answered most strangely; empty where nothing can be said.
    mode : int or None
        The most probable mode of operation, where the detector knows modes.
    """

    score: float
    status: str
    event: Event | None
    contributions: Float64Array
    head: str
    mode: int | None = None

    @property
    def p(self) -> float:
        """The p-value, never below the smallest positive number."""
        return max(math.pow(10.0, -self.score), math.ulp(0.0))


@dataclass(frozen=True, eq=False)
class BlockResult:
    """The samples of a block, as `Result` has them for one, and the events that ended in it.

    Attributes
    ----------
    scores : ndarray, shape (n_samples,)
        −log10 p.
    statuses : tuple of str
        Status of each sample.
    contributions : ndarray, shape (n_samples, n_channels)
        Parts of the channels.
    heads : tuple of str
        Head that decided each sample.
    events : tuple of Event
        Events that ended in the block.
    open_event : Event or None
        The event that lasts at its end.
    modes : ndarray of int, shape (n_samples,), or None
        The most probable mode of operation at each sample, −1 for none, where the detector knows modes.
    """

    scores: Float64Array
    statuses: tuple[str, ...]
    contributions: Float64Array
    heads: tuple[str, ...]
    events: tuple[Event, ...]
    open_event: Event | None
    modes: IntArray | None = None


def only_result(block: BlockResult) -> Result:
    """Return what a block of one sample says of it."""
    event = block.events[0] if block.events else block.open_event
    mode = None if block.modes is None or block.modes[0] < 0 else int(block.modes[0])
    return Result(float(block.scores[0]), block.statuses[0], event, block.contributions[0], block.heads[0], mode)


def blank_block(rows: Float64Array) -> BlockResult:
    """Return that nothing can be said of these rows yet."""
    empty: list[bool] = np.all(np.isnan(rows), axis=1).tolist()
    statuses = tuple("nodata" if none else "warmup" for none in empty)
    return BlockResult(np.zeros(len(rows)), statuses, np.zeros(rows.shape), ("",) * len(rows), (), None)


def joined_blocks(first: BlockResult, second: BlockResult) -> BlockResult:
    """Return two blocks that follow one another as one."""
    modes = second.modes
    if modes is not None:
        earlier = np.full(len(first.scores), -1) if first.modes is None else first.modes
        modes = np.concatenate([earlier, modes])
    return BlockResult(
        np.concatenate([first.scores, second.scores]),
        first.statuses + second.statuses,
        np.concatenate([first.contributions, second.contributions]),
        first.heads + second.heads,
        first.events + second.events,
        second.open_event,
        modes,
    )
