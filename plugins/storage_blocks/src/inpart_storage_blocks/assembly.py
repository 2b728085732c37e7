"""From headers to images: which blocks belong together, what seals and descriptions say of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from inpart.errors import InpartError
from inpart.extents import Runs
from inpart.volume import Volume

from inpart_storage_blocks.control import HEAD, TAIL, head_description, origin_of, read_description, read_seal
from inpart_storage_blocks.facts import Description, Facts, require
from inpart_storage_blocks.image import BlockImage
from inpart_storage_blocks.pieces import Pieces, groups
from inpart_storage_blocks.scan import Marks
from inpart_storage_blocks.strays import is_believable, own, stray_image, without_stale
from inpart_storage_blocks.structs import COPY_SHIFT, Headers, Kind, Origin

MOST_IMAGES = 4096
COPIES = {HEAD: "before its data", TAIL: "after its data"}

Key = tuple[bytes, int]
"""An image id and where the partition that it was made for begins on the volume."""


@dataclass(frozen=True)
class Assembled:
    """``stale`` counts, for each base, the images of which there are only blocks: removed, or never finished."""

    images: tuple[BlockImage, ...]
    stale: dict[int, int]
    flooded: bool


def assemble(volume: Volume, marks: Marks) -> Assembled:
    """The images that ``marks`` amount to."""
    data = _by_key(marks.pieces)
    controls = _controls(marks)
    images: dict[Key, BlockImage] = {}
    for key, indices in list(controls.items())[:MOST_IMAGES]:
        image = _build(volume, key[1], marks.controls[indices], marks.control_places[indices].tolist(), data.get(key))
        if image is not None:
            images[key] = image
    removed = {key for key, indices in controls.items() if (marks.controls[indices]["kind"] == Kind.REMOVED).any()}
    alone = {key: pieces for key, pieces in data.items() if key not in images}
    strays = _strays(volume, {key: pieces for key, pieces in alone.items() if key not in removed}, images)
    stale: dict[int, int] = defaultdict(int)
    for key in alone.keys() - {(stray.origin.image_id, stray.base) for stray in strays}:
        stale[key[1]] += 1
    return Assembled((*images.values(), *strays), dict(stale), marks.flooded)


def _controls(marks: Marks) -> dict[Key, list[int]]:
    """Indices of the control blocks of each image."""
    found: dict[Key, list[int]] = defaultdict(list)
    bases = (marks.control_places - marks.controls["offset"].astype(np.int64)).tolist()
    for index, base in enumerate(bases):
        found[marks.controls["image"][index].tobytes(), base].append(index)
    return found


def _strays(volume: Volume, alone: dict[Key, Pieces], images: dict[Key, BlockImage]) -> list[BlockImage]:
    """The images of which only data blocks are left, but for those that are surely no images any more."""
    by_base: dict[int, list[BlockImage]] = defaultdict(list)
    for (_, base), pieces in list(alone.items())[:MOST_IMAGES]:
        stray = stray_image(volume, base, pieces)
        others = (image for image in images.values() if image.base == base)
        if stray is not None and is_believable(stray, others):
            by_base[base].append(stray)
    return [stray for found in by_base.values() for stray in without_stale(found)]


def _by_key(pieces: Pieces) -> dict[Key, Pieces]:
    found: dict[Key, Pieces] = {}
    for group in groups(pieces):
        key = (group["image"][0].tobytes(), int(group["base"][0]))
        found[key] = np.concatenate([found[key], group]) if key in found else group
    return found


def _build(volume: Volume, base: int, headers: Headers, places: list[int], pieces: Pieces | None) -> BlockImage | None:
    """The image of some seals and description blocks; None if none of them is valid."""
    origin = origin_of(headers)
    seals = {copy: one[2] for copy in (HEAD, TAIL) if (one := _seal(volume, headers, places, copy, origin))}
    descriptions = {
        copy: found for copy in (HEAD, TAIL) if (found := _description(volume, headers, places, copy, origin))
    }
    return put_together(origin, base, seals, descriptions, own(pieces, origin))


def put_together(
    origin: Origin,
    base: int,
    seals: dict[int, Facts],
    descriptions: dict[int, Description],
    pieces: Pieces,
) -> BlockImage | None:
    """An image from the copies of its seal and description that are left; None if there are none or they cannot be."""
    valid = {copy: one for copy, one in descriptions.items() if _possible(origin, one)}
    best = valid.get(TAIL) or valid.get(HEAD)
    facts = best.facts if best else next(iter(seals.values()), None)
    if facts is None or facts.blocks * origin.block_size > origin.partition_size:
        return None
    if (facts.cluster_size, facts.serial) != (origin.cluster_size, origin.serial):
        return None
    pieces = pieces[pieces["sequence"] + pieces["count"] <= facts.blocks]
    summary = best.summary if best else facts.nameless(origin.image_id)
    lost = [
        COPIES[copy]
        for copy in (HEAD, TAIL)
        if copy not in seals or (copy not in valid and (copy == TAIL or best is None or head_description(origin, best)))
    ]
    return BlockImage(
        origin, base, summary, facts, best.stem if best else summary.name, best.head if best else Runs(),
        best.tail if best else Runs(), pieces, sealed=bool(seals), described=best is not None,
        lost=tuple(lost) if seals else (), known=best.known if best else (),
    )  # fmt: skip


def _possible(origin: Origin, description: Description) -> bool:
    """False if a description speaks of places that are no clusters of the partition."""
    facts = description.facts
    try:
        for start, length in description.head + description.tail:
            require(start >= facts.data_start and start + length <= origin.partition_size, "places")
            require((start - facts.data_start) % facts.cluster_size == length % facts.cluster_size == 0, "places")
        require(facts.tail > 0 and facts.head > 0, "places")
    except InpartError:
        return False
    return True


def _seal(
    volume: Volume, headers: Headers, places: list[int], copy: int, origin: Origin
) -> tuple[Origin, int, Facts] | None:
    for header, place in zip(headers, places, strict=True):
        if header["kind"] == Kind.SEAL and int(header["sequence"]) >> COPY_SHIFT == copy:
            found = read_seal(volume, place)
            if found is not None and found[0] == origin:
                return found
    return None


def _description(volume: Volume, headers: Headers, places: list[int], copy: int, origin: Origin) -> Description | None:
    """The blocks in the order of their numbers; one that is lost leaves a number out, and reading ends there."""
    first, end = copy << COPY_SHIFT, (copy + 1) << COPY_SHIFT
    numbered = {
        int(header["sequence"]): place
        for header, place in zip(headers, places, strict=True)
        if header["kind"] == Kind.DESCRIPTION and first <= int(header["sequence"]) < end
    }
    return read_description(volume, [numbered[number] for number in sorted(numbered)], origin)
