"""Claiming and releasing: files in ``/.inpart`` that own given clusters, in an order that no power cut can harm.

New files are written to free records, and one switch of the directory shows them all. A file that takes over clusters
of another one is *late*: its new record is empty until stage RELEASE, when the old one is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inpart.contracts import Claim, Edits, Stage, checked_claims, in_use
from inpart.errors import UsageError
from inpart.extents import Extents, Runs

from inpart_ntfs.attributes import parse_record
from inpart_ntfs.codes import AttributeType, Number, RecordFlag
from inpart_ntfs.editor.clusters import NO_ROWS, Numbers, Room
from inpart_ntfs.editor.drafts import Draft, load, new_draft
from inpart_ntfs.editor.files import Maker, content, empty_index, entry_of, name_key, resized, stored_name
from inpart_ntfs.editor.folder import Folder
from inpart_ntfs.editor.ground import Ground
from inpart_ntfs.editor.home import NAME, Owned, drop, files_in, find_home, names_in, owned_file
from inpart_ntfs.editor.packing import pack
from inpart_ntfs.editor.pieces import END, numbered
from inpart_ntfs.editor.rewriting import store
from inpart_ntfs.editor.system import renew_front
from inpart_ntfs.structs import FILE_RECORD, field_offset

_PROTECTED = (Number.MFT, Number.MFT_MIRR)
"""Files of the system whose security id may stand for all; ntfs-3g clears that of the first one when it grows."""
_BYTES_IN_USE = field_offset(FILE_RECORD, "bytes_in_use")


@dataclass(frozen=True)
class _Supply:
    """Records and clusters for files of the store: clusters from those meant for it, while they last."""

    ground: Ground
    pool: Room

    def take_record(self) -> tuple[int, int]:
        return self.ground.ledger.new_record()

    def take_clusters(self, count: int) -> Numbers:
        return (self.pool if self.pool.left >= count else self.ground.room).take(count)


class Claimer:
    """One call of ``claim`` or ``release``."""

    def __init__(self, tx: Edits) -> None:
        """Raises FilesystemUnsupported if ``/.inpart`` cannot be used, FilesystemDamaged, FilesystemUnclean."""
        self.ground = Ground(tx)
        self.ledger = self.ground.ledger
        self.size = self.ground.cluster_size
        self.root = Folder(self.ground, load(self.ground.mft, Number.ROOT))
        self.maker = Maker.like(self.root.draft, *(load(self.ground.mft, number) for number in _PROTECTED))
        self.home = find_home(self.ground, self.root)
        self.files = files_in(self.home) if self.home is not None else {}
        self.supply = _Supply(self.ground, Room())

    def claim(self, claims: Sequence[Claim], directory: Runs) -> None:
        """Raises NoSpace, UsageError, FilesystemUnsupported, FilesystemDamaged."""
        area = 0, self.ground.boot.data_end
        wanted = checked_claims(claims, directory, area, self.size, stored_name)
        every = Extents.union(claim.runs.extents() for claim in claims).in_units(self.size)
        pool = directory.extents().in_units(self.size)
        old = {name: owned_file(self.ground, self.files[name]) for name in wanted if name in self.files}
        owned = Extents.union(Extents.from_rows(one.rows) for one in old.values())
        self._check_free(every - owned)
        changed = {name: claim for name, claim in wanted.items() if not self._is_so(old.get(name), claim)}
        if not changed:
            return
        free = self.ground.free()
        self.supply = _Supply(self.ground, Room((pool & free).rows))
        self.ground.room = Room((free - every - pool).rows)
        if self.home is None:
            renew_front(self.ground)
        home = self.home or self._new_home()
        freed = self.ground.desk.freed
        for name, claim in changed.items():
            rows, before = claim.runs.array // self.size, old.get(name)
            others = (owned | freed) - (Extents.from_rows(before.rows) if before is not None else Extents())
            late = bool(Extents.from_rows(rows) & others)
            self._put(home, name, claim, rows, before=before, late=late)
        self.ledger.take((every - owned).rows)
        self.ledger.give((owned - every).rows)
        self._show(home)
        self.ledger.settle()

    def release(self, names: Sequence[str]) -> None:
        """Raises UsageError for a name that is not there, FilesystemDamaged, NoSpace."""
        keys = list(dict.fromkeys(stored_name(name) for name in names))
        missing = [key for key in keys if key not in self.files]
        if missing or self.home is None:
            raise UsageError(f"there is no file {missing[0].decode('utf-16-le') if missing else ''} in /.inpart")
        if len(keys) == len(self.files):
            renew_front(self.ground)
        for key in keys:
            file = self.files[key]
            for entry in file.entries:
                self.home.tree.remove(entry.name)
            owned = owned_file(self.ground, file)
            self.ledger.give(owned.rows)
            drop(self.ground, owned.draft)
        if self.home.is_empty:
            self.ledger.give(self.home.clusters)
            drop(self.ground, self.home.draft)
            for name in names_in(self.home.draft, Number.ROOT):
                self.root.tree.remove(name)
            self._store_root()
        else:
            self.home.store(self.supply.take_clusters)
            store(self.ground, self.home.draft)
        self.ledger.settle()

    def _check_free(self, clusters: Extents) -> None:
        """Raise NoSpace if one of ``clusters`` is in use."""
        taken = clusters & self.ground.used.in_units(self.size)
        if taken:
            raise in_use(f"cluster {taken.start}")

    def _is_so(self, owned: Owned | None, claim: Claim) -> bool:
        if owned is None:
            return False
        return owned.size == claim.size and Runs(owned.rows * self.size) == claim.runs

    def _new_home(self) -> Folder:
        """Begin the directory."""
        number, sequence = self.ledger.new_record()
        key = name_key(self.root.draft.reference, NAME, directory=True)
        attributes = [*self.maker.attributes(key), empty_index(self.root.root)]
        draft = new_draft(number, sequence, RecordFlag.IS_DIRECTORY, attributes, self.root.draft)
        draft.put(link_count=1)
        self.root.tree.insert(entry_of(number, sequence, key))
        return Folder(self.ground, draft)

    def _put(self, home: Folder, name: bytes, claim: Claim, rows: Numbers, *, before: Owned | None, late: bool) -> None:
        """Let a file have its clusters; one that is late is empty until RELEASE."""
        if before is not None and not late:
            draft, data = before.draft, content(rows, claim.size)
            old = draft.find(AttributeType.DATA)
            data.pieces = old.pieces if old is not None else ()
            draft.attributes = [one for one in draft.attributes if one is not old] + [data]
            store(self.ground, draft)
            key = resized(before.file.entries[0].key, allocated=claim.runs.total, size=claim.size)
            home.tree.replace(entry_of(draft.number, draft.get("sequence_number"), key))
            return
        parent = home.draft.reference
        key = name_key(parent, name, allocated=claim.runs.total, size=claim.size)
        entry = entry_of(*self.ledger.new_record(), key)
        if before is not None:
            for other in before.file.entries:
                home.tree.remove(other.name)
            drop(self.ground, before.draft)
        home.tree.insert(entry)
        self._write_new(self._draft(entry.record, entry.sequence, key, rows, claim.size), late=late)

    def _draft(self, number: int, sequence: int, key: bytes, rows: Numbers, size: int) -> Draft:
        attributes = [*self.maker.attributes(key), content(rows, size)]
        draft = new_draft(number, sequence, 0, attributes, self.root.draft)
        draft.put(link_count=1)
        return draft

    def _write_new(self, draft: Draft, *, late: bool = False) -> None:
        """Write the records of a new file; a late one gets its clusters last of all."""
        packed = pack(draft, self.ground.geometry, self.supply)
        if packed.listing is not None:
            self.ground.fill(*packed.listing)
        for number, image in packed.fresh.items():
            self.ground.write_record(number, image, Stage.FOLLOW if late else Stage.ALLOCATE)
        if late:
            self.ground.write_record(draft.number, self._without_content(draft, packed.base), Stage.LINK)
        self.ground.write_record(draft.number, packed.base, Stage.RELEASE if late else Stage.LINK)

    def _without_content(self, draft: Draft, image: bytes) -> bytes:
        """A record like ``image`` whose file is empty; if its content stands last, the rest is as it will be."""
        empty = content(NO_ROWS, 0)
        last = parse_record(draft.number, image, self.ground.boot.clusters).attributes[-1]
        if last.type != AttributeType.DATA:
            others = [one for one in draft.attributes if one.type != AttributeType.DATA]
            return pack(Draft(draft.number, draft.header, [*others, empty]), self.ground.geometry, self.supply).base
        raw, tail = bytearray(image), numbered(empty.resident(), last.instance) + END
        end = last.offset + len(tail)
        raw[last.offset : end] = tail
        raw[_BYTES_IN_USE : _BYTES_IN_USE + 4] = end.to_bytes(4, "little")
        return bytes(raw)

    def _show(self, home: Folder) -> None:
        """Enter all names into the directory, and a new directory into the root."""
        home.store(self.supply.take_clusters)
        if home.draft.records:
            store(self.ground, home.draft)
        else:
            self._write_new(home.draft)
            self._store_root()

    def _store_root(self) -> None:
        self.root.store(self.ground.room.take)
        store(self.ground, self.root.draft)
