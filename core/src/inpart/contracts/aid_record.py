"""The record that every recovery aid holds, its text form, and what comparing it with the disk yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import BaseModel, ConfigDict, ValidationError

from inpart.contracts.aid import AidState
from inpart.contracts.common import ByteRun
from inpart.errors import InpartError, IntegrityError, NoImageFound

RECORD_VERSION = 1
RECORD_LIMIT = 32 << 20
"""Bytes of a record as JSON; more than that is never parsed."""


class AidImage(BaseModel):
    """One image as an aid remembers it; ``extents`` are its clusters in stream order, relative to the partition."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    image_id: str
    name: str
    kind: str
    created: str
    layout: str
    digest: str
    stream_size: int
    extents: tuple[ByteRun, ...]


class AidRecord(BaseModel):
    """What every aid holds (S160-S165): identity of disk and partition, images, places, system areas.

    ``places`` are offsets in the partition at which files of the stores begin, those with their tables first.
    ``system_areas`` are (start, bytes) by name; the start of one whose name begins with ``disk:`` is that on the disk.
    ``reserved`` is where the file system leaves room for an anchor. ``omitted`` names the fields for which a small aid
    had no room.
    """

    model_config = ConfigDict(frozen=True, defer_build=True, ser_json_bytes="base64", val_json_bytes="base64")

    version: int = RECORD_VERSION
    generation: int = 0
    disk_signature: str = ""
    partition_start: int = 0
    partition_size: int = 0
    filesystem: str = ""
    store_ids: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    images: tuple[AidImage, ...] = ()
    system_areas: dict[str, tuple[int, bytes]] = {}
    reserved: tuple[ByteRun, ...] = ()
    omitted: tuple[str, ...] = ()

    def without(self, *fields: str) -> AidRecord:
        """The record with less in it: ``system_areas``, ``images``, or the ``extents`` of images."""
        images = tuple(image.model_copy(update={"extents": ()}) for image in self.images)
        smaller = {"system_areas": {}, "extents": images, "images": ()}
        update: dict[str, object] = {"images" if name == "extents" else name: smaller[name] for name in fields}
        return self.model_copy(update=update | {"omitted": tuple(dict.fromkeys((*self.omitted, *fields)))})


class AidCheck(BaseModel):
    """The result of comparing an aid with the disk; ``reasons`` has a sentence per difference."""

    state: AidState
    reasons: tuple[str, ...] = ()


def parse_record(text: bytes) -> AidRecord:
    """A record from JSON of at most ``RECORD_LIMIT`` bytes. Raises IntegrityError."""
    if len(text) > RECORD_LIMIT:
        raise IntegrityError(f"the record of the aid has {len(text)} bytes, which is too large to be one")
    try:
        record = AidRecord.model_validate_json(text)
    except ValidationError as error:
        raise IntegrityError(f"the record of the aid is damaged: {error.error_count()} fields are wrong") from None
    if record.version != RECORD_VERSION:
        raise IntegrityError(
            f"the record of the aid has version {record.version}; this inpart knows {RECORD_VERSION}",
            hint="a newer inpart wrote it; update inpart, or write the aid again",
        )
    return record


def check_record(read: Callable[[], AidRecord], actual: AidRecord) -> AidCheck:
    """What an aid's ``check`` answers, given how it reads its record and one made from the disk now."""
    try:
        stored = read()
    except NoImageFound as error:
        return AidCheck(state=AidState.MISSING, reasons=(error.message,))
    except InpartError as error:
        return AidCheck(state=AidState.STALE, reasons=(error.message,))
    reasons = tuple(differences(stored, actual))
    return AidCheck(state=AidState.STALE if reasons else AidState.IN_SYNC, reasons=reasons)


def differences(stored: AidRecord, actual: AidRecord) -> Iterator[str]:
    """A sentence for each thing that is not, or no longer, as ``stored`` has it.

    System areas change with ordinary use of a file system; of these only the partition table counts.
    """
    yield from _moved_partition(stored, actual)
    for store in sorted({*actual.store_ids} - {*stored.store_ids}):
        yield f"store {store[:12]} is new"
    for store in sorted({*stored.store_ids} - {*actual.store_ids}):
        yield f"store {store[:12]} is gone"
    if "images" not in stored.omitted:
        yield from _images(stored, actual)
    if stored.places != actual.places:
        yield "the tables of the images lie elsewhere now"
    if "system_areas" not in stored.omitted and _table(stored) != _table(actual):
        yield "the partition table is another one now"


def _moved_partition(stored: AidRecord, actual: AidRecord) -> Iterator[str]:
    if stored.disk_signature != actual.disk_signature:
        yield f"the disk is {actual.disk_signature or 'unknown'}, in the aid {stored.disk_signature or 'unknown'}"
    if stored.partition_start != actual.partition_start:
        yield f"the partition begins at {actual.partition_start}, in the aid at {stored.partition_start}"
    if stored.partition_size != actual.partition_size:
        yield f"the partition has {actual.partition_size} bytes, in the aid {stored.partition_size}"
    if stored.filesystem != actual.filesystem:
        yield f"the file system is {actual.filesystem or 'unknown'}, in the aid {stored.filesystem or 'unknown'}"


def _images(stored: AidRecord, actual: AidRecord) -> Iterator[str]:
    old = {image.image_id: image for image in stored.images}
    new = {image.image_id: image for image in actual.images}
    for key, image in new.items():
        before = old.get(key)
        if before is None:
            yield f"image {image.name!r} is new"
        elif "extents" not in stored.omitted and before.extents != image.extents:
            yield f"image {image.name!r} lies elsewhere now"
        elif before.model_copy(update={"extents": image.extents}) != image:
            yield f"image {image.name!r} is not the one that the aid describes"
    for key in old.keys() - new.keys():
        yield f"image {old[key].name!r} is gone"


def _table(record: AidRecord) -> dict[str, tuple[int, bytes]]:
    return {name: area for name, area in record.system_areas.items() if name.startswith("disk:")}
