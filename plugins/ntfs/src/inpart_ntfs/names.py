"""File names: how they are shown, and how $UpCase makes them equal."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

UNITS = 65536
UPCASE_SIZE = 2 * UNITS
"""Bytes of $UpCase: one UTF-16 unit for each unit there is."""

Table = NDArray[np.uint16]


class Upcase:
    """The table that says which names are the same: two are if their units are after the table."""

    def __init__(self, content: bytes | None) -> None:
        """``content`` is that of $UpCase; None or a wrong length stands for the rules of Unicode."""
        self.standing_in = content is None or len(content) != UPCASE_SIZE
        self.table = unicode_rules() if content is None or self.standing_in else np.frombuffer(content, dtype="<u2")

    def units(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        """Units of names in upper case; -1 stands behind the end of a name and stays."""
        return np.where(units < 0, -1, self.table[np.maximum(units, 0)].astype(np.int64))

    def fold(self, text: str) -> bytes:
        """What is equal for two names that the file system takes for the same."""
        units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype="<u2")
        return bytes(self.table[units].data)


@cache
def unicode_rules() -> Table:
    """Upper case where it is one unit, as the tables of Windows and of mkntfs have it for nearly all of Unicode."""
    table = np.arange(UNITS, dtype=np.uint16)
    for unit in range(UNITS):
        upper = chr(unit).upper()
        if len(upper) == 1 and ord(upper) < UNITS:
            table[unit] = ord(upper)
    return table


def shown(name: bytes) -> str:
    """A UTF-16LE name as text; halves of surrogate pairs that stand alone in hexadecimal."""
    return name.decode("utf-16-le", "backslashreplace")


def as_text(name: str) -> str:
    """A name that may have such halves, shown."""
    return shown(name.encode("utf-16-le", "surrogatepass"))
