"""The recipe as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "sensor_anomaly" / "run.py"


def printed_by(*arguments):
    """What the recipe prints."""
    command = [sys.executable, str(RECIPE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_faults_are_found_and_named_with_and_without_dropouts():
    text = printed_by()
    whole, gappy, forest = (float(f1) for f1 in re.findall(r"event F1 ([\d.]+)", text))
    named = [int(right) / int(found) for right, found in re.findall(r"first: (\d+) of (\d+)", text)]
    assert whole > 0.85
    assert whole - gappy < 0.05
    assert min(named) > 0.9
    assert forest < whole


def test_nab_standard_score_is_above_60_on_files_that_the_threshold_was_not_chosen_on(shared_data):
    row = printed_by("--nab", shared_data / "nab").splitlines()[-1]
    standard = [float(profiles.split(" / ")[0]) for profiles in re.findall(r"[\d.]+ / [\d.]+ / [\d.]+", row)]
    assert row.startswith("gmmaudio")
    assert min(standard) > 60
