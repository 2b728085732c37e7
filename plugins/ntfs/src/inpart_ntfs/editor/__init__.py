"""Editing NTFS: moving what files have, claiming clusters for ``/.inpart``, releasing them."""

from inpart_ntfs.editor.editor import NtfsEditor

__all__ = ["NtfsEditor"]
