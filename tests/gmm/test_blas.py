"""Threads and BLAS."""

import threading

import pytest
from threadpoolctl import threadpool_info

from gmmaudio.gmm._blas import one_blas_thread


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_overlapping_calls_leave_the_number_of_blas_threads_as_it_was():
    before = blas_threads()
    inside = threading.Barrier(2, timeout=10)
    leave_second = threading.Event()
    seen = []

    @one_blas_thread
    def first():
        inside.wait()

    @one_blas_thread
    def second():
        inside.wait()
        leave_second.wait(10)
        seen.extend(blas_threads())

    other = threading.Thread(target=second)
    other.start()
    first()  # enters first or second, and leaves while the other is still inside
    leave_second.set()
    other.join()
    assert seen == [1] * len(before)
    assert blas_threads() == before


def test_an_exception_leaves_the_limit():
    before = blas_threads()

    @one_blas_thread
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert blas_threads() == before
