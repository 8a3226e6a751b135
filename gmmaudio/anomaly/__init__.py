"""Anomalies in streams of numbers: calibrated scores, events and the channels behind them, live or in one go."""

from gmmaudio.anomaly.calibration import CalibrationReport, TailCalibration
from gmmaudio.anomaly.detector import AnomalyDetector
from gmmaudio.anomaly.events import Event, EventRule, alarm_probability, event_rates, find_events, running_peaks
from gmmaudio.anomaly.fleet import AnomalyFleet
from gmmaudio.anomaly.results import BlockResult, Result

__all__ = [
    "AnomalyDetector",
    "AnomalyFleet",
    "BlockResult",
    "CalibrationReport",
    "Event",
    "EventRule",
    "Result",
    "TailCalibration",
    "alarm_probability",
    "event_rates",
    "find_events",
    "running_peaks",
]
