"""Checks of a whole file system, in the class of e2fsck -fn."""

from inpart_ext.check.run import check

__all__ = ["check"]
