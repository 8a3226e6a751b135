import numpy as np
import pytest

from gmmaudio import load


@pytest.fixture(name="files")
def six_recordings(tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.npy" for number in range(6)]
    for path in paths:
        np.save(path, rng.normal(rng.choice([-5, 0, 5], (60, 1)), 1.0, (60, 2)))
    return paths


def test_the_best_is_marked_and_written(run, files, tmp_path):
    ran = run("select", *files, "--components", "1-2,3", "--folds", "3", "-o", tmp_path / "best.gmm")
    marked = [line for line in ran.out.splitlines() if "*" in line]
    assert ran.code == 0
    assert len(marked) == 1
    assert load(tmp_path / "best.gmm", kind="gmm").n_components == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--components", "many"], "'many' is no list of numbers"),
        (["--components", "5-1"], "'5-1' must count up from at least 1"),
        (["--folds", "7"], "n_folds is 7 but 6 recordings"),
        (["-o", "/nowhere/best.gmm"], "there is no folder"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, files, options, message):
    ran = run("select", *files, *options)
    assert ran.code == 2
    assert message in ran.err
