"""Timing on a machine that others use too: contestants take turns, and only figures of the same round are compared."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timings:
    """Seconds of each round, by contestant: on the clock, and of processor time summed over all threads."""

    wall: dict[str, np.ndarray]
    processor: dict[str, np.ndarray]

    def median(self, name: str) -> float:
        """Return the median time on the clock."""
        return float(np.median(self.wall[name]))

    def ratio(self, name: str, reference: str, *, of: str = "wall") -> tuple[float, float, float]:
        """Return median, first and third quartile of the ratio of two contestants in the same round."""
        seconds = getattr(self, of)
        quartiles = np.quantile(seconds[name] / seconds[reference], [0.5, 0.25, 0.75])
        return float(quartiles[0]), float(quartiles[1]), float(quartiles[2])


def time_in_turns(contestants: Mapping[str, Callable[[], object]], *, n_rounds: int) -> Timings:
    """Call each contestant twice in every round and time the second call.

    The first one pays for what the others pushed out of the caches and of memory.
    """
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    processor: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(n_rounds):
        for name, call in contestants.items():
            call()
            started, started_processor = time.perf_counter(), time.process_time()
            call()
            wall[name].append(time.perf_counter() - started)
            processor[name].append(time.process_time() - started_processor)
    return Timings(
        {name: np.array(values) for name, values in wall.items()},
        {name: np.array(values) for name, values in processor.items()},
    )
