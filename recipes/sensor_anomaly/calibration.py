"""The synthetic machine without faults: rates of samples against nominal ones, events against those asked for."""

import numpy as np
from machine import SAMPLE_PERIOD, normal_course

from gmmaudio import AnomalyDetector
from gmmaudio.anomaly import EventRule

N_DAYS, DAY = 10, 1440
RULE = EventRule(leave_p=0.03, min_duration=3, merge_gap=30)
ASKED = (0.5, 2.0, 5.0)
NOMINAL = (1e-2, 1e-3, 1e-4)


def run_calibration(n_seeds: int) -> None:
    """Train on ten sound days and score ten others, for each seed with another course of the machine."""
    stamps = SAMPLE_PERIOD * np.arange(N_DAYS * DAY)
    print(f"{n_seeds} seeds, ten days to learn from and ten to score: mean (from, to)")
    for adaptive in (False, True):
        rates, events = [], []
        for seed in range(n_seeds):
            detector = AnomalyDetector(adaptive=adaptive, rule=RULE)
            detector.fit(normal_course(N_DAYS * DAY, seed=5 * seed), stamps)
            sound = normal_course(N_DAYS * DAY, seed=5 * seed + 1)
            realised = detector.calibration_report(sound, stamps).realised
            rates.append([realised[p] for p in NOMINAL])
            events.append([events_per_day(detector, per_day, sound, stamps) for per_day in ASKED])
        print("adaptive" if adaptive else "frozen")
        for p, column in zip(NOMINAL, np.transpose(rates), strict=True):
            print(f"  samples, nominal {p:5.0e}: {column.mean():.1e} ({column.min():.1e}, {column.max():.1e})")
        for per_day, column in zip(ASKED, np.transpose(events), strict=True):
            print(f"  events a day, asked {per_day}: {column.mean():.2f} ({column.min():.1f}, {column.max():.1f})")


def events_per_day(detector: AnomalyDetector, per_day: float, sound: np.ndarray, stamps: np.ndarray) -> float:
    """Return how many events a day there are when so many are asked for."""
    detector.set_false_alarms(per_day, sample_period=SAMPLE_PERIOD).reset()
    block = detector.process(sound, stamps)
    return (len(block.events) + (block.open_event is not None)) / N_DAYS
