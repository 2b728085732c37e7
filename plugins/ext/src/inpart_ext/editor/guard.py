"""What must not be edited: each case is refused by its name before anything is changed."""

from __future__ import annotations

from inpart.contracts import State
from inpart.errors import FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported
from inpart.volume import Volume

from inpart_ext.features import Incompat as Inc
from inpart_ext.features import RoCompat, feature_names
from inpart_ext.groups import Groups
from inpart_ext.locating import Found

_WRITABLE = (
    RoCompat.SPARSE_SUPER
    | RoCompat.LARGE_FILE
    | RoCompat.BTREE_DIR
    | RoCompat.HUGE_FILE
    | RoCompat.GDT_CSUM
    | RoCompat.DIR_NLINK
    | RoCompat.EXTRA_ISIZE
    | RoCompat.METADATA_CSUM
    | RoCompat.QUOTA
    | RoCompat.PROJECT
    | RoCompat.VERITY
)
MMP_SEQ_CLEAN = 0xFF4D4D50
_MMP_SEQ_OFFSET = 4
_HINT = "run e2fsck on it first"


def check_editable(volume: Volume, found: Found, groups: Groups) -> None:
    """Raises FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported with the reason not to edit."""
    superblock = found.superblock
    for note in (*found.notes, *groups.notes):
        raise FilesystemDamaged(f"{volume.name} cannot be changed: {note}", hint=_HINT)
    if superblock.state is State.NEEDS_REPLAY:
        hint = "mount and unmount it, or run e2fsck on it"
        raise FilesystemUnclean(f"{volume.name} cannot be changed: its journal needs to be replayed", hint=hint)
    if superblock.state is not State.CLEAN:
        raise FilesystemUnclean(f"{volume.name} cannot be changed: its state is {superblock.state}", hint=_HINT)
    others = superblock["s_feature_ro_compat"] & ~int(_WRITABLE)
    if others:
        names = ", ".join(feature_names(RoCompat, others))
        raise FilesystemUnsupported(
            f"{volume.name} cannot be changed: it uses {names} (ro_compat {others:#x})",
            hint="images of it can be stored outside, with --to FILE",
        )
    if superblock.has(Inc.MMP) and _mmp_active(volume, superblock["s_mmp_block"] * superblock.block_size):
        raise FilesystemUnclean(f"{volume.name} cannot be changed: mmp says that it is in use elsewhere", hint=_HINT)


def _mmp_active(volume: Volume, offset: int) -> bool:
    return int.from_bytes(volume.read(offset + _MMP_SEQ_OFFSET, 4), "little") != MMP_SEQ_CLEAN
