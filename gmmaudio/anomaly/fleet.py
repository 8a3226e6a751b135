"""Many machines of one kind: one detector for all, one small state for each.

Conventions. A machine is a name. It begins with what the common detector learnt; with `n_adapt` its first samples say
what its own normal course is before any of them is judged. The states of the machines that were used last are kept in
memory; the others go to files in a folder, or, without one, are dropped and begin anew.
"""

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, Float64Array
from gmmaudio.anomaly.detector import LEAST_ROWS, AnomalyDetector
from gmmaudio.anomaly.results import BlockResult, Result, blank_block, joined_blocks, only_result
from gmmaudio.anomaly.samples import as_rows
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import StoredModel, load, restore, save

_KIND, _MEMBER_KIND = "anomaly_fleet", "anomaly_fleet_member"


@dataclass(eq=False)
class Member:
    """The state of one machine, as arrays.

    Attributes
    ----------
    machine : str
        Its name.
    now, start : dict of str to ndarray
        State of its stream, and the one that its stream begins with; both empty while it is still collecting.
    rows, seconds : ndarray, shapes (n_collected, n_channels) and (n_collected,)
        What it has collected for its adaptation, and when (NaN: not known).
    """

    machine: str
    now: dict[str, AnyArray] = field(default_factory=dict)
    start: dict[str, AnyArray] = field(default_factory=dict)
    rows: Float64Array = field(default_factory=lambda: np.empty((0, 1)))
    seconds: Float64Array = field(default_factory=lambda: np.empty(0))

    def to_stored(self) -> StoredModel:
        """Return what a file holds."""
        arrays: dict[str, AnyArray] = {"rows": self.rows, "seconds": self.seconds}
        arrays |= {f"now.{name}": array for name, array in self.now.items()}
        arrays |= {f"start.{name}": array for name, array in self.start.items()}
        return StoredModel(_MEMBER_KIND, {"machine": self.machine}, arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the member from a file; whether its arrays fit, the detector that takes them over will say."""
        parts: dict[str, dict[str, AnyArray]] = {"now.": {}, "start.": {}}
        for prefix, part in parts.items():
            part |= {n.removeprefix(prefix): a for n, a in stored.arrays.items() if n.startswith(prefix)}
        rows, seconds = stored.arrays["rows"], stored.arrays["seconds"]
        if rows.ndim != 2 or seconds.shape != rows.shape[:1]:
            raise GmmAudioError("the samples that it has collected have not one time each")
        return cls(str(stored.config["machine"]), parts["now."], parts["start."], rows, seconds)


@dataclass(eq=False)
class _Live:
    """A machine in memory: its detector, and the samples that it is still collecting (None: no more)."""

    detector: AnomalyDetector
    rows: list[Float64Array] | None
    seconds: list[float]


class AnomalyFleet:
    """One detector for many machines of a kind, each with a stream of its own.

    Parameters
    ----------
    prior : AnomalyDetector
        Fitted on machines of this kind. It is not changed.
    n_live : int
        Machines whose states are kept in memory (39 KiB each with eight channels, 315 KiB if they adapt, twice that
        after an adaptation).
    folder : path-like, optional
        Where the states of the others go, one file each. Without it they are dropped, and counted in `n_dropped`.
    n_adapt : int
        First samples of each machine that the prior is adapted to, at least 100; they are not judged (status
        `"warmup"`). 0: every machine is judged by the prior as it is.
    relevance_factor : float
        Weight of the prior in the adaptation, see `AnomalyDetector.adapt`.

    Raises
    ------
    ParameterError
        If a number makes no sense.
    NotFittedError
        If the prior is not fitted.

    Notes
    -----
    The numbers of a machine are those, bit for bit, of a detector that only sees this machine.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fleet = AnomalyFleet(AnomalyDetector().fit(rng.normal(size=(2000, 1))), n_live=10)
    >>> fleet.update("pump 1", [0.1]).status, fleet.update("pump 2", [9.0]).status
    ('ok', 'alarm')
    >>> fleet.machines
    ('pump 1', 'pump 2')
    """

    def __init__(
        self,
        prior: AnomalyDetector,
        *,
        n_live: int = 1000,
        folder: str | os.PathLike[str] | None = None,
        n_adapt: int = 0,
        relevance_factor: float = 200.0,
    ) -> None:
        if n_live < 1:
            raise ParameterError(f"n_live is {n_live}, but at least one machine must fit into memory")
        if n_adapt and n_adapt < LEAST_ROWS:
            raise ParameterError(f"n_adapt is {n_adapt}, but at least {LEAST_ROWS} samples, or 0, are needed")
        if not relevance_factor > 0:
            raise ParameterError(f"relevance_factor is {relevance_factor}, but it is a number of samples above 0")
        self._prior = prior.twin()
        self.n_live = n_live
        self.folder = None if folder is None else Path(folder)
        self.n_adapt = n_adapt
        self.relevance_factor = relevance_factor
        self.n_dropped = 0
        self._live: OrderedDict[str, _Live] = OrderedDict()

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines in memory, the one that was used last at the end."""
        return tuple(self._live)

    def process(self, machine: str, X: npt.ArrayLike, timestamps: npt.ArrayLike | None = None) -> BlockResult:
        """Take the next samples of one machine; see `AnomalyDetector.process`."""
        live = self._of(machine)
        rows = as_rows(X, len(self._prior.channels))
        stamps = None if timestamps is None else np.asarray(timestamps)
        if stamps is not None and stamps.shape != (len(rows),):
            raise ParameterError(f"timestamps has shape {stamps.shape}, but there are {len(rows)} samples")
        n_first = 0 if live.rows is None else min(self.n_adapt - len(live.rows), len(rows))
        if not n_first:
            return live.detector.process(rows, stamps)
        blank = self._collect(live, rows[:n_first], None if stamps is None else stamps[:n_first])
        if n_first == len(rows):
            return blank
        rest = live.detector.process(rows[n_first:], None if stamps is None else stamps[n_first:])
        return joined_blocks(blank, rest)

    def update(self, machine: str, x: npt.ArrayLike, timestamp: Any = None) -> Result:
        """Take the next sample of one machine; see `AnomalyDetector.update`."""
        row = np.atleast_1d(np.asarray(x))[np.newaxis]
        return only_result(self.process(machine, row, None if timestamp is None else np.asarray([timestamp])))

    def forget(self, machine: str) -> None:
        """Let a machine begin anew, wherever its state is; one that is not known is no error."""
        self._live.pop(machine, None)
        if self.folder is not None:
            self._file(machine).unlink(missing_ok=True)

    def flush(self) -> None:
        """Write the states of all machines in memory to the folder; they stay in memory.

        Raises
        ------
        GmmAudioError
            If a file cannot be written, or there is no folder.
        """
        if self.folder is None:
            raise GmmAudioError("this fleet has no folder for its states; give it one, or save it whole")
        for machine, live in self._live.items():
            self._write(machine, live)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the prior and all machines in memory to one file; `gmmaudio.load` reads it, without the folder.

        Raises
        ------
        GmmAudioError
            If the file cannot be written.
        """
        save(self, Path(path))

    def to_stored(self) -> StoredModel:
        """Return what a file holds."""
        prior = self._prior.to_stored()
        arrays = {f"prior.{name}": array for name, array in prior.arrays.items()}
        for number, (machine, live) in enumerate(self._live.items()):
            stored = self._member(machine, live).to_stored()
            arrays |= {f"{number}.{name}": array for name, array in stored.arrays.items()}
        names = ("n_live", "n_adapt", "relevance_factor")
        config = {name: getattr(self, name) for name in names}
        return StoredModel(_KIND, config | {"prior": dict(prior.config), "machines": list(self._live)}, arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the fleet from a file, which may come from anywhere.

        Raises
        ------
        GmmAudioError
            If parts are missing or do not fit together.
        """

        def part(prefix: str) -> dict[str, AnyArray]:
            return {n.removeprefix(prefix): a for n, a in stored.arrays.items() if n.startswith(prefix)}

        config = stored.config
        prior = restore(StoredModel("anomaly_detector", config["prior"], part("prior.")))
        options = {name: config[name] for name in ("n_live", "n_adapt", "relevance_factor")}
        fleet = cls(prior, **options)
        for number, machine in enumerate(config["machines"]):
            member = StoredModel(_MEMBER_KIND, {"machine": machine}, part(f"{number}."))
            fleet._live[str(machine)] = fleet._revive(Member.from_stored(member))
        return fleet

    def _of(self, machine: str) -> _Live:
        """Return a machine, from memory, from its file, or new; the one that was used least recently may have to go."""
        live = self._live.pop(machine, None)
        if live is None:
            file = None if self.folder is None else self._file(machine)
            if file is not None and file.exists():
                live = self._revive(load(file, kind=_MEMBER_KIND))
            else:
                live = _Live(self._prior.twin(), [] if self.n_adapt else None, [])
            while len(self._live) >= self.n_live:
                self._evict()
        self._live[machine] = live
        return live

    def _evict(self) -> None:
        """Write the machine that was used least recently to its file, or drop it."""
        machine, live = next(iter(self._live.items()))
        if self.folder is None:
            self.n_dropped += 1
        else:
            self._write(machine, live)
        del self._live[machine]

    def _write(self, machine: str, live: _Live) -> None:
        """Write the state of a machine to its file."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            save(self._member(machine, live), self._file(machine))

    def _file(self, machine: str) -> Path:
        """Return where a machine's state goes; any text may be the name of one."""
        assert self.folder is not None
        return self.folder / f"{hashlib.sha256(machine.encode(errors='surrogatepass')).hexdigest()[:32]}.gmm"

    def _collect(self, live: _Live, rows: Float64Array, stamps: Any) -> BlockResult:
        """Keep first samples of a machine, and adapt when they are enough."""
        assert live.rows is not None
        live.rows += list(rows)
        live.seconds += _seconds(stamps, len(rows)).tolist()
        if len(live.rows) == self.n_adapt:
            live.detector.adapt(np.stack(live.rows), np.array(live.seconds), relevance_factor=self.relevance_factor)
            live.rows, live.seconds = None, []
        return blank_block(rows)

    def _member(self, machine: str, live: _Live) -> Member:
        """Return the state of a machine as arrays."""
        if live.rows is not None:
            rows = np.array(live.rows).reshape(-1, len(self._prior.channels))
            return Member(machine, rows=rows, seconds=np.array(live.seconds))
        own_start = {} if not self.n_adapt else live.detector.start_state()
        return Member(machine, live.detector.state_dict(), own_start)

    def _revive(self, member: Member) -> _Live:
        """Return a machine from its state."""
        detector = self._prior.twin()
        if not member.now:
            rows = as_rows(member.rows, len(self._prior.channels))
            return _Live(detector, list(rows), member.seconds.tolist())
        if member.start:
            detector.load_start(member.start)
        detector.load_state(member.now)
        return _Live(detector, None, [])


def _seconds(stamps: Any, n: int) -> Float64Array:
    """Return time stamps as seconds since the epoch, NaN where they are not known."""
    if stamps is None:
        return np.full(n, np.nan)
    if stamps.dtype.kind == "M":
        return np.where(np.isnat(stamps), np.nan, stamps.astype("datetime64[s]").astype(np.int64).astype(np.float64))
    return np.asarray(stamps, dtype=np.float64)
