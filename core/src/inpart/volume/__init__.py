"""Volumes: anything with bytes at offsets, and who may use it."""

from inpart.volume.base import Buffer, MemoryVolume, ReadOnlyVolume, Volume
from inpart.volume.counting import CountingVolume
from inpart.volume.file import Access, FileVolume
from inpart.volume.overlay import OverlayVolume
from inpart.volume.proxy import ProxyVolume
from inpart.volume.views import ResizedVolume, RunsVolume, SliceVolume
from inpart.volume.writer import FileWriter

__all__ = [
    "Access",
    "Buffer",
    "CountingVolume",
    "FileVolume",
    "FileWriter",
    "MemoryVolume",
    "OverlayVolume",
    "ProxyVolume",
    "ReadOnlyVolume",
    "ResizedVolume",
    "RunsVolume",
    "SliceVolume",
    "Volume",
]
