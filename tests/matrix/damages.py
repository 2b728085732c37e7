"""The rows of the matrix: what happens to the disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from inpart.contracts import Claim
from inpart.extents import Extents
from inpart.testing.damage import randomise_range, zero_range, zero_sectors
from inpart.testing.tools import run
from inpart.units import MIB
from inpart.volume import Access, FileVolume, SliceVolume, Volume

from matrix.grounds import START, Ground, put, take, write_table
from matrix.kinds import KINDS, other_kind

Apply = Callable[[Ground], Ground]
BLOCK_MAGIC = bytes.fromhex("9e6970420d0a626b")
SEAL, DESCRIPTION = 3, 2
CONTIGUOUS, BLOCKS = frozenset({"contiguous"}), frozenset({"blocks"})
BOTH = CONTIGUOUS | BLOCKS
SEED = 20260


@dataclass(frozen=True)
class Damage:
    """A row: ``apply`` changes the disk and says where the partition is now.

    ``table`` is what the disk is partitioned with. ``only`` names the file systems or the layout that have what is
    damaged, everything if empty. ``promised`` are the layouts that must bring back all. ``older`` asks for the older of
    two images.
    """

    name: str
    apply: Apply
    table: str = "mbr"
    only: frozenset[str] = frozenset()
    promised: frozenset[str] = frozenset()
    older: bool = False

    def applies(self, kind: str, layout: str) -> bool:
        """Whether the column has what is damaged."""
        return not self.only or bool(self.only & {kind, layout})


def on_partition(change: Callable[[Ground, Volume], object]) -> Apply:
    """A damage inside the partition."""

    def apply(ground: Ground) -> Ground:
        with FileVolume(ground.path, Access.WRITE) as disk:
            change(ground, SliceVolume(disk, ground.start, ground.kind.size))
            disk.flush()
        return ground

    return apply


def on_disk(change: Callable[[Volume], object]) -> Apply:
    """A damage that does not care for partitions."""

    def apply(ground: Ground) -> Ground:
        with FileVolume(ground.path, Access.WRITE) as disk:
            change(disk)
            disk.flush()
        return ground

    return apply


def on_file(change: Callable[[Ground, Path], object]) -> Apply:
    """A damage done by a tool that wants the partition as a file."""

    def apply(ground: Ground) -> Ground:
        part = ground.path.with_suffix(".part")
        take(ground.path, ground.start, ground.kind.size, part)
        change(ground, part)
        put(part, ground.path, ground.start)
        part.unlink()
        return ground

    return apply


def in_turn(*steps: Apply) -> Apply:
    """One damage after the other."""

    def apply(ground: Ground) -> Ground:
        for step in steps:
            ground = step(ground)
        return ground

    return apply


def zero_all(volume: Volume, extents: Iterable[Extents]) -> None:
    """Zero all of these bytes."""
    for one in extents:
        for start, end in one:
            zero_range(volume, start, end)


def area_name(name: str) -> str:
    """The row of a system area: backups of superblocks are one."""
    return re.sub(r"^(superblock-backup)-\d+$", r"\1s", name)


def wipe(*names: str) -> Apply:
    """Zero the system areas of these rows."""
    return on_partition(
        lambda ground, part: zero_all(part, [one.extents for one in ground.areas if area_name(one.name) in names])
    )


wipe_anchors = on_partition(lambda ground, part: zero_all(part, [one.extents for one in ground.areas if one.anchor]))
wipe_every_area = on_partition(lambda ground, part: zero_all(part, [one.extents for one in ground.areas]))
wipe_tenth = on_partition(lambda ground, part: zero_range(part, 0, part.size // 10))


def wipe_files(*names: str) -> Apply:
    """Zero what these files in ``/.inpart`` hold."""
    return on_partition(
        lambda ground, part: zero_all(part, [one.runs.extents() for one in ground.claims if one.name in names])
    )


def wipe_blocks(kind: int, only_first: bool = False) -> Apply:
    """Zero control blocks of the layout blocks, for every image; ``only_first`` the first copy of two."""

    def change(ground: Ground, part: Volume) -> None:
        content = part.read(0, part.size)
        seen = set()
        for place in (match.start() for match in re.finditer(re.escape(BLOCK_MAGIC), content)):
            image = content[place + 16 : place + 32]
            if content[place + 12] != kind or (only_first and image in seen):
                continue
            seen.add(image)
            zero_range(part, place, place + 512)

    return on_partition(change)


def newest_image(ground: Ground, part: Volume) -> None:
    """Overwrite the middle third of the newest image's files."""
    chosen = [claim for claim in ground.claims if claim.name.startswith("mine.")]
    for claim in chosen:
        randomise_range(part, SEED, *_middle(claim))


def _middle(claim: Claim) -> tuple[int, int]:
    longest = max(claim.runs.extents(), key=lambda run: run[1] - run[0])
    start, end = longest
    return start + (end - start) // 3, end - (end - start) // 3


def repartition(ground: Ground) -> Ground:
    """Two new partitions, which begin elsewhere."""
    half = (ground.kind.size // 2) // MIB * MIB
    write_table(ground.path, [(2 * MIB, half, "83"), (2 * MIB + half, half, "83")])
    return ground


def halved(ground: Ground) -> Ground:
    """Two new partitions, the first of which begins where the old one did."""
    half = (ground.kind.size // 2) // MIB * MIB
    write_table(ground.path, [(START, half, "83"), (START + half, half, "83")])
    return ground


def parted(ground: Ground, start: int, size: int) -> Ground:
    """The entry of the partition made anew by parted; not a byte of the partition changes."""
    place = (f"{start}B", f"{start + size - 1}B")
    run("parted", "--script", ground.path, "rm", "1", "mkpart", "primary", *place)
    return replace(ground, start=start)


def moved(ground: Ground) -> Ground:
    """The partition with all its bytes 2 MiB further on, and a table that says so."""
    part, start = ground.path.with_suffix(".part"), ground.start + 2 * MIB
    take(ground.path, ground.start, ground.kind.size, part)
    put(part, ground.path, start)
    part.unlink()
    return parted(ground, start, ground.kind.size)


def resized(change: int) -> Apply:
    """The entry of the table made longer or shorter; not a byte of the partition changes."""
    return lambda ground: parted(ground, ground.start, ground.kind.size + change)


def _format_other(ground: Ground, part: Path) -> None:
    other_kind(ground.kind).format(part)


def discarding(change: Callable[[Ground, Path], object]) -> Callable[[Ground, Path], object]:
    """Discard all blocks first, as mke2fs and Windows do on a medium that can."""

    def apply(ground: Ground, part: Path) -> None:
        with part.open("r+b") as file:
            file.truncate(0)
            file.truncate(ground.kind.size)
        change(ground, part)

    return apply


def _format_same(ground: Ground, part: Path) -> None:
    ground.kind.format(part)


def _area_rows() -> tuple[Damage, ...]:
    """The system areas by name; what the file systems call them is asserted by the test of the matrix."""
    names = {
        "fat": ("boot-sector", "fat-0", "fat-1", "root-directory"),
        "fat32": ("fsinfo", "backup-boot-sector"),
        "ext": (
            "boot-block",
            "superblock",
            "superblock-backups",
            "group-descriptors",
            "group-descriptors-backup",
            "block-bitmaps",
            "inode-bitmaps",
            "inode-tables",
        ),
        "ext4": ("journal",),
        "ntfs": (
            "boot-sector",
            "backup-boot-sector",
            "mft",
            "mft-mirror",
            "log-file",
            "attr-def",
            "bitmap",
            "boot",
            "upcase",
            "root-index",
            "secure",
            "mft-bitmap",
        ),
    }
    rows = []
    for family, areas in names.items():
        kinds = frozenset(kind.name for kind in KINDS if kind.name.startswith(family))
        rows += [Damage(f"`{area}` zeroed", wipe(area), only=kinds, promised=BOTH) for area in areas]
    return tuple(rows)


_GPT = 34 * 512
FAT = frozenset(kind.name for kind in KINDS if kind.name.startswith("fat"))

DAMAGES: tuple[Damage, ...] = (
    Damage("nothing; only restored", lambda ground: ground, promised=BOTH),
    Damage("MBR zeroed", on_disk(lambda disk: zero_range(disk, 0, 512)), promised=BOTH),
    Damage("GPT, primary zeroed", on_disk(lambda disk: zero_range(disk, 0, _GPT)), "gpt", promised=BOTH),
    Damage(
        "GPT, both copies zeroed",
        in_turn(
            on_disk(lambda disk: zero_range(disk, 0, _GPT)),
            on_disk(lambda disk: zero_range(disk, disk.size - _GPT, disk.size)),
        ),
        "gpt",
        promised=BOTH,
    ),
    *_area_rows(),
    Damage("both copies of the FAT zeroed", wipe("fat-0", "fat-1"), only=FAT, promised=BOTH),
    Damage("all boot sectors or superblocks zeroed", wipe_anchors, promised=BOTH),
    Damage("all system areas zeroed", wipe_every_area, promised=BOTH),
    Damage("first 1 MiB zeroed", on_partition(lambda _, part: zero_range(part, 0, MIB)), promised=BOTH),
    Damage("first 10 % zeroed", wipe_tenth, promised=BOTH),
    Damage(
        "first 10 % overwritten at random",
        on_partition(lambda _, part: randomise_range(part, SEED, 0, part.size // 10)),
        promised=BOTH,
    ),
    Damage(
        "MBR and first 10 % zeroed",
        in_turn(on_disk(lambda disk: zero_range(disk, 0, 512)), wipe_tenth),
        promised=BOTH,
    ),
    Damage("0.1 % of the sectors zeroed at random", on_partition(lambda _, part: zero_sectors(part, SEED, 1))),
    Damage("1 % of the sectors zeroed at random", on_partition(lambda _, part: zero_sectors(part, SEED, 10))),
    Damage("5 % of the sectors zeroed at random", on_partition(lambda _, part: zero_sectors(part, SEED, 50))),
    Damage("20 % of the sectors zeroed at random", on_partition(lambda _, part: zero_sectors(part, SEED, 200))),
    Damage("re-partitioned, from another place on", in_turn(wipe_anchors, repartition), promised=BOTH),
    Damage("re-partitioned in halves, from the same place on", in_turn(wipe_anchors, halved), promised=BOTH),
    Damage("quick format, same file system", on_file(_format_same), promised=BOTH),
    Damage("quick format, another file system", on_file(_format_other), promised=CONTIGUOUS),
    Damage("quick format that discards, same file system", on_file(discarding(_format_same))),
    Damage("quick format that discards, another file system", on_file(discarding(_format_other))),
    Damage(
        "`/.inpart` deleted by hand",
        on_file(lambda ground, part: ground.kind.remove_hidden(part)),
        promised=BOTH,
    ),
    *(
        Damage(f"{what} and first 10 % zeroed", in_turn(wipe_files(*names), wipe_tenth), only=CONTIGUOUS, promised=BOTH)
        for what, names in (
            ("`toc_end`", ("toc_end",)),
            ("`toc_begin`", ("toc_begin",)),
            ("`toc_end`, `toc_begin`", ("toc_end", "toc_begin")),
            ("`toc_end`, `toc_begin`, `inter1`", ("toc_end", "toc_begin", "inter1")),
        )
    ),
    Damage(
        "first seal of each image and first 10 % zeroed",
        in_turn(wipe_blocks(SEAL, only_first=True), wipe_tenth),
        only=BLOCKS,
        promised=BOTH,
    ),
    Damage("all seals and first 10 % zeroed", in_turn(wipe_blocks(SEAL), wipe_tenth), only=BLOCKS, promised=BOTH),
    Damage(
        "all seals, all descriptions and first 10 % zeroed",
        in_turn(wipe_blocks(SEAL), wipe_blocks(DESCRIPTION), wipe_tenth),
        only=BLOCKS,
        promised=BOTH,
    ),
    Damage("newest of two images overwritten in part; none asked for", in_turn(on_partition(newest_image), wipe_tenth)),
    Damage(
        "newest of two images overwritten in part; the older asked for",
        in_turn(on_partition(newest_image), wipe_tenth),
        promised=BOTH,
        older=True,
    ),
    Damage("moved by 2 MiB, then first 10 % zeroed", in_turn(moved, wipe_tenth)),
    Damage("entry 1 MiB longer, first 10 % zeroed", in_turn(resized(MIB), wipe_tenth)),
    Damage("entry 1 MiB shorter, first 10 % zeroed", in_turn(resized(-MIB), wipe_tenth)),
)
