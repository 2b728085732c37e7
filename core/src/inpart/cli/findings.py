"""Findings for people: the first of each kind, and how many more there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from inpart.cli.output import printable
from inpart.contracts import Finding
from inpart.contracts.findings import MORE

SHOWN = 10
"""So many of one kind are printed; a wreck has hundreds, and a damaged chunk may hold as many files."""


def finding_lines(findings: Sequence[Finding], shown: int) -> Iterator[str]:
    """A line for each of the first ``shown`` of each code, in their order; then one for each code that has more."""
    counts: Counter[str] = Counter()
    uncounted: set[str] = set()
    for finding in findings:
        counts[finding.code] += 1
        if finding.message == MORE:
            uncounted.add(finding.code)
        if counts[finding.code] <= shown:
            where = f"{finding.where}: " if finding.where else ""
            yield printable(f"{finding.severity.value}: {where}{finding.message} [{finding.code}]")
    for code, count in counts.items():
        if count > shown:
            rest = f"at least {count - shown:,}" if code in uncounted else f"{count - shown:,}"
            yield printable(f"and {rest} more of this kind (--all shows them) [{code}]")
