"""Fields of the boot sector that an editor changes, in the first sector and in its backup."""

from __future__ import annotations

from inpart.contracts import Edits, Stage

from inpart_fat.geometry import Geometry
from inpart_fat.structs import BOOT16, BOOT32, SIGNATURE, SIGNATURE_OFFSET, field_offset


def set_boot_field(tx: Edits, geometry: Geometry, name: str, value: int) -> None:
    """Set a number; in the backup, if it looks like a boot sector, after the first one."""
    layout = BOOT32 if geometry.fat32 else BOOT16
    at = field_offset(layout, name)
    data = value.to_bytes(layout[name].itemsize, "little")
    tx.edit(at, data, Stage.SWITCH)
    for offset in geometry.boot_offsets[1:]:
        if tx.view.read(offset + SIGNATURE_OFFSET, len(SIGNATURE)) == SIGNATURE:
            tx.edit(offset + at, data, Stage.FOLLOW)
