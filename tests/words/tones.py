"""Words that are tones: quick to train, and told apart by a working recogniser."""

import functools

import numpy as np

from gmmaudio.words import WordRecognizer

RATE = 8000
PITCHES = {"low": (300, 500), "high": (1800, 1500), "up": (400, 2200)}
N_EXAMPLES = 6


def tone(word: str, seed: int, *, silence: float = 0.0) -> np.ndarray:
    """A glide from one frequency to another with two harmonics and a little noise; silence in seconds around it."""
    rng = np.random.default_rng(seed)
    n = round(rng.uniform(0.25, 0.4) * RATE)
    start, end = np.array(PITCHES[word]) * rng.uniform(0.95, 1.05)
    phase = 2 * np.pi * np.cumsum(np.linspace(start, end, n)) / RATE
    wave = rng.uniform(0.1, 0.2) * (np.sin(phase) + 0.3 * np.sin(1.5 * phase)) + 0.003 * rng.standard_normal(n)
    pause = np.zeros(round(silence * RATE))
    return np.concatenate([pause, wave, pause]).astype(np.float32)


def string(words: tuple[str, ...], seed: int) -> np.ndarray:
    """Words with pauses of 0.1 s that hold the same noise."""
    pause = 0.003 * np.random.default_rng(seed).standard_normal(RATE // 10).astype(np.float32)
    return np.concatenate([pause, *(part for n, w in enumerate(words) for part in (tone(w, seed + n), pause))])


@functools.cache
def recognizer() -> WordRecognizer:
    """A recogniser of the three words."""
    words = [word for word in PITCHES for _ in range(N_EXAMPLES)]
    return WordRecognizer().train([tone(word, n) for n, word in enumerate(words)], words, sample_rate=RATE)
