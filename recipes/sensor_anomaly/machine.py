"""A machine that does not exist: eight sensors, three modes of operation, daily drift, faults and dropouts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("speed", "load", "current", "torque", "pressure", "flow", "vibration", "temperature")
SAMPLE_PERIOD = 60.0
FAULTS = ("bias", "drift", "stuck", "noise")
SPEEDS, LOADS = np.array([0.3, 1.0, 1.4]), np.array([0.1, 0.6, 1.0])


@dataclass(frozen=True)
class Fault:
    """What is wrong with one sensor, from one sample to another, both included."""

    kind: str
    channel: int
    first: int
    last: int


def normal_course(n_samples: int, *, seed: int) -> NDArray[np.float64]:
    """Return the sensors of a sound machine, one row a minute."""
    rng = np.random.default_rng(seed)
    speed_target, load_target = _operation(n_samples, rng)
    speed, load = _lag(speed_target, 5.0), _lag(load_target, 8.0)
    ambient = 3.0 * np.sin(2 * np.pi * np.arange(n_samples) * SAMPLE_PERIOD / 86400)
    clean = np.column_stack(
        [
            1500.0 * speed,
            100.0 * load,
            4.0 + 20.0 * load + 3.0 * speed,
            35.0 * load + 5.0 * speed,
            2.0 + 3.0 * load,
            12.0 * speed - 2.0 * load,
            1.0 + 2.0 * speed + 0.5 * load,
            40.0 + ambient + 25.0 * _lag(load, 60.0),
        ]
    )
    noise = _wander(rng, (n_samples, len(CHANNELS)), 1.5)
    return clean + noise * np.array([15.0, 1.5, 0.4, 0.6, 0.08, 0.25, 0.06, 0.4])


def with_faults(
    sound: NDArray[np.float64], *, n_faults: int, seed: int
) -> tuple[NDArray[np.float64], tuple[Fault, ...]]:
    """Return a copy with faults of single sensors, evenly spread, every kind and sensor in turn."""
    rng = np.random.default_rng(seed)
    rows, scale, faults = sound.copy(), sound.std(axis=0), []
    room = len(rows) // n_faults
    for number in range(n_faults):
        first = number * room + int(rng.integers(room // 4, room // 2))
        last = first + int(rng.integers(40, 120))
        # Offset by one for every round through the kinds, so that each meets each channel.
        fault = Fault(FAULTS[number % 4], (number + number // 8) % len(CHANNELS), first, last)
        _break(rows, fault, scale[fault.channel], rng)
        faults.append(fault)
    return rows, tuple(faults)


def with_dropouts(rows: NDArray[np.float64], *, share: float, seed: int) -> NDArray[np.float64]:
    """Return a copy in which this share of the values is missing."""
    return np.where(np.random.default_rng(seed).random(rows.shape) < share, np.nan, rows)


def _operation(n_samples: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return set points of speed and load: modes that last hours, and demand that wanders within them."""
    mode = np.empty(n_samples, dtype=int)
    start, current = 0, 0
    while start < n_samples:
        end = start + int(rng.integers(60, 360))
        mode[start:end] = current
        start, current = end, (current + int(rng.integers(1, 3))) % 3
    wander = 0.1 * _wander(rng, (n_samples, 2), 20.0)
    return SPEEDS[mode] + 0.5 * wander[:, 0], LOADS[mode] + wander[:, 1]


def _lag(values: NDArray[np.float64], time_constant: float) -> NDArray[np.float64]:
    """Return a first-order lag of each column."""
    weight = 1.0 - np.exp(-1.0 / time_constant)
    out, state = np.empty_like(values), values[0]
    for t, value in enumerate(values):
        state = state + weight * (value - state)
        out[t] = state
    return out


def _wander(rng: np.random.Generator, shape: tuple[int, int], time_constant: float) -> NDArray[np.float64]:
    """Return noise of variance 1 that forgets itself with this time constant."""
    keep = np.exp(-1.0 / time_constant)
    out = rng.normal(size=shape)
    for t in range(1, len(out)):
        out[t] = keep * out[t - 1] + np.sqrt(1.0 - keep * keep) * out[t]
    return out


def _break(rows: NDArray[np.float64], fault: Fault, scale: float, rng: np.random.Generator) -> None:
    """Put one fault into the rows."""
    span, channel = slice(fault.first, fault.last + 1), fault.channel
    n = fault.last - fault.first + 1
    if fault.kind == "bias":
        rows[span, channel] += scale * rng.choice([-1.0, 1.0])
    elif fault.kind == "drift":
        rows[span, channel] += 1.5 * scale * np.linspace(0.0, 1.0, n) * rng.choice([-1.0, 1.0])
    elif fault.kind == "stuck":
        rows[span, channel] = rows[fault.first, channel]
    else:
        rows[span, channel] += 0.5 * scale * rng.normal(size=n)
