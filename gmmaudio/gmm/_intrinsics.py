"""Vector instructions that the compiler does not find by itself in a loop over float32 numbers.

Each works on `LANES` consecutive numbers of a row, in terms that LLVM knows on every processor. No bounds are checked.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic as numba_intrinsic

LANES = 64
"""Numbers that are looked at together: as many as a machine word has bits."""

intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = numba_intrinsic

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_INDEX = ir.IntType(32)


@intrinsic
def largest_of_lanes(_typing: Any, row: Any, start: Any) -> Any:
    """Return the largest of ``row[start : start + LANES]``; there is no NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _load_lanes(context, builder, signature.args[0], *arguments[:2])
        for width in (32, 16, 8, 4, 2, 1):
            halves = [_shuffle(builder, vector, range(first, first + width)) for first in (0, width)]
            is_larger = builder.fcmp_ordered(">", *halves, flags=("nnan", "nsz"))
            vector = builder.select(is_larger, *halves)
        return builder.extract_element(vector, _INDEX(0))

    return types.float32(row, types.intp), generate


@intrinsic
def lanes_not_below(_typing: Any, row: Any, start: Any, threshold: Any) -> Any:
    """Return a word whose bit i tells whether ``row[start + i] >= threshold``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _load_lanes(context, builder, signature.args[0], *arguments[:2])
        single = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), arguments[2], _INDEX(0))
        thresholds = _shuffle(builder, single, [0] * LANES)
        return builder.bitcast(builder.fcmp_ordered(">=", vector, thresholds), ir.IntType(LANES))

    return types.uint64(row, types.intp, types.float32), generate


@intrinsic
def lowest_bit(_typing: Any, word: Any) -> Any:
    """Return the number of the lowest bit that is set; 64 if none is."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(0))

    return types.int64(types.uint64), generate


@intrinsic
def n_bits(_typing: Any, word: Any) -> Any:
    """Return how many bits are set."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _load_lanes(context: Any, builder: Any, row_type: Any, row: Any, start: Any) -> Any:
    """Load the numbers from `start` on, which need not be aligned."""
    data = context.make_array(row_type)(context, builder, row).data
    pointer = builder.bitcast(builder.gep(data, [start]), _VECTOR.as_pointer())
    return builder.load(pointer, align=4)


def _shuffle(builder: Any, vector: Any, lanes: Any) -> Any:
    """Return the vector of these lanes of a vector."""
    mask = ir.Constant(ir.VectorType(_INDEX, len(lanes)), list(lanes))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)
