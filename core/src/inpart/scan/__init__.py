"""Searching a volume for structures, at the speed of reading."""

from inpart.scan.magics import scan_magics, scan_windows
from inpart.scan.shared import SharedVolume, shared_volumes

__all__ = ["SharedVolume", "scan_magics", "scan_windows", "shared_volumes"]
