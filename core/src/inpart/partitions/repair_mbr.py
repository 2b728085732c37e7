"""Puts entries back into an MBR and its chain of extended boot records."""

from __future__ import annotations

from inpart.errors import NoSpace, PlaceTaken
from inpart.partitions.ebr import MAX_LOGICALS, Chain, ExtendedBootRecord, read_chain
from inpart.partitions.edits import Draft
from inpart.partitions.mbr import (
    BOOT_SIGNATURE,
    EMPTY_ENTRY,
    LBA_ONLY_CHS,
    MBR_SIZE,
    TABLE_OFFSET,
    MasterBootRecord,
    MbrEntry,
)
from inpart.partitions.model import PartitionEntry, PartitionTable

_LINK_TYPE = 0x05


def put_mbr_entry(draft: Draft, saved: PartitionTable, entry: PartitionEntry, current: PartitionTable | None) -> None:
    """Draft the edits that make the MBR name ``entry`` of ``saved``; without ``current``, a table of it alone."""
    record = _record(saved)
    base = current.mbr if current and current.mbr else _emptied(record)
    if entry.ebr is None:
        _put_primary(draft, base, entry.number, record.entries[entry.number - 1])
        return
    home = next(ebr for ebr in saved.ebrs if ebr.lba * saved.sector_size == entry.ebr)
    slot, container = next(
        (slot, found) for slot, found in record.used if found.extended and found.start_lba == home.container_lba
    )
    mended = Draft(draft.volume, draft.unit)
    there = _container_around(base, home, entry, draft.unit)
    if there is None:
        _put_primary(mended, base, slot, container)
        there = container
    _put_logical(draft, saved, entry, home, there)
    draft.remarks += mended.remarks
    for edit in mended.edits:
        draft.put(edit.offset, edit.after, edit.what)


def put_whole_mbr(draft: Draft, saved: PartitionTable) -> None:
    """Draft the edits that put back the saved MBR and every saved EBR; boot code that is there now stays."""
    for ebr in reversed(saved.ebrs):
        draft.put(ebr.lba * draft.unit, ebr.record.raw, "extended boot record")
    raw = _record(saved).raw
    now = draft.view.read(0, MBR_SIZE)
    if now[510:] == BOOT_SIGNATURE and any(now[:440]):
        raw = now[:440] + raw[440:]
    draft.put(0, raw, "MBR")


def _record(table: PartitionTable) -> MasterBootRecord:
    if table.mbr is None:
        raise NoSpace("an MBR without its sector 0 cannot be put back")
    return table.mbr


def _emptied(record: MasterBootRecord) -> MasterBootRecord:
    """The same boot code and disk signature with four empty entries."""
    raw = record.raw[:TABLE_OFFSET] + EMPTY_ENTRY.pack() * 4 + BOOT_SIGNATURE
    return MasterBootRecord(raw, record.disk_signature, (EMPTY_ENTRY,) * 4)


def _put_primary(draft: Draft, base: MasterBootRecord, number: int, entry: MbrEntry) -> None:
    """Into the slot of an entry of the same start, the old slot, or the first free one."""
    same = [slot for slot, there in base.used if there.start_lba == entry.start_lba]
    free = [slot for slot in (number, 1, 2, 3, 4) if base.entries[slot - 1].empty]
    if not same and not free:
        raise PlaceTaken("all four entries of the MBR are in use", hint="delete a partition first")
    slot = (same or free)[0]
    if slot != number:
        draft.remarks.append(f"! number {number} is taken: the partition becomes number {slot}")
    active = any(there.boot_indicator == 0x80 for other, there in base.used if other != slot)
    draft.put(0, base.replace(slot, entry._replace(boot_indicator=0) if active else entry), "MBR")


def _container_around(
    base: MasterBootRecord, home: ExtendedBootRecord, entry: PartitionEntry, unit: int
) -> MbrEntry | None:
    """The extended partition that is there now and has room for the logical one and its EBR."""
    for _, there in base.used:
        end = (there.start_lba + there.sector_count) * unit
        if there.extended and there.start_lba <= home.lba and entry.end <= end:
            return there
    return None


def _put_logical(
    draft: Draft, saved: PartitionTable, entry: PartitionEntry, home: ExtendedBootRecord, container: MbrEntry
) -> None:
    """Mend damaged EBRs from the saved ones until the chain holds; if it still lacks ``entry``, link it in."""
    copies = {ebr.lba: ebr for ebr in saved.ebrs}
    chain = read_chain(draft.view, container, draft.unit)
    for _ in range(MAX_LOGICALS):
        if not chain.broken or chain.broken[1] not in copies or chain.broken[0] != "mbr.ebr-damaged":
            break
        lba = chain.broken[1]
        draft.put(lba * draft.unit, copies[lba].record.raw, "extended boot record")
        chain = read_chain(draft.view, container, draft.unit)
    if chain.broken and chain.records:
        _cut(draft, chain.records[-1], chain.broken)
        chain = read_chain(draft.view, container, draft.unit)
    wanted = (entry.start // draft.unit, entry.size // draft.unit, int(entry.type, 16))
    named = [(ebr.lba + row.start_lba, row.sector_count, row.type) for ebr in chain.records for row in ebr.logicals]
    if wanted not in named:
        _insert(draft, entry, home, container, chain)


def _cut(draft: Draft, ebr: ExtendedBootRecord, broken: tuple[str, int, str]) -> None:
    """End the chain at ``ebr``, whose link leads nowhere and cannot be mended."""
    slot = next(slot for slot, row in ebr.record.used if row.extended)
    draft.remarks.append(
        f"! the chain of extended boot records ends at sector {ebr.lba}: sector {broken[1]} {broken[2]}"
    )
    draft.put(ebr.lba * draft.unit, ebr.record.replace(slot, EMPTY_ENTRY), "extended boot record")


def _insert(draft: Draft, entry: PartitionEntry, home: ExtendedBootRecord, container: MbrEntry, chain: Chain) -> None:
    unit = draft.unit
    start, count = entry.start // unit, entry.size // unit
    row = next(row for row in home.logicals if home.lba + row.start_lba == start)
    own = next((ebr for ebr in chain.records if _may_hold(ebr, home.lba, start)), None)
    if own is not None or not chain.records:
        lba = own.lba if own else container.start_lba
        link = (own.link if own else None) or EMPTY_ENTRY
        draft.put(lba * unit, _packed(row._replace(start_lba=start - lba), link), "extended boot record")
        return
    lba = _free_sector(home, start, chain)
    before = chain.records[max(0, min(entry.number - 5, len(chain.records)) - 1)]
    draft.put(lba * unit, _packed(row._replace(start_lba=start - lba), before.link or EMPTY_ENTRY), "new boot record")
    link = MbrEntry(0, LBA_ONLY_CHS, _LINK_TYPE, LBA_ONLY_CHS, lba - container.start_lba, start + count - lba)
    data = before.logicals[0] if before.logicals else EMPTY_ENTRY
    draft.put(before.lba * unit, _packed(data, link), "extended boot record")


def _may_hold(ebr: ExtendedBootRecord, home: int, start: int) -> bool:
    """True if this EBR is the partition's own: in its place and empty, or describing the same start."""
    if any(ebr.lba + row.start_lba == start for row in ebr.logicals):
        return True
    return ebr.lba == home and not ebr.logicals


def _free_sector(home: ExtendedBootRecord, start: int, chain: Chain) -> int:
    """Where the partition's EBR can go: its old place, or right before the partition."""
    taken = [range(ebr.lba, ebr.lba + 1) for ebr in chain.records]
    taken += [
        range(ebr.lba + row.start_lba, ebr.lba + row.start_lba + row.sector_count)
        for ebr in chain.records
        for row in ebr.logicals
    ]
    for lba in (home.lba, start - 1):
        if not any(lba in used for used in taken):
            return lba
    raise PlaceTaken(
        f"there is no free sector for the extended boot record of the partition at sector {start}",
        hint="delete the partition right before it first",
    )


def _packed(data: MbrEntry, link: MbrEntry) -> bytes:
    return bytes(TABLE_OFFSET) + data.pack() + link.pack() + bytes(32) + BOOT_SIGNATURE.rjust(MBR_SIZE - 510, b"\0")
