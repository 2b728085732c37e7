"""Images of which only data blocks are left: which of them may be whole, and which somebody has deleted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from inpart.errors import InpartError
from inpart.extents import Extents, Runs
from inpart.volume import Volume

from inpart_storage_blocks.facts import EPOCH, Facts
from inpart_storage_blocks.image import BlockImage
from inpart_storage_blocks.pieces import PIECE, Pieces
from inpart_storage_blocks.structs import HEADER, HEADER_SIZE, Flag, Kind, Origin, is_proven


def origin_of_pieces(pieces: Pieces) -> Origin:
    """What the first of ``pieces`` says of its image."""
    one = pieces[0]
    sizes = (int(one[name]) for name in ("partition", "block", "cluster", "serial"))
    return Origin(one["image"].tobytes(), one["store"].tobytes(), *sizes)


def own(pieces: Pieces | None, origin: Origin) -> Pieces:
    """Those of ``pieces`` that say of their image what ``origin`` says."""
    if pieces is None:
        return np.zeros(0, dtype=PIECE)
    same = (pieces["store"] == np.frombuffer(origin.store_id, dtype="<u8")).all(axis=1)
    for name, size in (
        ("partition", origin.partition_size),
        ("block", origin.block_size),
        ("cluster", origin.cluster_size),
        ("serial", origin.serial),
    ):
        same &= pieces[name] == size
    kept: Pieces = pieces[same]
    return kept


def stray_image(volume: Volume, base: int, pieces: Pieces) -> BlockImage | None:
    """The image that data blocks alone make; None if they cannot belong to one.

    Where its head and tail lie is lost with its description, and its name is only in its stream.
    """
    origin = origin_of_pieces(pieces)
    pieces = own(pieces, origin)
    blocks = int(pieces["sequence"][-1] + pieces["count"][-1])
    if blocks * origin.block_size > origin.partition_size:
        return None
    last = _last_payload(volume, pieces, origin)
    size = (blocks - 1) * origin.payload + (last or origin.payload)
    facts = Facts(size, 0, blocks, 0, 0, 0, origin.cluster_size, origin.serial, 0, EPOCH, None, b"")
    summary = facts.nameless(origin.image_id)
    return BlockImage(
        origin, base, summary, facts, summary.name, Runs(), Runs(), pieces, sealed=False, described=False, cut=not last
    )


def _last_payload(volume: Volume, pieces: Pieces, origin: Origin) -> int:
    """Bytes in the last block of the stream; 0 if the last that is there is not the last that there was."""
    one = pieces[-1]
    place = int(one["place"]) + (int(one["count"]) - 1) * origin.block_size
    try:
        headers = np.frombuffer(volume.read(place, HEADER_SIZE), dtype=HEADER)
    except InpartError:
        return 0
    last = is_proven(headers)[0] and headers["kind"][0] == Kind.DATA and headers["flags"][0] & Flag.LAST
    return int(headers["length"][0]) if last else 0


def is_believable(stray: BlockImage, others: Iterable[BlockImage]) -> bool:
    """False if ``others``, the images of the same partition that a seal or a description vouches for, say it is gone.

    It was deleted or never finished if another image was made in its clusters, in another store, or with its number or
    a later one in the same store without finding it; and beside others, one that is not whole is what they left of it.
    """
    extents = stray.path.extents()
    for other in others:
        if (
            stray.cut
            or stray.missing
            or other.origin.store_id != stray.origin.store_id
            or other.path.extents() & extents
        ):
            return False
        if other.described and other.origin.serial >= stray.origin.serial and stray.origin.image_id not in other.known:
            return False
    return extents.end <= stray.origin.partition_size and extents.total == stray.path.total


def without_stale(strays: Iterable[BlockImage]) -> list[BlockImage]:
    """Of strays that claim the same clusters, the one made last."""
    kept: list[BlockImage] = []
    taken = Extents()
    for stray in sorted(strays, key=lambda one: one.origin.serial, reverse=True):
        extents = stray.path.extents()
        if not extents & taken:
            kept.append(stray)
            taken |= extents
    return kept[::-1]
