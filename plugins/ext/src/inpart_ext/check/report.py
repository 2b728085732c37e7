"""How checks write findings: short forms, and a bound on the number of findings of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from inpart.contracts import Finding, Severity
from numpy.typing import NDArray

MAX_FINDINGS = 100
"""So many findings of one code are reported one by one."""
ENOUGH = MAX_FINDINGS + 1
"""So many have to be put into words to see that there are more."""


def error(code: str, where: str, message: str) -> Finding:
    """Something is lost, or would be by writing."""
    return Finding(Severity.ERROR, f"ext.{code}", where, message)


def warning(code: str, where: str, message: str) -> Finding:
    """Harmless now, to be mended."""
    return Finding(Severity.WARNING, f"ext.{code}", where, message)


def note(code: str, where: str, message: str) -> Finding:
    """Worth knowing."""
    return Finding(Severity.NOTE, f"ext.{code}", where, message)


def for_inodes(code: str, numbers: NDArray[np.int64], wrong: NDArray[np.bool_], message: str) -> Iterator[Finding]:
    """The same error for each of the inodes with ``numbers`` where ``wrong``."""
    for number in numbers[wrong][:ENOUGH].tolist():
        yield error(code, f"inode {number}", message)


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
