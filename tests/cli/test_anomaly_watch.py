"""The watcher as a user runs it: killed, stopped, fed with rubbish, following files, counted by Prometheus."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from cli.machine import NAMES, as_json, normal, with_fault
from numpy.testing import assert_allclose

from gmmaudio import AnomalyDetector, save
from gmmaudio.anomaly import EventRule, alarm_probability

GMMAUDIO = (sys.executable, "-c", "from gmmaudio.cli import main; main()", "anomaly")
SUMMATION = 1e-9  # the means over the last samples are summed from another place of their ring
FUZZ_SEED, FUZZ_LINES = 0, 300
MINUTE = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("anomaly") / "m.gmm"
    rule = EventRule(alarm_p=alarm_probability(0.05, 600))
    save(AnomalyDetector(rule=rule).fit(normal(3000), channels=NAMES), path)
    return path


@pytest.fixture
def watch(run, tmp_path, monkeypatch):
    """Watch a text in this process; what is printed on both outputs."""

    def watch_text(text, *arguments, code=0):
        (tmp_path / "stdin").write_bytes(text if isinstance(text, bytes) else text.encode())
        with (tmp_path / "stdin").open() as file:
            monkeypatch.setattr(sys, "stdin", file)
            ran = run("anomaly", "watch", *arguments)
        assert ran.code == code, ran.err
        return [json.loads(line) for line in ran.out.splitlines()], ran.err

    return watch_text


def test_watch_tells_an_event_when_it_opens_and_when_it_closes(watch, model):
    events, _ = watch(as_json(with_fault()), model)
    strong = [event["event"] for event in events if 119 <= event["start"] <= 121]
    assert strong == ["open", "closed"]


def test_watch_gives_the_scores_of_score(watch, run, model, tmp_path):
    (tmp_path / "day.jsonl").write_text(as_json(with_fault()))
    scored = [
        json.loads(s) for s in run("anomaly", "score", "--samples", model, tmp_path / "day.jsonl").out.splitlines()
    ]
    watched, _ = watch(as_json(with_fault()), model, "--samples")
    assert [s["score"] for s in watched] == [s["score"] for s in scored if "sample" in s]


def test_watch_reads_csv_with_columns_in_another_order(watch, model):
    rows = with_fault()
    text = "load,ignored,speed\n" + "".join(f"{b},x,{a}\n" for a, b in rows.tolist())
    assert watch(text, model, "--samples")[0] == watch(as_json(rows), model, "--samples")[0]


def test_watch_stopped_and_started_again_goes_on_as_if_nothing_had_happened(watch, model, tmp_path):
    rows, state = with_fault(), tmp_path / "state.gmm"
    whole, _ = watch(as_json(rows), model, "--samples")
    first, _ = watch(as_json(rows[:125]), model, "--samples", "--state", state)
    second, said = watch(as_json(rows[125:]), model, "--samples", "--state", state)
    assert first + second == whole
    assert "going on after sample 124" in said


class Live:
    """A watcher that is written to while it runs."""

    def __init__(self, *arguments):
        command = [*GMMAUDIO, "watch", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def read(self, n):
        """The next lines that it prints, which the watcher must flush one by one."""
        return [json.loads(self.process.stdout.readline()) for _ in range(n)]

    def end(self, how):
        """End it with a signal; what it said on standard error."""
        os.kill(self.process.pid, how)
        _, said = self.process.communicate(timeout=60)
        return said.decode()


def timed(rows, first=0):
    """The rows as JSON lines, one a minute."""
    return [
        json.dumps({"time": MINUTE * (first + i)} | dict(zip(NAMES, r, strict=True)))
        for i, r in enumerate(rows.tolist())
    ]


def lines(texts):
    return "".join(f"{text}\n" for text in texts)


@pytest.fixture(scope="module")
def killed_folder(model, tmp_path_factory):
    """What a watcher leaves that is killed after 123 samples, having saved after 100."""
    folder = tmp_path_factory.mktemp("killed") / "left"
    folder.mkdir()
    live = Live(model, "--samples", "--state", folder / "state", "--save-every", 50)
    live.write(lines(timed(with_fault())[:123]))
    live.read(123)
    live.end(signal.SIGKILL)
    return folder


@pytest.fixture
def killed(killed_folder, tmp_path):
    """Its state file, which the test may change."""
    return shutil.copytree(killed_folder, tmp_path / "left") / "state"


def test_killed_between_two_samples_it_goes_on_from_the_last_save_and_names_what_is_lost(watch, model, killed):
    samples, state = timed(with_fault()), killed
    rest, said = watch(lines(samples[100:]), model, "--samples", "--state", state)
    assert "going on after sample 99 (1970-01-01T01:39:00Z)" in said
    assert "samples 100 to 122 came after the state was saved, the last (1970-01-01T02:02:00Z); lost" in said
    assert rest == watch(lines(samples), model, "--samples")[0][100:]


def test_killed_and_started_again_without_the_lost_samples_it_is_the_stream_without_them(watch, model, killed):
    samples, state = timed(with_fault()), killed
    rest, _ = watch(lines(samples[123:]), model, "--samples", "--state", state)
    assert rest == watch(lines(samples[:100] + samples[123:]), model, "--samples")[0][100:]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stopped_by_a_signal_it_loses_nothing(watch, model, tmp_path, how):
    samples, state = timed(with_fault()), tmp_path / "state"
    live = Live(model, "--samples", "--state", state)
    live.write(lines(samples[:123]))
    live.read(123)
    assert "123 samples, 0 lines left out" in live.end(how)
    rest, said = watch(lines(samples[123:]), model, "--samples", "--state", state)
    assert "going on after sample 122" in said
    assert "lost" not in said
    assert rest == watch(lines(samples), model, "--samples")[0][123:]


def test_a_followed_file_that_is_rotated_while_the_watcher_is_dead_loses_nothing(watch, model, tmp_path):
    samples, state, log = timed(with_fault()), tmp_path / "state", tmp_path / "log"
    arguments = (model, "--samples", "--follow", log, "--state", state, "--save-every", 50)
    log.write_text(lines(samples[:110]))
    live = Live(*arguments)
    first = live.read(110)
    live.end(signal.SIGKILL)
    with log.open("a") as file:
        file.write(lines(samples[110:150]))
    log.rename(tmp_path / "log.1")
    log.write_text(lines(samples[150:]))
    live = Live(*arguments)
    rest = live.read(100)
    said = live.end(signal.SIGTERM)
    assert "samples 100 to 109 came after the state was saved" in said
    assert "read again" in said
    assert first[:100] + rest == watch(lines(samples), model, "--samples")[0]


def test_a_state_of_another_model_is_refused(watch, model, tmp_path):
    state = tmp_path / "state"
    watch(as_json(with_fault()[:5]), model, "--state", state)
    save(AnomalyDetector().fit(normal(500, seed=9), channels=NAMES), tmp_path / "o.gmm")
    assert "made with another model" in watch("", tmp_path / "o.gmm", "--state", state, code=2)[1]


def test_on_a_grid_a_stream_and_a_file_give_the_same_scores(watch, run, tmp_path):
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.exponential(20.0, size=3000))
    rows = [
        json.dumps({"time": t} | dict(zip(NAMES, r, strict=True)))
        for t, r in zip(times, normal(3000).tolist(), strict=True)
    ]
    (tmp_path / "normal.jsonl").write_text(lines(rows))
    run("anomaly", "train", tmp_path / "normal.jsonl", "-o", tmp_path / "g.gmm", "--grid", 30)
    scored = run("anomaly", "score", "--samples", tmp_path / "g.gmm", tmp_path / "normal.jsonl").out.splitlines()
    watched, _ = watch(lines(rows), tmp_path / "g.gmm", "--samples")
    expected = [json.loads(text) for text in scored]
    assert [(s["time"], s["score"]) for s in watched] == [(s["time"], s["score"]) for s in expected if "sample" in s]


def test_prometheus_sees_samples_lines_events_and_the_score(model):
    live = Live(model, "--samples", "--prometheus", 0)
    address = re.search(r"http://\S+", live.process.stderr.readline().decode())[0]
    live.write("{\n" + lines(timed(with_fault())))
    last = live.read(200)[-1]
    with urllib.request.urlopen(address, timeout=60) as answer:
        metrics = dict(text.rsplit(" ", 1) for text in answer.read().decode().splitlines() if text[0] != "#")
    live.end(signal.SIGTERM)
    assert float(metrics["gmmaudio_anomaly_samples_total"]) == 200
    assert float(metrics['gmmaudio_anomaly_left_out_lines_total{kind="not_json"}']) == 1
    assert float(metrics["gmmaudio_anomaly_events_total"]) >= 1
    assert float(metrics["gmmaudio_anomaly_score"]) == last["score"]
    assert float(metrics["gmmaudio_anomaly_last_sample_timestamp_seconds"]) == 199 * MINUTE


def test_prometheus_that_is_not_installed_is_named_with_its_extra(run, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ran = run("anomaly", "watch", model, "--prometheus", 0)
    assert ran.code == 2
    assert "gmmaudio[prometheus]" in ran.err


@pytest.mark.parametrize("where", ["x", "1.2.3.4:", "99999"])
def test_an_address_that_is_none_is_refused(run, model, where):
    ran = run("anomaly", "watch", model, "--prometheus", where)
    assert ran.code == 2
    assert "PORT or ADDRESS:PORT" in ran.err


def fuzzed_lines():
    """Lines that no decent program would write."""
    rng = np.random.default_rng(FUZZ_SEED)
    odd = [
        b"{",
        b"[1,",
        b'{"speed": 1e999, "load": NaN}',
        b'{"speed": "x", "load": true}',
        b"[]",
        b"{}",
        b"null",
        b"[1]",
    ]
    odd += [b'{"time": "yesterday", "speed": 1}', b'{"time": -1e300, "load": 1}', b"1,2,3", b",", b'"', b"\x00,\x00"]
    odd += [
        b"[" * 5000,
        b'{"speed": 1' + b"0" * 5000 + b"}",
        b"Infinity,-Infinity",
        b"a,b,c",
        b"1e400,0",
        b"speed,load",
        b'{"time": 9e14, "speed": 1, "load": 1}',
        b'{"time": 1e150, "speed": 1, "load": 1}',
        b'{"time": 5, "speed": 1e149, "load": -1e149}',
        b'{"time": 4, "speed": 1, "load": 1}',
        b'{"time": 4, "speed": 1, "load": 1}',
        b"x" * 3_000_000,
    ]
    noise = [rng.integers(0, 256, size=int(rng.integers(1, 60)), dtype=np.uint8).tobytes() for _ in range(FUZZ_LINES)]
    return b"\n".join([*odd, *noise]) + b"\n"


def test_no_input_ends_the_watcher_or_poisons_its_state(watch, model, tmp_path):
    rows = normal(400, seed=2)
    rubbish = fuzzed_lines().decode("latin-1").split("\n")
    mixed = [
        text
        for i, sample in enumerate(timed(rows, first=1))
        for text in (rubbish[i] if i < len(rubbish) else "", sample)
    ]
    printed, said = watch("\n".join(mixed).encode("latin-1"), model, "--samples", "--state", tmp_path / "state")
    assert all(np.isfinite(sample["score"]) for sample in printed)
    left_out = int(re.search(r"(\d+) lines left out", said)[1])
    assert len(printed) + left_out == sum(1 for text in mixed if text.strip("\t\r\v\f ") and text != "speed,load")
    after, _ = watch(lines(timed(normal(200, seed=4), first=10**6)), model, "--samples", "--state", tmp_path / "state")
    clean, _ = watch(lines(timed(normal(200, seed=4), first=10**6)), model, "--samples")
    # The detector remembers 48 samples; after them nothing is left of what came before.
    assert_allclose([s["score"] for s in after[-130:]], [s["score"] for s in clean[-130:]], rtol=SUMMATION)
