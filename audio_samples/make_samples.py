"""Make every clip of this folder, `manifest.csv` and `SHA256SUMS`.

    python make_samples.py [FOLDER]

Needs the programs espeak-ng and sox, and the Python packages numpy and soundfile. Without FOLDER the clips are
written beside this script. Everything random is seeded: the same version of espeak-ng gives the same samples.
"""

import csv
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

SAMPLE_RATE = 16000
NOT_SPEECH_SECONDS = 3.0
COLUMNS = ("path", "voice", "split", "session", "seconds", "text")


class Voice(NamedTuple):
    """How espeak-ng speaks: accent (its phone set), variant (formants and voicing), pitch 0–99, words a minute."""

    name: str
    accent: str
    variant: str
    pitch: int
    rate: int


class Session(NamedTuple):
    """How a voice is recorded: peak level, white-noise level (both in dB re full scale) and sox effects."""

    peak_db: float
    noise_db: float
    effects: tuple[str, ...]


# The quiet room of session 1 has some noise too: real silence is never digital zero.
SESSIONS = {
    1: Session(peak_db=-16.0, noise_db=-74.0, effects=()),
    2: Session(peak_db=-22.0, noise_db=-72.0, effects=("highpass", "-1", "200", "lowpass", "-1", "4000")),
}

# "en" and not "en-gb": espeak-ng 1.51 ignores the variant after "en-gb" without saying so.
ENROLLED = (
    Voice("anna", "en", "Alicia", 40, 160),
    Voice("bruno", "en-us", "m3", 35, 165),
    Voice("clara", "en-gb-scotland", "f4", 60, 150),
    Voice("david", "en-gb-x-rp", "m7", 55, 170),
    Voice("emma", "en-us-nyc", "Annie", 40, 175),
    Voice("felix", "en-029", "Mario", 45, 155),
    Voice("greta", "en-gb-x-gbclan", "grandma", 30, 145),
    Voice("henry", "en-gb-x-gbcwmd", "klatt4", 25, 160),
)
UNKNOWN = (
    Voice("ivan", "en-us", "Henrique", 50, 165),
    Voice("jack", "en-gb-scotland", "rob", 55, 160),
)
BACKGROUND = (
    Voice("voice_01", "en-gb-x-rp", "m1", 55, 150),
    Voice("voice_02", "en-gb-scotland", "m5", 35, 175),
    Voice("voice_03", "en-us-nyc", "anika", 50, 155),
    Voice("voice_04", "en-gb-x-gbclan", "max", 60, 165),
    Voice("voice_05", "en-us", "m8", 60, 150),
    Voice("voice_06", "en", "steph", 45, 170),
    Voice("voice_07", "en-gb-x-rp", "victor", 55, 165),
    Voice("voice_08", "en-029", "ed", 40, 155),
    Voice("voice_09", "en-gb-scotland", "paul", 65, 150),
    Voice("voice_10", "en", "Alex", 45, 155),
    Voice("voice_11", "en-us-nyc", "Denis", 35, 170),
    Voice("voice_12", "en-gb-x-gbclan", "Gene", 45, 150),
    Voice("voice_13", "en-gb-x-gbcwmd", "Hugo", 60, 165),
    Voice("voice_14", "en-us", "iven", 40, 160),
    Voice("voice_15", "en", "Jacky", 55, 170),
    Voice("voice_16", "en-gb-x-rp", "Lee", 35, 155),
    Voice("voice_17", "en-gb-scotland", "Marco", 50, 160),
    Voice("voice_18", "en-029", "michel", 60, 170),
    Voice("voice_19", "en-us-nyc", "pablo", 45, 165),
    Voice("voice_20", "en-gb-x-gbclan", "quincy", 40, 160),
    Voice("voice_21", "en-us", "robert", 55, 150),
    Voice("voice_22", "en-gb-x-rp", "grandpa", 40, 150),
)

# Three disjoint pools: no text of one split is spoken in another.
ENROLL_TEXTS = (
    "The old lighthouse keeper walks along the shore.",
    "Please bring two jars of honey and a fresh loaf of bread.",
    "Our train was late, so we played cards.",
    "A quick storm pushed the small boats into the harbour.",
)
TEST_TEXTS = (
    "My neighbour grows tall yellow roses in her garden.",
    "Seven children were singing under the stone bridge.",
    "He put the heavy box on a chair near the door.",
    "Could you choose a film for Thursday evening?",
    "The judge wore a purple scarf and thick glasses.",
    "Fresh coffee smells good after a night in the forest.",
    "We found nine coins behind the kitchen cupboard.",
    "Her brother repairs violins in a quiet workshop.",
    "The bus to the airport leaves from the main square.",
    "Yesterday the river froze for the first time.",
    "They measured the field with a long piece of rope.",
    "I usually drink water with a slice of lemon.",
)
BACKGROUND_TEXTS = (
    "The museum opens at ten and closes before sunset.",
    "Thick clouds moved slowly over the empty beach.",
    "She gave both of us a map and a pair of boots.",
    "Nobody noticed the huge fish below the surface.",
    "This year the cherries were sweet and very cheap.",
    "Just follow the path until you reach a wooden gate.",
    "A dozen geese were flying south in the pale light.",
)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_STRINGS = ("three one four", "nine zero two one", "eight six", "five seven seven zero four")


def speak(voice: Voice, text: str, effects: tuple[str, ...]) -> np.ndarray:
    """Return the text as spoken by the voice, at the sample rate of the set, after the effects of sox."""
    options = ["-v", f"{voice.accent}+{voice.variant}", "-p", str(voice.pitch), "-s", str(voice.rate)]
    spoken = subprocess.run(["espeak-ng", *options, "--stdout", text], check=True, capture_output=True).stdout
    # -V1: espeak-ng cannot know the length when it writes the header, and sox would warn about that.
    convert = ["sox", "-V1", "-t", "wav", "-", "-t", "f32", "-", "rate", str(SAMPLE_RATE), *effects]
    samples = subprocess.run(convert, input=spoken, check=True, capture_output=True).stdout
    return np.frombuffer(samples, dtype="<f4").astype(np.float64)


def record(voice: Voice, text: str, session: Session, seed: int) -> np.ndarray:
    """Return the spoken text at the level of the session and with its noise."""
    speech = speak(voice, text, session.effects)
    speech *= 10 ** (session.peak_db / 20) / np.abs(speech).max()
    noise = np.random.default_rng(seed).standard_normal(len(speech))
    return speech + 10 ** (session.noise_db / 20) * noise


def not_speech() -> dict[str, np.ndarray]:
    """Return the sounds that no speaker model may accept, by name."""
    time = np.arange(int(NOT_SPEECH_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    white = np.random.default_rng(0).standard_normal(len(time))
    spectrum = np.fft.rfft(white)
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(time))
    hum = sum(np.sin(2 * np.pi * 50 * harmonic * time) / harmonic for harmonic in range(1, 20))
    sounds = {"white_noise": white, "pink_noise": pink, "tone_440_hz": np.sin(2 * np.pi * 440 * time), "hum_50_hz": hum}
    levelled = {name: 0.1 * sound / np.abs(sound).max() for name, sound in sounds.items()}
    return levelled | {"digital_silence": np.zeros(len(time))}


def spoken_clips() -> list[dict[str, object]]:
    """Return the table of everything that is spoken: a row per clip, in the order of the manifest."""
    clips: list[dict[str, object]] = []

    def add(voice: Voice, split: str, path: str, session: int, text: str) -> None:
        clips.append({"path": path, "voice": voice, "split": split, "session": session, "text": text})

    for number, voice in enumerate(BACKGROUND):
        text = BACKGROUND_TEXTS[number % len(BACKGROUND_TEXTS)]
        add(voice, "background", f"background/{voice.name}.flac", 1 + number % 2, text)
    for voice in ENROLLED:
        for number, text in enumerate(ENROLL_TEXTS, start=1):
            add(voice, "enroll", f"{voice.name}/enroll_{number:02d}.flac", 1, text)
    for number, voice in enumerate(ENROLLED + UNKNOWN):
        known = voice in ENROLLED
        for take, session in enumerate((1, 2, 2), start=1):
            text = TEST_TEXTS[(3 * number + take) % len(TEST_TEXTS)]
            folder, split = (voice.name, "test") if known else (f"unknown/{voice.name}", "unknown")
            add(voice, split, f"{folder}/test_{take:02d}.flac", session, text)
    for number, voice in enumerate(ENROLLED):
        split, session = ("word_train", 1 + number % 2) if number < 6 else ("word_test", 1)
        for digit in DIGITS:
            add(voice, split, f"digits/{voice.name}/{digit}.flac", session, digit)
    for voice in ENROLLED[6:]:
        for number, text in enumerate(DIGIT_STRINGS, start=1):
            add(voice, "string_test", f"digits/{voice.name}/string_{number:02d}.flac", 2, text)
    return clips


def write(path: Path, samples: np.ndarray) -> float:
    """Write one clip as 16-bit FLAC and return its length in seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = np.round(samples * 2**15).astype(np.int16)
    soundfile.write(path, pcm, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return len(pcm) / SAMPLE_RATE


def main(folder: Path) -> None:
    """Write all clips, the manifest and the checksums below the folder."""
    rows = []
    for seed, clip in enumerate(spoken_clips()):
        samples = record(clip["voice"], clip["text"], SESSIONS[clip["session"]], seed)
        seconds = write(folder / clip["path"], samples)
        rows.append(clip | {"voice": clip["voice"].name, "seconds": f"{seconds:.2f}"})
    for name, samples in not_speech().items():
        path = f"not_speech/{name}.flac"
        seconds = write(folder / path, samples)
        rows.append({"path": path, "split": "not_speech", "seconds": f"{seconds:.2f}"})
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    sums = [f"{hashlib.sha256((folder / row['path']).read_bytes()).hexdigest()}  {row['path']}\n" for row in rows]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
