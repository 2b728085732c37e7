"""The file system's own check, as ``verify --level fs`` runs it: no image is needed."""

from __future__ import annotations

from itertools import islice

from inpart.contracts import Finding, Severity
from inpart.errors import FilesystemDamaged
from inpart.operations.filesystems import find_filesystem
from inpart.operations.session import Session
from inpart.partitions import open_target

MOST_FINDINGS = 100_000
"""A wrecked file system may have more than anybody reads; the check ends there."""


def check_filesystem(session: Session, address: str) -> tuple[Finding, ...]:
    """Everything that is wrong with the file system at ``address``. Raises FilesystemError if it is not recognised."""
    with open_target(address) as target:
        provider = find_filesystem(session, target.volume)
        findings: list[Finding] = []
        try:
            filesystem = provider.open(target.volume)
            for finding in islice(filesystem.check(), MOST_FINDINGS):
                findings.append(finding)
        except FilesystemDamaged as error:
            findings.append(Finding(Severity.ERROR, f"{provider.name}.damaged", str(target.address), error.message))
        return tuple(findings)


def is_sound(findings: tuple[Finding, ...]) -> bool:
    """True if nothing needs mending; notes are only worth knowing."""
    return all(finding.severity is Severity.NOTE for finding in findings)
