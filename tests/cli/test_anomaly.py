"""Training and scoring as a user runs them."""

import json
import sys

import numpy as np
import pytest
import soundfile
from cli.machine import NAMES, as_json, normal, with_fault

from gmmaudio import load
from gmmaudio.cli import main

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anomaly")
    (folder / "normal.csv").write_text(
        "time,speed,load\n" + "".join(f"{600 * i},{a},{b}\n" for i, (a, b) in enumerate(normal(3000).tolist()))
    )
    command = ["train", folder / "normal.csv", "-o", folder / "m.gmm", "--false-alarms-per-day", "0.05"]
    with pytest.raises(SystemExit, match="0"):
        main(["anomaly", *map(str, command)])
    return folder / "m.gmm"


def test_score_names_the_event_and_its_channel(run, model, tmp_path):
    (tmp_path / "day.jsonl").write_text(as_json(with_fault()))
    events = [json.loads(line) for line in run("anomaly", "score", model, tmp_path / "day.jsonl").out.splitlines()]
    assert [(e["start"], e["channels"][0]) for e in events if e["score"] > 8] == [(120, "load")]


def test_a_file_that_is_no_samples_is_refused_with_the_line(run, model, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"speed": 1}\n{broken\n')
    ran = run("anomaly", "score", model, tmp_path / "bad.jsonl")
    assert ran.code == 2
    assert "line 2" in ran.err


@pytest.fixture
def day(tmp_path):
    """A file with a fault, under a name that no page must take for HTML."""
    path = tmp_path / "<b>day & night.jsonl"
    path.write_text(as_json(with_fault()))
    return path


def test_score_writes_a_picture_and_a_page(run, model, day, tmp_path):
    ran = run("anomaly", "score", model, day, "--plot", tmp_path / "p.png", "--report", tmp_path / "r.html")
    assert ran.code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "r.html").read_text()
    assert "<h1>Anomalies in &lt;b&gt;day &amp; night.jsonl</h1>" in text
    assert text.count("<tr><td>") == len(ran.out.splitlines())


def test_pictures_are_of_one_file(run, model, day, tmp_path):
    assert "--plot and --report show one" in run("anomaly", "score", model, day, day, "--plot", tmp_path / "p.png").err


def test_a_summary_is_one_line_a_file(run, model, day):
    lines = [json.loads(line) for line in run("anomaly", "score", model, day, day, "--summary").out.splitlines()]
    assert [line["file"] for line in lines] == [str(day)] * 2
    assert lines[0]["n_samples"] == 200
    assert lines[0]["max_score"] > 8


def test_files_are_trained_on_with_a_gap_between(run, tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jsonl").write_text(as_json(normal(200, seed=number)))
    ran = run("anomaly", "train", *sorted(tmp_path.glob("*.jsonl")), "-o", tmp_path / "m.gmm")
    assert ran.code == 0
    assert load(tmp_path / "m.gmm").channels == NAMES


def write_sound(path, seconds, seed, whistle=0.0):
    """A fan: noise with a hum; a bearing that whistles is the fault."""
    rng, time = np.random.default_rng(seed), np.arange(int(seconds * RATE)) / RATE
    noise = np.convolve(rng.normal(size=len(time)), np.ones(8) / 8, mode="same")
    hum = 0.1 * np.sin(2 * np.pi * (100 * time + rng.random()))
    soundfile.write(path, 0.05 * noise + hum + whistle * np.sin(2 * np.pi * 2500 * time), RATE)
    return path


def test_machine_sound_is_scored_and_the_band_named(run, fan, tmp_path):
    sound, broken = write_sound(tmp_path / "sound.wav", 5, 10), write_sound(tmp_path / "broken.wav", 5, 11, 0.02)
    summaries = run("anomaly", "score", fan, sound, broken, "--summary").out.splitlines()
    assert [json.loads(text)["n_events"] > 0 for text in summaries] == [False, True]
    event = json.loads(run("anomaly", "score", fan, broken).out.splitlines()[0])
    assert 2000 < float(event["channels"][0].removesuffix(" Hz")) < 3000
    assert event["start_time"] < 1.0


@pytest.fixture(scope="module")
def fan(tmp_path_factory):
    """A model of sound that hears a sound fan."""
    folder = tmp_path_factory.mktemp("fan")
    files = [write_sound(folder / f"normal_{number}.wav", 10, number) for number in range(4)]
    with pytest.raises(SystemExit, match="0"):
        main(["anomaly", "train", *map(str, files), "-o", str(folder / "fan.gmm")])
    return folder / "fan.gmm"


def hear(run, monkeypatch, model, path, *arguments):
    """Pipe a file's bytes into the watcher in this process."""
    with path.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        return run("anomaly", "watch", model, *arguments)


def test_sound_from_a_pipe_gives_the_scores_of_the_file(run, monkeypatch, fan, tmp_path):
    broken = write_sound(tmp_path / "broken.wav", 5, 11, 0.02)
    soundfile.read(broken, dtype="int16")[0].tofile(tmp_path / "raw")
    heard = [json.loads(text) for text in hear(run, monkeypatch, fan, tmp_path / "raw", "--samples").out.splitlines()]
    scored = run("anomaly", "score", fan, broken, "--samples").out.splitlines()
    expected = [row for row in map(json.loads, scored) if "sample" in row]
    assert [(row["time"], row["score"]) for row in heard] == [(row["time"], row["score"]) for row in expected]
    events = [json.loads(text) for text in hear(run, monkeypatch, fan, tmp_path / "raw").out.splitlines()]
    assert events[0]["event"] == "open"


def test_sound_that_was_interrupted_goes_on_from_its_state(run, monkeypatch, fan, tmp_path):
    soundfile.read(write_sound(tmp_path / "x.wav", 5, 12), dtype="int16")[0].tofile(tmp_path / "raw")
    first = hear(run, monkeypatch, fan, tmp_path / "raw", "--state", tmp_path / "state")
    second = hear(run, monkeypatch, fan, tmp_path / "raw", "--state", tmp_path / "state", "--samples")
    assert "19 samples" in first.err
    assert "going on after sample 18" in second.err
    assert json.loads(second.out.splitlines()[0])["sample"] == 19


def test_a_file_with_a_header_is_no_raw_sound(run, monkeypatch, fan, tmp_path):
    ran = hear(run, monkeypatch, fan, write_sound(tmp_path / "x.wav", 1, 0))
    assert ran.code == 2
    assert "raw samples are needed" in ran.err


def test_a_file_of_lines_is_not_followed_for_sound(run, fan, tmp_path):
    assert "listens to sound" in run("anomaly", "watch", fan, "--follow", tmp_path / "log").err


def test_cepstra_and_maxima_can_be_asked_for(run, tmp_path):
    files = [write_sound(tmp_path / f"normal_{number}.wav", 10, number) for number in range(4)]
    run("anomaly", "train", *files, "-o", tmp_path / "fan.gmm", "--features", "mfcc", "--pooling", "max", "--row", 0.3)
    assert load(tmp_path / "fan.gmm").detector.channels[:2] == ("c0", "c1")


@pytest.mark.parametrize("channel", ["0", "mix"])
def test_one_of_several_microphones_is_heard_and_the_model_remembers_which(run, tmp_path, channel):
    for number in range(4):
        samples, rate = soundfile.read(write_sound(tmp_path / "mono.wav", 10, number))
        soundfile.write(tmp_path / f"normal_{number}.wav", np.stack([samples, samples], axis=1), rate)
    files = sorted(tmp_path.glob("normal_*.wav"))
    assert "channel" in run("anomaly", "train", *files, "-o", tmp_path / "fan.gmm").err
    assert run("anomaly", "train", *files, "-o", tmp_path / "fan.gmm", "--channel", channel).code == 0
    assert run("anomaly", "score", tmp_path / "fan.gmm", files[0], "--summary").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.wav", "b.csv"), "some of the files are sound"),
        (("b.csv", "--row", 1), "no recording of sound"),
        (("b.csv", "--false-alarms-per-day", 1), "--sample-period"),
        (("b.csv", "--grid", 60), "time of every sample"),
        (("a.wav", "--grid", 60), "--row says"),
    ],
)
def test_options_that_do_not_fit_the_files_are_refused(run, tmp_path, arguments, message):
    write_sound(tmp_path / "a.wav", 1, 0)
    (tmp_path / "b.csv").write_text("a,b\n" + "1,2\n" * 200)
    given = [tmp_path / text if text in ("a.wav", "b.csv") else text for text in map(str, arguments)]
    ran = run("anomaly", "train", *given, "-o", tmp_path / "m.gmm")
    assert ran.code == 2
    assert message in ran.err


def test_a_new_level_that_stays_is_told_as_a_regime_change(run, tmp_path):
    rows = normal(1000, seed=2)
    rows[300:, 1] += 9.0
    (tmp_path / "normal.jsonl").write_text(as_json(normal(2000)))
    (tmp_path / "moved.jsonl").write_text(as_json(rows))
    run("anomaly", "train", tmp_path / "normal.jsonl", "-o", tmp_path / "m.gmm", "--settle-after", 200, "--modes", 2)
    lines = run("anomaly", "score", tmp_path / "m.gmm", tmp_path / "moved.jsonl").out.splitlines()
    (change,) = [event for event in map(json.loads, lines) if event["kind"] == "regime change"]
    assert change["start"] == 300
    assert change["mode"] in (0, 1)
