"""Finishing what a power cut or a crash left half done."""

from __future__ import annotations

import json
from dataclasses import dataclass

from inpart.contracts import FilesystemEditor, State
from inpart.errors import FilesystemError, IntegrityError, UsageError
from inpart.operations.aids.upkeep import refresh_aids
from inpart.operations.filesystems import find_filesystem
from inpart.operations.journals import Unfinished, find_unfinished
from inpart.operations.partition import Mounted
from inpart.operations.protection import mend_tables
from inpart.operations.restore import RestoreOptions, RestoreReport, restore_opened
from inpart.operations.session import Session, uninterruptible
from inpart.operations.stores import EVERY, locate
from inpart.operations.vacate import release_journal
from inpart.partitions import Target, open_target
from inpart.transaction import RestoreRecord, replay, retire
from inpart.volume import Access


@dataclass(frozen=True)
class ResumeReport:
    """What was finished: the number of journals and the sectors written from them, and a restore.

    ``discarded`` journals could not be finished any more and are forgotten.
    """

    journals: int = 0
    sectors: int = 0
    restored: RestoreReport | None = None
    dry_run: bool = False
    discarded: int = 0


def resume(
    session: Session, address: str, *, thorough: bool = False, discard: bool = False, dry_run: bool = False
) -> ResumeReport:
    """Replay journals and go on with a restore. Nothing unfinished is no error.

    ``thorough`` scans the whole volume for journals. ``discard`` forgets a journal that cannot be replayed because the
    partition was used in between; without it that is an IntegrityError, before anything is written. Raises
    NoImageFound if the image of the restore is gone.
    """
    report = _resume(session, address, thorough=thorough, discard=discard, dry_run=dry_run)
    if not dry_run and (report.journals or report.restored):
        refresh_aids(session, address, anchors=report.restored.aids if report.restored else ())
    return report


def _resume(session: Session, address: str, *, thorough: bool, discard: bool, dry_run: bool) -> ResumeReport:
    with open_target(address, Access.READ if dry_run else Access.WRITE) as target:
        located = locate(session, target.volume, EVERY, target)
        found = find_unfinished(session, target.volume, located.stores, thorough=thorough)
        if dry_run:
            return ResumeReport(len(found.journals), dry_run=True)
        sectors, discarded = _replay_all(target, found, discard=discard)
        restored = _go_on(session, target, found.restore) if found.restore else None
        _clean_up(session, target)
        if discarded:
            mend_tables(session, target.volume)
        return ResumeReport(len(found.journals) - discarded, sectors, restored, discarded=discarded)


def _replay_all(target: Target, found: Unfinished, *, discard: bool) -> tuple[int, int]:
    """Finish each journal, or forget it if that is impossible; sectors written, and journals forgotten."""
    sectors = discarded = 0
    for journal in found.journals:
        if journal.base != 0:
            raise UsageError(f"the unfinished change belongs to a partition at byte {journal.base}, not to this volume")
        with uninterruptible():
            try:
                sectors += replay(target.volume, journal)
            except IntegrityError:
                if not discard:
                    raise
                discarded += 1
            retire(target.volume, journal)
    return sectors, discarded


def _go_on(session: Session, target: Target, record: RestoreRecord) -> RestoreReport:
    try:
        options = json.loads(record.options)
        retain, incomplete = bool(options["retain"]), bool(options.get("allow_incomplete", False))
        aids = tuple(aid.name for aid in session.plugins.aids if aid.name in options.get("aids", ()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise IntegrityError("the record of the restore is damaged", hint="run inpart restore again") from None
    again = RestoreOptions(
        record.image_id.hex(), retain=retain, changed_only=True, allow_incomplete=incomplete, aids=aids
    )
    return restore_opened(session, target, again)


def _clean_up(session: Session, target: Target) -> None:
    """Give back the clusters of a journal file that is needed no more, unless the file system is beyond editing."""
    try:
        provider = find_filesystem(session, target.volume)
        filesystem = provider.open(target.volume)
        if isinstance(filesystem, FilesystemEditor) and filesystem.info.state is State.CLEAN:
            release_journal(Mounted(target.volume, provider, filesystem))
    except (FilesystemError, UsageError):
        return
