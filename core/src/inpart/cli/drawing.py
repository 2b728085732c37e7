"""Pictures on a terminal: in ASCII where it has no shades, in colour where that is wanted."""

from __future__ import annotations

import os
import sys

from inpart.operations.map import SHADES

_IN_ASCII = str.maketrans(SHADES, " .:*#")


def drawing(line: str) -> str:
    """A line of a picture in characters that standard output has."""
    try:
        SHADES.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return line.translate(_IN_ASCII)
    return line


def in_colour() -> bool:
    """True for a terminal, unless its user says NO_COLOR (https://no-color.org) or it knows no colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
