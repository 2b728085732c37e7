"""The power-cut recorder itself: which disks it makes, and that their ids bring them back."""

from __future__ import annotations

import pytest
from inpart.errors import UsageError, VolumeError
from inpart.extents import Extents
from inpart.testing.faults import FaultyVolume
from inpart.testing.powercut import Cut, Fate, PowerCutError, RecordingVolume, Sample, run_power_cuts
from inpart.volume import MemoryVolume, Volume


def work(volume: Volume) -> None:
    volume.write(0, b"A" * 1024)
    volume.flush()
    volume.write(512, b"B" * 1024)
    volume.write(4096, b"C" * 512)
    volume.flush()
    volume.write(700, b"D")


def blank() -> MemoryVolume:
    return MemoryVolume(b"." * 8192)


def test_kept_and_lost_follow_the_flushes() -> None:
    recording = RecordingVolume(blank())
    work(recording)
    first = b"A" * 1024 + b"." * 7168
    assert recording.disk("w0-kept").data == b"." * 8192
    assert recording.disk("w1-lost").data == b"." * 8192
    assert recording.disk("w1-kept").data == first
    assert recording.disk("w2-lost").data == first
    assert recording.disk("w3-lost").data == first
    assert recording.disk("w2-kept").data == b"A" * 512 + b"B" * 1024 + b"." * 6656
    assert recording.disk("w4-kept").data == recording.base.read(0, 8192)
    assert recording.disk("w4-lost").data[700:701] == b"B"


def test_torn_cuts_mix_whole_sectors_in_every_way() -> None:
    recording = RecordingVolume(blank())
    work(recording)
    seen = set()
    for seed in range(300):
        data = recording.disk(Cut(3, Fate.TORN, seed)).data
        sectors = [data[at : at + 512] for at in (0, 512, 1024, 4096)]
        assert all(len(set(sector)) == 1 for sector in sectors)
        seen.add(bytes(sector[0] for sector in sectors))
    assert seen == {b"A" + one + two + three for one in (b"A", b"B") for two in (b".", b"B") for three in (b".", b"C")}


def test_ids_bring_back_the_same_disk() -> None:
    recording = RecordingVolume(blank())
    work(recording)
    cuts = recording.cuts(torn=3)
    assert [str(cut) for cut in cuts[:5]] == ["w0-kept", "w1-kept", "w1-torn-0", "w1-torn-1", "w1-torn-2"]
    assert len(cuts) == 1 + 4 * 4
    for cut, disk in recording.disks(reversed(cuts)):
        assert recording.disk(str(cut)).data == disk.data
    with pytest.raises(UsageError):
        recording.disk("w5-kept")
    for text in ("w1", "w1-torn-x", "1-kept", "w1-kept-"):
        with pytest.raises(UsageError):
            Cut.parse(text)


def test_the_action_stops_at_a_write_and_stays_stopped() -> None:
    volume = RecordingVolume(blank(), stop_after=2)
    with pytest.raises(PowerCutError):
        work(volume)
    with pytest.raises(PowerCutError):
        volume.flush()
    assert volume.writes == 2
    assert volume.read(4096, 1) == b"."


def test_run_names_the_cut_that_failed() -> None:
    def check(disk: MemoryVolume) -> None:
        assert disk.data[4096:4097] == b"." or disk.data[1024:1025] == b"B", "reordered"

    with pytest.raises(AssertionError) as caught:
        run_power_cuts(blank, work, check, torn=20)
    note = caught.value.__notes__[0]
    assert note.startswith("power cut w3-torn-")
    with pytest.raises(AssertionError):
        run_power_cuts(blank, work, check, [note.split()[2]])
    assert run_power_cuts(blank, work, check, ["w3-kept", "w2-kept"]) == 2


def test_samples_keep_both_ends() -> None:
    recording = RecordingVolume(blank())
    work(recording)
    cuts = recording.cuts(torn=10)
    chosen = Sample(6, seed=3).choose(cuts)
    assert len(chosen) == 6
    assert (chosen[0], chosen[-1]) == (cuts[0], cuts[-1])
    assert chosen == Sample(6, seed=3).choose(cuts)
    assert Sample(1000).choose(cuts) == cuts
    assert run_power_cuts(blank, work, lambda disk: disk.size, Sample(6), torn=10) == 6


def test_faulty_volume_fails_where_it_is_told_to() -> None:
    base = MemoryVolume(8192)
    volume = FaultyVolume(base, unreadable=Extents.span(512, 1024), unwritable=Extents.span(0, 512), ends_at=7000)
    assert volume.read(0, 512) == bytes(512)
    for offset, length in ((0, 513), (1023, 1), (6999, 2)):
        with pytest.raises(VolumeError, match="cannot read at"):
            volume.read(offset, length)
    with pytest.raises(VolumeError, match="cannot write at 0"):
        volume.write(0, b"x")
    volume.write(512, b"x")
    assert volume.failures == 4
    assert (base.data[512], volume.size) == (ord("x"), 8192)
