"""The hook through which the built-in encodings are offered, exactly as a plugin would offer its own."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Encoding
from inpart.encodings.store import StoreEncoding
from inpart.encodings.zstd import ZstdEncoding
from inpart.hookspecs import hookimpl


@hookimpl
def inpart_encodings() -> Sequence[Encoding]:
    """``store`` and ``zstd``."""
    return (StoreEncoding(), ZstdEncoding())
