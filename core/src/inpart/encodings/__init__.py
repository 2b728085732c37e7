"""The encodings that come with core; ``inpart.plugins`` chooses among all."""

from __future__ import annotations

from inpart.contracts import Encoding
from inpart.encodings import plugin

__all__ = ["builtin_encodings", "plugin"]


def builtin_encodings() -> tuple[Encoding, ...]:
    """The encodings that come with core."""
    return tuple(plugin.inpart_encodings())
