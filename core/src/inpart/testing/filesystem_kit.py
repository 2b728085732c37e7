"""The conformance kits of a file system, one class for each level."""

from inpart.testing.editor_kit import FilesystemEditorKit
from inpart.testing.reader_kit import FilesystemReaderKit
from inpart.testing.specimen import Specimen, volume_file
from inpart.testing.tree_kit import FilesystemTreeKit

__all__ = ["FilesystemEditorKit", "FilesystemReaderKit", "FilesystemTreeKit", "Specimen", "volume_file"]
