"""Editing NTFS: moving what files have, claiming clusters for ``/.inpart``, releasing them."""
