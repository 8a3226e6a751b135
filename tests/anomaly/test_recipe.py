"""The recipe as a user runs it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "sensor_anomaly" / "run.py"


def printed_by(*arguments):
    """What the recipe prints."""
    command = [sys.executable, str(RECIPE), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def table(text):
    """Lines of the machine's table: title -> columns."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    width = next(len(row) for row in rows if row[0] == "gmmaudio")
    return {row[0]: row[1:] for row in rows if len(row) == width}


def test_the_detector_and_its_controls_stand_in_one_table():
    rows = table(printed_by())
    whole, gappy = rows["gmmaudio"], rows["gmmaudio, a fifth missing"]
    assert float(whole[1]) > 0.85
    assert float(whole[1]) - float(gappy[1]) < 0.05
    for row in (whole, gappy):
        right, found = row[-1].split(" of ")
        assert int(right) / int(found) >= 0.9
    controls = {"flag all *", "random *", "clock *", "running range *", "windowed Gaussian *", "IsolationForest *"}
    assert controls <= rows.keys()
    assert all(float(rows[name][-2]) < float(whole[-2]) / 2 for name in controls)


def test_most_faults_of_a_fan_are_heard():
    lines = [line.split() for line in printed_by("--sound", "--clips", 5).splitlines()[2:]]
    assert len(lines) == 8
    assert sum(float(ours) > 0.8 for _, _, ours, _ in lines) >= 5
    assert np.median([float(control) for *_, control in lines]) < 0.7


def test_nab_standard_score_is_above_60_on_files_that_the_threshold_was_not_chosen_on(shared_data):
    lines = printed_by("--nab", shared_data / "nab").splitlines()
    row = next(line for line in lines if line.startswith("gmmaudio"))
    standard = [float(profiles.split(" / ")[0]) for profiles in re.findall(r"[\d.]+ / [\d.]+ / [\d.]+", row)]
    assert len(standard) == 3
    assert min(standard) > 60
