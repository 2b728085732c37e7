"""The hook through which the built-in encodings are offered, exactly as a plugin would offer its own."""

from __future__ import annotations

from collections.abc import Sequence

from inpart.contracts import Encoding
from inpart.hookspecs import hookimpl


@hookimpl
def inpart_encodings() -> Sequence[Encoding]:
    """``store`` and ``zstd``."""
    from inpart.encodings.store import StoreEncoding  # noqa: PLC0415 - not every command needs an encoding
    from inpart.encodings.zstd import ZstdEncoding  # noqa: PLC0415

    return (StoreEncoding(), ZstdEncoding())
