"""The contract of a storage layout: how image streams lie in the clusters of a partition.

A *store* is what a layout keeps in one partition: for the contiguous layout a container with its tables of contents.
All offsets are bytes relative to the partition; ``Store.base`` says where the partition starts on the volume that was
searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from inpart.contracts.common import Finding, Provider
from inpart.contracts.filesystem import Claim
from inpart.contracts.transaction import Edits
from inpart.extents import Extents, Runs
from inpart.units import GIB, MIB
from inpart.volume import Buffer, Volume


@dataclass(frozen=True)
class LayoutOptions:
    """Sizes in bytes that an integrator may choose; a layout uses those that mean something to it."""

    segment_size: int = 64 * MIB
    file_limit: int = 2 * GIB
    block_size: int = 4096


@dataclass(frozen=True)
class PlanRequest:
    """All that a layout may know for planning. ``expected`` and ``upper`` bound the stream's size in bytes."""

    partition_size: int
    cluster_size: int
    data_start: int
    data_end: int
    free: Extents
    immovable: Extents
    upper: int
    expected: int
    min_free: int
    options: LayoutOptions = field(default_factory=LayoutOptions)


@dataclass(frozen=True)
class Plan:
    """Where an image will go. ``region`` is all that may be written or claimed; ``vacate`` the part of it in use now.

    ``capacity`` is the largest stream that fits. ``private`` is for the layout itself.
    """

    region: Extents
    vacate: Extents
    capacity: int
    summary: str
    private: object = None


@dataclass(frozen=True)
class ImageSummary:
    """What a table of contents says of an image, and what its writer must be told; sizes in bytes.

    ``image_bytes`` is the used data of the partition, ``stream_size`` the length of the image stream, ``digest`` the
    BLAKE3 root of the stream's index. ``system`` holds small system areas by name as (start, bytes): boot sectors,
    partition table. ``parent`` is the id of the image that an incremental one needs.
    """

    image_id: bytes
    name: str
    kind: str
    created: datetime
    parent: bytes | None = None
    stream_size: int = 0
    image_bytes: int = 0
    digest: bytes = b""
    system: dict[str, tuple[int, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredImage:
    """An image in a store.

    ``state`` is ``committed``, ``partial`` (found without its table entry or in part) or ``stray``: only its data were
    found, and nothing says whether it was ever finished, or deleted. Where ``named`` is false, the layout knows no
    more than that, and name, kind and dates of the summary are made up: the image's stream may tell them.
    """

    summary: ImageSummary
    extents: Extents
    state: str
    files: tuple[str, ...] = ()
    named: bool = True


@dataclass(frozen=True)
class StoreChange:
    """What a change of a store asks of the file system, in one transaction with the store's own edits."""

    claims: tuple[Claim, ...] = ()
    release: tuple[str, ...] = ()
    directory: Runs = field(default_factory=Runs)


class StoreWriter(Protocol):
    """Takes one image stream front to back, without knowing its length, and puts it into the planned region."""

    def write(self, data: Buffer) -> None:
        """Append to the stream. Raises NoSpace when the plan's capacity is used up."""

    def finish(self, summary: ImageSummary) -> None:
        """End of stream: complete and flush all image data. Nothing announces it yet."""

    def publish(self, tx: Edits) -> StoreChange:
        """Put table updates into ``tx``; the caller lets the file system claim what is returned and commits."""

    def journal(self) -> Runs:
        """Where the journal of that commit may live: clusters that it claims or that are claimed already."""

    def abandon(self) -> None:
        """Forget the image; what was written is garbage in free clusters."""


class Store(Protocol):
    """Images of one layout in one partition, found by ``Layout.locate``."""

    @property
    def layout(self) -> str:
        """Name of the layout."""

    @property
    def store_id(self) -> bytes:
        """16 bytes."""

    @property
    def base(self) -> int:
        """Where the partition starts on the searched volume, found from recorded and real places."""

    @property
    def partition_size(self) -> int:
        """Size of the partition as recorded, 0 if unknown."""

    @property
    def images(self) -> tuple[StoredImage, ...]:
        """Oldest first."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is damaged about the store itself, such as a lost table at one end."""

    def extents(self) -> Extents:
        """All clusters of the store, tables and journal included."""

    def open(self, image_id: bytes) -> Volume:
        """The image stream as a read-only volume. Raises NoImageFound; damage shows when it is read."""

    def claims(self) -> StoreChange:
        """The files that a file system must have so that it keeps away from the store."""

    def journal(self) -> Runs:
        """The place for journals and the restore record, empty if there is none."""

    def remove(self, image_ids: Sequence[bytes], tx: Edits) -> StoreChange:
        """Forget images: table edits into ``tx`` in the stage MARK, and what the file system has to do."""

    def repair(self, tx: Edits) -> StoreChange:
        """Write lost tables again from what is left."""


class SearchMethod(StrEnum):
    """How a store was found, in the order in which the ways are tried."""

    AID = "aid"
    CLAIMS = "claims"
    FIXED = "fixed-place"
    PARTITION = "partition-scan"
    DISK = "disk-scan"


@dataclass(frozen=True)
class Search:
    """One way of looking. ``claims`` are the files of a readable file system; ``places`` are offsets from an aid."""

    method: SearchMethod
    claims: tuple[Claim, ...] = ()
    places: tuple[int, ...] = ()


class Layout(Provider, Protocol):
    """A way to lay image streams into clusters."""

    def plan(self, request: PlanRequest, store: Store | None) -> Plan:
        """Pure. ``store`` is the existing one that is to grow. Raises NoSpace with the numbers."""

    def writer(self, volume: Volume, plan: Plan, store: Store | None, image_id: bytes) -> StoreWriter:
        """Start an image in the planned region of the partition ``volume``."""

    def locate(self, volume: Volume, search: Search) -> Sequence[Store]:
        """Stores on ``volume``, which may have no readable file system or partition table at all.

        FIXED looks near the end of the volume only; PARTITION and DISK read all of it, from the end backward.
        """
