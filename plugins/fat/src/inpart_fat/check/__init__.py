"""Everything that fsck.fat finds, as findings; nothing for a healthy file system."""

from inpart_fat.check.run import check

__all__ = ["check"]
