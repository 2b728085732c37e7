"""What depends on a file system's place on its disk: hidden sectors, and where the boot sector has copies."""

from __future__ import annotations

from inpart.contracts import Edits, Place, Stage
from inpart.errors import NoSpace

from inpart_ntfs.boot import Found
from inpart_ntfs.structs import BPB, field_offset

_HIDDEN = field_offset(BPB, "hidden_sectors")
_LIMIT = 1 << 32


def adapt(tx: Edits, found: Found, place: Place) -> None:
    """Write the trusted boot sector with the right number of hidden sectors to its places, 0 if it is too large.

    The file system has the backup behind its own last sector, ntfs-3g and Windows look for it in that of the partition.
    Raises NoSpace if the file system with the backup of its boot sector is larger than its new partition.
    """
    boot, size = found.boot, found.boot.bytes_per_sector
    if boot.size > place.size:
        raise NoSpace(
            f"the file system has {boot.size} bytes with its backup boot sector, its new partition has {place.size}",
            hint="make the partition at least that large",
        )
    hidden = place.start // size
    raw = bytearray(tx.view.read(found.offset, size))
    raw[_HIDDEN : _HIDDEN + 4] = (hidden if hidden < _LIMIT else 0).to_bytes(4, "little")
    tx.edit(0, raw, Stage.SWITCH)
    tx.edit(boot.backup_offset, raw, Stage.FOLLOW)
    last = place.size // size * size - size
    if last > boot.backup_offset:
        tx.edit(last, raw, Stage.FOLLOW)
