"""The image stream: a partition at one time as one self-contained byte string."""

from inpart.image.manifest import FilesystemIdentity, Manifest, PartitionIdentity
from inpart.image.reader import Chunk, ImageReader, read_stream_id
from inpart.image.volume import ImageVolume
from inpart.image.writer import WrittenImage, write_image

__all__ = [
    "Chunk",
    "FilesystemIdentity",
    "ImageReader",
    "ImageVolume",
    "Manifest",
    "PartitionIdentity",
    "WrittenImage",
    "read_stream_id",
    "write_image",
]
