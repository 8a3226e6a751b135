"""Training and scoring as a user runs them."""

import json

import numpy as np
import pytest

from gmmaudio.cli import main

NAMES = ("speed", "load")


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
