"""Runs all checks, from the boot sector to the names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inpart.contracts import Finding

from inpart_ntfs.check.report import bounded, error

if TYPE_CHECKING:
    from inpart_ntfs.filesystem import NtfsFilesystem


def check(filesystem: NtfsFilesystem) -> Iterator[Finding]:
    """All findings about a file system, the most basic ones first. Raises VolumeError where it cannot be read."""
    return bounded(error("boot-sector", "boot sector", note) for note in filesystem.found.notes)
