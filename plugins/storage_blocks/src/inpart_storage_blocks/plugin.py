"""Hooks of the layout of self-describing blocks."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Layout
from inpart.hookspecs import hookimpl


@hookimpl
def inpart_layouts() -> Sequence[Layout]:
    """The one layout of this package."""
    from inpart_storage_blocks.layout import BlocksLayout  # noqa: PLC0415 - not every command needs a layout

    return (BlocksLayout(),)
