"""For each behaviour of the conformance kits a provider that breaks it, made from the null providers."""

from __future__ import annotations

import itertools
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from inpart.contracts import (
    AidCheck,
    AidRecord,
    AidState,
    Finding,
    Probe,
    Severity,
    Stage,
    SystemArea,
    Vacated,
    Verdict,
)
from inpart.errors import IntegrityError, UsageError
from inpart.extents import Extents, Runs
from inpart.testing.aid_kit import RECORD, AidKit
from inpart.testing.encoding_kit import EncodingKit
from inpart.testing.filesystem_kit import FilesystemEditorKit, Specimen
from inpart.testing.kit import ProviderKit
from inpart.testing.layout_kit import LayoutKit
from inpart.testing.null import (
    NullAid,
    NullEncoding,
    NullFilesystem,
    NullFilesystemProvider,
    NullLayout,
    make_null,
)
from inpart.testing.null.blocks import SEAL_MAGIC, SEAL_SIZE
from inpart.testing.null.editor import DIRECTORY
from inpart.testing.null.layout import NullStore, NullStoreWriter
from inpart.testing.null.structs import BAD, FREE, USED
from inpart.volume import MemoryVolume, Volume
from pydantic import ValidationError

CLUSTER = 4096
NULL = NullFilesystem


class FilesystemCase(FilesystemEditorKit):
    """The kit on one small specimen; the reference checker is that of the provider that is right."""

    variants = ("small",)
    cuts = 40

    def make(self, variant: str) -> Specimen:
        files = {f"/d{n % 2}/f{n}": bytes([n + 1]) * (n * 2500 + 7) for n in range(8)}
        volume = MemoryVolume(600 * 1024)
        block = make_null(volume, files, fragments=3, bad=(7,), swap=("/d1/f3",))
        bad = Extents.span(block.data_start + 7 * CLUSTER, block.data_start + 8 * CLUSTER)
        used = sum(-(-len(content) // CLUSTER) * CLUSTER for content in files.values())
        return Specimen(bytes(volume.data), files, used, has_copies=True, dispensable=("/d1/f3",), bad=bad)

    def complaints(self, volume: Volume) -> list[str]:
        return [finding.code for finding in NullFilesystemProvider().open(volume).check()]

    def tolerable(self, complaint: str) -> bool:
        return complaint == "null.lost"


class LayoutCase(LayoutKit):
    variants = ("plain",)
    at_the_end = False
    survives_lost_pages = False


def filesystem(probe: Callable[..., Probe] | None = None, **members: object) -> type[ProviderKit]:
    """The kit for a null file system with other members."""
    broken = type("Broken", (NullFilesystem,), members)

    class Provider(NullFilesystemProvider):
        def open(self, volume: Volume) -> NullFilesystem:
            opened: NullFilesystem = broken(volume)
            return opened

    if probe is not None:
        Provider.probe = probe  # type: ignore[method-assign]
    return type("Case", (FilesystemCase,), {"provider": Provider()})


def encoding(**members: object) -> type[ProviderKit]:
    """The kit for a null encoding with other members."""
    case = {"provider": type("Broken", (NullEncoding,), members)(), "arguments": ("7",), "bad_arguments": ("seven",)}
    return type("Case", (EncodingKit,), case)


def layout(store: dict[str, object] | None = None, **members: object) -> type[ProviderKit]:
    """The kit for a null layout with other members, of itself or of its stores."""
    if store is not None:
        kind = type("BrokenStore", (NullStore,), store)

        def locate(self: NullLayout, volume: Volume, search: Any) -> list[NullStore]:
            found = list(NullLayout.locate(self, volume, search))
            for one in found:
                one.__class__ = kind
            return found

        members["locate"] = locate
    return type("Case", (LayoutCase,), {"provider": type("Broken", (NullLayout,), members)()})


def writing(**members: object) -> type[ProviderKit]:
    """The kit for a null layout with another writer."""
    kind = type("BrokenWriter", (NullStoreWriter,), members)

    def writer(self: NullLayout, *arguments: Any) -> NullStoreWriter:
        made = NullLayout.writer(self, *arguments)
        made.__class__ = kind
        return made

    return layout(writer=writer)


def aid(**members: object) -> type[ProviderKit]:
    """The kit for a null aid with other members."""
    return type("Case", (AidKit,), {"provider": type("Broken", (NullAid,), members)()})


def always(value: object) -> Callable[..., Any]:
    return lambda *_, **__: value


def trusting_probe(_: object, volume: Volume) -> Probe:
    probe = NullFilesystemProvider().probe(volume)
    return replace(probe, verdict=Verdict.MINE) if probe.verdict is Verdict.DAMAGED else probe


def raising_on_damage(self: NullFilesystem) -> Iterator[Finding]:
    found = list(NULL.check(self))
    if found:
        raise KeyError(found[0].code)
    return iter(found)


def truncated_runs(self: NullFilesystem, path: str) -> Runs:
    runs = NULL.runs(self, path)
    return runs.slice(0, max(0, runs.total - CLUSTER))


def keeps_clusters(self: NullFilesystem, runs: Any, value: int, tx: Any, stage: Stage) -> None:
    if value != FREE:
        NULL._mark(self, runs, value, tx, stage)


def marks_last(self: NullFilesystem, runs: Any, value: int, tx: Any, stage: Stage) -> None:
    NULL._mark(self, runs, value, tx, Stage.PUBLISH if value == USED else stage)


def greedy_claim(self: NullFilesystem, claims: Any, tx: Any, *, directory: Runs) -> None:
    NULL.claim(self, claims, tx, directory=directory)
    spare = (self.free().start - self.superblock.data_start) // CLUSTER
    self._mark(((spare, 1),), BAD, tx, Stage.ALLOCATE)


def sorted_claim(self: NullFilesystem, claims: Any, tx: Any, *, directory: Runs) -> None:
    NULL.claim(self, [replace(one, runs=Runs(sorted(one.runs))) for one in claims], tx, directory=directory)


def release_files_only(self: NullFilesystem, names: Any, tx: Any) -> None:
    records = {record.path: record for record in self.records()}
    NULL.release(self, names, tx)
    if DIRECTORY in records and not any(record.path == DIRECTORY for record in self.records()):
        self._put(records[DIRECTORY], tx, Stage.FOLLOW)


def adapt_one_copy(self: NullFilesystem, place: Any, tx: Any) -> None:
    tx.edit(0, replace(self.superblock, partition_start=place.start).pack(), Stage.SWITCH)


def remembered_claims(self: NullFilesystem) -> Any:
    if not hasattr(self, "_remembered"):
        self._remembered = NULL.claims(self)  # type: ignore[attr-defined]
    return self._remembered


def missing_is_root(self: NullFilesystem, path: str) -> object:
    try:
        return NULL.stat(self, path)
    except UsageError:
        return NULL.stat(self, "/")


def own_key_decode(self: NullEncoding, data: Any, size: int) -> bytes:
    return NullEncoding.decode(self, bytes([self.parameters.key]) + bytes(data[1:]), size)


def racing_encode(self: Any, data: Any) -> bytes:
    self.held = bytes(data)
    time.sleep(0.0005)
    return NullEncoding.encode(self, self.held)


def bomb_decode(self: NullEncoding, data: Any, size: int) -> bytes:
    try:
        plain = zlib.decompress(data)
    except zlib.error as error:
        raise IntegrityError("not zlib") from error
    if len(plain) != size:
        raise IntegrityError("another size")
    return plain


def eager_finish(self: NullStoreWriter, summary: Any) -> None:
    NullStoreWriter.finish(self, summary)
    self.volume.write(self.block.end - SEAL_SIZE, self.block.pack(SEAL_MAGIC))


def stray_write(self: NullStoreWriter, data: Any) -> None:
    NullStoreWriter.write(self, data)
    self.volume.write(0, b"stray")


def rewriting_finish(self: NullStoreWriter, summary: Any) -> None:
    """Takes all older seals away while it writes, as one who rewrites a table in place."""
    seals = [at for at in range(0, self.volume.size, 512) if self.volume.read(at, 16) == SEAL_MAGIC]
    for at in seals:
        self.volume.write(at, bytes(16))
    self.volume.flush()
    NullStoreWriter.finish(self, summary)
    for at in seals:
        self.volume.write(at, SEAL_MAGIC)


def endless_write(self: NullStoreWriter, data: Any) -> None:
    if self.block.stream_size + len(data) <= self.block.description - self.block.start - 70_000:
        NullStoreWriter.write(self, data)


def easy_plan(self: NullLayout, request: Any, store: Any) -> Any:
    limit = max(0, request.free.total // 4)
    return NullLayout.plan(self, replace(request, upper=min(request.upper, limit), min_free=0), store)


def counting_plan(self: Any, request: Any, store: Any) -> Any:
    self.calls = getattr(self, "calls", 0) + 1
    plan = NullLayout.plan(self, request, store)
    return replace(plan, capacity=plan.capacity + self.calls)


def renamed(self: NullStore) -> Any:
    images = NullStore.images.fget(self)  # type: ignore[attr-defined]
    return tuple(replace(image, summary=replace(image.summary, name="x")) for image in images)


def backwards(self: NullStore) -> Any:
    return NullStore.images.fget(self)[::-1]  # type: ignore[attr-defined]


def short_claims(self: NullStore) -> Any:
    change = NullStore.claims(self)
    return replace(change, claims=change.claims[1:])


def fragile_locate(self: NullLayout, volume: Volume, search: Any) -> Any:
    stores = NullLayout.locate(self, volume, search)
    if volume.read(volume.size - 1, 1) != b"\0" and not stores:
        raise KeyError("no store")
    return stores


def credulous_locate(self: NullLayout, volume: Volume, search: Any) -> Any:
    stores = NullLayout.locate(self, volume, search)
    if not stores and SEAL_MAGIC in volume.read(0, volume.size):
        raise KeyError("a seal, and no image")
    return stores


def farthest_store(self: NullLayout, volume: Volume, search: Any) -> Any:
    return sorted(NullLayout.locate(self, volume, search), key=lambda store: abs(store.base))[-1:]


def quiet_remove(self: NullStore, image_ids: Any, tx: Any) -> Any:
    scratch = type("Nothing", (), {"edit": always(None)})()
    return NullStore.remove(self, image_ids, scratch)


def meddling_repair(self: NullStore, tx: Any) -> Any:
    tx.edit(0, b"repaired", Stage.PUBLISH)
    return NullStore.repair(self, tx)


def unchecked_read(_: NullAid, target: str) -> AidRecord:
    try:
        return AidRecord.model_validate_json(Path(target).read_bytes().partition(b"\n")[2])
    except ValidationError as error:
        raise IntegrityError(str(error)) from error


def pedantic_check(self: NullAid, target: str, record: AidRecord) -> AidCheck:
    differs = self.read(target) != record
    return AidCheck(state=AidState.STALE if differs else AidState.IN_SYNC)


FINDING = Finding(Severity.ERROR, "null.false", "nowhere", "a false alarm")

BROKEN: dict[str, type[ProviderKit]] = {
    "P1": type("Case", (AidKit,), {"provider": type("Half", (), {"name": "half", "api_version": 1})()}),
    "P2": type("Case", (AidKit,), {"provider": type("Two", (NullAid,), {"summary": "two\nlines"})()}),
    "R1": filesystem(probe=always(Probe(Verdict.NOT_MINE))),
    "R2": filesystem(probe=always(Probe(Verdict.MINE))),
    "R3": filesystem(probe=trusting_probe),
    "R4": filesystem(probe=always(Probe(Verdict.MINE))),
    "R5": filesystem(info=property(lambda self: replace(NULL.info.fget(self), used_bytes=0))),  # type: ignore[attr-defined]
    "R6": filesystem(allocated=lambda self: NULL.allocated(self) - self.runs("/d0/f2").extents()),
    "R7": filesystem(allocated=lambda self: Extents.span(0, self.superblock.size)),
    "R8": filesystem(system_areas=lambda self: (SystemArea("map", Extents.span(0, 512)),) * 2),
    "R9": filesystem(check=lambda self: iter([FINDING])),
    "R10": filesystem(check=lambda self: iter(())),
    "R11": filesystem(check=raising_on_damage),
    "R12": filesystem(reserved_places=lambda self: Extents.span(512, self.superblock.table_offset)),
    "T1": filesystem(walk=lambda self, path="/": itertools.islice(NULL.walk(self, path), 5)),
    "T2": filesystem(list=lambda self, path="/": NULL.walk(self, path)),
    "T3": filesystem(stat=lambda self, path: replace(NULL.stat(self, path), size=1)),
    "T4": filesystem(stat=missing_is_root),
    "T5": filesystem(read=lambda self, path, *part: (piece[:-1] for piece in NULL.read(self, path, *part))),
    "T6": filesystem(read=lambda self, path, offset=0, length=None: NULL.read(self, path)),
    "T7": filesystem(runs=truncated_runs),
    "T8": filesystem(owners=lambda self, extents: iter(())),
    "T9": filesystem(slack=lambda self: NULL.runs(self, "/d0/f2").extents()),
    "E1": filesystem(free=lambda self: NULL.free(self) | NULL.immovable(self)),
    "E2": filesystem(immovable=always(Extents())),
    "E3": filesystem(claim=sorted_claim),
    "E4": filesystem(_mark=keeps_clusters),
    "E5": filesystem(release=release_files_only),
    "E6": filesystem(vacate=lambda self, region, tx, avoid: NULL.vacate(self, region, tx, avoid=Extents())),
    "E7": filesystem(vacate=always(Vacated(0, 0))),
    "E8": filesystem(claim=greedy_claim),
    "E9": filesystem(adapt=adapt_one_copy),
    "E10": filesystem(_mark=marks_last),
    "E11": filesystem(
        __init__=lambda self, volume: (NULL.__init__(self, volume), remembered_claims(self))[0],
        claims=remembered_claims,
    ),
    "N1": encoding(decode=lambda self, data, size: bytes(size)),
    "N2": encoding(decode=own_key_decode),
    "N3": encoding(decode=lambda self, data, size: NullEncoding.decode(self, data, len(data) - 1)[:size]),
    "N4": encoding(encode=lambda self, data: zlib.compress(data), decode=bomb_decode),
    "N5": encoding(decode=lambda self, data, size: bytes(data)[1:].translate(bytes(255 - n for n in range(256)))),
    "N6": encoding(encode=racing_encode),
    "N7": encoding(configured=lambda self, argument: NullEncoding()),
    "L1": layout(plan=counting_plan),
    "L2": layout(plan=easy_plan),
    "L3": layout(store={"images": property(renamed)}),
    "L4": writing(write=stray_write),
    "L5": writing(finish=eager_finish),
    "L6": layout(store={"claims": short_claims}),
    "L7": layout(store={"images": property(backwards)}),
    "L8": writing(finish=rewriting_finish),
    "L9": layout(store={"base": property(always(0))}),
    "L10": layout(locate=credulous_locate),
    "L11": type("Case", (LayoutCase,), {"provider": NullLayout(), "survives_lost_pages": True}),
    "L12": writing(write=endless_write),
    "L13": layout(store={"remove": quiet_remove}),
    "L14": layout(locate=fragile_locate),
    "L15": layout(locate=farthest_store),
    "L16": layout(store={"repair": meddling_repair}),
    "A1": aid(write=lambda self, target, record: NullAid.write(self, target, record.model_copy(update={"images": ()}))),
    "A2": aid(read=always(AidRecord())),
    "A3": aid(read=unchecked_read),
    "A4": aid(check=always(AidCheck(state=AidState.IN_SYNC))),
    "A5": aid(check=always(AidCheck(state=AidState.IN_SYNC))),
    "A6": aid(find=always([RECORD])),
    "A7": aid(check=pedantic_check),
}
