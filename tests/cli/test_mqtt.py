"""A real broker between the sensors and the watcher, on the loopback interface; skipped without Mosquitto."""

import json
import shutil
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from gmmaudio import AnomalyDetector, save

PROGRAMS = ("mosquitto", "mosquitto_pub", "mosquitto_sub")
NAMES = ("speed", "load")
N, FAULT = 120, 60
PATIENCE = 60  # seconds for anything that the broker does in milliseconds

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS), reason=f"needs {', '.join(PROGRAMS)} on PATH"
)


def normal(n, seed):
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n)
    return np.column_stack([load + 0.5 * rng.normal(size=n), load])


@pytest.fixture
def broker(tmp_path):
    """Options that reach a broker on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    tmp_path.chmod(0o755)
    command = ["mosquitto", "-c", str(tmp_path / "mosquitto.conf")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert process.poll() is None, "the broker ended by itself"
                time.sleep(0.02)
            yield ("-h", "127.0.0.1", "-p", str(port), "-q", "1")
        finally:
            process.terminate()
            process.wait(PATIENCE)


def test_samples_that_came_while_the_watcher_was_down_are_watched_when_it_is_up(broker, tmp_path):
    save(AnomalyDetector().fit(normal(1000, 0), channels=NAMES), tmp_path / "m.gmm")
    rows = normal(N, 1)
    rows[FAULT : FAULT + 5, 1] += 12.0
    messages = [json.dumps({"time": 60 * i} | dict(zip(NAMES, r, strict=True))) for i, r in enumerate(rows.tolist())]
    subscriber = ["mosquitto_sub", *broker, "-t", "machines/7", "-i", "watcher", "-c"]
    subprocess.run([*subscriber, "-E"], check=True, timeout=PATIENCE)  # the broker keeps what comes from here on
    sent = "\n".join(messages) + "\n"
    publisher = ["mosquitto_pub", *broker, "-t", "machines/7", "-l"]
    subprocess.run(publisher, input=sent, text=True, check=True, timeout=PATIENCE)
    watcher = [
        sys.executable,
        "-c",
        "from gmmaudio.cli import main; main()",
        "anomaly",
        "watch",
        str(tmp_path / "m.gmm"),
    ]
    with subprocess.Popen([*subscriber, "-C", str(N)], stdout=subprocess.PIPE) as source:
        ran = subprocess.run(watcher, stdin=source.stdout, capture_output=True, check=True, timeout=2 * PATIENCE)
    assert f"{N} samples, 0 lines left out" in ran.stderr.decode()
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(event["start"], event["channels"][0]) for event in events if event["event"] == "open"] == [(FAULT, "load")]
