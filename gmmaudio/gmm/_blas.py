"""Threads: matrix products on one thread each, and several of them at once.

Tiles are too small for BLAS to share one among threads, and waiting BLAS threads make a busy machine crawl. So BLAS is
held to one thread, and different tiles go to different threads of our own.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from gmmaudio.errors import ParameterError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Item = TypeVar("Item")

PRODUCTS_PER_THREAD = 1e8
"""Multiplications (about 2 ms) below which a thread is not worth starting."""


def one_blas_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that BLAS uses one thread inside it (entering costs a few microseconds).

    The results then do not depend on the number of cores either.
    """

    @wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _LIMIT:
            return function(*args, **kwargs)

    return limited


def check_n_threads(n_threads: int | None) -> int:
    """Return the number of threads: the processors that this process may use if none is given."""
    if n_threads is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_threads < 1:
        raise ParameterError(f"n_threads is {n_threads} but must be at least 1; leave it out to use all processors")
    return n_threads


def worth_threads(n_threads: int, n_products: float) -> int:
    """Return how many threads pay for so many multiplications: starting them costs as much as `PRODUCTS_PER_THREAD`."""
    return int(min(n_threads, max(1, n_products // PRODUCTS_PER_THREAD)))


def in_parallel(function: Callable[[Item], None], items: Iterable[Item], *, n_threads: int) -> None:
    """Call a function that releases the interpreter lock for each item, on up to so many threads."""
    items = list(items)
    if n_threads == 1 or len(items) < 2:
        for item in items:
            function(item)
        return
    with ThreadPoolExecutor(min(n_threads, len(items))) as pool:
        for future in [pool.submit(function, item) for item in items]:
            future.result()


class _OneThreadLimit:
    """A limit of one BLAS thread that several threads of Python can be inside of at once.

    The number of BLAS threads belongs to the process. The first to enter lowers it and the last to leave restores it;
    if each restored what it had found, calls that overlap would leave the process at one thread for good.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._limiter: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._n_inside == 0:
                self._limiter = _blas_libraries().limit(limits=1)
            self._n_inside += 1

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._limiter.restore_original_limits()


_LIMIT = _OneThreadLimit()


def one_thread() -> Any:
    """Return a context in which all libraries that are loaded when it is first asked for use one thread."""
    return _libraries().limit(limits=1)


@cache
def _libraries() -> Any:
    """Return the controller of all libraries with threads; looking for them takes several milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def _blas_libraries() -> Any:
    """Return the controller of the BLAS libraries that are loaded when it is first needed."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
