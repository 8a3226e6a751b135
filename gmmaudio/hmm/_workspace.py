"""Arrays that a thread works in again and again: fresh ones of megabytes cost as much as what is calculated in them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray


class Workspace:
    """Arrays by name; each lives until its name is asked for again."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype[Any]], AnyArray] = {}

    def empty(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike = np.float64) -> Any:
        """Return an array with no particular values."""
        key = name, np.dtype(dtype)
        size = int(np.prod(shape))
        if key not in self._buffers or self._buffers[key].size < size:
            self._buffers[key] = np.empty(size, dtype)
        return self._buffers[key][:size].reshape(shape)
