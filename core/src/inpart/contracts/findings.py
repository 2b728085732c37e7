"""How a check writes findings: short forms for one prefix of codes, and a bound on the number of one kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from inpart.contracts.common import Finding, Severity

MAX_FINDINGS = 100
"""So many findings of one code are reported one by one."""
MORE = "there are more of this kind"
"""What is said in place of those that are not."""
ENOUGH = MAX_FINDINGS + 1
"""So many have to be put into words to see that there are more."""


@dataclass(frozen=True)
class Reporter:
    """Makes findings whose codes begin with ``prefix``, the name of the file system."""

    prefix: str

    def error(self, code: str, where: str, message: str) -> Finding:
        """Something is lost, or would be by writing."""
        return Finding(Severity.ERROR, f"{self.prefix}.{code}", where, message)

    def warning(self, code: str, where: str, message: str) -> Finding:
        """Harmless now, to be mended."""
        return Finding(Severity.WARNING, f"{self.prefix}.{code}", where, message)

    def note(self, code: str, where: str, message: str) -> Finding:
        """Worth knowing, and nothing wrong."""
        return Finding(Severity.NOTE, f"{self.prefix}.{code}", where, message)


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
        yield Finding(finding.severity, code, "", MORE)
