"""Directory slots for new entries: legal names, short aliases, long-name slots, dates.

Source of facts: Microsoft, "FAT: General Overview of On-Disk Format", 1.03, sections on long and short names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import numpy as np
from inpart.errors import UsageError

from inpart_fat.structs import (
    ATTR_DIRECTORY,
    ATTR_LONG_NAME,
    CHARS_PER_SLOT,
    DIR,
    DOT,
    DOTDOT,
    LAST_LONG_ENTRY,
    LDIR,
    short_checksum,
)

_ILLEGAL = frozenset('"*/:<>?\\|') | frozenset(map(chr, range(32))) | {"\x7f"}
_SHORT_LEGAL = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'()-@^_`{}~")
_MAX_UNITS = 255
_MAX_TAIL = 999999


def check_name(name: str) -> None:
    """Raise UsageError unless ``name`` can be a long name."""
    units = len(name.encode("utf-16-le", "surrogatepass")) // 2
    if not name or units > _MAX_UNITS or name.endswith((".", " ")) or _ILLEGAL & set(name):
        raise UsageError(f"{name!r} cannot be a file name on FAT", hint="use letters, digits, '-' and '_'")


def short_name(name: str, taken: Collection[bytes]) -> bytes:
    """The 11 bytes of an alias for ``name`` that is not among ``taken``. Raises UsageError if there is none."""
    upper = name.upper().lstrip(".").replace(" ", "")
    stem, dot, tail = upper.rpartition(".")
    base, extension = (stem.replace(".", ""), tail) if dot else (tail, "")
    base, extension = _legal(base), _legal(extension)
    fits = len(base) <= 8 and len(extension) <= 3
    exact = fits and name.upper() == (f"{base}.{extension}" if dot else base)
    plain = _padded(base, extension)
    if exact and plain not in taken:
        return plain
    for number in range(1, _MAX_TAIL + 1):
        suffix = f"~{number}"
        alias = _padded(base[: 8 - len(suffix)] + suffix, extension)
        if alias not in taken:
            return alias
    raise UsageError(f"no short name is left for {name!r}")


def _legal(part: str) -> str:
    return "".join(char if char in _SHORT_LEGAL else "_" for char in part)


def _padded(base: str, extension: str) -> bytes:
    return base[:8].ljust(8).encode("ascii") + extension[:3].ljust(3).encode("ascii")


def long_slots(name: str, short: bytes) -> bytes:
    """The slots that carry the long name in front of its short entry; none if the short name says it all."""
    base, extension = short[:8].decode("ascii").rstrip(), short[8:].decode("ascii").rstrip()
    if name == (f"{base}.{extension}" if extension else base):
        return b""
    units = np.frombuffer(name.encode("utf-16-le", "surrogatepass"), dtype="<u2")
    count = -(-len(units) // CHARS_PER_SLOT)
    padded = np.full(count * CHARS_PER_SLOT, 0xFFFF, dtype="<u2")
    padded[: len(units)] = units
    padded[len(units) : len(units) + 1] = 0
    parts = padded.reshape(count, CHARS_PER_SLOT)
    slots = np.zeros(count, dtype=LDIR)
    slots["LDIR_Ord"] = np.arange(1, count + 1)
    slots["LDIR_Ord"][-1] |= LAST_LONG_ENTRY
    slots["LDIR_Attr"] = ATTR_LONG_NAME
    slots["LDIR_Chksum"] = short_checksum(short)
    slots["LDIR_Name1"], slots["LDIR_Name2"], slots["LDIR_Name3"] = parts[:, :5], parts[:, 5:11], parts[:, 11:]
    return slots[::-1].tobytes()


def short_slot(short: bytes, attributes: int, cluster: int, size: int, when: datetime) -> bytes:
    """A short entry that was created, written and read at ``when``, in local time; ``size`` in bytes."""
    slot = np.zeros(1, dtype=DIR)
    slot["DIR_Name"] = np.frombuffer(short, dtype=np.uint8)
    slot["DIR_Attr"] = attributes
    date, time = fat_date(when), fat_time(when)
    slot["DIR_CrtTimeTenth"] = when.second % 2 * 100 + when.microsecond // 10000
    slot["DIR_CrtTime"], slot["DIR_CrtDate"] = time, date
    slot["DIR_WrtTime"], slot["DIR_WrtDate"] = time, date
    slot["DIR_LstAccDate"] = date
    slot["DIR_FstClusHI"], slot["DIR_FstClusLO"] = cluster >> 16, cluster & 0xFFFF
    slot["DIR_FileSize"] = size
    return slot.tobytes()


def with_fields(slot: bytes, fields: Mapping[str, int], cluster: int, *, fat32: bool) -> bytes:
    """A short entry with other values in ``fields``, and with another first cluster."""
    record = np.frombuffer(slot, dtype=DIR, count=1).copy()
    for name, value in fields.items():
        record[name] = value
    record["DIR_FstClusLO"] = cluster & 0xFFFF
    if fat32:
        record["DIR_FstClusHI"] = cluster >> 16
    return record.tobytes()


def dot_slots(cluster: int, parent: int, attributes: int, when: datetime) -> bytes:
    """The first two slots of a directory at ``cluster``; ``parent`` is 0 in the root directory."""
    kind = attributes | ATTR_DIRECTORY
    return short_slot(DOT, kind, cluster, 0, when) + short_slot(DOTDOT, kind, parent, 0, when)


def fat_date(when: datetime) -> int:
    """Year from 1980 in seven bits, month in four, day in five; years outside 1980 to 2107 are moved to the nearest."""
    return (min(max(when.year, 1980), 2107) - 1980) << 9 | when.month << 5 | when.day


def fat_time(when: datetime) -> int:
    """Hours in five bits, minutes in six, pairs of seconds in five."""
    return when.hour << 11 | when.minute << 5 | when.second // 2
