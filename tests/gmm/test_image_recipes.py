"""The recipes on images as a user runs them, at their smallest."""

import re
import subprocess
import sys
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


def printed_by(recipe, folder):
    """What the recipe prints; its pictures go to a folder."""
    command = [sys.executable, str(RECIPES / recipe / "run.py"), "--quick", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def row(text, start):
    """The numbers in a row of a table."""
    line = next(line for line in text.splitlines() if line.lstrip("│ ").startswith(start))
    return [float(number) for number in re.findall(r"-?\d+\.\d+", line.split(start, 1)[1])]


def test_a_mixture_draws_nearer_digits_and_completes_halves_better_than_one_gaussian(tmp_path):
    text = printed_by("image_generation", tmp_path)
    assert row(text, "drawn: mixture")[0] < row(text, "drawn: one Gaussian")[0]
    assert row(text, "mixture")[0] < row(text, "one Gaussian")[0] < row(text, "the mean of all digits")[0]
    assert {path.name for path in tmp_path.iterdir()} == {"samples.png", "completions.png"}
