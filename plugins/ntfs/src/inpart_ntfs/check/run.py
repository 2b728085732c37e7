"""Runs all checks, from the boot sector to the names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from inpart.contracts import Finding, bounded
from inpart.errors import FilesystemDamaged, OutOfBounds

from inpart_ntfs.check.attrdef import check_attrdef
from inpart_ntfs.check.base import check_base
from inpart_ntfs.check.blocks import check_blocks
from inpart_ntfs.check.census import Census
from inpart_ntfs.check.clusters import check_clusters
from inpart_ntfs.check.report import error

if TYPE_CHECKING:
    from inpart_ntfs.filesystem import NtfsFilesystem


def check(filesystem: NtfsFilesystem) -> Iterator[Finding]:
    """All findings about a file system, the most basic ones first. Raises VolumeError where it cannot be read."""
    return bounded(_all(filesystem))


def _all(filesystem: NtfsFilesystem) -> Iterator[Finding]:
    try:
        yield from check_base(filesystem)
        yield from check_attrdef(filesystem.mft)
        census = Census(filesystem)
        yield from census.take()
        yield from census.runs.check_pieces()
        yield from census.lists.check(census)
        yield from check_clusters(filesystem, np.concatenate(census.runs.rows))
        census.runs.rows.clear()
        yield from check_blocks(census)
        yield from census.names.check(census)
        yield from census.security.check(filesystem)
    except (FilesystemDamaged, OutOfBounds) as damage:
        yield error("unreadable", "", f"the check ends here: {damage.message}")
