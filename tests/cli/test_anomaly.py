"""The anomaly commands as a user runs them, and what no pipe may do to the watcher."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

NAMES = ("speed", "load")
FUZZ_SEED, FUZZ_LINES = 0, 300


def normal(n, seed=0):
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n)
    return np.column_stack([load + 0.5 * rng.normal(size=n), load])


def as_json(rows):
    return "".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows.tolist())


def with_fault(n=200):
    rows = normal(n, seed=1)
    rows[120:130, 1] += 12.0
    return rows


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("anomaly")
    (folder / "normal.csv").write_text(
        "time,speed,load\n" + "".join(f"{600 * i},{a},{b}\n" for i, (a, b) in enumerate(normal(3000).tolist()))
    )
    command = ["train", folder / "normal.csv", "-o", folder / "m.gmm", "--false-alarms-per-day", "0.05"]
    subprocess.run([*GMMAUDIO, *map(str, command)], check=True)
    return folder / "m.gmm"


GMMAUDIO = (sys.executable, "-c", "from gmmaudio.cli import main; main()", "anomaly")


def watch(text, *arguments, code=0):
    """Pipe a text into the watcher; what it printed on both outputs."""
    data = text if isinstance(text, bytes) else text.encode()
    ran = subprocess.run([*GMMAUDIO, "watch", *map(str, arguments)], input=data, capture_output=True, timeout=120)
    assert ran.returncode == code, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr.decode()


def test_score_names_the_event_and_its_channel(run, model, tmp_path):
    (tmp_path / "day.jsonl").write_text(as_json(with_fault()))
    events = [json.loads(line) for line in run("anomaly", "score", model, tmp_path / "day.jsonl").out.splitlines()]
    assert [(e["start"], e["channels"][0]) for e in events if e["score"] > 8] == [(120, "load")]


def test_watch_tells_an_event_when_it_opens_and_when_it_closes(model):
    events, _ = watch(as_json(with_fault()), model)
    strong = [event["event"] for event in events if 119 <= event["start"] <= 121]
    assert strong == ["open", "closed"]


def test_watch_gives_the_scores_of_score(run, model, tmp_path):
    (tmp_path / "day.jsonl").write_text(as_json(with_fault()))
    scored = [
        json.loads(s) for s in run("anomaly", "score", "--samples", model, tmp_path / "day.jsonl").out.splitlines()
    ]
    watched, _ = watch(as_json(with_fault()), model, "--samples")
    assert [s["score"] for s in watched] == [s["score"] for s in scored if "sample" in s]


def test_watch_reads_csv_with_columns_in_another_order(model):
    rows = with_fault()
    text = "load,ignored,speed\n" + "".join(f"{b},x,{a}\n" for a, b in rows.tolist())
    assert watch(text, model, "--samples")[0] == watch(as_json(rows), model, "--samples")[0]


def test_watch_stopped_and_started_again_goes_on_as_if_nothing_had_happened(model, tmp_path):
    rows, state = with_fault(), tmp_path / "state.gmm"
    whole, _ = watch(as_json(rows), model, "--samples")
    first, _ = watch(as_json(rows[:125]), model, "--samples", "--state", state)
    second, said = watch(as_json(rows[125:]), model, "--samples", "--state", state)
    assert first + second == whole
    assert "going on after sample 124" in said


@pytest.mark.parametrize(("how", "kept"), [(signal.SIGTERM, 125), (signal.SIGKILL, 100)])
def test_watch_that_was_ended_names_where_it_goes_on(model, tmp_path, how, kept):
    rows, state = with_fault(), tmp_path / "state.gmm"
    command = [*GMMAUDIO, "watch", str(model), "--samples", "--state", str(state), "--save-every", "50"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ran:
        ran.stdin.write(as_json(rows[:125]).encode())
        ran.stdin.flush()
        for _ in range(125):
            ran.stdout.readline()
        os.kill(ran.pid, how)
        ran.wait(timeout=60)
    rest, said = watch(as_json(rows[kept:]), model, "--samples", "--state", state)
    assert f"going on after sample {kept - 1}" in said
    assert rest == watch(as_json(rows), model, "--samples")[0][kept:]


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
    ]
    noise = [rng.integers(0, 256, size=int(rng.integers(1, 60)), dtype=np.uint8).tobytes() for _ in range(FUZZ_LINES)]
    return b"\n".join([*odd, *noise]) + b"\n"


def test_no_input_ends_the_watcher_or_poisons_its_state(model):
    text = fuzzed_lines() + as_json(normal(200, seed=2)).encode()
    printed, said = watch(text, model, "--samples")
    last = printed[-100:]
    assert all(np.isfinite(sample["score"]) for sample in printed)
    assert np.mean([sample["status"] == "ok" for sample in last]) > 0.9
    assert int(said.split()[-3]) > 0  # malformed lines, counted


def test_a_file_that_is_no_samples_is_refused_with_the_line(run, model, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"speed": 1}\n{broken\n')
    ran = run("anomaly", "score", model, tmp_path / "bad.jsonl")
    assert ran.code == 2
    assert "line 2" in ran.err
