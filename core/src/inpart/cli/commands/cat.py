"""``inpart cat``: the content of a file on a partition, or in an image of it."""

from __future__ import annotations

import base64
import sys

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.commands.ls import as_json
from inpart.cli.paths import Words, split_words
from inpart.contracts import EntryType
from inpart.errors import UsageError
from inpart.operations.files import open_tree
from inpart.units import MIB, format_size

JSON_LIMIT = 16 * MIB


@_command()
def command(run: Run, device: Device, words: Words = None) -> None:
    """Show the content of a file.

    With --json as base64 in the key "data".
    """
    image, paths = split_words(words)
    if len(paths) != 1:
        raise UsageError("cat takes one path", hint="such as: inpart cat disk.img#1 factory /etc/hostname")
    with open_tree(run.session(), device, image) as tree:
        entry = tree.stat(paths[0])
        if entry.type is not EntryType.FILE:
            raise UsageError(f"{entry.path} is a {entry.type.value}, not a file", hint="`inpart ls` lists directories")
        if not run.json:
            for piece in tree.read(entry.path):
                sys.stdout.buffer.write(piece)
            return
        if entry.size > JSON_LIMIT:
            message = f"{entry.path} has {entry.size} bytes; with --json at most {format_size(JSON_LIMIT)} are shown"
            raise UsageError(message, hint="take it out with `inpart extract`")
        data = base64.b64encode(b"".join(tree.read(entry.path))).decode()
        run.show(as_json(entry) | {"data": data}, ())
