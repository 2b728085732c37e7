"""Arrays that grow: what passes collect of millions of records, without a second copy when it is complete."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


class Column(Generic[T]):
    """One number for each of many things, in the order in which they were added."""

    def __init__(self, kind: type[T], expected: int) -> None:
        """``expected`` is how many there may be; memory is taken as it is filled."""
        self._room: NDArray[T] = np.empty(max(expected, 1024), dtype=kind)
        self._count = 0

    def add(self, values: NDArray[np.generic]) -> None:
        """Append values, converted to the kind of the column."""
        end = self._count + len(values)
        if end > len(self._room):
            grown: NDArray[T] = np.empty(2 * end, dtype=self._room.dtype)
            grown[: self._count] = self.array
            self._room = grown
        self._room[self._count : end] = values
        self._count = end

    @property
    def array(self) -> NDArray[T]:
        """All of them so far."""
        return self._room[: self._count]
