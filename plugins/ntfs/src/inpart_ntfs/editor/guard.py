"""What must not be edited: each case is refused by its name before anything is changed."""

from __future__ import annotations

from inpart.contracts import State
from inpart.errors import FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported

from inpart_ntfs.codes import VolumeFlag
from inpart_ntfs.filesystem import NtfsFilesystem

VERSIONS = ((1, 2), (3, 0), (3, 1))
_HARMLESS = (
    VolumeFlag.MOUNTED_ON_NT4 | VolumeFlag.MODIFIED_BY_CHKDSK | VolumeFlag.SEEN_BY_WINDOWS | VolumeFlag.RESIZE_LOG_FILE
)
_UNCLEAN = {
    State.DIRTY: "it is marked as dirty",
    State.NEEDS_REPLAY: "$LogFile holds changes that have not reached their place",
    State.HIBERNATED: "Windows is hibernated on it or keeps its metadata for a fast startup",
}
_REPAIR = "run chkdsk on it first"


def check_editable(fs: NtfsFilesystem) -> None:
    """Raises FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported with the reason not to edit."""
    name, state = fs.volume.name, fs.state
    for note in (*fs.found.notes, *fs.mft.notes):
        raise FilesystemDamaged(f"{name} cannot be changed: {note}", hint=_REPAIR)
    if fs.boot.size > fs.volume.size:
        raise FilesystemDamaged(f"the file system reaches beyond the end of {name}")
    if state.state in _UNCLEAN:
        hint = "start Windows and shut it down for good, or run chkdsk on it"
        raise FilesystemUnclean(f"{name} cannot be changed: {_UNCLEAN[state.state]}", hint=hint)
    if state.state is not State.CLEAN:
        reason = "; ".join(state.notes) or f"its state is {state.state}"
        raise FilesystemDamaged(f"{name} cannot be changed: {reason}", hint=_REPAIR)
    others = state.flags & ~int(_HARMLESS)
    if others:
        names = [flag.name or hex(flag) for flag in VolumeFlag if flag & others] or [hex(others)]
        raise FilesystemUnsupported(
            f"{name} cannot be changed: $Volume says {', '.join(names)}",
            hint="images of it can be stored outside, with --to FILE",
        )
