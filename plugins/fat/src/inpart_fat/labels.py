"""The label of a FAT file system, which lives in the root directory and in the boot sector."""

from __future__ import annotations

from inpart_fat.boot import BootSector
from inpart_fat.directory import OEM_CODE_PAGE, Slots

NO_NAME = b"NO NAME    "
_FORBIDDEN = frozenset(b'"*+,./:;<=>?[\\]|')


def root_label(root: Slots) -> bytes | None:
    """The 11 bytes of the volume label in the root directory, None if there is none."""
    found = root.labels
    return bytes(root.dirs["DIR_Name"][found[0]].tobytes()) if len(found) else None


def boot_label(sector: BootSector) -> bytes | None:
    """The 11 bytes of the label in the boot sector, None if it has no place for one."""
    return sector.text("BS_VolLab") if sector.extended else None


def volume_label(sector: BootSector, root: Slots) -> str:
    """The label as users see it; the root directory's counts if there is one, as with Windows."""
    raw = root_label(root)
    if raw is None:
        raw = boot_label(sector) or NO_NAME
        raw = b"" if raw == NO_NAME else raw
    return shown(raw)


def shown(raw: bytes) -> str:
    """A stored label as text."""
    first = b"\xe5" if raw[:1] == b"\x05" else raw[:1]
    return (first + raw[1:]).decode(OEM_CODE_PAGE).rstrip(" \0").replace("\0", "\ufffd")


def flawed(raw: bytes) -> bool:
    """True if fsck.fat would not accept the label."""
    return raw[:1] == b" " or any(byte < 0x20 or byte in _FORBIDDEN for byte in raw)
