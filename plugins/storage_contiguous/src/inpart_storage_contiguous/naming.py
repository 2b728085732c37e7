"""Names of the container's files, and how segments are grouped into files below the size limit."""

from __future__ import annotations

import re
from collections.abc import Iterable

TOC_END = "toc_end"
TOC_BEGIN = "toc_begin"
_MAX_STEM = 40
_STEM = re.compile(r"^[A-Za-z0-9_-]{1,60}$")
_FILE = re.compile(r"^([A-Za-z0-9_-]{1,60})\.(ipi|\d{3,})$", re.IGNORECASE)
_DEVICE = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)$", re.IGNORECASE)
_CONTROL = re.compile(r"^(toc_end|toc_begin|inter\d+)$", re.IGNORECASE)
FAT_FILE_LIMIT = (1 << 32) - 1


def inter_name(number: int) -> str:
    """The file of the partial table ``number``."""
    return f"inter{number}"


def is_control(name: str) -> bool:
    """True for the files that hold tables."""
    return _CONTROL.match(name) is not None


def is_shifting(name: str) -> bool:
    """True for tables whose place changes when an image is added."""
    return is_control(name) and name.lower() != TOC_END


def file_name(stem: str, index: int) -> str:
    """``stem.ipi``, ``stem.001``, ``stem.002`` ..."""
    return f"{stem}.ipi" if index == 0 else f"{stem}.{index:03d}"


def stem_of(name: str) -> str:
    """The part that the files of one image have in common; "" for what is no file of an image."""
    match = _FILE.match(name)
    return match[1].lower() if match else ""


def stem_for(name: str, taken: Iterable[str]) -> str:
    """A file name for an image: ASCII letters, digits, ``-`` and ``_``, unlike those in ``taken`` whatever the case."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:_MAX_STEM] or "image"
    if _DEVICE.match(stem) or _CONTROL.match(stem):
        stem = f"image_{stem}"
    return unique(stem, taken)


def is_stem(stem: str) -> bool:
    """True for what ``stem_for`` could have made."""
    return _STEM.match(stem) is not None and not _DEVICE.match(stem) and not _CONTROL.match(stem)


def unique(stem: str, taken: Iterable[str]) -> str:
    """``stem``, with a number behind it if it is in ``taken`` whatever the case."""
    used = {other.lower() for other in taken}
    found, number = stem, 2
    while found.lower() in used:
        found, number = f"{stem}-{number}", number + 1
    return found


def group(sizes: list[int], limit: int) -> list[int]:
    """How many consecutive segments of ``sizes`` bytes go into each file of at most ``limit`` bytes."""
    counts: list[int] = []
    room = 0
    for size in sizes:
        if not counts or size > room:
            counts.append(0)
            room = limit
        counts[-1] += 1
        room -= size
    return counts
