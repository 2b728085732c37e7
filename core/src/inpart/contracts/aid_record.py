"""The record that every recovery aid holds, and what comparing it with the disk yields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from inpart.contracts.aid import AidState
from inpart.contracts.common import ByteRun


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
    """What every aid holds (S160-S165): identity of disk and partition, images, places, system areas."""

    model_config = ConfigDict(frozen=True, defer_build=True, ser_json_bytes="base64", val_json_bytes="base64")

    version: int = 1
    generation: int = 0
    disk_signature: str = ""
    partition_start: int = 0
    partition_size: int = 0
    filesystem: str = ""
    store_ids: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    images: tuple[AidImage, ...] = ()
    system_areas: dict[str, tuple[int, bytes]] = {}


class AidCheck(BaseModel):
    """The result of comparing an aid with the disk; ``reasons`` has a sentence per difference."""

    state: AidState
    reasons: tuple[str, ...] = ()
