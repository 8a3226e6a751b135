"""Synthetic sources that differ: a voice-like buzz that changes its pitch, and noise in bands."""

import numpy as np

from gmmaudio import Separator

RATE = 8000


def buzz(seconds: float, *, seed: int, lowest: float = 110.0) -> np.ndarray:
    """Tones with harmonics that change every 0.2 s."""
    rng = np.random.default_rng(seed)
    notes = []
    for _ in range(int(np.ceil(seconds / 0.2))):
        pitch = lowest * 2 ** (rng.integers(8) / 12)
        time = np.arange(int(0.2 * RATE)) / RATE
        notes.append(sum(np.sin(2 * np.pi * pitch * k * time + rng.uniform(0, 6)) / k for k in range(1, 12)))
    return (0.1 * np.concatenate(notes))[: int(seconds * RATE)].astype(np.float32)


def hiss(seconds: float, *, seed: int) -> np.ndarray:
    """High-pass noise that changes its level every 0.2 s."""
    rng = np.random.default_rng(seed)
    noise = np.diff(rng.standard_normal(int(seconds * RATE) + 1))
    levels = np.repeat(rng.uniform(0.02, 0.15, int(np.ceil(seconds / 0.2))), int(0.2 * RATE))[: len(noise)]
    return (noise * levels).astype(np.float32)


def trained(n_components: int = 8, **options) -> Separator:
    """A separator that knows "low" and "high" buzzes and "hiss"."""
    separator = Separator(n_components, RATE, **options)
    separator.train_source("low", buzz(12, seed=1))
    separator.train_source("high", buzz(12, seed=2, lowest=330.0))
    return separator.train_source("hiss", hiss(12, seed=3))


def mixture(seconds: float = 2.0, *, ratio_db: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A buzz, a hiss that is so much louder, and their sum, none of it heard in training."""
    low, noise = buzz(seconds, seed=11), hiss(seconds, seed=12)
    noise = noise * np.float32(10 ** (ratio_db / 20) * np.sqrt(np.mean(low**2) / np.mean(noise**2)))
    return low, noise, low + noise
