"""Threads and BLAS."""

import threading

import pytest

from gmmaudio.gmm._blas import _blas_libraries, one_blas_thread


def blas_threads() -> list[int]:
    """Threads of the BLAS libraries that were there when the limit was first needed, NumPy's among them."""
    return [library["num_threads"] for library in _blas_libraries().info()]


def test_overlapping_calls_leave_the_number_of_blas_threads_as_it_was():
    before = blas_threads()
    both_inside, leave = threading.Barrier(2, timeout=10), threading.Event()

    @one_blas_thread
    def second():
        both_inside.wait()
        leave.wait(10)

    other = threading.Thread(target=second)

    @one_blas_thread
    def first():
        other.start()
        both_inside.wait()

    first()  # enters before the other, and leaves before it
    leave.set()
    other.join()
    assert blas_threads() == before


def test_an_exception_leaves_the_limit():
    before = blas_threads()

    @one_blas_thread
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert blas_threads() == before
