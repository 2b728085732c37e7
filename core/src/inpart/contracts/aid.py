"""The contract of a recovery aid: a record outside the image that helps to find images again."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from inpart.contracts.common import ByteRun, Provider
from inpart.volume import Volume


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


class AidState(StrEnum):
    """Whether an aid agrees with the disk."""

    IN_SYNC = "in sync"
    STALE = "stale"
    MISSING = "missing"


class AidCheck(BaseModel):
    """The result of comparing an aid with the disk; ``reasons`` has a sentence per difference."""

    state: AidState
    reasons: tuple[str, ...] = ()


class RecoveryAid(Provider, Protocol):
    """Writes, reads and compares records at one kind of place; ``target`` is what that kind calls its place."""

    def write(self, target: str, record: AidRecord) -> None:
        """Store the record durably; a cut while writing leaves the old one or the new one."""

    def read(self, target: str) -> AidRecord:
        """Raises NoImageFound if there is none, IntegrityError if it is damaged."""

    def check(self, target: str, record: AidRecord) -> AidCheck:
        """Compare the stored record with one made from the disk now."""

    def find(self, volume: Volume) -> list[AidRecord]:
        """Records that can be found on a disk without being told where; empty if this kind cannot."""
