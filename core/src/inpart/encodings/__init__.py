"""Built-in encodings, and the choice of one from text such as ``zstd:3``."""

from __future__ import annotations

from collections.abc import Iterable

from inpart.contracts import Encoding
from inpart.encodings import plugin
from inpart.errors import UsageError

__all__ = ["builtin_encodings", "by_id", "choose_encoding", "plugin"]


def builtin_encodings() -> tuple[Encoding, ...]:
    """The encodings that come with core."""
    return tuple(plugin.inpart_encodings())


def by_id(encodings: Iterable[Encoding]) -> dict[int, Encoding]:
    """The table that readers of image streams want: encoding id to encoding."""
    return {encoding.encoding_id: encoding for encoding in encodings}


def choose_encoding(text: str, encodings: Iterable[Encoding]) -> Encoding:
    """The encoding that ``text`` (``store``, ``zstd``, ``zstd:19``) names, configured. Raises UsageError."""
    available = {encoding.name: encoding for encoding in encodings}
    if "+" in text:
        raise UsageError(f"{text!r} chains encodings", hint="name one encoding, such as zstd:3")
    name, _, argument = text.partition(":")
    if name not in available:
        raise UsageError(f"there is no encoding {name!r}", hint=f"choose one of {', '.join(sorted(available))}")
    return available[name].configured(argument)
