"""``inpart map``: which bytes of a partition are used."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Annotated, Literal

import typer

from inpart.cli.command import FILESYSTEMS, Device, Run
from inpart.cli.command import command as _command
from inpart.cli.drawing import drawing, in_colour
from inpart.operations.map import Layer, Picture, draw, layers_of, map_bmap, map_ddrescue, map_json
from inpart.operations.reading import open_filesystem

_LINES = 16
_COLOURS = {Layer.SYSTEM: "33", Layer.CONTAINER: "36", Layer.BAD: "31"}


@_command()
def command(
    run: Run,
    device: Device,
    shape: Annotated[
        Literal["picture", "json", "bmap", "ddrescue"],
        typer.Option("--format", help="What is written; --json stands for --format json."),
    ] = "picture",
) -> None:
    """Show which bytes of a partition are used."""
    with open_filesystem(run.session(kinds=FILESYSTEMS), device) as (volume, filesystem):
        pieces: Iterable[str]
        if run.json or shape == "json":
            pieces = map_json(filesystem.allocated(), volume.size, filesystem.info.kind)
        elif shape == "bmap":
            pieces = map_bmap(filesystem.allocated(), volume.size)
        elif shape == "ddrescue":
            pieces = map_ddrescue(filesystem.allocated(), volume.size)
        else:
            columns = shutil.get_terminal_size().columns
            picture = draw(layers_of(filesystem), volume.size, columns=columns - 2, lines=_LINES)
            pieces = _lines(picture, colour=in_colour())
        sys.stdout.writelines(pieces)


def _lines(picture: Picture, *, colour: bool) -> Iterator[str]:
    for first in range(0, len(picture.layers), picture.columns):
        cells = range(first, min(first + picture.columns, len(picture.layers)))
        yield drawing("".join(_row(picture, cells, colour=colour))) + "\n"
    for legend in picture.legend:
        yield f"{drawing(str(legend))}\n"


def _row(picture: Picture, cells: range, *, colour: bool) -> Iterator[str]:
    for layer, group in groupby(cells, lambda index: picture.layers[index]):
        text = "".join(picture.glyph(index) for index in group)
        code = _COLOURS.get(layer) if colour else None
        yield f"\033[{code}m{text}\033[0m" if code else text
