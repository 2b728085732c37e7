"""Editing FAT: moving files, claiming clusters for ``/.inpart``, releasing them."""

from inpart_fat.editor.editor import FatEditor

__all__ = ["FatEditor"]
