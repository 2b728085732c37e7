"""The layout of blocks conforms to the kit of storage layouts."""

from __future__ import annotations

from inpart.testing.layout_kit import LayoutKit
from inpart_storage_blocks.plugin import inpart_layouts


class TestBlocks(LayoutKit):
    provider = inpart_layouts()[0]
    at_the_end = False
