"""Runs all checks, from the superblock to the counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inpart.contracts import Finding

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem


def check(filesystem: ExtFilesystem) -> Iterator[Finding]:
    """All findings about a file system, the most basic ones first. Raises VolumeError where it cannot be read."""
    yield from ()
