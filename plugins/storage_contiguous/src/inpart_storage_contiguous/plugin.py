"""Hooks of the contiguous layout."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Layout
from inpart.hookspecs import hookimpl


@hookimpl
def inpart_layouts() -> Sequence[Layout]:
    """The one layout of this package."""
    from inpart_storage_contiguous.layout import ContiguousLayout  # noqa: PLC0415 - not every command needs a layout

    return (ContiguousLayout(),)
