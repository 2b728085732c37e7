"""The matrix as Markdown: one table for each file system, in a stable order, with reasons below it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from inpart import __version__
from inpart.testing.tools import run
from inpart.units import MIB, format_size

from matrix.cells import ALL, NOTHING, PARTLY, WRONG, Cell
from matrix.damages import DAMAGES
from matrix.grounds import COLUMNS, Column
from matrix.kinds import KINDS, Kind

_INTRODUCTION = """\
# Damage matrix

Will it come back after *this*? Written by `make damage-matrix` from the tests in `tests/matrix`; not to be edited.

Each cell is a run of its own. A disk has one partition, made and filled by the file system's own tools. Two images are
made in it, `factory-1` and `mine`, with one more file between them. Then comes the damage, and then `inpart restore`
brings back `mine`, the newest. A cell says

- **what came back**: *all* means that every file is as it was (FAT: content, read by mtools; ext: content, owner, mode,
  times, inode number and extended attributes, read through a kernel mount; NTFS: content, streams, record number,
  links, times and attributes, read through ntfs-3g), that `fsck.fat -n`, `e2fsck -fn`, or `ntfsfix -n` and
  `ntfsresize --info` find nothing, that both images can still be located, and that the table of the disk names the
  partition; *partly* and *nothing* have their reason below the table; *WRONG* would be damage that inpart did not
  report;
- **the way of locating** that led to the image, as in [CLI.md](CLI.md);
- **the seconds** that all attempts took together, on files in memory or in the page cache: they compare cells, and are
  no promise.

`restore DISK#1` is tried first where the table still names a partition 1; cells with a mark needed more:
† `restore DISK --repair-table`; ‡ the same after `sfdisk --delete DISK`, since it refuses to overlap partitions that
exist; § `--allow-incomplete` after the plain restore had refused.

The aid `file` lies outside the disk and is given with `--aid`; `reserved` lies in sectors that the file system leaves
unused, `partition` is a recovery partition behind the other one, and both are found without being told. Those two are
tried with one file system of each family. Zeroed areas are named as inpart names them. An empty cell: no such thing in
this column.
"""

_MARKS = (("--allow-incomplete", "§"), ("sfdisk", "‡"), ("--repair-table", "†"))


def markdown(cells: Iterable[Cell]) -> str:
    """The whole document."""
    found = {(cell.column, cell.damage): cell for cell in cells}
    parts = [_INTRODUCTION, _summary(list(found.values()))]
    parts += [_section(kind, found) for kind in KINDS if any(column.kind == kind.name for column, _ in found)]
    return "\n".join(parts)


def _summary(cells: list[Cell]) -> str:
    counts = [
        f"{sum(cell.verdict == verdict for cell in cells)} {verdict}" for verdict in (ALL, PARTLY, NOTHING, WRONG)
    ]
    seconds = sum(cell.seconds for cell in cells)
    lines = [
        "## This run",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d}, inpart {__version__}, {len(cells)} cells, {seconds:.0f} s of restoring: "
        + ", ".join(counts),
        f"- {_machine()}",
        f"- {', '.join(_versions())}",
    ]
    return "\n".join(lines) + "\n"


def _machine() -> str:
    """The machine in a few words; a kernel's release names its builder, so only its version is taken."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    kernel = ".".join(platform.release().split(".")[:2])
    processor = model[1] if model else platform.machine()
    load = f"load {os.getloadavg()[0]:.1f}"
    return f"{os.cpu_count()} processors ({processor}), {format_size(memory)}, Linux {kernel}, {load}"


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    commands = (
        ("mkfs.fat", "--help"),
        ("mtools", "--version"),
        ("mke2fs", "-V"),
        ("sfdisk", "--version"),
        ("sgdisk", "-V"),
        ("parted", "--version"),
        ("mkntfs", "--version"),
    )
    for name, option in commands:
        version = re.search(r"\d+\.\d[\d.]*", run(name, option, check=False))
        yield f"{name} {version[0] if version else 'of an unknown version'}"


def _section(kind: Kind, found: dict[tuple[Column, str], Cell]) -> str:
    columns = [column for column in COLUMNS if column.kind == kind.name and any(one == column for one, _ in found)]
    reasons: dict[str, int] = {}
    lines = [
        f"## {kind.name}",
        "",
        f"{kind.size // MIB} MiB, `{' '.join(kind.options)}`.",
        "",
        "| damage | " + " | ".join(f"{column.layout}, {_aid(column)}" for column in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name in dict.fromkeys(damage.name for damage in DAMAGES):
        row = [found.get((column, name)) for column in columns]
        if any(row):
            lines.append(f"| {name} | " + " | ".join(_shown(cell, reasons) for cell in row) + " |")
    lines += [""] + [f"{number}. {reason}" for reason, number in reasons.items()]
    return "\n".join(lines) + "\n"


def _aid(column: Column) -> str:
    return "no aid" if column.aid == "none" else f"aid {column.aid}"


def _shown(cell: Cell | None, reasons: dict[str, int]) -> str:
    if cell is None:
        return ""
    mark = next((mark for word, mark in _MARKS if word in cell.how), "")
    what = cell.verdict if cell.verdict == ALL else f"**{cell.verdict}**"
    if cell.verdict == PARTLY:
        what += f" {cell.files} of {cell.expected} files"
    if cell.why:
        what += f" [{reasons.setdefault(_shortened(cell.why), len(reasons) + 1)}]"
    method = f", {cell.method}{mark}" if cell.method else ""
    return f"{what}{method}, {cell.seconds:.1f} s"


def _shortened(why: str, limit: int = 400) -> str:
    """The tool's own words without what would differ in the next run."""
    text = re.sub(r"\b\w*(Error|Found|Space|Taken|Damaged): ", "", why.replace("|", "/").replace("\n", " "))
    text = re.sub(r"\b[0-9a-f]{12}\b", "its id", text)
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " ..."
