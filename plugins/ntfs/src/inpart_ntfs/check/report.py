"""How checks write findings: short forms, places in words, and a bound on the number of findings of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from inpart.contracts import Finding, Severity
from numpy.typing import NDArray

from inpart_ntfs.records import AttributeTable
from inpart_ntfs.structs import AttributeType

MAX_FINDINGS = 100
"""So many findings of one code are reported one by one."""
ENOUGH = MAX_FINDINGS + 1
"""So many have to be put into words to see that there are more."""

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


def error(code: str, where: str, message: str) -> Finding:
    """Something is lost, or would be by writing."""
    return Finding(Severity.ERROR, f"ntfs.{code}", where, message)


def warning(code: str, where: str, message: str) -> Finding:
    """Harmless now, to be mended."""
    return Finding(Severity.WARNING, f"ntfs.{code}", where, message)


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
    title = f"{type_name(int(table.type[index]))}{':' + name if name else ''}"
    return f"record {int(table.number[index])}, {title} at byte {int(table.offset[index])}"


def type_name(number: int) -> str:
    """What an attribute type is called."""
    try:
        return f"${AttributeType(number).name}"
    except ValueError:
        return f"attribute of type 0x{number:x}"


def bounded(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The findings, at most ``MAX_FINDINGS`` of each code, and then a word that there are more."""
    counts: Counter[str] = Counter()
    last: dict[str, Finding] = {}
    for finding in findings:
        counts[finding.code] += 1
        if counts[finding.code] <= MAX_FINDINGS:
            yield finding
        else:
            last[finding.code] = finding
    for code, finding in last.items():
        yield Finding(finding.severity, code, "", "there are more of this kind")
