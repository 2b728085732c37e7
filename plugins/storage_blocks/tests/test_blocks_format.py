"""What the layout writes is what docs/FORMAT.md says, read by an independent reader."""

from __future__ import annotations

from dataclasses import replace

import pytest
from block_reader import MAGIC, files_of, read_images
from inpart.testing.layout_ground import GEOMETRIES, Ground, summary_for
from inpart.units import KIB, MIB
from inpart_storage_blocks.layout import BlocksLayout

LAYOUT = BlocksLayout()


def ground_with(variant: str, *streams: bytes, block_size: int = 4 * KIB) -> Ground:
    geometry = GEOMETRIES[variant]
    options = replace(geometry.options, block_size=block_size, file_limit=256 * KIB)
    ground = Ground(LAYOUT, replace(geometry, options=options))
    for number, stream in enumerate(streams):
        ground.add(summary_for(number, stream), stream)
    return ground


def content(size: int, seed: int) -> bytes:
    return bytes((at * seed + at // 251) % 256 for at in range(size))


@pytest.mark.parametrize("variant", ["small", "plain", "fragmented", "sectors-4096"])
@pytest.mark.parametrize("block_size", [512, 4 * KIB, 64 * KIB])
def test_independent_reader_agrees(variant: str, block_size: int) -> None:
    streams = content(70_001, 3), content(1, 5), content(33 * KIB, 7)
    ground = ground_with(variant, *streams, block_size=block_size)
    disk = bytes(5 * 512) + bytes(ground.volume.data)
    images = read_images(disk)
    assert [image.stream() for image in images] == list(streams)
    for number, image in enumerate(images):
        summary = summary_for(number, streams[number])
        assert (image.name, image.kind, image.areas) == (summary.name, summary.kind, summary.system)
        assert (image.base, image.seals, image.descriptions) == (5 * 512, 2, 2)
        assert image.facts.digest[: image.facts.digest_length] == summary.digest
        assert image.facts.image_bytes == summary.image_bytes
        assert image.facts.serial == number + 1
        assert {(block.serial, block.cluster_size) for block in image.blocks.values()} == {
            (number + 1, ground.geometry.cluster_size)
        }
        assert image.known == [summary_for(older, b"").image_id for older in range(number)]
        assert image.blocks[0].block_size == min(block_size, ground.geometry.cluster_size)
    files = {name: clusters for image in images for name, clusters in files_of(image).items()}
    unit = ground.geometry.cluster_size
    claimed = {
        name: [(at, unit) for start, length in claim.runs for at in range(start, start + length, unit)]
        for name, claim in ground.claims.items()
    }
    assert files == claimed


def test_no_block_is_left_of_what_was_there_before() -> None:
    """The clusters of an image hold its own blocks and zeros; stale blocks of others are gone from them."""
    ground = ground_with("plain", content(MIB // 2, 3))
    for start, end in ground.claimed:
        for at in range(start, end, 512):
            if ground.volume.data[at : at + 8] == MAGIC:
                assert ground.volume.data[at + 16 : at + 32] == summary_for(0, b"").image_id
