"""Runs all checks, from the superblock to the counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inpart.contracts import Finding, bounded
from inpart.errors import FilesystemDamaged, OutOfBounds

from inpart_ext.check.base import check_base
from inpart_ext.check.bitmaps import check_bitmaps
from inpart_ext.check.census import Census, take_census
from inpart_ext.check.claims import check_claims
from inpart_ext.check.directories import check_directories
from inpart_ext.check.links import check_links
from inpart_ext.check.quotas import check_quotas
from inpart_ext.check.report import error

if TYPE_CHECKING:
    from inpart_ext.filesystem import ExtFilesystem


def check(filesystem: ExtFilesystem) -> Iterator[Finding]:
    """All findings about a file system, the most basic ones first. Raises VolumeError where it cannot be read."""
    return bounded(_all(filesystem))


def _all(filesystem: ExtFilesystem) -> Iterator[Finding]:
    try:
        yield from check_base(filesystem)
        census = Census(filesystem)
        yield from take_census(filesystem, census)
        yield from check_claims(filesystem, census)
        names = yield from check_directories(filesystem, census)
        yield from check_links(census, names)
        yield from check_bitmaps(filesystem, census)
        yield from check_quotas(filesystem, census.tally)
    except (FilesystemDamaged, OutOfBounds) as damage:
        yield error("unreadable", "", f"the check ends here: {damage.message}")
