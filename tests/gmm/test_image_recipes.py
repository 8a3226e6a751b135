"""The recipes on images, at their smallest."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from sklearn.metrics import adjusted_rand_score

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


@pytest.fixture(name="recipe")
def modules_of_the_segmentation_recipe(monkeypatch):
    """Its modules by name; nothing of them is left behind."""
    monkeypatch.syspath_prepend(RECIPES / "image_segmentation")
    names = ("pictures", "segmentation", "restoration")
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        del sys.modules[name]


def test_overlapping_patches_make_the_picture_they_were_taken_from(recipe):
    picture, _ = recipe["pictures"].painted(0, size=33)
    again = recipe["pictures"].assembled(recipe["pictures"].patches(picture, 8, 3), picture.shape, 8, 3)
    np.testing.assert_allclose(again, picture, rtol=1e-12)  # means of equal numbers


def test_a_mixture_with_tied_covariances_finds_the_regions_better_than_kmeans(recipe):
    picture, labels = recipe["pictures"].painted(0)
    shown = recipe["pictures"].noisy(picture, 0.1, 0)
    mixture, kmeans = recipe["segmentation"].by_mixture(shown, "tied"), recipe["segmentation"].by_kmeans(shown)
    assert adjusted_rand_score(labels.ravel(), mixture.ravel()) > adjusted_rand_score(labels.ravel(), kmeans.ravel())


def test_a_mixture_of_patches_takes_noise_away_and_fills_holes(recipe):
    restoration, painted = recipe["restoration"], recipe["pictures"].painted
    model = restoration.prior([painted(seed)[0] for seed in (100, 101)], 4)
    picture = painted(0)[0][32:64, 32:64]
    shown = recipe["pictures"].noisy(picture, 0.1, 0)
    denoised, smoothed = restoration.denoised(shown, model, 0.1), gaussian_filter(shown, 0.9)
    assert restoration.psnr(picture, denoised) > restoration.psnr(picture, smoothed)
    holed = restoration.with_holes(picture, 0.5)
    filled, nearest = restoration.inpainted(holed, model), restoration.interpolated(holed, "nearest")
    assert restoration.psnr(picture, filled) > restoration.psnr(picture, nearest)
