"""Threads and BLAS."""

import subprocess
import sys

import pytest

from gmmaudio.gmm._blas import _blas_libraries, one_blas_thread

# In a process of its own: with the OpenBLAS of NumPy's wheels, threads other than the main one can lose the right to
# set the number once other threads have computed with it.
OVERLAPPING = """
import threading
from gmmaudio.gmm._blas import _blas_libraries, one_blas_thread

def blas_threads():
    return [library["num_threads"] for library in _blas_libraries().info()]

_blas_libraries().limit(limits=2)
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
print(before == blas_threads())
"""


def test_overlapping_calls_leave_the_number_of_blas_threads_as_it_was():
    ran = subprocess.run([sys.executable, "-c", OVERLAPPING], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"


def test_an_exception_leaves_the_limit():
    before = _blas_libraries().info()

    @one_blas_thread
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _blas_libraries().info() == before
