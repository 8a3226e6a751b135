"""`gmmaudio speaker train --scheduler` on a Dask cluster of real worker processes."""

import logging
import sys

import pytest
from speaker.voices import SimulatedPeople, clips

from gmmaudio import save
from gmmaudio.cli import cluster as module
from gmmaudio.gmm import statistics
from gmmaudio.gmm._moments import WINDOW_FRAMES
from gmmaudio.speaker import workplace

distributed = pytest.importorskip("distributed", reason="Dask is not installed; it comes with the extra 'distributed'")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """Address of a quiet cluster on this machine, with no port that another may hold."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def background(tmp_path):
    """Frames of 16 people, more than two of the smallest chapters that there can be."""
    people = SimulatedPeople(0)
    files = [tmp_path / f"{number:02d}.features" for number in range(16)]
    for file in files:
        save(people.recording(people.person(), 1200), file)
    return files


def test_a_model_trained_on_a_cluster_has_the_bits_of_one_trained_here(
    run, scheduler, background, tmp_path, monkeypatch
):
    for places in (statistics, workplace):
        monkeypatch.setattr(places, "CHAPTER_FRAMES", WINDOW_FRAMES)
    shared = tmp_path / "shared"
    shared.mkdir()
    options = ["--components", "8"]
    assert run("speaker", "train", *background, "-o", tmp_path / "here.gmm", *options).code == 0
    there = ["-o", tmp_path / "there.gmm", "--scheduler", scheduler, "--work-folder", shared]
    ran = run("speaker", "train", *background, *there, *options)
    assert ran.code == 0
    assert "8 components from 16 recordings, a cohort of 16" in ran.err
    assert (tmp_path / "there.gmm").read_bytes() == (tmp_path / "here.gmm").read_bytes()
    assert list(shared.iterdir()) == []


def test_frames_lie_beside_the_model_unless_a_work_folder_is_named(run, scheduler, tmp_path):
    files = clips("background")[:4]
    ran = run("speaker", "train", *files, "-o", tmp_path / "m.gmm", "--components", "4", "--scheduler", scheduler)
    assert ran.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["m.gmm"]


def test_a_training_on_a_cluster_that_fails_cleans_up(run, scheduler, tmp_path):
    files = [clips("background")[0], "missing.wav"]
    ran = run("speaker", "train", *files, "-o", tmp_path / "m.gmm", "--scheduler", scheduler)
    assert ran.code == 2
    assert "there is no file missing.wav" in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nowhere"])
def test_a_scheduler_that_is_not_there_is_reported_in_one_sentence(run, background, tmp_path, monkeypatch, address):
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 1)
    ran = run("speaker", "train", *background, "-o", tmp_path / "m.gmm", "--scheduler", address)
    assert ran.code == 2
    assert ran.err.startswith(f"gmmaudio: cannot reach a Dask scheduler at {address} (")
    assert len(ran.err.splitlines()) == 1


def test_without_dask_the_extra_is_named(run, background, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    ran = run("speaker", "train", *background, "-o", tmp_path / "m.gmm", "--scheduler", "tcp://127.0.0.1:1")
    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'gmmaudio[distributed]'" in ran.err


def test_a_checkpoint_and_a_scheduler_are_refused_together(run, scheduler, background, tmp_path):
    options = ["--scheduler", scheduler, "--checkpoint", tmp_path / "kept"]
    ran = run("speaker", "train", *background, "-o", tmp_path / "m.gmm", *options)
    assert ran.code == 2
    assert "checkpoints are for training on this machine" in ran.err
