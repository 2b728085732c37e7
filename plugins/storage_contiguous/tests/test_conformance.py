"""The contiguous layout conforms to the kit of storage layouts."""

from __future__ import annotations

from inpart.testing.layout_kit import LayoutKit
from inpart_storage_contiguous.plugin import inpart_layouts


class TestContiguous(LayoutKit):
    provider = inpart_layouts()[0]
