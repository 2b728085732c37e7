"""What is left of a container that was deleted with its last image, by a change that was cut short and given up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inpart.contracts import Claim, Edits, Finding, Severity, StoreChange, StoredImage
from inpart.errors import NoImageFound
from inpart.extents import Extents, Runs
from inpart.units import SECTOR
from inpart.volume import Volume

from inpart_storage_contiguous import naming


@dataclass(frozen=True)
class WipedStore:
    """See ``inpart.contracts.Store``: ``files`` without a table, of a container that nothing else is known of."""

    files: tuple[Claim, ...]
    partition_size: int
    layout: str = "contiguous"
    store_id: bytes = bytes(16)
    base: int = 0
    images: tuple[StoredImage, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The files that nobody needs."""
        message = "left by a deletion that was cut short and given up; `inpart repair` gives their clusters back"
        where = ", ".join(claim.name for claim in self.files)
        return (Finding(Severity.WARNING, "container.abandoned-files", where, message),)

    def extents(self) -> Extents:
        """Nothing that has to be kept."""
        return Extents()

    def open(self, image_id: bytes) -> Volume:
        """Raises NoImageFound."""
        raise NoImageFound(f"the container has no image {image_id.hex()}", hint="see the output of inpart list")

    def claims(self) -> StoreChange:
        """Nothing."""
        return StoreChange()

    def journal(self) -> Runs:
        """There is no place for one."""
        return Runs()

    def remove(self, image_ids: Sequence[bytes], tx: Edits) -> StoreChange:
        """Raises NoImageFound for any image."""
        for image_id in image_ids:
            self.open(image_id)
        return StoreChange()

    def repair(self, tx: Edits) -> StoreChange:
        """Give the files back."""
        return StoreChange(release=tuple(claim.name for claim in self.files))


def wiped_store(volume: Volume, claims: Sequence[Claim]) -> WipedStore | None:
    """The store of files of tables that are all blank; None if one is not, or if files of images have clusters."""
    controls = tuple(claim for claim in claims if naming.is_control(claim.name))
    others = any(claim.runs for claim in claims if naming.stem_of(claim.name))
    blank = all(_is_blank(volume, claim.runs) for claim in controls if naming.is_shifting(claim.name))
    return WipedStore(controls, volume.size) if any(claim.runs for claim in controls) and blank and not others else None


def _is_blank(volume: Volume, runs: Runs) -> bool:
    """True if a table would begin with zeros."""
    start = int(runs.array[0, 0]) if runs else 0
    return not runs or (start + SECTOR <= volume.size and not any(volume.read(start, SECTOR)))
