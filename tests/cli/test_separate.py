"""`gmmaudio separate` as a user runs it."""

import json

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose
from separation.sounds import RATE, buzz, hiss, mixture, trained

from gmmaudio import load, save
from gmmaudio.metrics import si_sdr


@pytest.fixture(scope="module")
def separator_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("separator") / "m.gmm"
    save(trained(), path)
    return path


@pytest.fixture
def mix(tmp_path):
    soundfile.write(tmp_path / "mix.wav", mixture()[2], RATE, subtype="FLOAT")
    return tmp_path / "mix.wav"


def test_train_learns_sources_from_folders_and_files(run, tmp_path):
    (tmp_path / "low").mkdir()
    for seed in (1, 2):
        soundfile.write(tmp_path / "low" / f"{seed}.wav", buzz(4, seed=seed), RATE)
    soundfile.write(tmp_path / "hiss.wav", hiss(6, seed=3), RATE)
    ran = run(
        "separate", "train", f"low={tmp_path / 'low'}", f"hiss={tmp_path / 'hiss.wav'}", "-o", tmp_path / "m.gmm",
        "--components", 4, "--sample-rate", RATE,
    )  # fmt: skip
    assert ran.code == 0
    assert load(tmp_path / "m.gmm").sources == ("low", "hiss")


def test_run_writes_a_file_for_each_source_that_it_finds(run, separator_file, mix, tmp_path):
    ran = run("separate", "run", separator_file, mix, "-d", tmp_path / "out", "--json", "--plots")
    assert ran.code == 0
    found = {value["source"]: value["file"] for value in map(json.loads, ran.out.splitlines())}
    assert set(found) == {"low", "hiss"}
    estimates = {name: soundfile.read(file, dtype="float32")[0] for name, file in found.items()}
    low, _, mixed = mixture()
    assert_allclose(estimates["low"] + estimates["hiss"], mixed, rtol=0, atol=1e-6)
    assert si_sdr(low, estimates["low"]) - si_sdr(low, mixed) > 10
    assert (tmp_path / "out" / "mix.png").stat().st_size > 10_000


def test_run_says_that_a_source_is_hardly_there(run, separator_file, tmp_path):
    soundfile.write(tmp_path / "low.wav", buzz(2, seed=21), RATE)
    ran = run("separate", "run", separator_file, tmp_path / "low.wav", "--source", "low", "--source", "hiss",
              "-d", tmp_path / "out")  # fmt: skip
    assert [("hardly there" in line) for line in ran.out.splitlines()] == [False, True]


def test_evaluate_prints_the_mixture_and_the_oracle_beside_the_result(run, separator_file, tmp_path):
    low, noise, _ = mixture()
    soundfile.write(tmp_path / "low.wav", low, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "hiss.wav", noise, RATE, subtype="FLOAT")
    (tmp_path / "list").write_text(f"low={tmp_path / 'low.wav'}\thiss={tmp_path / 'hiss.wav'}\n")
    ran = run("separate", "evaluate", separator_file, "--list", tmp_path / "list", "--json")
    assert ran.code == 0
    printed = json.loads(ran.out)
    gains = {one["system"]: one["si_sdr_improvement"] for one in printed["systems"]}
    assert list(gains) == ["mixture", "gmmaudio", "oracle, binary mask", "oracle, ratio mask"]
    assert 0 == gains["mixture"] < gains["gmmaudio"] < gains["oracle, ratio mask"]
    assert printed["pairs_found"] == 1
    table = run("separate", "evaluate", separator_file, "--list", tmp_path / "list")
    assert "% of oracle" in table.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "low", "-o", "m.gmm"], "is not NAME=FILE_OR_FOLDER"),
        (["train", "-o", "m.gmm"], "no sources were given"),
        (["train", "low=absent.wav", "-o", "m.gmm"], "there is no file absent.wav"),
        (["run", "absent.gmm", "x.wav"], "there is no model file absent.gmm"),
        (["evaluate", "absent.gmm", "--list", "x"], "there is no model file absent.gmm"),
    ],
)
def test_bad_arguments_are_one_sentence(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    ran = run("separate", *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_an_unknown_source_is_one_sentence(run, separator_file, mix):
    ran = run("separate", "run", separator_file, mix, "--source", "low", "--source", "nobody")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'nobody' is not known" in ran.err


def test_a_folder_without_audio_is_one_sentence(run, tmp_path):
    ran = run("separate", "train", f"low={tmp_path}", "-o", tmp_path / "m.gmm")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "no audio files" in ran.err


def test_estimates_never_overwrite_the_mixture(run, separator_file, tmp_path):
    soundfile.write(tmp_path / "mix.wav", np.zeros(100), RATE)
    (tmp_path / "mix_low.wav").write_bytes((tmp_path / "mix.wav").read_bytes())
    link = tmp_path / "out"
    link.mkdir()
    (link / "mix_low.wav").symlink_to(tmp_path / "mix.wav")
    ran = run(
        "separate", "run", separator_file, tmp_path / "mix.wav", "--source", "low", "--source", "hiss", "-d", link
    )
    assert ran.code == 2
    assert "would overwrite the mixture" in ran.err
