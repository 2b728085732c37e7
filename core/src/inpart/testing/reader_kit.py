"""Conformance of a file system at level 1, the reader: behaviours R1 to R12 of docs/PLUGINS.md."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import ClassVar

from inpart.contracts import Filesystem, FilesystemProvider, State, Verdict
from inpart.errors import FilesystemError, InpartError
from inpart.extents import Extents
from inpart.plugins import Kind
from inpart.testing.damage import zero_sectors
from inpart.testing.kit import ProviderKit, noting
from inpart.testing.specimen import FrozenVolume, Specimen, fill_with_noise
from inpart.units import MIB
from inpart.volume import MemoryVolume, Volume

PROBE_LIMIT = 16 * MIB


_SPECIMENS: dict[tuple[type, str], Specimen] = {}


class FilesystemReaderKit(ProviderKit, ABC):
    """The adopter gives ``provider``, ``variants``, ``make`` and ``complaints``."""

    kind = Kind.FILESYSTEM
    provider: ClassVar[FilesystemProvider]

    @abstractmethod
    def make(self, variant: str) -> Specimen:
        """A healthy file system of this variant, made by its own tools. Called once for each variant."""

    @abstractmethod
    def complaints(self, volume: Volume) -> Sequence[str]:
        """What the reference checker has to say about the file system on ``volume``; nothing if it is healthy."""

    def specimen(self, variant: str) -> Specimen:
        """The specimen, made once."""
        key = type(self), variant
        if key not in _SPECIMENS:
            _SPECIMENS[key] = self.make(variant)
        return _SPECIMENS[key]

    def test_r1_probe_recognises_its_own(self, variant: str) -> None:
        """R1: probing a healthy file system says "mine", and reads a bounded part of it."""
        volume = self.specimen(variant).frozen()
        probe = self.provider.probe(volume)
        assert probe.verdict is Verdict.MINE, f"R1: {probe}"
        assert volume.bytes_read <= PROBE_LIMIT, f"R1: probing read {volume.bytes_read} bytes"

    def test_r2_probe_denies_everything_else(self) -> None:
        """R2: probing anything else says "not mine" and never raises: zeros, noise, volumes of a few bytes."""
        noise = random.Random(2).randbytes(MIB)
        for content in (b"", b"\0", noise[:511], noise[:512], noise[:4096], bytes(MIB), noise, b"\xff" * MIB):
            probe = self.provider.probe(FrozenVolume(content))
            assert probe.verdict is Verdict.NOT_MINE, f"R2: {len(content)} strange bytes are {probe}"

    def test_r3_damage_is_told_apart(self, variant: str) -> None:
        """R3: without its first anchor a file system with copies is "mine but damaged", names the copy, and opens."""
        specimen = self.specimen(variant)
        healthy = self.provider.open(specimen.frozen())
        volume = specimen.volume()
        _wipe(volume, _anchors(healthy)[0])
        probe = self.provider.probe(volume)
        if not specimen.has_copies:
            assert probe.verdict is not Verdict.MINE, "R3: the only anchor is gone, and still it is healthy"
            assert self._refuses(volume), "R3: the only anchor is gone, and still it opens"
            return
        assert probe.verdict is Verdict.DAMAGED, f"R3: the first anchor is gone: {probe}"
        assert probe.trusted, "R3: the probe does not say which copy is trusted"
        rescued = self.provider.open(volume)
        assert rescued.allocated() == healthy.allocated(), "R3: read through the copy, other bytes are allocated"
        assert rescued.info.notes, "R3: no note says that a copy was trusted"

    def test_r4_without_anchors_it_is_gone(self, variant: str) -> None:
        """R4: without any of its anchors it is not "mine", and opening it raises a FilesystemError."""
        volume = self.specimen(variant).volume()
        for anchor in _anchors(self.provider.open(volume)):
            _wipe(volume, anchor)
        assert self.provider.probe(volume).verdict is not Verdict.MINE, "R4: recognised without anchors"
        assert self._refuses(volume), "R4: opened without anchors"

    def test_r5_info_is_consistent(self, variant: str) -> None:
        """R5: the geometry of a healthy file system is possible, it is clean, and use is what the tools count."""
        specimen = self.specimen(variant)
        info = self.provider.open(specimen.frozen()).info
        inside = 0 <= info.data_start < info.data_end <= info.size <= len(specimen.content)
        assert inside, f"R5: data from {info.data_start} to {info.data_end} in {info.size} bytes"
        assert (info.data_end - info.data_start) % info.cluster_size == 0, "R5: the data area is not whole clusters"
        assert info.used_bytes == specimen.used_bytes, f"R5: {info.used_bytes} used, {specimen.used_bytes} expected"
        assert info.state is State.CLEAN, f"R5: {info.state}"
        assert not info.notes, f"R5: notes about a healthy file system: {info.notes}"

    def test_r6_allocated_is_enough(self, variant: str) -> None:
        """R6: with noise in all other bytes the reference checker is silent and nothing that is read changes."""
        specimen = self.specimen(variant)
        allocated = self.provider.open(specimen.frozen()).allocated()
        volume = specimen.volume()
        fill_with_noise(volume, allocated.complement(0, volume.size), seed=6)
        assert not self.complaints(volume), f"R6: {self.complaints(volume)}"
        assert self._content(volume) == self._content(specimen.frozen()), "R6: what is read has changed"

    def test_r7_allocated_is_not_too_much(self, variant: str) -> None:
        """R7: allocated bytes lie in the file system, and free and bad clusters are not among them."""
        specimen = self.specimen(variant)
        filesystem = self.provider.open(specimen.frozen())
        info, allocated = filesystem.info, filesystem.allocated()
        assert Extents.span(0, info.size).covers(allocated), "R7: bytes outside the file system are allocated"
        spare = allocated.complement(info.data_start, info.data_end).total
        expected = info.free_bytes + specimen.bad.total
        assert spare == expected, f"R7: {spare} data bytes are not allocated, {expected} are free or bad"

    def test_r8_system_areas_describe_it(self, variant: str) -> None:
        """R8: system areas have unique names, lie in what is allocated, and at least one is an anchor."""
        filesystem = self.provider.open(self.specimen(variant).frozen())
        areas = filesystem.system_areas()
        names = [area.name for area in areas]
        assert len(set(names)) == len(names), f"R8: {names}"
        assert any(area.anchor for area in areas), "R8: no anchor"
        for area in areas:
            assert area.extents, f"R8: {area.name} is empty"
            assert filesystem.allocated().covers(area.extents), f"R8: {area.name} is not allocated"

    def test_r9_check_is_silent_when_healthy(self, variant: str) -> None:
        """R9: check() finds nothing where the reference checker finds nothing."""
        volume = self.specimen(variant).frozen()
        assert not self.complaints(volume), f"R9: the specimen is not healthy: {self.complaints(volume)}"
        findings = list(self.provider.open(volume).check())
        assert not findings, f"R9: false alarm: {findings}"

    def test_r10_check_finds_damage(self, variant: str) -> None:
        """R10: where the reference checker complains about damaged system areas, opening or check() does too."""
        for damage, volume in self._damaged(variant, 3):
            complaints = self.complaints(volume)
            if complaints and not self._refuses(volume):
                findings = list(self.provider.open(volume).check())
                assert findings, f"R10: {damage}: nothing found; the reference checker: {list(complaints)[:5]}"

    def test_r11_damage_raises_typed_errors_only(self, variant: str) -> None:
        """R11: whatever the bytes, only errors of inpart.errors are raised, and every method comes to an end."""
        for damage, volume in chain(self._damaged(variant, 1), self._garbled(variant, 2)):
            with noting(f"R11: {damage}"), suppress(InpartError):
                self._content(volume)

    def test_r12_reserved_places_are_unused(self, variant: str) -> None:
        """R12: noise in the reserved places changes nothing for anybody."""
        specimen = self.specimen(variant)
        volume = specimen.volume()
        filesystem = self.provider.open(volume)
        places, before = filesystem.reserved_places(), filesystem.allocated()
        assert Extents.span(0, volume.size).covers(places), "R12: reserved places outside the volume"
        fill_with_noise(volume, places, seed=12)
        assert not self.complaints(volume), f"R12: {self.complaints(volume)}"
        assert self.provider.probe(volume).verdict is Verdict.MINE, "R12: not recognised any more"
        assert self.provider.open(volume).allocated() == before, "R12: something else is allocated"

    def _content(self, volume: Volume) -> object:
        """All that this level reads, for comparing."""
        filesystem = self.provider.open(volume)
        areas = tuple(filesystem.system_areas())
        return filesystem.info, filesystem.allocated(), areas, tuple(filesystem.check()), filesystem.reserved_places()

    def _refuses(self, volume: Volume) -> bool:
        try:
            self.provider.open(volume)
        except FilesystemError:
            return True
        return False

    def _damaged(self, variant: str, times: int) -> Iterator[tuple[str, MemoryVolume]]:
        """The specimen with sectors of each system area zeroed, ``times`` different ways each."""
        specimen = self.specimen(variant)
        for area in self.provider.open(specimen.frozen()).system_areas():
            for seed in range(times):
                volume = specimen.volume()
                ids = [zero_sectors(volume, seed, 200, start, end) for start, end in area.extents]
                yield f"{area.name}: {', '.join(ids)}", volume

    def _garbled(self, variant: str, times: int) -> Iterator[tuple[str, MemoryVolume]]:
        """The specimen with short runs of noise in each system area, ``times`` different ways each."""
        specimen = self.specimen(variant)
        for area in self.provider.open(specimen.frozen()).system_areas():
            for seed in range(times):
                volume, chance = specimen.volume(), random.Random(seed)
                start, end = chance.choice(list(area.extents))
                places = [chance.randrange(start, end) for _ in range(8)]
                fill_with_noise(volume, Extents((place, min(place + 4, end)) for place in places), seed)
                yield f"{area.name}: noise at {places}", volume


def _anchors(filesystem: Filesystem) -> list[Extents]:
    return [area.extents for area in filesystem.system_areas() if area.anchor]


def _wipe(volume: Volume, extents: Extents) -> None:
    for start, end in extents:
        volume.write(start, bytes(end - start))
