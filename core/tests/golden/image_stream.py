"""The recipe of the golden image streams; run it with a version number to make the file of the current format.

Files of released formats are never made again: the tests read them for ever.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from inpart.contracts import SystemArea
from inpart.encodings import builtin_encodings
from inpart.extents import Extents
from inpart.image import FilesystemIdentity, Manifest, PartitionIdentity, write_image
from inpart.plugins import Plugins
from inpart.volume import MemoryVolume

CHUNK_SIZE = 4096
USED = Extents([(0, 700), (4096, 8192), (8300, 9000), (12288, 16384), (20480, 21000)])


def partition() -> bytes:
    """22,000 bytes: text, zeros, noise."""
    text = b"in-partition image, format 1.0. " * 256
    return (text + bytes(4096) + random.Random(20240229).randbytes(4096) + text)[:22_000]


def build() -> bytes:
    """A stream with DATA, SKIP and META frames, stored and compressed bodies."""
    out = bytearray()
    manifest = Manifest(
        name="golden",
        kind="factory",
        image_id="00112233445566778899aabbccddeeff",
        created=datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC),
        partition=PartitionIdentity(size=22_000, disk_offset=1 << 20, number=1, table="mbr", type_code="0c"),
        filesystem=FilesystemIdentity(kind="fat12", label="GOLDEN", uuid="2024-0229", cluster_size=512),
        tool_version="0.1.0",
    )
    write_image(
        MemoryVolume(partition()),
        USED,
        out.extend,
        manifest,
        encoding=Plugins(encodings=builtin_encodings()).encoding("zstd:3"),
        system_areas=[SystemArea("boot-sector", Extents([(0, 512)])), SystemArea("fat-0", Extents([(512, 700)]))],
        extra_areas={"mbr": (0, bytes(510) + b"\x55\xaa")},
        chunk_size=CHUNK_SIZE,
    )
    return bytes(out)


def to_text(stream: bytes) -> Iterator[str]:
    """Lines of offset and up to 32 bytes in hexadecimal; lines of zeros are left out, the last line is the length."""
    for at in range(0, len(stream), 32):
        if any(stream[at : at + 32]):
            yield f"{at:06x} {stream[at : at + 32].hex()}\n"
    yield f"{len(stream):06x}\n"


def from_text(path: Path) -> bytes:
    """The stream that ``to_text`` wrote."""
    *lines, last = path.read_text().splitlines()
    out = bytearray(int(last, 16))
    for line in lines:
        at, content = line.split()
        piece = bytes.fromhex(content)
        out[int(at, 16) : int(at, 16) + len(piece)] = piece
    return bytes(out)


if __name__ == "__main__":
    target = Path(__file__).with_name(f"image-stream-{sys.argv[1]}.hex")
    with target.open("x") as file:
        file.writelines(to_text(build()))
