"""Commands that train on a Dask cluster: its address, and the folder that is shared with it."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from gmmaudio.errors import GmmAudioError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_TIMEOUT = 10
"""Seconds to wait for the scheduler."""

scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Train on the Dask cluster of this scheduler, such as tcp://host:8786."
)
work_folder_option = click.option(
    "--work-folder",
    type=click.Path(),
    help="Folder for frames, instead of memory; a cluster has to see it under the same path. "
    "Default with --scheduler: where the model will be.",
)


@contextlib.contextmanager
def connected(address: str | None) -> Iterator["Client | None"]:
    """Give a client of the cluster at an address, and None without an address."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise GmmAudioError(
            "--scheduler needs Dask, which is not installed; pip install 'gmmaudio[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise GmmAudioError(
            f"cannot reach a Dask scheduler at {address} ({error}); is it running (dask scheduler), and is the address "
            "the one that it prints?"
        ) from error
    with client:
        yield client
