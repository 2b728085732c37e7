"""Editing ext2, ext3 and ext4: moving files, claiming blocks for ``/.inpart``, releasing them."""

from inpart_ext.editor.editor import ExtEditor

__all__ = ["ExtEditor"]
