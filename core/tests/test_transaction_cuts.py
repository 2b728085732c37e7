"""Power cuts at every write of a commit, of a replay and of the restore record."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.checksums import crc32c
from inpart.contracts import Stage
from inpart.errors import IntegrityError, NoSpace, VolumeError
from inpart.extents import Extents, Runs
from inpart.testing.faults import FaultyVolume
from inpart.testing.powercut import RecordingVolume, run_power_cuts, stop_at_each_write
from inpart.transaction import (
    JournalState,
    RestoreRecord,
    Transaction,
    TransactionMisuse,
    clear_restore_record,
    find_journal,
    read_restore_record,
    replay,
    retire,
    write_restore_record,
)
from inpart.units import KIB
from inpart.volume import MemoryVolume, Volume

USED, FREE, AREA, END = 16 * KIB, 32 * KIB, 40 * KIB, 72 * KIB
JOURNAL = Runs([(AREA + 16 * KIB, 16 * KIB), (AREA, 12 * KIB)])
SECTOR = 512

Edit = tuple[int, int, int]


def disk() -> MemoryVolume:
    return MemoryVolume(random.Random(1).randbytes(END))


class Script:
    """Random edits with a byte-by-byte model of what the metadata area holds before, and after each stage."""

    def __init__(self, edits: list[Edit]) -> None:
        before = bytes(disk().data[:USED])
        history: list[list[tuple[int, int]]] = [[(-1, byte)] for byte in before]
        self.accepted: list[tuple[int, bytes, Stage]] = []
        self.refused: list[tuple[int, bytes, Stage]] = []
        for number, (offset, length, stage) in enumerate(edits):
            data = random.Random(number).randbytes(min(length, USED - offset))
            new = [(at, byte) for at, byte in enumerate(data, offset) if history[at][-1][1] != byte]
            if any(history[at][-1][0] > stage for at, _ in new):
                self.refused.append((offset, data, Stage(stage)))
                continue
            self.accepted.append((offset, data, Stage(stage)))
            for at, byte in new:
                history[at].append((stage, byte))
        self.states = [
            bytes(next(byte for at, byte in reversed(steps) if at <= level) for steps in history)
            for level in range(-1, len(Stage))
        ]

    def transaction(self, volume: Volume) -> Transaction:
        tx = Transaction(volume)
        tx.copy(SECTOR, USED + SECTOR, 1024)
        tx.write(USED + 4096, b"new data" * 99)
        for edit in self.accepted:
            tx.edit(*edit)
        for edit in self.refused:
            with pytest.raises(TransactionMisuse):
                Transaction.edit(tx, *edit)
        return tx

    def commit(self, volume: Volume) -> None:
        self.transaction(volume).commit(JOURNAL)

    def levels(self, volume: Volume) -> list[set[int]]:
        """For each sector of the metadata area the states that it may be in; an unknown content fails."""
        found = []
        for low in range(0, USED, SECTOR):
            content = volume.read(low, SECTOR)
            matching = {level for level, state in enumerate(self.states) if state[low : low + SECTOR] == content}
            assert matching, f"sector at {low} holds what no stage ever wrote"
            found.append(matching)
        return found

    def in_stage_order(self, volume: Volume) -> bool:
        """True if there is a stage such that no sector lags behind it by more than one and none is ahead of it."""
        levels = self.levels(volume)
        return any(all(matching & {low, low + 1} for matching in levels) for low in range(len(Stage)))


def edits() -> st.SearchStrategy[list[Edit]]:
    edit = st.tuples(st.integers(0, USED - 1), st.one_of(st.integers(1, 40), st.integers(1, 2500)), st.integers(0, 5))
    return st.lists(edit, min_size=1, max_size=12)


def metadata(volume: Volume) -> bytes:
    return volume.read(0, USED)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(edits())
def test_every_cut_of_a_commit_is_undone_or_finished(case: list[Edit]) -> None:
    script = Script(case)
    before, after = script.states[0], script.states[-1]
    whole = RecordingVolume(disk())
    script.commit(whole)
    assert metadata(whole) == after

    def check(cut: MemoryVolume) -> None:
        assert script.in_stage_order(cut)
        assert metadata(cut) == before or cut.data[USED:FREE] == whole.read(USED, FREE - USED)
        for journal in find_journal(cut, [JOURNAL]):
            if journal.state is JournalState.COMMITTED:
                replay(cut, journal)
                assert metadata(cut) == after
                assert replay(cut, journal) == 0
                retire(cut, journal)
            elif journal.state is JournalState.UNFINISHED:
                assert metadata(cut) == before
            assert [found.state is JournalState.COMMITTED for found in find_journal(cut, [JOURNAL])] == [False]
        assert metadata(cut) in {before, after}

    run_power_cuts(disk, script.commit, check, torn=3)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(edits(), st.integers(0, 1 << 16))
def test_every_cut_of_a_replay_can_be_replayed(case: list[Edit], seed: int) -> None:
    script = Script(case)
    recording = RecordingVolume(disk())
    script.commit(recording)
    cuts = [cut for cut, found in recording.disks(recording.cuts(torn=2)) if is_committed(found)]
    half_done = recording.disk(random.Random(seed).choice(cuts))

    def resume(volume: Volume) -> None:
        [journal] = find_journal(volume, [JOURNAL])
        replay(volume, journal)
        retire(volume, journal)

    def check(cut: MemoryVolume) -> None:
        assert script.in_stage_order(cut)
        if is_committed(cut):
            resume(cut)
        assert metadata(cut) == script.states[-1]

    run_power_cuts(lambda: MemoryVolume(half_done.data), resume, check, torn=2)


def is_committed(volume: Volume) -> bool:
    return any(journal.unfinished_work for journal in find_journal(volume, [JOURNAL]))


@settings(max_examples=10, deadline=None, derandomize=True)
@given(edits())
def test_soft_updates_alone_keep_the_stages_in_order(case: list[Edit]) -> None:
    script = Script(case)

    def check(cut: MemoryVolume) -> None:
        assert script.in_stage_order(cut)

    run_power_cuts(disk, lambda volume: script.transaction(volume).commit(None), check, torn=2)


def test_stopping_at_each_write_leaves_what_the_recording_says() -> None:
    script = Script([(0, 700, 0), (5000, 30, 2), (100, 3000, 4)])
    recording = RecordingVolume(disk())
    script.commit(recording)
    stopped = list(stop_at_each_write(disk, script.commit))
    assert len(stopped) == recording.writes
    for volume in stopped:
        journal_free = recording.disk(f"w{volume.writes}-kept").data[:AREA]
        assert volume.read(0, AREA) == journal_free


def committed(case: list[Edit]) -> tuple[Script, MemoryVolume]:
    """A disk just after the commit record was written, before any edit."""
    script = Script(case)
    recording = RecordingVolume(disk())
    script.commit(recording)
    for cut, found in recording.disks(recording.cuts(torn=0)):
        if is_committed(found):
            return script, recording.disk(cut)
    raise AssertionError("never committed")


CASE: list[Edit] = [(0, 700, 0), (5000, 30, 2), (5000, 30, 4), (8192, 3000, 4)]


def test_replay_refuses_what_was_changed_since_and_says_where() -> None:
    script, volume = committed(CASE)
    before = bytes(volume.data)
    for sector in (0, 9, 16):
        volume.data[sector * SECTOR + 77] ^= 4
    changed = bytes(volume.data)
    [journal] = find_journal(volume, [JOURNAL])
    with pytest.raises(IntegrityError, match=r"3 of the sectors .* bytes 0, 4608, 8192 of the partition"):
        replay(volume, journal)
    assert volume.data == changed
    volume.data[:] = before
    assert replay(volume, journal) == 2 + 1 + 1 + 6
    assert metadata(volume) == script.states[-1]


def test_changes_that_keep_the_checksum_are_told_apart() -> None:
    """As in the superblock of ext4: what CRC-32C is divided by may be added anywhere."""
    divisor = (0x82F63B78 << 1 | 1).to_bytes(5, "little")
    at = 4 * SECTOR + 100

    def change(volume: Volume) -> None:
        tx = Transaction(volume)
        for place, stage in ((at, Stage.MARK), (at + 20, Stage.RELEASE), (at, Stage.PUBLISH)):
            old = tx.view.read(place, len(divisor))
            tx.edit(place, bytes(a ^ b for a, b in zip(old, divisor, strict=True)), stage)
        tx.commit(JOURNAL)

    before, after = disk(), disk()
    change(after)
    sectors = [bytes(one.data[4 * SECTOR : 5 * SECTOR]) for one in (before, after)]
    assert sectors[0] != sectors[1]
    assert crc32c(sectors[0]) == crc32c(sectors[1])

    def check(cut: MemoryVolume) -> None:
        for journal in find_journal(cut, [JOURNAL]):
            if journal.unfinished_work:
                replay(cut, journal)
                assert cut.data[:USED] == after.data[:USED]

    run_power_cuts(disk, change, check)


def test_replay_refuses_journals_that_are_not_committed() -> None:
    _, volume = committed(CASE)
    [journal] = find_journal(volume, [JOURNAL])
    retire(volume, journal)
    retire(volume, journal)
    [retired] = find_journal(volume, [JOURNAL])
    assert retired.state is JournalState.RETIRED
    with pytest.raises(IntegrityError, match="retired"):
        replay(volume, retired)


def test_each_byte_of_header_and_commit_record_counts() -> None:
    """Any damage makes the journal unknown or unfinished, and so without effect."""
    _, volume = committed(CASE)
    offsets = [JOURNAL.slice(8192 + at, 1).array[0, 0] for at in [*range(100), 200, 4095, *range(4096, 4150), 8191]]
    for offset in offsets:
        volume.data[offset] ^= 0x10
        assert not is_committed(volume), offset
        volume.data[offset] ^= 0x10
    assert is_committed(volume)


def test_damaged_payload_is_refused() -> None:
    _, volume = committed(CASE)
    [journal] = find_journal(volume, [JOURNAL])
    for at in range(0, journal.header.payload_length, 61):
        damaged = MemoryVolume(volume.data)
        damaged.data[int(JOURNAL.slice(16384 + at, 1).array[0, 0])] ^= 1
        before = bytes(damaged.data)
        with pytest.raises(IntegrityError, match="checksum"):
            replay(damaged, journal)
        assert damaged.data == before


RECORD = RestoreRecord(b"i" * 16, b"s" * 16, b'{"changed_only": true}', 0)


def test_restore_record_survives_every_cut() -> None:
    def update(volume: Volume) -> None:
        for progress in (1 << 20, 2 << 20, 3 << 20):
            write_restore_record(volume, JOURNAL, RestoreRecord(b"i" * 16, b"s" * 16, b"{}", progress))
        clear_restore_record(volume, JOURNAL)

    def prepare() -> MemoryVolume:
        volume = disk()
        write_restore_record(volume, JOURNAL, RECORD)
        return volume

    recording = RecordingVolume(prepare())
    update(recording)
    seen: list[int] = []
    for _, volume in recording.disks(recording.cuts(torn=4)):
        found = read_restore_record(volume, JOURNAL)
        seen.append(1 << 40 if found is None else found.progress)
        assert found is None or (found.image_id, found.store_id) == (b"i" * 16, b"s" * 16)
    assert set(seen) == {0, 1 << 20, 2 << 20, 3 << 20, 1 << 40}
    for one, two in pairwise(seen):
        assert two >= one - (1 << 20) or one == 1 << 40


def test_restore_record_and_journal_keep_clear_of_each_other() -> None:
    script, volume = committed(CASE)
    assert read_restore_record(volume, JOURNAL) is None
    written = write_restore_record(volume, JOURNAL, RECORD)
    written = write_restore_record(volume, JOURNAL, written)
    assert read_restore_record(volume, JOURNAL) == written
    assert written.options == RECORD.options
    [journal] = find_journal(volume, [JOURNAL])
    replay(volume, journal)
    retire(volume, journal)
    assert metadata(volume) == script.states[-1]
    assert read_restore_record(volume, JOURNAL) == written
    clear_restore_record(volume, JOURNAL)
    clear_restore_record(volume, JOURNAL)
    assert read_restore_record(volume, JOURNAL) is None


def test_cleared_restore_record_does_not_come_back_from_a_damaged_slot() -> None:
    volume = disk()
    for progress in range(3):
        write_restore_record(volume, JOURNAL, RestoreRecord(b"i" * 16, b"s" * 16, b"{}", progress))
    clear_restore_record(volume, JOURNAL)
    for slot in (0, 4096):
        damaged = MemoryVolume(volume.data)
        damaged.data[int(JOURNAL.slice(slot + 100, 1).array[0, 0])] ^= 1
        assert read_restore_record(damaged, JOURNAL) is None


def test_restore_record_refuses_long_options() -> None:
    with pytest.raises(NoSpace, match=r"5000 bytes"):
        write_restore_record(disk(), JOURNAL, RestoreRecord(b"i" * 16, b"s" * 16, bytes(5000)))


def test_medium_that_fails_in_the_middle_of_the_edits_is_finished_later() -> None:
    script = Script(CASE)
    base = disk()
    with pytest.raises(VolumeError, match="cannot write at 8192"):
        script.commit(FaultyVolume(base, unwritable=Extents.span(8192, 8704)))
    assert metadata(base) != script.states[-1]
    [journal] = find_journal(base, [JOURNAL])
    assert journal.unfinished_work
    replay(base, journal)
    assert metadata(base) == script.states[-1]


@pytest.mark.parametrize("bad", [Extents.span(1000, 1001), Extents.span(USED + 1024, USED + 1025)])
def test_data_that_cannot_be_copied_leaves_the_metadata_alone(bad: Extents) -> None:
    base = disk()
    with pytest.raises(VolumeError):
        Script(CASE[1:2]).commit(FaultyVolume(base, unreadable=bad, unwritable=bad))
    assert metadata(base) == disk().data[:USED]
    assert find_journal(base, [JOURNAL]) == []
