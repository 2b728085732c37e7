"""Memory of large arrays goes back to the operating system as soon as they are not needed any more."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE = 8 << 20
"""More than a chunk of an image and what it becomes, which are made again and again."""


def return_large_blocks() -> None:
    """Keep glibc from raising its limit for blocks of their own to 32 MiB, which leaves holes in its heap."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE)
