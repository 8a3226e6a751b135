"""Counters of a watcher for Prometheus; needs the extra `prometheus`."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from gmmaudio.anomaly.listening import Listener
from gmmaudio.anomaly.watching import LEFT_OUT, Watcher
from gmmaudio.errors import GmmAudioError

PREFIX = "gmmaudio_anomaly"


@contextlib.contextmanager
def serve(watcher: Watcher | Listener, where: str) -> Iterator[str]:
    """Serve the watcher's counters over HTTP as long as the block lasts, and give the address.

    Parameters
    ----------
    watcher : Watcher or Listener
        Read when somebody asks; nothing is counted twice.
    where : str
        `PORT` on the loopback interface or `ADDRESS:PORT`; port 0 takes a free one.

    Raises
    ------
    GmmAudioError
        If prometheus-client is not installed, the address is none, or it is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError as error:
        raise GmmAudioError(
            "--prometheus needs prometheus-client, which is not installed; pip install 'gmmaudio[prometheus]'"
        ) from error
    address, _, port = where.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise GmmAudioError(f"--prometheus is {where!r}, but PORT or ADDRESS:PORT is needed")
    registry = CollectorRegistry()
    registry.register(_Collector(watcher))
    try:
        server, thread = start_http_server(int(port), addr=address or "127.0.0.1", registry=registry)
    except OSError as error:
        raise GmmAudioError(f"cannot serve counters at {where}: {error.strerror or error}") from error
    try:
        yield f"http://{address or '127.0.0.1'}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Collector:
    """Turns what a watcher knows into metrics, each time that it is asked."""

    def __init__(self, watcher: Watcher | Listener) -> None:
        self._watcher = watcher

    def collect(self) -> Iterator[Any]:
        """Yield the metrics."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        watcher, counts = self._watcher, dict(self._watcher.counts)
        yield CounterMetricFamily(f"{PREFIX}_samples", "Samples taken.", value=watcher.n_samples)
        yield CounterMetricFamily(f"{PREFIX}_events", "Events that have begun.", value=watcher.teller.n_events)
        left_out = CounterMetricFamily(f"{PREFIX}_left_out_lines", "Lines that gave no sample.", labels=["kind"])
        odd = CounterMetricFamily(f"{PREFIX}_odd_samples", "Samples used in part.", labels=["kind"])
        for kind, count in counts.items():
            (left_out if kind in LEFT_OUT else odd).add_metric([kind], count)
        yield left_out
        yield odd
        yield GaugeMetricFamily(f"{PREFIX}_score", "-log10 p of the last sample.", value=watcher.teller.score)
        yield GaugeMetricFamily(
            f"{PREFIX}_event_open", "1 while an event lasts.", value=float(watcher.teller.event_open)
        )
        if not math.isnan(watcher.last_time):
            yield GaugeMetricFamily(
                f"{PREFIX}_last_sample_timestamp_seconds", "Time of the last sample.", value=watcher.last_time
            )
