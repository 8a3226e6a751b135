"""The recipe as a user runs it, in short."""

import re
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "clustering" / "run.py"


def test_mixtures_find_elongated_clusters_that_kmeans_cuts(tmp_path):
    picture = tmp_path / "clusters.png"
    command = [sys.executable, str(RECIPE), "--seeds", "1", "--only", "elongated", "--picture", str(picture)]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    rand = {method.strip(): float(value) for method, value in re.findall(r"│ ([\w ,-]+)│ (-?[\d.]+) ±", text)}
    assert min(rand["GMM, BIC"], rand["GMM, ICL"], rand["BayesianGMM"]) > 0.95
    assert rand["k-means, number given"] < 0.5
    assert picture.read_bytes().startswith(b"\x89PNG")
