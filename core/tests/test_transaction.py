"""A transaction against a model: what its view shows, what its commit writes, what it refuses."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inpart.contracts import Stage
from inpart.errors import NoSpace, OutOfBounds, UnfinishedJournal, VolumeError
from inpart.extents import Extents, Runs
from inpart.testing.powercut import PowerCutError, RecordingVolume
from inpart.transaction import (
    JournalState,
    Transaction,
    TransactionMisuse,
    clear_area,
    find_journal,
    pages,
    retire,
    scan_for_journals,
)
from inpart.units import KIB, MIB
from inpart.volume import MemoryVolume

USED, FREE, AREA = 64 * KIB, 128 * KIB, 256 * KIB
JOURNAL = Runs([(AREA, 16 * KIB), (AREA + 20 * KIB, 44 * KIB)])

Step = tuple[str, int, int, int, int]


def disk(sector: int = 512) -> MemoryVolume:
    return MemoryVolume(random.Random(1).randbytes(AREA + 64 * KIB), sector_size=sector)


def steps() -> st.SearchStrategy[list[Step]]:
    step = st.tuples(
        st.sampled_from(["copy", "write", "edit", "edit"]),
        st.integers(0, FREE - 1),
        st.integers(0, FREE - 1),
        st.one_of(st.integers(1, 40), st.integers(1, 9000)),
        st.integers(0, 5),
    )
    return st.lists(step, max_size=25)


def apply(tx: Transaction, model: bytearray, original: bytes, step: Step, number: int) -> None:
    """One step on the transaction and, unless it is refused, on the model."""
    what, at, other, length, stage = step
    data = random.Random(number).randbytes(length)
    target = USED + at % (FREE - USED)
    try:
        if what == "copy":
            source, length = other % (USED - 9000), (length + 511) // 512 * 512
            target = min(target // 512 * 512, FREE - length)
            tx.copy(source, target, length)
            model[target : target + length] = original[source : source + length]
        elif what == "write":
            target = min(target, FREE - length)
            tx.write(target, data)
            model[target : target + length] = data
        else:
            at = min(at, FREE - length)
            tx.edit(at, data, Stage(stage))
            model[at : at + length] = data
    except TransactionMisuse:
        pass


@settings(max_examples=120, deadline=None, derandomize=True)
@given(script=steps(), sector=st.sampled_from([512, 4096]), journaled=st.booleans(), seed=st.integers(0, 99))
def test_view_and_commit_agree_with_the_model(script: list[Step], sector: int, journaled: bool, seed: int) -> None:
    agrees_with_the_model(script, sector, journaled, seed)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(script=steps(), sector=st.sampled_from([512, 4096]), journaled=st.booleans(), seed=st.integers(0, 99))
def test_so_they_do_with_most_pages_packed(script: list[Step], sector: int, journaled: bool, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "MAX_OPEN", 2)
        agrees_with_the_model(script, sector, journaled, seed)


def agrees_with_the_model(script: list[Step], sector: int, journaled: bool, seed: int) -> None:
    volume = disk(sector)
    original = bytes(volume.data)
    model = bytearray(original)
    tx = Transaction(volume)
    for number, step in enumerate(script):
        apply(tx, model, original, step, number)
        assert tx.view.read(0, FREE) == model[:FREE]
    chance = random.Random(seed)
    for _ in range(20):
        low, high = sorted(chance.choices(range(volume.size + 1), k=2))
        assert tx.view.read(low, high - low) == model[low:high]
    different = np.flatnonzero(np.frombuffer(original, np.uint8) != np.frombuffer(model, np.uint8))
    assert tx.changed().covers(Extents.from_starts(different, 1))
    assert bytes(volume.data) == original
    if tx.copies.size and Extents(tx.copies[:, [0]] + [[0, 1]]) & tx.fresh:
        return
    done: list[int] = []
    tx.commit(JOURNAL if journaled else None, progress=done.append)
    assert volume.data[:AREA] == model[:AREA]
    assert sum(done) == tx.work
    journals = find_journal(volume, [JOURNAL])
    assert [journal.state for journal in journals] == [JournalState.RETIRED] * (journaled and bool(tx.edited()))


def test_copies_read_what_was_there_before() -> None:
    volume = disk()
    tx = Transaction(volume)
    tx.copy(0, USED, 4096)
    tx.edit(0, b"new", Stage.LINK)
    assert tx.view.read(0, 3) == b"new"
    assert tx.view.read(USED, 4096) == volume.data[:4096]


def test_copies_that_follow_each_other_become_one() -> None:
    tx = Transaction(disk())
    for number in (0, 1, 3, 2):
        tx.copy(number * 512, USED + number * 512, 512)
    tx.copy(8192, USED + 2048, 512)
    assert tx.copies.tolist() == [[0, USED, 2048], [8192, USED + 2048, 512]]
    assert tx.fresh == Extents.span(USED, USED + 2560)


def test_many_scattered_copies_are_made_in_order() -> None:
    volume = MemoryVolume(random.Random(3).randbytes(40 * MIB))
    original = bytes(volume.data)
    tx = Transaction(volume, copy_limit=None)
    chance = random.Random(4)
    sources = chance.sample(range(20 * MIB // 4096), 3000)
    targets = chance.sample(range(20 * MIB // 4096, 35 * MIB // 4096), 3000)
    for source, target in zip(sources, targets, strict=True):
        tx.copy(source * 4096, target * 4096, 4096)
    tx.copy(0, 35 * MIB, 5 * MIB)
    recording = RecordingVolume(volume)
    tx.volume = recording
    tx.commit(None)
    for source, target in zip(sources, targets, strict=True):
        assert volume.read(target * 4096, 4096) == original[source * 4096 : source * 4096 + 4096]
    assert volume.data[35 * MIB :] == original[: 5 * MIB]
    assert recording.writes <= 3001


def test_edits_of_fresh_places_become_data() -> None:
    volume = disk()
    tx = Transaction(volume)
    tx.copy(0, USED, 1024)
    tx.write(USED + 2048, b"directory")
    tx.edit(USED + 100, b"A", Stage.PUBLISH)
    tx.edit(USED + 2060, b"B", Stage.ALLOCATE)
    tx.edit(USED + 2040, b"over the edge", Stage.LINK)
    assert tx.edited() == Extents.span(USED + 1536, USED + 2048)
    tx.commit(None)
    assert volume.data[USED + 100] == ord("A")
    assert volume.data[USED + 2060] == ord("B")
    assert volume.data[USED + 2040 : USED + 2053] == b"over the edge"


def test_whole_sectors_may_be_handed_in_for_one_byte() -> None:
    """An editor that writes back the sector it sees does not bring later stages forward."""
    volume = disk()
    original = bytes(volume.data[:512])
    tx = Transaction(volume)
    tx.edit(7, b"\x00" if original[7] else b"\x01", Stage.RELEASE)
    sector = bytearray(tx.view.read(0, 512))
    sector[8] ^= 0xFF
    tx.edit(0, sector, Stage.ALLOCATE)
    with pytest.raises(TransactionMisuse, match="byte 7 is edited in stage SWITCH after a later one"):
        tx.edit(7, bytes([sector[7] ^ 1]), Stage.SWITCH)
    recording = RecordingVolume(volume)
    tx.volume = recording
    tx.commit(None)
    first, last = recording.disk("w1-kept"), recording.disk("w2-kept")
    assert first.data[:512] == original[:8] + sector[8:9] + original[9:]
    assert last.data[:512] == sector


def test_misuse_is_refused_before_anything_is_written() -> None:
    volume = disk()
    original = bytes(volume.data)
    tx = Transaction(volume)
    tx.copy(0, USED, 1024)
    tx.edit(0, b"x", Stage.LINK)
    with pytest.raises(TransactionMisuse):
        tx.copy(4096, USED + 512, 512)
    with pytest.raises(TransactionMisuse):
        tx.write(100, b"over the metadata")
    with pytest.raises(TransactionMisuse):
        tx.copy(4096, 0, 512)
    with pytest.raises(OutOfBounds):
        tx.write(volume.size - 1, b"ab")
    with pytest.raises(TransactionMisuse, match="journal"):
        tx.commit(Runs([(0, 32 * KIB)]))
    with pytest.raises(NoSpace):
        tx.commit(Runs([(AREA, 12 * KIB)]))
    with pytest.raises(NoSpace):
        tx.commit(Runs([(number * 1024, 512) for number in range(241)]))
    tx.copy(USED + 512, USED + 8192, 512)
    with pytest.raises(TransactionMisuse, match="overwritten"):
        tx.commit(None)
    assert volume.data == original
    volume.writable = False
    with pytest.raises(VolumeError):
        Transaction(volume).commit(None)


def test_a_commit_happens_once() -> None:
    tx = Transaction(disk())
    tx.edit(0, b"once", Stage.LINK)
    tx.commit(JOURNAL)
    assert tx.view.read(0, 4) == b"once"
    with pytest.raises(TransactionMisuse):
        tx.commit(JOURNAL)
    with pytest.raises(TransactionMisuse):
        tx.write(USED, b"late")


def test_what_is_not_to_last_is_only_looked_at() -> None:
    tx = Transaction(disk(), lasting=False)
    tx.edit(0, b"once", Stage.LINK)
    assert tx.view.read(0, 4) == b"once"
    with pytest.raises(TransactionMisuse, match="meant to last"):
        tx.commit(JOURNAL)


def test_journal_that_does_not_fit_is_refused_with_the_numbers() -> None:
    volume = disk()
    original = bytes(volume.data)
    tx = Transaction(volume)
    tx.edit(0, random.Random(2).randbytes(60 * KIB), Stage.LINK)
    with pytest.raises(NoSpace, match=r"needs \d+ bytes, its area has 61440"):
        tx.commit(JOURNAL)
    assert volume.data == original


def test_an_unfinished_journal_stops_the_next_change() -> None:
    volume = disk()
    first = Transaction(RecordingVolume(volume, stop_after=4))
    first.edit(0, b"first", Stage.LINK)
    with pytest.raises(PowerCutError):
        first.commit(JOURNAL)
    second = Transaction(volume)
    second.edit(4096, b"second", Stage.LINK)
    with pytest.raises(UnfinishedJournal):
        second.commit(JOURNAL)
    [journal] = find_journal(volume, [JOURNAL])
    assert journal.unfinished_work
    retire(volume, journal)
    second.commit(JOURNAL)
    [journal] = find_journal(volume, [JOURNAL])
    assert (journal.state, journal.header.generation) == (JournalState.RETIRED, 2)
    clear_area(volume, JOURNAL)
    assert find_journal(volume, [JOURNAL]) == []


def test_journals_are_found_by_scan_wherever_the_partition_begins() -> None:
    volume = disk()
    tx = Transaction(RecordingVolume(volume, stop_after=4))
    tx.edit(0, b"cut short", Stage.LINK)
    with pytest.raises(PowerCutError):
        tx.commit(JOURNAL)
    whole = MemoryVolume(bytes(MIB) + bytes(volume.data) + bytes(12345 * 512))
    [journal] = scan_for_journals(whole)
    assert (journal.base, journal.state) == (MIB, JournalState.COMMITTED)
    [same] = find_journal(whole, [0, MIB + journal.header.own_offset, 1 << 50, MIB + journal.header.own_offset])
    assert same == journal


def test_full_by_copies_memory_and_journal() -> None:
    volume = MemoryVolume(2 * MIB)
    by_copies = Transaction(volume, copy_limit=64 * KIB)
    by_copies.copy(0, MIB, 60 * KIB)
    assert not by_copies.full
    by_copies.copy(60 * KIB, MIB + 60 * KIB, 4 * KIB)
    assert by_copies.full
    by_memory = Transaction(volume, memory=64 * KIB)
    by_memory.write(0, bytes(60 * KIB))
    assert by_memory.full
    by_journal = Transaction(volume, journal_capacity=64 * KIB)
    for number in range(40):
        assert not by_journal.full
        by_journal.edit(number * 2048, b"x", Stage.LINK)
    for number in range(40, 60):
        by_journal.edit(number * 2048, b"x", Stage.LINK)
    assert by_journal.full


def test_view_may_be_read_from_several_threads() -> None:
    volume = MemoryVolume(random.Random(5).randbytes(4 * MIB))
    tx = Transaction(volume)
    for number in range(100):
        tx.copy(number * 8192, 2 * MIB + number * 8192, 4096)
        tx.edit(number * 8192 + 5000, b"edited", Stage.LINK)
    whole = tx.view.read(0, volume.size)
    spans = [(low, min(low + 70_001, volume.size)) for low in range(0, volume.size, 70_001)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda span: tx.view.read(span[0], span[1] - span[0]), spans * 5))
    assert b"".join(parts) == whole * 5


def test_view_shows_where_data_may_be() -> None:
    class Sparse(MemoryVolume):
        def data_extents(self, start: int = 0, end: int | None = None) -> Extents:
            return Extents.span(0, 4096).clip(start, self.size if end is None else end)

    tx = Transaction(Sparse(MIB))
    tx.copy(0, 64 * KIB, 4096)
    tx.edit(700, b"x", Stage.LINK)
    tx.write(100_000, b"y")
    assert tx.view.data_extents() == Extents([(0, 4096), (65536, 69632), (99840, 100352)])
    assert tx.view.data_extents(66000, 99841) == Extents([(66000, 69632), (99840, 99841)])


def test_stages_are_flushed_one_after_the_other() -> None:
    volume = disk()
    recording = RecordingVolume(volume)
    tx = Transaction(recording)
    for stage in reversed(Stage):
        tx.edit(int(stage) * 1024, b"\xa5\x5a\xa5", stage)
    tx.copy(2048, USED, 512)
    tx.commit(None)
    shown = [recording.disk(f"w{count}-kept") for count in range(recording.writes + 1)]
    assert [sum(one != other for one, other in zip(low.data, high.data, strict=True)) for low, high in pairwise(shown)]
    lost = [recording.disk(f"w{count}-lost").data for count in range(1, recording.writes + 1)]
    assert lost == [step.data for step in shown[:-1]]


def test_bits_are_set_below_those_that_are_cleared_later() -> None:
    start = bytearray(4 * KIB)
    start[100:102] = b"\x81\x81"
    volume = RecordingVolume(MemoryVolume(start))
    tx = Transaction(volume)
    tx.edit(100, b"\x80\x80", Stage.RELEASE)
    tx.set_bits(100, b"\x02\x01\x04", Stage.ALLOCATE)
    tx.write(KIB, bytes(512))
    tx.set_bits(KIB, b"\x08", Stage.ALLOCATE)
    assert tx.view.read(100, 3) == b"\x82\x81\x04"
    assert tx.view.read(KIB, 1) == b"\x08"
    with pytest.raises(TransactionMisuse):
        tx.edit(100, b"\x00", Stage.ALLOCATE)
    tx.commit(None)
    seen = [disk.read(100, 3) for _, disk in volume.disks(volume.cuts(torn=0))]
    assert list(dict.fromkeys(seen)) == [b"\x81\x81\x00", b"\x83\x81\x04", b"\x82\x81\x04"]


def test_places_that_cannot_be_a_journal_area_hold_no_journal() -> None:
    places: list[Runs | int] = [
        Runs(),
        Runs([(0, 512)]),
        Runs([(AREA, 1 << 40)]),
        Runs([(Runs.HOLE, 64 * KIB)]),
        -1,
        1 << 60,
    ]
    assert find_journal(disk(), places) == []
