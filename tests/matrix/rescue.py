"""What somebody with a rescue system does, in this order, until a restore succeeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from inpart.errors import InpartError, IntegrityError, PlaceTaken
from inpart.operations.restore import RestoreOptions, RestoreReport, restore
from inpart.operations.session import Session
from inpart.partitions import read_table
from inpart.testing.tools import run
from inpart.volume import FileVolume

from matrix.grounds import OLDER, Ground, loaded


@dataclass(frozen=True)
class Rescue:
    """How it went: the report of the restore that succeeded, how it was asked for, what refused before, warnings."""

    report: RestoreReport | None
    how: str
    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float


def rescue(ground: Ground, *, older: bool) -> Rescue:
    """Restore the newest image, or the older one. Only inpart's own errors count as refusals; others are bugs."""
    warnings: list[str] = []
    session = Session(loaded(), warn=warnings.append, aids=(ground.aid,) if ground.aid.startswith("file:") else ())
    refusals: list[str] = []
    began = time.monotonic()
    for how, prepare, address, options in _attempts(ground, refusals, OLDER if older else None):
        try:
            prepare()
            report = restore(session, address, options)
        except InpartError as error:
            refusals.append(_said(error))
            continue
        return Rescue(report, how, tuple(refusals), tuple(warnings), time.monotonic() - began)
    return Rescue(None, "", tuple(refusals), tuple(warnings), time.monotonic() - began)


Attempt = tuple[str, Callable[[], object], str, RestoreOptions]


def _attempts(ground: Ground, refusals: list[str], image: str | None) -> Iterator[Attempt]:
    """The partition that the table names; the disk; the disk after others' entries are deleted; what is left."""
    disk, kept = str(ground.path), RestoreOptions(image, repair_table=True)
    named = _has_partition(ground)
    if named:
        yield "DISK#1", _nothing, f"{disk}#1", RestoreOptions(image)
    yield "DISK --repair-table", _nothing, disk, kept
    if refusals[-1].startswith(PlaceTaken.__name__):
        yield "sfdisk --delete, DISK --repair-table", lambda: _delete_entries(disk), disk, kept
    if any(one.startswith(IntegrityError.__name__) for one in refusals):
        parts = [("DISK#1", f"{disk}#1", False)] * named + [("DISK --repair-table", disk, True)]
        for how, address, whole in parts:
            options = RestoreOptions(image, repair_table=whole, allow_incomplete=True)
            yield f"{how} --allow-incomplete", _nothing, address, options


def _nothing() -> None:
    """Most attempts need no preparation."""


def _delete_entries(disk: str) -> None:
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--delete", disk)


def _has_partition(ground: Ground) -> bool:
    """Whether the disk's table names a partition 1."""
    try:
        with FileVolume(ground.path) as disk:
            table = read_table(disk)
    except InpartError:
        return False
    return table is not None and table.find(1) is not None


def _said(error: InpartError) -> str:
    """The error in the tool's own words."""
    return f"{type(error).__name__}: {error.message}"
