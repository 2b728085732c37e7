"""The null providers and the built-in encodings conform to the kits, as every plugin has to."""

from __future__ import annotations

import random
from collections.abc import Sequence

from inpart.encodings.store import StoreEncoding
from inpart.encodings.zstd import ZstdEncoding
from inpart.extents import Extents
from inpart.testing.aid_kit import AidKit
from inpart.testing.encoding_kit import EncodingKit
from inpart.testing.filesystem_kit import FilesystemEditorKit, Specimen
from inpart.testing.layout_kit import LayoutKit
from inpart.testing.null import NullAid, NullEncoding, NullFilesystemProvider, NullLayout, make_null
from inpart.volume import MemoryVolume, Volume


class TestNullFilesystem(FilesystemEditorKit):
    provider = NullFilesystemProvider()
    variants = ("plain", "fragmented", "small-clusters", "big-sectors")

    def make(self, variant: str) -> Specimen:
        chance = random.Random(variant)
        files = {f"/d{number % 3}/f{number}": chance.randbytes(number * 2500) for number in range(12)}
        sector, cluster = (
            (4096, 4096) if variant == "big-sectors" else (512, 512 if variant == "small-clusters" else 4096)
        )
        volume = MemoryVolume((1 << 20) + 1536, sector_size=sector)
        fragments = 1 if variant == "plain" else 3
        block = make_null(volume, files, cluster_size=cluster, bad=(7, 150), fragments=fragments, swap=("/d1/f4",))
        bad = Extents((block.data_start + n * cluster, block.data_start + (n + 1) * cluster) for n in (7, 150))
        used = sum(-(-len(content) // cluster) * cluster for content in files.values())
        return Specimen(
            bytes(volume.data), files, used, has_copies=True, dispensable=("/d1/f4",), bad=bad, sector_size=sector
        )

    def complaints(self, volume: Volume) -> Sequence[str]:
        return [f"{finding.code} {finding.where}" for finding in self.provider.open(volume).check()]

    def tolerable(self, complaint: str) -> bool:
        return complaint.startswith("null.lost")


class TestNullEncoding(EncodingKit):
    provider = NullEncoding()
    arguments = ("0", "7", "255")
    bad_arguments = ("256", "-1", "seven")


class TestNullLayout(LayoutKit):
    provider = NullLayout()
    at_the_end = False
    survives_lost_pages = False


class TestNullAid(AidKit):
    provider = NullAid()


class TestStore(EncodingKit):
    provider = StoreEncoding()


class TestZstd(EncodingKit):
    provider = ZstdEncoding()
    arguments = ("1", "3", "19")
