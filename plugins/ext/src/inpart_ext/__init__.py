"""ext2, ext3 and ext4 for inpart."""

__version__ = "0.1.0"
