"""How a FILE record goes to disk so that a power cut leaves it as it was, as it will be, or visibly torn."""

from __future__ import annotations

from inpart_ntfs.codes import RecordFlag
from inpart_ntfs.fixups import seal_fixups
from inpart_ntfs.structs import FILE_RECORD, MAGIC_FILE, field_offset

_USA = slice(4, 8)
_USED = field_offset(FILE_RECORD, "bytes_in_use")
_FLAGS = field_offset(FILE_RECORD, "flags")
_MAGIC = MAGIC_FILE.to_bytes(4, "little")


def sealed(before: bytes, image: bytes, sector: int) -> tuple[bytes, list[int]]:
    """``image`` with an update sequence, to replace ``before``; and the sectors of it that may be written earlier.

    Those are behind the end of what ``before`` uses, and all but the first if it is not in use. If all else that
    differs lies in one sector, the update sequence number stays, and the change is as atomic as a sector; if not, a new
    number lets a torn record be seen as torn.
    """
    raw = bytearray(image)
    usa = int.from_bytes(raw[4:6], "little")
    if before[:4] != _MAGIC or before[_USA] != image[_USA]:
        seal_fixups(raw, bump=True)
        return bytes(raw), []
    raw[usa : usa + 2] = before[usa : usa + 2]
    kept = bytearray(raw)
    seal_fixups(kept, bump=False)
    sector = min(sector, len(raw))
    differ = [at for at in range(0, len(raw), sector) if kept[at : at + sector] != before[at : at + sector]]
    used = int.from_bytes(before[_USED : _USED + 4], "little") if before[_FLAGS] & RecordFlag.IN_USE else sector
    if sum(at < used for at in differ) <= 1:
        return bytes(kept), [at for at in differ if at >= used]
    seal_fixups(raw, bump=True)
    return bytes(raw), []
