"""Names of the files that own an image's clusters."""

from __future__ import annotations

import re
from collections.abc import Iterable

SUFFIX = ".ipb"
_MAX_STEM = 40
_STEM = re.compile(r"^[A-Za-z0-9_-]{1,60}$")
_DEVICE = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
_FILE = re.compile(r"^([A-Za-z0-9_-]{1,60})\.ipb(?:\.(\d{3,6}))?$", re.IGNORECASE)


def file_name(stem: str, index: int) -> str:
    """``stem.ipb``, ``stem.ipb.001``, ``stem.ipb.002`` ..."""
    return f"{stem}{SUFFIX}" if index == 0 else f"{stem}{SUFFIX}.{index:03d}"


def parse(name: str) -> tuple[str, int] | None:
    """Stem and number of a file of this layout, None for any other name."""
    match = _FILE.match(name)
    return (match[1], int(match[2] or 0)) if match else None


def stem_for(name: str, taken: Iterable[str]) -> str:
    """A file name for an image: ASCII letters, digits, ``-`` and ``_``, unlike those in ``taken`` whatever the case."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:_MAX_STEM] or "image"
    if _DEVICE.match(stem):
        stem = f"image_{stem}"
    used = {other.lower() for other in taken}
    found, number = stem, 2
    while found.lower() in used:
        found, number = f"{stem}-{number}", number + 1
    return found


def is_stem(stem: str) -> bool:
    """True for what ``stem_for`` could have made."""
    return _STEM.match(stem) is not None and not _DEVICE.match(stem)
