"""Anomalies in streams of numbers and in sound: calibrated scores, events, who is behind them; live or in one go."""

from gmmaudio.anomaly.calibration import CalibrationReport, TailCalibration
from gmmaudio.anomaly.detector import AnomalyDetector
from gmmaudio.anomaly.events import Event, EventRule, find_events, running_peaks
from gmmaudio.anomaly.fleet import AnomalyFleet
from gmmaudio.anomaly.grid import on_grid
from gmmaudio.anomaly.listening import Listener
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.rates import alarm_probability, event_rates
from gmmaudio.anomaly.results import BlockResult, Result
from gmmaudio.anomaly.sound import SoundConfig, read_sound
from gmmaudio.anomaly.tables import Table, join_tables, read_table
from gmmaudio.anomaly.watching import Watcher

__all__ = [
    "AnomalyDetector",
    "AnomalyFleet",
    "AnomalyModel",
    "BlockResult",
    "CalibrationReport",
    "Event",
    "EventRule",
    "Listener",
    "Result",
    "SoundConfig",
    "Table",
    "TailCalibration",
    "Watcher",
    "alarm_probability",
    "event_rates",
    "find_events",
    "join_tables",
    "on_grid",
    "read_sound",
    "read_table",
    "running_peaks",
]
