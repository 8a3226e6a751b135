"""A fan that does not exist, made of the bundled mains hum and pink noise, and what may go wrong with it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from gmmaudio import AnomalyDetector, audio
from gmmaudio.anomaly import AnomalyModel, SoundConfig, join_tables, read_sound

RATE, SECONDS = 16000, 10
N_TRAINING = 40
WINDOW = 8
Signal = NDArray[np.float64]


class Fan:
    """Makes clips: the hum from a random moment on, and new noise with the spectrum of the bundled one."""

    def __init__(self, folder: Path) -> None:
        self.hum = audio.read(folder / "hum_50_hz.flac")[0].astype(np.float64)
        _, power = scipy.signal.welch(audio.read(folder / "pink_noise.flac")[0], RATE, nperseg=1024)
        self.filter = scipy.signal.firwin2(513, np.linspace(0.0, 1.0, len(power)), np.sqrt(power * RATE / 2))

    def clip(self, rng: np.random.Generator) -> Signal:
        """Return ten seconds of a sound fan; hum and noise vary by a decibel from clip to clip."""
        n = RATE * SECONDS
        hum = np.resize(np.roll(self.hum, int(rng.integers(len(self.hum)))), n)
        noise = scipy.signal.fftconvolve(rng.normal(size=n + 512), self.filter, mode="valid")
        gains = 10 ** (rng.normal(scale=1.0, size=2) / 20)
        return 0.3 * gains[0] * hum + gains[1] * noise


def whistle(clip: Signal, level: float, rng: np.random.Generator) -> Signal:
    """Add a dry bearing: a tone near 3 kHz that wanders, `level` dB under the clip."""
    frequency = 3000 + 300 * np.interp(np.arange(len(clip)), np.linspace(0, len(clip), 20), rng.normal(size=20))
    tone = np.sqrt(2.0) * np.sin(2 * np.pi * np.cumsum(frequency) / RATE)
    return clip + tone * clip.std() * 10 ** (-level / 20)


def knock(clip: Signal, level: float, rng: np.random.Generator) -> Signal:
    """Add a loose part: three short knocks a second, their mean power `level` dB under the clip."""
    knocks = np.zeros(len(clip))
    knocks[int(rng.integers(RATE // 3)) :: RATE // 3] = 1.0
    ring = np.exp(-np.arange(800) / 80) * np.sin(2 * np.pi * 1200 * np.arange(800) / RATE)
    knocks = np.convolve(knocks, ring)[: len(clip)]
    return clip + knocks / knocks.std() * clip.std() * 10 ** (-level / 20)


def blocked(clip: Signal, level: float, rng: np.random.Generator) -> Signal:
    """Take `level` dB of everything above 2 kHz away: a blocked outlet."""
    high = scipy.signal.sosfilt(scipy.signal.butter(4, 2000, "high", fs=RATE, output="sos"), clip)
    return clip - (1 - 10 ** (-level / 20)) * high


def flutter(clip: Signal, level: float, rng: np.random.Generator) -> Signal:
    """Let everything swing by `level` dB twice in three seconds: a bent blade."""
    swing = np.sin(2 * np.pi * (np.arange(len(clip)) / RATE / 1.5 + rng.random()))
    return clip * 10 ** (level * swing / 20)


FAULTS: dict[str, tuple[Callable[[Signal, float, np.random.Generator], Signal], tuple[float, float]]] = {
    "whistle": (whistle, (20.0, 30.0)),
    "knock": (knock, (10.0, 20.0)),
    "blocked": (blocked, (3.0, 1.0)),
    "flutter": (flutter, (2.0, 1.0)),
}


def run_sound(folder: Path, n_broken: int, seed: int) -> None:
    """Learn forty sound clips, then tell others, twice as many as broken ones, from these by the mean of their rows."""
    n_sound = 2 * n_broken
    fan, rng = Fan(folder), np.random.default_rng(seed)
    config = SoundConfig(sample_rate=RATE)
    with tempfile.TemporaryDirectory() as name:
        clips = Path(name)
        training = [write(clips / f"training_{i}.wav", fan.clip(rng)) for i in range(N_TRAINING)]
        table = join_tables([read_sound(path, config) for path in training], gap=WINDOW)
        detector = AnomalyDetector(n_lags=1, window=WINDOW).fit(table.values, channels=table.channels)
        model = AnomalyModel(detector, sound=config)
        usual = np.mean([level(path) for path in training])

        def judge(path: Path) -> tuple[float, float]:
            return float(model.score(model.read(path)).scores.mean()), abs(level(path) - usual)

        sound = np.array([judge(write(clips / f"sound_{i}.wav", fan.clip(rng))) for i in range(n_sound)])
        print(f"{n_sound} sound clips against {n_broken} broken ones: area under the ROC curve")
        print(f"{'fault':10}{'dB':>5}{'gmmaudio':>12}{'level alone':>14}")
        for fault, (spoil, strengths) in FAULTS.items():
            for strength in strengths:
                paths = [
                    write(clips / f"{fault}_{strength}_{i}.wav", spoil(fan.clip(rng), strength, rng))
                    for i in range(n_broken)
                ]
                broken = np.array([judge(path) for path in paths])
                ours, control = (area(sound[:, column], broken[:, column]) for column in (0, 1))
                print(f"{fault:10}{strength:5.0f}{ours:12.3f}{control:14.3f}")


def write(path: Path, signal: Signal) -> Path:
    """Write a clip and return its path."""
    soundfile.write(path, np.clip(signal, -1, 1), RATE)
    return path


def level(path: Path) -> float:
    """Return the level of a clip in dB."""
    return 20 * np.log10(audio.read(path)[0].std())


def area(sound: NDArray[np.float64], broken: NDArray[np.float64]) -> float:
    """Return the area under the ROC curve: how often a broken clip scores above a sound one."""
    labels = np.repeat([0, 1], [len(sound), len(broken)])
    return float(roc_auc_score(labels, np.concatenate([sound, broken])))
