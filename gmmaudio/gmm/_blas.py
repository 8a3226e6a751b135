"""Matrix products on one thread: tiles are too small to share, and waiting threads make a busy machine crawl."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def one_blas_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function so that BLAS uses one thread inside it (entering costs a few microseconds).

    The results then do not depend on the number of cores either.
    """

    @wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        with _blas_libraries().limit(limits=1):
            return function(*args, **kwargs)

    return limited


@cache
def _blas_libraries() -> Any:
    """Return the controller of the BLAS libraries that are loaded when it is first needed."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")
