"""$AttrDef: the types of attributes that the volume knows, in their order and by their names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from inpart.contracts import Finding
from inpart.errors import FilesystemDamaged
from inpart.units import KIB

from inpart_ntfs.check.report import error
from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.mft import Mft
from inpart_ntfs.structs import Struct

ATTR_DEF: Struct = np.dtype(
    [
        ("name", "<u2", 64),
        ("type", "<u4"),
        ("display_rule", "<u4"),
        ("collation_rule", "<u4"),
        ("flags", "<u4"),
        ("min_size", "<i8"),
        ("max_size", "<i8"),
    ]
)
"""160 bytes; the list ends with one of type 0, or with the file."""
_MOST = 64 * KIB
_KNOWN = (
    AttributeType.STANDARD_INFORMATION,
    AttributeType.ATTRIBUTE_LIST,
    AttributeType.FILE_NAME,
    AttributeType.SECURITY_DESCRIPTOR,
    AttributeType.VOLUME_NAME,
    AttributeType.VOLUME_INFORMATION,
    AttributeType.DATA,
    AttributeType.INDEX_ROOT,
    AttributeType.INDEX_ALLOCATION,
    AttributeType.BITMAP,
)
"""Types that every version of NTFS calls the same."""


def check_attrdef(mft: Mft) -> Iterator[Finding]:
    """The list is in order of types, and has those without which there is no NTFS."""
    where = f"record {int(Number.ATTR_DEF)}, $DATA"
    try:
        stream = mft.content(mft.metadata(Number.ATTR_DEF))
    except FilesystemDamaged as damage:
        yield error("attr-def", where, damage.message)
        return
    size = min(stream.size, _MOST) // ATTR_DEF.itemsize * ATTR_DEF.itemsize
    found = np.frombuffer(stream.read(0, size), dtype=ATTR_DEF)
    types = found["type"].astype(np.int64)
    types = types[: int(np.argmin(types > 0))] if (types == 0).any() else types
    for index in np.flatnonzero(np.diff(types) <= 0).tolist():
        message = f"type {int(types[index + 1]):#x} follows type {int(types[index]):#x}"
        yield error("attr-def", f"{where}, byte {(index + 1) * ATTR_DEF.itemsize}", message)
    names = {kind: _text(entry["name"]) for kind, entry in zip(types.tolist(), found, strict=False)}
    for kind in _KNOWN:
        if names.get(kind) != f"${kind.name}":
            known = f"it is called {names[kind]!r}" if kind in names else "it is missing"
            yield error("attr-def", where, f"type {int(kind):#x} is ${kind.name}, and {known}")


def _text(units: np.ndarray) -> str:
    return units.astype("<u2").tobytes().decode("utf-16-le", "replace").split("\0", 1)[0]
