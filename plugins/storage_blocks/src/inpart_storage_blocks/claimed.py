"""Images by the files that own them: the file system's own run lists, checked against the blocks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from inpart.contracts import Claim
from inpart.errors import InpartError
from inpart.extents import Extents, Pairs, Runs
from inpart.units import align_up
from inpart.volume import Volume

from inpart_storage_blocks.assembly import Assembled, assemble, put_together
from inpart_storage_blocks.control import HEAD, TAIL, origin_of, read_control, read_seal
from inpart_storage_blocks.files import grouped, joined
from inpart_storage_blocks.image import BlockImage
from inpart_storage_blocks.pieces import PIECE, Pieces, along
from inpart_storage_blocks.scan import scan
from inpart_storage_blocks.structs import HEADER, HEADER_SIZE, Kind, Origin, id_words, is_proven

_MOST_CHECKS = 4096


def images_in_files(volume: Volume, claims: Sequence[Claim]) -> Assembled:
    """The images of the files of this layout. Where a file is not what its seal says, its blocks are collected."""
    images: list[BlockImage] = []
    doubtful: list[tuple[Claim, ...]] = []
    for files in grouped(claims).values():
        image = _image(volume, tuple(files))
        if image is None:
            doubtful.append(tuple(files))
        else:
            images.append(image)
    if not doubtful:
        return Assembled(tuple(images), {}, flooded=False)
    places = [joined(files).extents().clip(0, volume.size) for files in doubtful]
    found = assemble(volume, scan(volume, Extents.union(places)))
    known = {image.origin.image_id for image in images}
    for image in found.images:
        if image.base == 0 and image.origin.image_id not in known:
            images.append(_owned(image, doubtful, places))
    return Assembled(tuple(images), {}, found.flooded)


@dataclass(frozen=True)
class Remains:
    """Files of images that were deleted: ``origin`` is that of one of them."""

    names: tuple[str, ...]
    origin: Origin


def remains_in_files(volume: Volume, claims: Sequence[Claim], images: Iterable[BlockImage]) -> Remains | None:
    """Files that a deletion left which was cut short and then given up: a mark is in the place of their seal."""
    owned = Extents.union(image.path.extents() for image in images)
    names: list[str] = []
    origin: Origin | None = None
    for files in grouped(claims).values():
        path = joined(files)
        removed = _removed(volume, int(path.array[0, 0])) if path and not path.extents() & owned else None
        if removed is not None:
            origin = removed
            names += [claim.name for claim in files]
    return Remains(tuple(names), origin) if origin else None


def _removed(volume: Volume, place: int) -> Origin | None:
    """The image whose seal was here when it was deleted."""
    if place + HEADER_SIZE > volume.size:
        return None
    headers = np.frombuffer(volume.read(place, HEADER_SIZE), dtype=HEADER)
    return origin_of(headers) if is_proven(headers)[0] and headers["kind"][0] == Kind.REMOVED else None


def _owned(image: BlockImage, doubtful: Sequence[tuple[Claim, ...]], places: Sequence[Extents]) -> BlockImage:
    """``image`` with the files that have all its blocks, if it has lost what told them itself."""
    extents = image.path.extents()
    for files, place in zip(doubtful, places, strict=True):
        if not (image.sealed and image.described) and extents and place.covers(extents):
            return replace(image, given=files)
    return image


def _image(volume: Volume, files: tuple[Claim, ...]) -> BlockImage | None:
    """The image whose files these are, if its seal in the head, its sizes and the blocks looked at agree."""
    path = joined(files)
    if not path or path.extents().end > volume.size:
        return None
    place = int(path.array[0, 0])
    found = read_seal(volume, place)
    if found is None or found[1] != HEAD:
        return None
    origin, _, facts = found
    data = align_up(facts.blocks * origin.block_size, facts.cluster_size)
    if facts.head + data + facts.tail != path.total or not facts.tail or not facts.head:
        return None
    head, tail = path.slice(0, facts.head), path.slice(facts.head + data, facts.tail)
    controls = {copy: read_control(volume, runs, copy, origin) for copy, runs in ((HEAD, head), (TAIL, tail))}
    pieces = _pieces(origin, path.slice(facts.head, facts.blocks * origin.block_size))
    if not _agree(volume, origin, pieces):
        return None
    image = put_together(
        origin, 0, {copy: one.sealed for copy, one in controls.items() if one.sealed},
        {copy: one.description for copy, one in controls.items() if one.description}, pieces,
    )  # fmt: skip
    own = int(np.frombuffer(volume.read(place, HEADER_SIZE), dtype=HEADER)["offset"][0])
    if image is None:
        return None
    return replace(image, head=head, tail=tail, given=files, moved=own != place)


def _pieces(origin: Origin, runs: Runs) -> Pieces:
    like = np.zeros(1, dtype=PIECE)
    like["image"], like["store"] = id_words(origin.image_id), id_words(origin.store_id)
    like["partition"], like["block"] = origin.partition_size, origin.block_size
    like["cluster"], like["serial"] = origin.cluster_size, origin.serial
    return along(runs.array[:, 0], runs.array[:, 1], like)


def _agree(volume: Volume, origin: Origin, pieces: Pieces) -> bool:
    """True if the first block of each run is the one that belongs there; of very many runs some are looked at."""
    chosen: Pairs = np.unique(np.linspace(0, len(pieces) - 1, min(len(pieces), _MOST_CHECKS)).astype(np.int64))
    try:
        data = b"".join(volume.read(place, HEADER_SIZE) for place in pieces["place"][chosen].tolist())
    except InpartError:
        return False
    headers = np.frombuffer(data, dtype=HEADER)
    same = is_proven(headers) & (headers["kind"] == Kind.DATA)
    same &= (headers["image"] == id_words(origin.image_id)).all(axis=1)
    return bool((same & (headers["sequence"] == pieces["sequence"][chosen].astype(np.uint64))).all())
