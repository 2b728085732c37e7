"""How checks write findings: short forms, and a bound on the number of findings of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from inpart.contracts import Finding, Severity

MAX_FINDINGS = 100
"""So many findings of one code are reported one by one."""


def error(code: str, where: str, message: str) -> Finding:
    """Something is lost, or would be by writing."""
    return Finding(Severity.ERROR, f"fat.{code}", where, message)


def warning(code: str, where: str, message: str) -> Finding:
    """Harmless now, to be mended."""
    return Finding(Severity.WARNING, f"fat.{code}", where, message)


def note(code: str, where: str, message: str) -> Finding:
    """Worth knowing, and nothing wrong."""
    return Finding(Severity.NOTE, f"fat.{code}", where, message)


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
