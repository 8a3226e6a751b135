"""How long the first steps take: `import gmmaudio`, and identifying one clip in a new process.

    python benchmarks/import_time.py

Each figure is the median of several processes; the interpreter alone stands beside them.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gmmaudio import SpeakerIdentifier, save

SAMPLES = Path(__file__).resolve().parents[1] / "audio_samples"
N_RUNS = 9


def seconds(arguments: list[str]) -> list[float]:
    """Run a command several times, the first run not counted, and return how long each took."""
    times = []
    for _ in range(N_RUNS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return times[1:]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "voices.gmm"
        background = sorted((SAMPLES / "background").glob("*.flac"))
        identifier = SpeakerIdentifier().train(background, speakers=[path.stem for path in background])
        for name in ("anna", "bruno"):
            identifier.enroll(name, sorted((SAMPLES / name).glob("enroll_*.flac")))
        save(identifier, model)
        command = "import sys; from gmmaudio.cli import main; main(sys.argv[1:])"
        jobs = {
            "python alone": ["-c", "pass"],
            "import gmmaudio": ["-c", "import gmmaudio"],
            "import gmmaudio; gmmaudio.SpeakerIdentifier": ["-c", "import gmmaudio; gmmaudio.SpeakerIdentifier"],
            "import gmmaudio; gmmaudio.GMM": ["-c", "import gmmaudio; gmmaudio.GMM"],
            "gmmaudio speaker identify, one clip": [
                *("-c", command, "speaker", "identify", str(model), str(SAMPLES / "anna" / "test_01.flac"))
            ],
        }
        table = Table("step", "median s", "fastest", "slowest")
        for step, arguments in jobs.items():
            times = seconds(arguments)
            table.add_row(step, *(f"{value:.3f}" for value in (statistics.median(times), min(times), max(times))))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
