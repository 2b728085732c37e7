"""Making $MFT longer: new records are formatted, its bitmap is extended, and record 0 comes to know them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from inpart.contracts import Stage
from inpart.errors import FilesystemUnsupported
from inpart.extents import Extents

from inpart_ntfs.codes import AttributeType, Number
from inpart_ntfs.editor.drafts import DraftAttribute, load
from inpart_ntfs.editor.mover import Mover
from inpart_ntfs.editor.packing import pack
from inpart_ntfs.editor.rewriting import ReservedSupply, give_back, prepare
from inpart_ntfs.editor.streams import extend, length, lengthen_bitmap, put, required
from inpart_ntfs.editor.system import SystemMover, check_reach
from inpart_ntfs.fixups import seal_fixups
from inpart_ntfs.structs import BLOCK, FILE_RECORD, HEADER_SIZE_OLD, MAGIC_FILE

if TYPE_CHECKING:
    from inpart_ntfs.editor.ground import Ground

_STEP = 64
"""So many records are added at once."""
_MAX_RECORDS = 1 << 32
_NEW_FIELDS = (3, 1)
"""The version from which on a record has its own number in its header."""
_HEADER = struct.Struct("<IHHQHHHHIIQHHI")
_END = AttributeType.END.to_bytes(4, "little") + bytes(4)


def empty_record(number: int, size: int, version: tuple[int, int]) -> bytes:
    """A FILE record that is not in use, without an update sequence."""
    usa = FILE_RECORD.itemsize if version >= _NEW_FIELDS else HEADER_SIZE_OLD
    strides = size // BLOCK
    first = usa + 2 * (strides + 1) + 7 & ~7
    own = number if version >= _NEW_FIELDS else 0
    raw = bytearray(size)
    used = first + len(_END)
    raw[: _HEADER.size] = _HEADER.pack(MAGIC_FILE, usa, strides + 1, 0, 1, 0, first, 0, used, size, 0, 0, 0, own)
    raw[first : first + len(_END)] = _END
    return bytes(raw)


def grow(ground: Ground) -> None:
    """Add records to $MFT, in its own clusters behind its end if there are any, else in new ones.

    Record 0 and $MFTMirr get new places, so that one sector makes both longer. Raises NoSpace, FilesystemUnsupported.
    """
    if ground.tx.lasting and ground.desk.front is None:
        SystemMover(ground, Mover(ground, Extents(), ground.room), head=0).move(Stage.LINK)
    draft = load(ground.mft, Number.MFT)
    data, bitmap = required(draft, AttributeType.DATA), required(draft, AttributeType.BITMAP)
    first, size = ground.mft.count, ground.boot.record_size
    if first + _STEP > _MAX_RECORDS:
        raise FilesystemUnsupported("$MFT has as many records as it can have")
    spare = length(data) * ground.cluster_size // size - first
    if spare <= 0:
        extend(ground, data, ground.room.take(-(-_STEP * size // ground.cluster_size)))
        spare = length(data) * ground.cluster_size // size - first
    last = first + min(spare, _STEP)
    _format(ground, data, first, last)
    data.data_size = data.initialized_size = last * size
    lengthen_bitmap(ground, bitmap, -(-last // 64) * 8, ground.room.take)
    ground.ledger.settle_taken()
    packed = pack(draft, ground.geometry, ReservedSupply(ground), replaced=True)
    check_reach(ground, packed)
    prepare(ground, packed, Stage.ALLOCATE)
    ground.write_record(draft.number, packed.base, Stage.LINK)
    give_back(ground, draft, packed)
    ground.reopen()


def _format(ground: Ground, data: DraftAttribute, first: int, last: int) -> None:
    """Give new records the form of such that are not in use, before any of them is filled."""
    size, version = ground.boot.record_size, ground.fs.state.version
    images = bytearray()
    for number in range(first, last):
        raw = bytearray(empty_record(number, size, version))
        seal_fixups(raw, bump=True)
        images += raw
    put(ground, data, first * size, bytes(images), Stage.MARK)
