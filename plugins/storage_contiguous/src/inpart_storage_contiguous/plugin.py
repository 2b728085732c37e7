"""Hooks of the contiguous layout."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Layout
from inpart.hookspecs import hookimpl

from inpart_storage_contiguous.layout import ContiguousLayout


@hookimpl
def inpart_layouts() -> Sequence[Layout]:
    """The one layout of this package."""
    return (ContiguousLayout(),)
