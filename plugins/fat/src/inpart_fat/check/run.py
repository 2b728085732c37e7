"""Runs all checks, from the boot sector to the files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inpart.contracts import Finding, bounded

from inpart_fat.check.boot import check_boot, check_fsinfo, check_labels, check_state
from inpart_fat.check.chains import check_chains
from inpart_fat.check.directories import check_directories
from inpart_fat.check.tables import check_entries, check_tables

if TYPE_CHECKING:
    from inpart_fat.filesystem import FatFilesystem


def check(filesystem: FatFilesystem) -> Iterator[Finding]:
    """All findings about a file system, the most basic ones first. Raises VolumeError where it cannot be read."""
    return bounded(_all(filesystem))


def _all(filesystem: FatFilesystem) -> Iterator[Finding]:
    yield from check_boot(filesystem)
    yield from check_state(filesystem)
    yield from check_tables(filesystem)
    yield from check_entries(filesystem)
    yield from check_fsinfo(filesystem)
    yield from check_labels(filesystem)
    yield from check_directories(filesystem)
    yield from check_chains(filesystem)
