"""Signals made for the tests."""

import numpy as np


def speechlike(seconds: float, sample_rate: int, seed: int = 0) -> np.ndarray:
    """Return bursts of a rough harmonic sound with pauses of faint noise and a stretch of digital silence."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    pitch = np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * time)) / sample_rate
    harmonics = sum(np.sin(2 * np.pi * n * pitch + n) / n for n in range(1, 20))
    envelope = np.clip(np.sin(2 * np.pi * 1.3 * time), 0, None) ** 2
    signal = 0.1 * envelope * harmonics + 1e-3 * rng.standard_normal(len(time)) + 0.01
    signal[len(signal) // 2 : len(signal) // 2 + sample_rate // 10] = 0.0
    return signal.astype(np.float32)
