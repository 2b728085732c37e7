"""The feature bits of the superblock, by the names that mke2fs and dumpe2fs use."""

from __future__ import annotations

from enum import IntFlag


class Compat(IntFlag):
    """s_feature_compat: features that nobody needs to know."""

    DIR_PREALLOC = 0x0001
    IMAGIC_INODES = 0x0002
    HAS_JOURNAL = 0x0004
    EXT_ATTR = 0x0008
    RESIZE_INODE = 0x0010
    DIR_INDEX = 0x0020
    LAZY_BG = 0x0040
    SNAPSHOT_BITMAP = 0x0100
    SPARSE_SUPER2 = 0x0200
    FAST_COMMIT = 0x0400
    STABLE_INODES = 0x0800
    ORPHAN_FILE = 0x1000


class Incompat(IntFlag):
    """s_feature_incompat: features without which nothing can be read."""

    COMPRESSION = 0x00001
    FILETYPE = 0x00002
    NEEDS_RECOVERY = 0x00004
    JOURNAL_DEV = 0x00008
    META_BG = 0x00010
    EXTENTS = 0x00040
    BIT64 = 0x00080
    MMP = 0x00100
    FLEX_BG = 0x00200
    EA_INODE = 0x00400
    DIRDATA = 0x01000
    CSUM_SEED = 0x02000
    LARGE_DIR = 0x04000
    INLINE_DATA = 0x08000
    ENCRYPT = 0x10000
    CASEFOLD = 0x20000


class RoCompat(IntFlag):
    """s_feature_ro_compat: features without which nothing may be written."""

    SPARSE_SUPER = 0x00001
    LARGE_FILE = 0x00002
    BTREE_DIR = 0x00004
    HUGE_FILE = 0x00008
    GDT_CSUM = 0x00010
    DIR_NLINK = 0x00020
    EXTRA_ISIZE = 0x00040
    SNAPSHOT = 0x00080
    QUOTA = 0x00100
    BIGALLOC = 0x00200
    METADATA_CSUM = 0x00400
    REPLICA = 0x00800
    READONLY = 0x01000
    PROJECT = 0x02000
    SHARED_BLOCKS = 0x04000
    VERITY = 0x08000
    ORPHAN_PRESENT = 0x10000


READABLE = (
    Incompat.FILETYPE
    | Incompat.NEEDS_RECOVERY
    | Incompat.META_BG
    | Incompat.EXTENTS
    | Incompat.BIT64
    | Incompat.MMP
    | Incompat.FLEX_BG
    | Incompat.EA_INODE
    | Incompat.CSUM_SEED
    | Incompat.LARGE_DIR
    | Incompat.INLINE_DATA
    | Incompat.ENCRYPT
    | Incompat.CASEFOLD
)
"""What this plugin understands of ``Incompat``."""

_SPOKEN = {
    "BIT64": "64bit",
    "EXTENTS": "extent",
    "CSUM_SEED": "metadata_csum_seed",
    "GDT_CSUM": "uninit_bg",
    "READONLY": "read-only",
}

Feature = Compat | Incompat | RoCompat


def feature_name(feature: Feature) -> str:
    """One feature by its usual name, an unknown one by its bit."""
    if feature.name is None:
        return f"bit {int(feature):#x}"
    return _SPOKEN.get(feature.name, feature.name.lower())


def feature_names(kind: type[Compat] | type[Incompat] | type[RoCompat], mask: int) -> list[str]:
    """The names of all bits of ``mask``."""
    return [feature_name(kind(1 << bit)) for bit in range(32) if mask >> bit & 1]
