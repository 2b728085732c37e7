"""Checks of what everything else hangs on: boot sector and backup, state, $MFTMirr, system files, $UpCase."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inpart.contracts import Finding, State
from inpart.errors import FilesystemDamaged, FilesystemUnsupported

from inpart_ntfs.boot import parse_boot
from inpart_ntfs.check.report import error, warning
from inpart_ntfs.codes import Number
from inpart_ntfs.mft import KEPT_EQUAL, MIRRORED

if TYPE_CHECKING:
    from inpart_ntfs.filesystem import NtfsFilesystem

_STATES = {
    State.DIRTY: ("state", "the file system was not closed properly"),
    State.NEEDS_REPLAY: ("needs-replay", "$LogFile holds changes that have not been made yet"),
    State.HIBERNATED: ("hibernated", "Windows is hibernated or was shut down by fast startup"),
}


def check_base(filesystem: NtfsFilesystem) -> Iterator[Finding]:
    """Boot sectors, $MFT and its mirror, the state, the table of upper case."""
    for note in filesystem.found.notes:
        yield error("boot-sector", "boot sector", note)
    for note in filesystem.mft.notes:
        yield error("mft", "$MFT", note)
    if filesystem.boot.size > filesystem.volume.size:
        end = filesystem.boot.size
        message = f"the file system ends at byte {end}, the volume at {filesystem.volume.size}"
        yield error("truncated", "boot sector", message)
    else:
        yield from _check_backup(filesystem)
    state = filesystem.state
    code, text = _STATES.get(state.state, ("", ""))
    if code:
        yield warning(code, "$Volume" if code == "state" else "$LogFile", text)
    if state.state is State.ERRORS:
        for note in state.notes:
            yield error("state", "$Volume", note)
    yield from _check_mirror(filesystem)
    if filesystem.upcase.standing_in:
        yield error("upcase", f"record {int(Number.UPCASE)}, $DATA", "the table of upper case has a wrong size")


def _check_backup(filesystem: NtfsFilesystem) -> Iterator[Finding]:
    """The backup has the same geometry; what else stands in a boot sector may differ."""
    boot, other = filesystem.boot, 0 if filesystem.found.offset else filesystem.boot.backup_offset
    if filesystem.found.offset:
        return
    where = f"backup boot sector at byte {other}"
    try:
        backup = parse_boot(filesystem.volume.read(other, 512))
    except (FilesystemDamaged, FilesystemUnsupported) as damage:
        yield warning("boot-backup", where, f"the backup cannot be used: {damage.message}")
        return
    if backup != boot:
        yield warning("boot-backup", where, "the backup names another geometry than the boot sector")


def _check_mirror(filesystem: NtfsFilesystem) -> Iterator[Finding]:
    """$MFTMirr has the first records of $MFT, byte for byte; beyond ``KEPT_EQUAL`` nobody takes care."""
    mft, boot = filesystem.mft, filesystem.boot
    try:
        mirror = mft.content(mft.metadata(Number.MFT_MIRR))
    except FilesystemDamaged as damage:
        yield error("mft-mirror", "$MFTMirr", damage.message)
        return
    count = min(mirror.size // boot.record_size, mft.count, KEPT_EQUAL)
    if count < MIRRORED:
        yield error("mft-mirror", "$MFTMirr", f"it has {count} records instead of at least {MIRRORED}")
    for number in range(count):
        at = number * boot.record_size
        if mft.stream.read(at, boot.record_size) != mirror.read(at, boot.record_size):
            yield error("mft-mirror", f"record {number}", "$MFTMirr has another one than $MFT")
