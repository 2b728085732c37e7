"""How the check of NTFS writes findings, and places in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from inpart.contracts import ENOUGH, Finding, Reporter
from numpy.typing import NDArray

from inpart_ntfs.attributes import attribute_title
from inpart_ntfs.records import AttributeTable

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


_REPORTER = Reporter("ntfs")
error = _REPORTER.error
warning = _REPORTER.warning


def for_records(code: str, numbers: Numbers, wrong: Mask, message: str) -> Iterator[Finding]:
    """The same error for each of the records with ``numbers`` where ``wrong``."""
    for number in numbers[wrong][:ENOUGH].tolist():
        yield error(code, f"record {number}", message)


def for_attributes(
    code: str, table: AttributeTable, wrong: Mask, message: str | Callable[[int], str]
) -> Iterator[Finding]:
    """An error for each attribute where ``wrong``; ``message`` may be made from the index of the attribute."""
    for index in np.flatnonzero(wrong)[:ENOUGH].tolist():
        yield error(code, place_of(table, index), message if isinstance(message, str) else message(index))


def place_of(table: AttributeTable, index: int) -> str:
    """An attribute in words: its record, what it is called, the byte of the record at which it stands."""
    name = table.pick(np.array([index])).names_of()[0]
    title = attribute_title(int(table.type[index]), name)
    return f"record {int(table.number[index])}, {title} at byte {int(table.offset[index])}"
