"""What goes into an image: the view without stores, the used extents, and what the user leaves out."""

from __future__ import annotations

from dataclasses import dataclass

from inpart.contracts import Filesystem, FilesystemEditor, FilesystemTree, SystemArea
from inpart.errors import FilesystemDamaged, FilesystemUnclean, FilesystemUnsupported
from inpart.extents import Extents
from inpart.operations.partition import Mounted
from inpart.operations.selection import LeftOut, Selection, left_out_by, swap_of
from inpart.transaction import Transaction
from inpart.volume import Volume


@dataclass(frozen=True)
class Scope:
    """The source of an image: ``view`` shows the partition without any claim, ``used`` is what of it is stored."""

    view: Volume
    used: Extents
    system_areas: tuple[SystemArea, ...]
    left_out: LeftOut
    note: str = ""


def scope_of(mounted: Mounted, selection: Selection, region: Extents | None = None) -> Scope:
    """Edit a copy of the metadata so that no image is in it (S106 to S108), then ask for what is allocated.

    Of all sectors those of ``region`` are left out: free clusters into which the image is going to be written.
    ``note`` of the result says why images are in the view all the same.
    """
    view, filesystem, note = _without_claims(mounted)
    areas = filesystem.system_areas()
    if selection.all_sectors:
        kept_out = not note and isinstance(mounted.filesystem, FilesystemEditor)
        used = Extents.span(0, mounted.volume.size) - (region or Extents())
        for claim in mounted.editor().claims() if kept_out else ():
            used = used - claim.runs.extents()
        return Scope(view, used, areas, LeftOut(), note)
    left_out = _left_out(filesystem, selection)
    return Scope(view, filesystem.allocated() - left_out.extents, areas, left_out, note)


def _without_claims(mounted: Mounted) -> tuple[Volume, Filesystem, str]:
    """The partition as it would be without images; where it is too unclean to be edited as it is, and a note."""
    if not isinstance(mounted.filesystem, FilesystemEditor):
        return mounted.volume, mounted.filesystem, ""
    names = [claim.name for claim in mounted.filesystem.claims()]
    if not names:
        return mounted.volume, mounted.filesystem, ""
    tx = Transaction(mounted.volume, lasting=False)
    try:
        mounted.editor(tx.view).release(names, tx)
    except (FilesystemUnclean, FilesystemDamaged) as error:
        return mounted.volume, mounted.filesystem, f"{error.message}; so the images in it are counted as files"
    return tx.view, mounted.provider.open(tx.view), ""


def _left_out(filesystem: Filesystem, selection: Selection) -> LeftOut:
    """What stays out of the image."""
    if not isinstance(filesystem, FilesystemTree):
        if selection.by_name or selection.skip_swap:
            raise FilesystemUnsupported("this file system's plugin knows no files, so none can be left out")
        return LeftOut()
    chosen = left_out_by(filesystem, selection) if selection.by_name else LeftOut()
    return chosen | swap_of(filesystem) if selection.skip_swap else chosen
