"""Small partitions and image streams for the tests of the image stream."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from inpart.contracts import SystemArea
from inpart.encodings import builtin_encodings
from inpart.extents import Extents
from inpart.image import FilesystemIdentity, ImageReader, Manifest, PartitionIdentity, WrittenImage, write_image
from inpart.plugins import Plugins
from inpart.volume import MemoryVolume, Volume

PLUGINS = Plugins(encodings=builtin_encodings())
ENCODINGS = PLUGINS.encodings_by_id
CREATED = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)


def manifest(name: str = "sample", image_id: str = "5a" * 16, size: int = 1) -> Manifest:
    return Manifest(
        name=name,
        kind="factory",
        image_id=image_id,
        created=CREATED,
        partition=PartitionIdentity(size=size, disk_offset=1 << 20, number=2, table="gpt", disk_id="d15c"),
        filesystem=FilesystemIdentity(kind="fat16", label="DATA", uuid="1234-ABCD", cluster_size=2048),
        tool_version="0.1.0",
    )


def content(size: int, seed: int = 1, grain: int = 1024) -> bytes:
    """Bytes with stretches that are zero, that compress, and that do not."""
    rng = random.Random(seed)
    pieces = [
        (bytes, rng.randbytes, lambda n: b"inpart! " * (n // 8))[rng.randrange(3)](grain)
        for _ in range(size // grain + 1)
    ]
    return b"".join(pieces)[:size]


def some_extents(size: int, seed: int = 1, runs: int = 12) -> Extents:
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(size), 2 * runs))
    return Extents(list(zip(cuts[::2], cuts[1::2], strict=True)))


def stream_of(
    source: Volume | bytes, used: Extents, *, encoding: str = "zstd:3", chunk_size: int | None = 4096,
    parent: ImageReader | None = None, image_id: str = "5a" * 16, name: str = "sample",
) -> tuple[bytes, WrittenImage]:  # fmt: skip
    out = bytearray()
    volume = source if isinstance(source, Volume) else MemoryVolume(source)
    written = write_image(
        volume,
        used,
        out.extend,
        manifest(name, image_id),
        encoding=PLUGINS.encoding(encoding),
        system_areas=[
            SystemArea("boot-sector", Extents([(0, 512)]).clip(0, volume.size)),
            SystemArea("fat-0", Extents([(512, 1536)]).clip(0, volume.size)),
        ],
        extra_areas={"mbr": (0, bytes(510) + b"\x55\xaa"), "gpt": (512, b"EFI PART" + bytes(504))},
        parent=parent,
        chunk_size=None if parent else chunk_size,
    )
    return bytes(out), written


def reader_of(stream: bytes, parent: ImageReader | None = None) -> ImageReader:
    return ImageReader(MemoryVolume(stream, name="stream"), ENCODINGS, parent)


def expected(data: bytes, used: Extents) -> bytes:
    """The partition as an image shows it: zeros where it was not used."""
    out = bytearray(len(data))
    for start, end in used:
        out[start:end] = data[start:end]
    return bytes(out)
