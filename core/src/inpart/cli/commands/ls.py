"""``inpart ls``: the files of a partition, or of an image in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable
from inpart.cli.paths import Words, split_words
from inpart.contracts import Entry, EntryType, FilesystemTree
from inpart.operations.files import open_tree

_MARKS = {EntryType.FILE: "-", EntryType.DIR: "d", EntryType.SYMLINK: "l", EntryType.SPECIAL: "s"}


@_command()
def command(
    run: Run,
    device: Device,
    words: Words = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Show what is in directories, too.")] = False,
) -> None:
    """List the files of a partition or of an image.

    Without IMAGE those that are on the partition now.
    """
    image, paths = split_words(words)
    with open_tree(run.session(), device, image) as tree:
        entries = chain.from_iterable(_entries(tree, path, recursive=recursive) for path in paths or ["/"])
        if run.json:
            run.show({"entries": [as_json(entry) for entry in entries]}, ())
        else:
            run.show(None, (_line(entry) for entry in entries))


def _entries(tree: FilesystemTree, path: str, *, recursive: bool) -> Iterator[Entry]:
    """One level, or all levels below ``path``; for a file, that file."""
    if recursive and (not path.strip("/") or tree.stat(path).type is EntryType.DIR):
        return tree.walk(path)
    return tree.list(path)


def as_json(entry: Entry) -> dict[str, Any]:
    """An entry with the keys of docs/CLI.md."""
    return {
        "path": entry.path,
        "type": entry.type.value,
        "size": entry.size,
        "mtime": entry.mtime.isoformat() if entry.mtime else None,
        "attributes": list(entry.attributes),
        "target": entry.target or None,
    }


def _line(entry: Entry) -> str:
    when = entry.mtime.strftime("%Y-%m-%d %H:%M:%S") if entry.mtime else "-"
    arrow = f" -> {printable(entry.target)}" if entry.target else ""
    return f"{_MARKS[entry.type]} {entry.size:>12} {when:19} {printable(entry.path)}{arrow}"
