"""The recipe with outliers as a user runs it, in short."""

import re
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "clustering" / "outliers.py"


def test_outliers_move_the_means_of_gaussians_only():
    command = [sys.executable, str(RECIPE), "--seeds", "1"]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    largest = re.findall(r"│ ([\w ,]+?) +│ [\d.]+ +│ ([\d.]+) +│", text)
    errors = {method: [float(error) for name, error in largest if name == method] for method, _ in largest}
    assert min(errors["GMM"]) > 1.0
    assert max(errors["Student"] + errors["Gaussians and noise"]) < 0.1
