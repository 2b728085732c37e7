"""The image stream: a partition at one time as one self-contained byte string."""

from inpart.image.chunks import default_chunk_size
from inpart.image.lending import Lenders
from inpart.image.manifest import FilesystemIdentity, Manifest, PartitionIdentity
from inpart.image.pipeline import ordered_map
from inpart.image.reader import ImageReader, is_image_stream
from inpart.image.rebuild import open_damaged, stated_manifest
from inpart.image.verify import ImageFinding, damaged_extents
from inpart.image.volume import ImageVolume
from inpart.image.writer import WrittenImage, write_image

__all__ = [
    "FilesystemIdentity",
    "ImageFinding",
    "ImageReader",
    "ImageVolume",
    "Lenders",
    "Manifest",
    "PartitionIdentity",
    "WrittenImage",
    "damaged_extents",
    "default_chunk_size",
    "is_image_stream",
    "open_damaged",
    "ordered_map",
    "stated_manifest",
    "write_image",
]
