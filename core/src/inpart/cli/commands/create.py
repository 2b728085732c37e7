"""``inpart create``: an image of a partition, inside that partition or in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from inpart.cli.command import Device, Run
from inpart.cli.command import command as _command
from inpart.cli.output import printable, size
from inpart.cli.paths import Exclude, Include
from inpart.cli.policy import AllSectors, Encoding, LayoutName, MinFree, Parent, SkipSwap, Verify
from inpart.contracts import State
from inpart.operations.create import CreateOptions, CreateReport, create
from inpart.operations.selection import Selection


def _allow(state: State) -> Any:
    """The option that accepts a file system in this state."""
    return typer.Option(f"--allow-{state.value}", help=f"Image a file system in the state {state.value}.")


@_command(writes=True)
def command(
    run: Run,
    device: Device,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="What the image is called.")],
    kind: Annotated[Literal["factory", "user"], typer.Option("--kind", help="What the image is for.")] = "user",
    layout: LayoutName = None,
    encoding: Encoding = None,
    min_free: MinFree = None,
    verify: Verify = None,
    parent: Parent = None,
    include: Include = None,
    exclude: Exclude = None,
    skip_swap: SkipSwap = False,
    all_sectors: AllSectors = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the image to a new file, not into the partition.")
    ] = None,
    allow_dirty: Annotated[bool, _allow(State.DIRTY)] = False,
    allow_errors: Annotated[bool, _allow(State.ERRORS)] = False,
    allow_needs_replay: Annotated[bool, _allow(State.NEEDS_REPLAY)] = False,
    allow_hibernated: Annotated[bool, _allow(State.HIBERNATED)] = False,
) -> None:
    """Make an image and keep it inside the partition."""
    session = run.session(
        {"layout.name": layout, "encoding.default": encoding, "policy.min_free": min_free, "policy.verify": verify},
        writes_to=None if to else device,
    )
    allowed = {
        State.DIRTY: allow_dirty,
        State.ERRORS: allow_errors,
        State.NEEDS_REPLAY: allow_needs_replay,
        State.HIBERNATED: allow_hibernated,
    }
    options = CreateOptions(
        name=name,
        kind=kind,
        parent=parent,
        selection=Selection(tuple(include or ()), tuple(exclude or ()), all_sectors, skip_swap),
        to=to,
        allow=tuple(state for state, given in allowed.items() if given),
        dry_run=run.dry_run,
    )
    report = create(session, device, options)
    run.show(report, _text(report))


def _text(report: CreateReport) -> Iterator[str]:
    what = "of every sector" if report.mode == "all-sectors" else "of used data"
    if report.dry_run:
        yield f"would store {size(report.image_bytes)} {what} as image {printable(report.name)}"
        yield f"expected size: {size(report.expected_bytes)}, at most {size(report.upper_bytes)}"
        yield f"place: {report.plan}"
        if report.vacated:
            yield f"moved out of the way before that: {size(report.vacated)}"
        yield from _left_out(report)
        return
    yield f"image {printable(report.name)} ({report.image_id[:12]}): {size(report.image_bytes)} {what}"
    yield f"stored as {size(report.stored_bytes)}{_place(report)}"
    if report.vacated:
        yield f"moved out of the way before that: {size(report.vacated)}"
    yield from _left_out(report)


def _left_out(report: CreateReport) -> Iterator[str]:
    if report.left_out:
        yield f"without the content of {report.left_out} files, which a restore brings back as zeros"


def _place(report: CreateReport) -> str:
    """Where the image is in the partition now."""
    if not report.extents:
        return ""
    start, (last, length) = report.extents[0][0], report.extents[-1]
    pieces = f"{len(report.extents)} pieces" if len(report.extents) > 1 else "one piece"
    return f", layout {report.layout}, in {pieces} from byte {start} to {last + length} of the partition"
