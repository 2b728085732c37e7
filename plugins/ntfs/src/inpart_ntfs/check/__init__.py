"""Checks of a whole file system, in the class of chkdsk and ntfsfix."""

from inpart_ntfs.check.run import check

__all__ = ["check"]
