"""Reparse points: what their tags are called, and where symbolic links and junctions lead."""

from __future__ import annotations

import numpy as np
from inpart.contracts import EntryType

from inpart_ntfs.names import shown
from inpart_ntfs.structs import Struct

MOUNT_POINT = 0xA0000003
SYMLINK = 0xA000000C
LX_SYMLINK = 0xA000001D
WOF = 0x80000017
DEDUP = 0x80000013
FOREIGN = (WOF, DEDUP)
"""Files with these have holes where their content should be."""
_TAGS = {
    MOUNT_POINT: "junction",
    SYMLINK: "symlink",
    LX_SYMLINK: "lx-symlink",
    WOF: "wof",
    DEDUP: "dedup",
    0xC0000004: "hsm",
    0x80000006: "hsm2",
    0x80000007: "sis",
    0x8000000A: "dfs",
    0x80000012: "dfsr",
    0x80000014: "nfs",
    0x80000018: "wci",
    0x8000001B: "appexeclink",
    0x80000023: "unix-socket",
    0x80000024: "lx-fifo",
    0x80000025: "lx-chr",
    0x80000026: "lx-blk",
}
_CLOUD, _CLOUD_MASK = 0x9000001A, 0xFFFF0FFF
_SPECIAL = {0x80000023, 0x80000024, 0x80000025, 0x80000026}
_LINKS = {MOUNT_POINT, SYMLINK, LX_SYMLINK}

REPARSE_DATA: Struct = np.dtype([("tag", "<u4"), ("length", "<u2"), ("reserved", "<u2")])
"""What every reparse point starts with; ``length`` counts what follows."""
LINK_NAMES: Struct = np.dtype(
    [
        ("substitute_offset", "<u2"),
        ("substitute_length", "<u2"),
        ("print_offset", "<u2"),
        ("print_length", "<u2"),
    ]
)
"""What follows in links and junctions, then 4 bytes of flags in links only, then the names in UTF-16."""
RELATIVE = 0x0001
"""The flag of a symbolic link that leads on from where it stands."""


def tag_of(content: bytes) -> int:
    """The tag of a reparse point, 0 if it is too short to have one."""
    return int.from_bytes(content[:4], "little") if len(content) >= REPARSE_DATA.itemsize else 0


def tag_name(tag: int) -> str:
    """What a tag is called, its number if nobody knows it."""
    if tag & _CLOUD_MASK == _CLOUD:
        return "cloud"
    return _TAGS.get(tag, f"0x{tag:08x}")


def type_of(tag: int, usual: EntryType) -> EntryType:
    """How something with that tag is listed; ``usual`` is what it would be without."""
    if tag in _LINKS:
        return EntryType.SYMLINK
    return EntryType.SPECIAL if tag in _SPECIAL else usual


def target_of(content: bytes) -> str:
    """Where a link or junction leads, with ``/`` if it is relative; empty for all else and for damaged ones."""
    tag = tag_of(content)
    if tag == LX_SYMLINK:
        return content[REPARSE_DATA.itemsize + 4 :].decode("utf-8", "backslashreplace")
    names = REPARSE_DATA.itemsize + LINK_NAMES.itemsize
    if tag not in _LINKS or len(content) < names + 4:
        return ""
    header = np.frombuffer(content, LINK_NAMES, 1, REPARSE_DATA.itemsize)[0]
    relative = tag == SYMLINK and int.from_bytes(content[names : names + 4], "little") & RELATIVE
    path = content[names + (4 if tag == SYMLINK else 0) :]
    for kind in ("print", "substitute"):
        start, length = int(header[f"{kind}_offset"]), int(header[f"{kind}_length"])
        text = shown(path[start : start + length // 2 * 2]).removeprefix("\\??\\")
        if text:
            return text.replace("\\", "/") if relative else text
    return ""
