"""The detector: fit on normal data, then the same numbers for a batch, a block or a sample."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.anomaly import storage
from gmmaudio.anomaly.calibration import CalibrationReport, report
from gmmaudio.anomaly.engine import Engine
from gmmaudio.anomaly.events import EventRule, EventTracker
from gmmaudio.anomaly.rates import alarm_probability, event_rates
from gmmaudio.anomaly.results import BlockResult, Result, only_result
from gmmaudio.anomaly.samples import as_rows, seasons
from gmmaudio.anomaly.state import StreamState
from gmmaudio.anomaly.stream import Stream
from gmmaudio.anomaly.training import train_adaptive, train_frozen
from gmmaudio.errors import ParameterError
from gmmaudio.persistence import StoredModel, save

LEAST_ROWS = 100
LEAST_MEMORY = 200
MOST_MODES = 64
SETTLE_WINDOWS = 10


class AnomalyDetector(StreamState):
    """Scores streams of one or more channels as −log10 p and makes events of what is strange.

    Five heads look at each sample: its density given the last samples (one Gaussian over present and lags, missing
    values marginalised), the agreement of the channels with each other, the mean of the last samples, the time of
    the day (where time stamps are given) and the range seen so far. Each is calibrated on normal data that it has
    not seen, and the smallest p-value, corrected for the number of heads, is calibrated again.

    Parameters
    ----------
    n_lags : int
        Past samples that the present one is conditioned on.
    window : int
        Samples whose mean is the level.
    n_modes : int
        Modes of operation for a head that follows them with a hidden Markov model; 0 for none. What it learnt in `fit`
        stays, even if the detector adapts.
    adaptive : bool
        Whether a stream goes on learning, slowly (memory of about 3000 samples), for streams whose normal course
        changes. A detector that does not adapt stays as it was fitted.
    guarded : bool
        Whether an adaptive detector leaves out what belongs to an event, and the samples shortly before one, so that
        a fault is not learnt. Otherwise it learns from every sample at once and soon takes a fault for normal; its
        p-values compare with the twenty largest scores of the whole stream, and what is no such record gets 0.
    memory : int
        Latest scores of the stream that the p-values of a guarded adaptive detector come from. The longer it is, the
        more it finds, if the normal course stays the same for so long.
    settle_after : int, optional
        When almost all of so many samples (rounded up) belonged to one event and the level is stable, it has become
        the normal course: the event ends as a `"regime change"`, and the new level is learnt. 0: never. By default
        ten windows for a detector that adapts and is guarded, and never for one that does not adapt, which then learns
        nothing but this.
    rule : EventRule, optional
        When scores make an event.

    Notes
    -----
    `event_rates` (after `fit`) says how many events the rule made of training samples at what p-values.

    Values that are not finite, or beyond 1e150, count as missing. Scores are never NaN: where nothing can be said
    they are 0 and the status says why. The state of a stream has a fixed size (eight channels: 39 KiB, and 280 KiB
    more if it adapts).

    A p-value is as good as the normal data behind it. On autoregressive channels (coefficient 0.9, six seeds) alarms
    asked for at 1e-3 came at 2e-3 on average with 1000 to 3000 training samples, and at 1e-2 with 500; the level is
    judged from 40 windows of training data on, unless the detector adapts.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> normal = rng.normal(size=(3000, 2)) @ [[1.0, 0.8], [0.0, 0.6]]
    >>> detector = AnomalyDetector().fit(normal)
    >>> result = detector.update([3.0, -3.0])  # each is within its range, the pair is not
    >>> result.score > 4, result.status
    (True, 'alarm')
    """

    def __init__(
        self,
        *,
        n_lags: int = 3,
        window: int = 48,
        n_modes: int = 0,
        adaptive: bool = False,
        guarded: bool = True,
        memory: int = 3000,
        settle_after: int | None = None,
        rule: EventRule | None = None,
    ) -> None:
        super().__init__()
        if n_lags < 0 or window < 1:
            raise ParameterError(f"n_lags is {n_lags} and window {window}; n_lags >= 0 and window >= 1 are needed")
        if n_modes == 1 or not 0 <= n_modes <= MOST_MODES:
            raise ParameterError(f"n_modes is {n_modes}, but 2 to {MOST_MODES} modes, or 0 for none, are possible")
        if memory < LEAST_MEMORY:
            raise ParameterError(f"memory is {memory}, but at least {LEAST_MEMORY} scores are needed")
        if adaptive and settle_after and not guarded:
            raise ParameterError(f"settle_after is {settle_after}, but a detector that learns unguarded never settles")
        if settle_after is not None and settle_after < 0:
            raise ParameterError(f"settle_after is {settle_after}, but it is a number of samples, 0 for never")
        self.n_lags = n_lags
        self.window = window
        self.n_modes = n_modes
        self.adaptive = adaptive
        self.guarded = guarded
        self.memory = memory
        if settle_after is None:
            settle_after = SETTLE_WINDOWS * window if adaptive and guarded else 0
        self.settle_after: int = settle_after
        self.rule = rule or EventRule()
        self.channels: tuple[str, ...] = ()
        self.event_rates: dict[float, float] = {}

    def fit(
        self, X: npt.ArrayLike, timestamps: npt.ArrayLike | None = None, *, channels: Sequence[str] | None = None
    ) -> Self:
        """Learn what is normal; a stream that was going on is forgotten.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_channels) or (n_samples,)
            Normal data in the order of time; NaN is missing.
        timestamps : array-like, shape (n_samples,), optional
            datetime64, or seconds since the epoch, UTC.
        channels : sequence of str, optional
            Names of the channels, for the command line and whoever else asks; their numbers if not given.

        Raises
        ------
        ParameterError
            If there are fewer than 100 samples, too few complete ones, a channel without a number, or another number
            of names.
        """
        rows = as_rows(X, None)
        if len(rows) < LEAST_ROWS:
            raise ParameterError(f"X has {len(rows)} samples, but at least {LEAST_ROWS} normal ones are needed")
        names = tuple(map(str, range(rows.shape[1]) if channels is None else channels))
        if len(names) != rows.shape[1] or len(set(names)) != len(names):
            raise ParameterError(f"channels is {names}, but X needs {rows.shape[1]} names, all different")
        season = seasons(timestamps, len(rows))
        sizes = {"n_lags": self.n_lags, "window": self.window, "n_modes": self.n_modes}
        if self.adaptive:
            memory = self.memory if self.guarded else None
            engine, scores = train_adaptive(rows, season, memory=memory, **sizes)
        else:
            engine, scores = train_frozen(rows, season, **sizes)
        self._install(engine)
        self.event_rates = event_rates(scores, self.rule)
        self.channels = names
        self._start = self.state_dict()
        return self

    def process(self, X: npt.ArrayLike, timestamps: npt.ArrayLike | None = None) -> BlockResult:
        """Take the next samples of the stream, any number of them.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_channels) or, for one channel, (n_samples,)
            The samples; NaN is missing.
        timestamps : array-like, shape (n_samples,), optional
            As in `fit`.

        Raises
        ------
        ParameterError
            If the number of channels is another one, or there are not as many time stamps as samples.
        NotFittedError
            Before `fit`.
        """
        stream = self._stream()
        rows = as_rows(X, stream.engine.config.n_channels)
        scored, lasting, ended = stream.run(rows, seasons(timestamps, len(rows)))
        scores = np.where(np.isnan(scored.scores), 0.0, scored.scores)
        unknown = np.isnan(scored.scores).tolist()
        empty: list[bool] = np.all(np.isnan(rows), axis=1).tolist()
        statuses = tuple(
            "nodata" if none else "alarm" if alarm else "warmup" if early else "ok"
            for none, early, alarm in zip(empty, unknown, lasting, strict=True)
        )
        modes = scored.modes if self.n_modes else None
        names = (*stream.engine.heads, "")
        heads = tuple(names[best] for best in scored.best.tolist())
        return BlockResult(scores, statuses, scored.contributions, heads, tuple(ended), stream.tracker.current(), modes)

    def update(self, x: npt.ArrayLike, timestamp: Any = None) -> Result:
        """Take the next sample of the stream: one number for each channel.

        Parameters
        ----------
        x : array-like, shape (n_channels,), or a number
            The sample.
        timestamp : datetime64 or float, optional
            As in `fit`.

        Raises
        ------
        ParameterError, NotFittedError
            As for `process`.
        """
        row = np.atleast_1d(np.asarray(x))[np.newaxis]
        return only_result(self.process(row, None if timestamp is None else np.asarray([timestamp])))

    def score_samples(self, X: npt.ArrayLike, timestamps: npt.ArrayLike | None = None) -> Float64Array:
        """Return −log10 p of each sample of a stream that starts at the first row; the current stream is not touched.

        Parameters and errors as for `process`.
        """
        kept = self.state_dict()
        try:
            self.reset()
            return self.process(X, timestamps).scores
        finally:
            self.load_state(kept)

    def calibration_report(self, X: npt.ArrayLike, timestamps: npt.ArrayLike | None = None) -> CalibrationReport:
        """Compare nominal with realised false-alarm rates on normal data that `fit` has not seen."""
        return report(self.score_samples(X, timestamps))

    def set_false_alarms(self, per_day: float, *, sample_period: float) -> Self:
        """Set the rule's `alarm_p` so that normal data give this many events a day.

        Alarms of normal samples come in clusters, which are one event each; how many events the rule makes at which
        p-value, `fit` has counted out of fold (`event_rates`). Below the smallest p-value with five events they are
        taken to be in proportion.

        Parameters
        ----------
        per_day : float
            How many false events are acceptable.
        sample_period : float
            Seconds from one sample to the next.

        Raises
        ------
        ParameterError
            If a value is not positive, or the samples of a day are too few for so many events.
        NotFittedError
            Before `fit`.
        """
        tracker = self._stream().tracker
        p = alarm_probability(per_day, sample_period, event_rates=self.event_rates)
        self.rule = dataclasses.replace(self.rule, alarm_p=p, leave_p=max(p, self.rule.leave_p))
        tracker.set_rule(self.rule)
        return self

    def adapt(
        self, X: npt.ArrayLike, timestamps: npt.ArrayLike | None = None, *, relevance_factor: float = 200.0
    ) -> Self:
        """Fit what was learnt to another machine of the same kind; its stream goes on after these samples.

        The level of each channel is taken from the samples; all else is estimated as if what was learnt before had
        been so many samples at that level (maximum a posteriori; Gauvain & Lee 1994). p-values and modes stay.

        Parameters
        ----------
        X : array-like, shape (n_samples, n_channels) or (n_samples,)
            Normal data of the machine in the order of time; NaN is missing.
        timestamps : array-like, shape (n_samples,), optional
            As in `fit`.
        relevance_factor : float
            Weight of what was learnt, in samples.

        Raises
        ------
        ParameterError
            If there are fewer than 100 samples, as for `process`, or the factor is not above 0.
        NotFittedError
            Before `fit`.
        """
        stream = self._stream()
        rows = as_rows(X, stream.engine.config.n_channels)
        if len(rows) < LEAST_ROWS:
            raise ParameterError(f"X has {len(rows)} samples, but at least {LEAST_ROWS} normal ones are needed")
        if not relevance_factor > 0:
            raise ParameterError(f"relevance_factor is {relevance_factor}, but it is a number of samples above 0")
        season = seasons(timestamps, len(rows))
        self.reset()
        stream.engine.settle(rows, season, moved=np.arange(rows.shape[1]), n_prior=relevance_factor)
        stream.engine.forget_stream()
        self._start = self.state_dict()
        stream.tracker.place[0] = len(rows)
        return self

    def twin(self) -> Self:
        """Return a detector that shares what `fit` learnt, at the start of a stream of its own."""
        other = type(self)(**self._settings())
        other._install(self._stream().engine.twin())
        other.channels, other.event_rates = self.channels, self.event_rates
        other._start = self._start
        other.reset()
        return other

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the detector with the state of its stream to a file; `gmmaudio.load` reads it.

        Raises
        ------
        GmmAudioError
            If the file cannot be written.
        """
        save(self, Path(path))

    def to_stored(self) -> StoredModel:
        """Return what a model file holds: settings, calibrations, the state after `fit` and the present one."""
        facts = {"channels": list(self.channels), "event_rates": [list(pair) for pair in self.event_rates.items()]}
        return storage.to_stored(self._stream(), self._settings(), facts, start=self._start)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the detector from a file, which may come from anywhere.

        Raises
        ------
        GmmAudioError
            If parts are missing or do not fit together.
        """
        detector = cls(**storage.settings(stored))
        detector._install(storage.engine(stored))
        detector.channels = storage.channels(stored)
        detector.event_rates = {float(p): float(rate) for p, rate in stored.config["event_rates"]}
        detector.load_start(storage.state(stored, "start."))
        detector.load_state(storage.state(stored, "now."))
        return detector

    def _settings(self) -> dict[str, Any]:
        """Return the arguments that build such a detector."""
        return {
            "n_lags": self.n_lags,
            "window": self.window,
            "n_modes": self.n_modes,
            "adaptive": self.adaptive,
            "guarded": self.guarded,
            "memory": self.memory,
            "settle_after": self.settle_after,
            "rule": self.rule,
        }

    def _install(self, engine: Engine) -> None:
        """Take over an engine, at the start of its stream."""
        tracker = EventTracker(self.rule, engine.config.n_channels)
        self._running = Stream(engine, tracker, settle_after=self.settle_after)
