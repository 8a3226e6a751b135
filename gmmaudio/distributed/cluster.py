"""A Dask cluster that computes tasks, waited for as long as it has workers, and the chunks that lie on it."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from gmmaudio import __version__
from gmmaudio.errors import GmmAudioError, ParameterError

if TYPE_CHECKING:
    from dask.delayed import Delayed
    from distributed import Client, Future

WORKERS_TIMEOUT = 60.0
"""Seconds without any worker after which the cluster is taken for gone: a worker that died is back in a few."""

POLL_INTERVAL = 5.0
"""Seconds of waiting for results between two looks at whether there are workers."""

CHUNKS_NEEDED = "a Dask array, or a list of delayed arrays, futures or .npy paths is needed; GMM.fit takes NumPy arrays"
CLUSTER_GONE = "the Dask cluster has gone away or has no workers; start it, or its workers, and connect a new client"


class Chunk(NamedTuple):
    """Frames that are not here, as an argument of a task, and what messages call them."""

    frames: Any
    name: str


class Cluster:
    """A cluster that computes tasks, waited for as long as it has workers."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def results(self, tasks: "list[Delayed]") -> list[Any]:
        """Compute on the workers and return here; an error of a task is raised as it was there."""
        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError

        if self._client.status != "running":
            raise GmmAudioError(CLUSTER_GONE)
        try:
            futures = self._client.compute(tasks)
            self._wait(futures)
            results: list[Any] = self._client.gather(futures)
        except KilledWorker as error:
            raise GmmAudioError(
                "workers died one after the other at the same task; is the memory of a worker large enough for a chunk "
                "and the model? cut the chunks smaller"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise GmmAudioError(CLUSTER_GONE) from error
        return results

    def _wait(self, futures: "list[Future]") -> None:
        """Return when all are done, or raise when the cluster has had no worker for `WORKERS_TIMEOUT`."""
        from distributed import TimeoutError, wait

        while True:
            try:
                with self._client.as_current():  # `wait` asks for it, and it need not be the default one
                    wait(futures, timeout=POLL_INTERVAL)
                return
            except TimeoutError:
                _wait_for_worker(self._client)


def _wait_for_worker(client: "Client") -> None:
    """Raise unless the cluster has a worker, or gets one within `WORKERS_TIMEOUT`."""
    # Client.wait_for_workers changes what a LocalCluster knows of its workers, and breaks it when one has just died.
    deadline = time.monotonic() + WORKERS_TIMEOUT
    try:
        while not client.nthreads():
            if time.monotonic() > deadline:
                raise GmmAudioError(CLUSTER_GONE)
            time.sleep(0.1)
    except (OSError, TimeoutError) as error:
        raise GmmAudioError(CLUSTER_GONE) from error


def check_client(client: "Client") -> None:
    """Raise unless the client is connected to a cluster that can run this module."""
    from distributed import Client

    if not isinstance(client, Client):
        raise ParameterError(f"client is {client!r} but must be a distributed.Client; connect one with Client(address)")
    if client.status != "running" or client.asynchronous:
        state = "asynchronous" if client.asynchronous else client.status
        raise ParameterError(f"the client is {state} but must be running and synchronous; connect a new one")
    _wait_for_worker(client)
    # A lambda travels as code, any other function by its name in this package, which may be what is missing.
    found = client.run(lambda: __import__("gmmaudio").__version__, on_error="return")
    try:
        found["the scheduler"] = client.run_on_scheduler(lambda: __import__("gmmaudio").__version__)
    except ImportError as error:
        found["the scheduler"] = error
    for place, version in found.items():
        # Any other error comes of a worker that is just dying, which is Dask's affair.
        if version != __version__ and isinstance(version, str | ImportError):
            got = f"has {version}" if isinstance(version, str) else f"cannot import gmmaudio ({version})"
            raise GmmAudioError(
                f"{place} {got} but the client has gmmaudio {__version__}; "
                "install the same version in the environment of every worker and of the scheduler"
            )


def named_chunk(chunk: object, number: int) -> Chunk:
    """Return the chunk as an argument of tasks."""
    from dask.delayed import Delayed
    from distributed import Future

    if isinstance(chunk, str | os.PathLike):
        path = os.path.abspath(chunk)
        return Chunk(path, f"chunk {number} ({path})")
    if not isinstance(chunk, Delayed | Future):
        raise ParameterError(f"chunk {number} is a {type(chunk).__name__} but {CHUNKS_NEEDED}")
    return Chunk(chunk, f"chunk {number}")


def task_of(function: Callable[..., Any], chunk: Chunk, *arguments: object) -> "Delayed":
    """Return the task of calling a function with a chunk where it lies, or may be read."""
    from dask import delayed

    return delayed(function)(chunk.frames, chunk.name, *arguments)
