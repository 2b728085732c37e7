"""The FSInfo sector of FAT32: its record, where it has the signatures of one."""

from __future__ import annotations

import numpy as np
from inpart.volume import Volume

from inpart_fat.geometry import Geometry
from inpart_fat.structs import FSI_LEAD_SIG, FSI_STRUC_SIG, FSI_TRAIL_SIG, FSINFO


def read_fsinfo(volume: Volume, geometry: Geometry) -> np.void | None:
    """The FSInfo record; None if the sector has not its signatures, or if the boot sector names none."""
    if not geometry.fsinfo_offset:
        return None
    record: np.void = np.frombuffer(volume.read(geometry.fsinfo_offset, FSINFO.itemsize), dtype=FSINFO)[0]
    found = tuple(int(record[name]) for name in ("FSI_LeadSig", "FSI_StrucSig", "FSI_TrailSig"))
    return record if found == (FSI_LEAD_SIG, FSI_STRUC_SIG, FSI_TRAIL_SIG) else None
