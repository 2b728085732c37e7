"""Numbers with units: alignment, sizes as people write and read them."""

from __future__ import annotations

import re

from inpart.errors import UsageError

SECTOR = 512
KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_SUFFIXES = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": 1 << 40, "p": 1 << 50}
_SIZE = re.compile(r"^\s*([0-9]{1,24})\s*([kmgtp]?)(?:i?b)?\s*$", re.IGNORECASE)


def align_down(value: int, unit: int) -> int:
    """The largest multiple of ``unit`` that is at most ``value``."""
    return value - value % unit


def align_up(value: int, unit: int) -> int:
    """The smallest multiple of ``unit`` that is at least ``value``."""
    return -(-value // unit) * unit


def is_power_of_two(value: int) -> bool:
    """True for 1, 2, 4, 8 and so on."""
    return value > 0 and value & (value - 1) == 0


def parse_size(text: str) -> int:
    """Bytes from ``4096``, ``64K``, ``2GiB``; suffixes are powers of 1024. Raises UsageError."""
    match = _SIZE.match(text)
    if match is None:
        raise UsageError(f"{text!r} is not a size", hint="write bytes or a number with K, M, G or T, such as 64M")
    return int(match[1]) * _SUFFIXES[match[2].lower()]


def format_size(size: int) -> str:
    """``size`` bytes in binary units with three significant digits: 1536 is ``1.50 KiB``."""
    if abs(size) < KIB:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        value /= 1024
        if abs(value) < 1023.5 or unit == "PiB":
            break
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {unit}"
