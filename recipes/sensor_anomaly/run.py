"""Anomalies in streams: a machine that does not exist, its sound, or the Numenta Anomaly Benchmark (see README.md)."""

import argparse
from pathlib import Path

from calibration import run_calibration
from faults import run_machine
from nab import run_nab
from sound import run_sound

SAMPLES = Path(__file__).resolve().parents[2] / "audio_samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--nab", type=Path, help="folder of the benchmark, with data/ and labels/")
    what.add_argument("--calibration", type=int, metavar="SEEDS", help="false alarms of so many sound machines")
    what.add_argument("--sound", action="store_true", help="machine sound made of the bundled hum and noise")
    parser.add_argument("--clips", type=int, default=25, help="broken clips of each kind, with --sound")
    parser.add_argument("--seed", type=int, default=0, help="another course of the machine and other faults")
    arguments = parser.parse_args()
    if arguments.nab is not None:
        run_nab(arguments.nab)
    elif arguments.calibration is not None:
        run_calibration(arguments.calibration)
    elif arguments.sound:
        run_sound(SAMPLES / "not_speech", arguments.clips, arguments.seed)
    else:
        run_machine(arguments.seed)


if __name__ == "__main__":
    main()
